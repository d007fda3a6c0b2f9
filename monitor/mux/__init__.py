"""`ramslot mux`: several QMP clients on the one monitor that a QEMU gives.

`monitor.attach.client` speaks to QEMU, `clients` to those who come; `command` reads what is wanted.
"""
