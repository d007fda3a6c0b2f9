"""What other people's tests use, offered as `ramslot.testing`: endpoints, faults, recordings, and the pytest plugin.

Nothing here is imported by the command; `plugin` alone knows pytest. What bytes become is decided without sockets and
clocks in `filter` and `replay` (and `monitor.framing`); `proxy` carries it out.
"""
