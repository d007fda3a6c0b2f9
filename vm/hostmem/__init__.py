"""Memory backends: objects that own host memory and give it to the machine as one MemoryRegion.

`backend` has what all kinds share; `ram`, `file`, `memfd` and `shm` say only where their memory comes from.
`thread_context` is the object whose threads may preallocate it.
"""
