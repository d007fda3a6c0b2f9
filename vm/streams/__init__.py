"""Saved and passing migration streams: looked into, compared, taken apart, rewritten; no socket, no file, no machine.

`walk` goes through a stream (its `parts`, in a `window`), `block_map` says which RAMBlocks become which, `remap`
rewrites a stream so, `summary` tells what is in one, `contents` what its pages hold, `diff` what two have different,
`libvirt` reads the header of libvirt's save files. Other than `migration.reading`, which a destination reads with,
`walk` tells where everything is, so that what is not to be changed passes as it came.
"""
