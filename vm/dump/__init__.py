"""A guest's memory written to a file as a core dump, which debuggers and crash analysers read.

`elf` is the pure codec, `target` says which kind of ELF file a machine's dump is, `pieces` which memory is in it,
`file` what it is written to, and `dump` does that, as a task.
"""
