"""What each release of QEMU has different from the one after it, newest first; the newest is as the code is.

Subjects are the families of machine types, whose entries are attributes of their machine classes (they yield to what a
version of the machine says), and what the modules name that ask `Release.settings` for them. Values are plain data.
Rows of larger tables (devices, schemas, options) say themselves with `since` and `until` which releases have them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "10.0": {
        "mtree": {"containers": False},  # what no device answers is i/o
        "objects": {"monitors": False},  # are objects of users since
    },
    "7.2": {
        "backends": {
            "file too small": "backing store size {file:#x} does not match 'size' option {size:#x}",
        },
        # wire
        "dirty rate": {"whole seconds": True},
        "numbers": {"binary": False},  # 0b11 as 3, with the C library that the newer ones are built with
    },
    "5.2": {
        "events": {"after answers": ("RESET", "SHUTDOWN")},  # told when the command was answered
        "type names": {"memory-region": "qemu:memory-region"},
        # wire
        "objects": {
            # Arguments of object-add have no types, ids need not be identifiers.
            "set as given": True,
            "identifiers": False,
            "refused types": {
                "unknown": "invalid object type: {}",
                "abstract": "object type '{}' is abstract",
                "other": "object type '{}' isn't supported by object-add",
            },
        },
        "texts": {
            "hosts": "KVM",
            "bad value": "Invalid parameter '{value}'",
            "unwritable": "Insufficient permission to perform this operation",
            "unreadable": "Insufficient permission to perform this operation",
        },
    },
}
