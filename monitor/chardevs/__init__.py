"""Character devices: what `-chardev`, `-qmp` and `-monitor` open. Bytes in, bytes out, clients coming and going.

Nothing here knows what the bytes mean: that is the front end's, the one user of a device. `opening.open_chardev` takes
options by QEMU's names and refuses in QEMU's words; each kind of device is imported when one is asked for.
"""
