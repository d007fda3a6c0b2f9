"""Memory backends: objects that own host memory and give it to the machine as one MemoryRegion.

`backend` has what all kinds share; `ram`, `file` and `memfd` say only where their memory comes from.
"""

from __future__ import annotations

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .backend import MemoryBackend

BACKENDS = {
    "memory-backend-ram": ("ram", "RAMBackend"),
    "memory-backend-file": ("file", "FileBackend"),
    "memory-backend-memfd": ("memfd", "MemfdBackend"),
}
"""QOM type to the module and class that implement it."""


def backend_class(type_name: str) -> type[MemoryBackend]:
    """The class of a QOM type; raises `VMError` if that is not a memory backend."""
    if type_name not in BACKENDS:
        raise VMError(f"Parameter 'qom-type' does not accept value '{type_name}'")
    from importlib import import_module

    module, name = BACKENDS[type_name]
    return getattr(import_module(f"{__name__}.{module}"), name)  # type: ignore[no-any-return]  # the table above
