"""The VM core: memory backends, MemoryRegions, flat views, RAMBlocks, memslots, boards, and the machine they make.

It knows nothing of who drives it. Its floors, lowest first: `errors`, `host`, `memory`, `hostmem`, `accel`, `boards`,
`machine`; imports go downwards only.
"""
