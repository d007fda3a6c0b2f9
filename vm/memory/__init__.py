"""Guest memory as tables: RAMBlocks, MemoryRegions, FlatViews, AddressSpaces.

Pure arithmetic on Python ints; host memory appears here only as an object that a RAMBlock holds, and no system call is
made. Addresses and sizes are in bytes, intervals are half-open `[start, end)`.
"""
