"""Migration: guest memory, and what devices are in, as QEMU's stream has them; sent, received, looked at.

`format` has the numbers, `reading` (with its `events`) and `writing` the pure codec, `devices` what follows the RAM,
`way_back` what a destination tells. `channel` moves bytes, `outgoing` and `incoming` are the two sides as tasks, and
`state` is what both are asked about.
"""
