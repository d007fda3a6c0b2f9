"""Migration: guest memory, and what devices are in, as QEMU's stream has them; sent, received, looked at.

`format` has the numbers, `reading` (with its `events`) and `writing` the pure codec, `devices` what follows the RAM.
`channel` moves bytes, `outgoing` and `incoming` are the two sides as tasks, `state` is what both are asked about.
"""
