"""ramslot: the guest-memory half of a virtual machine monitor, alive behind QEMU's own monitor protocols.

`compat(A, B)` tells whether the memory of one machine fits into another one, before a migration; each side is what
`ramslot compat` takes. From Python:

    from ramslot import Config, VirtualMachine

    config = Config()
    config.machine_type, config.ram_size = "q35", 6 << 30
    with VirtualMachine(config) as vm:
        for memslot in vm.accelerator.slots:
            print(memslot)
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .vm.config import Config
    from .vm.errors import VMError
    from .vm.machine import VirtualMachine

    compat: Callable[..., dict[str, Any]]

__all__ = ("Config", "VMError", "VirtualMachine", "__version__", "compat")

_HOMES = {
    "Config": "vm.config",
    "VMError": "vm.errors",
    "VirtualMachine": "vm.machine",
    "compat": "monitor.compat.asking",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: the command does not need them all to start."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ramslot' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
