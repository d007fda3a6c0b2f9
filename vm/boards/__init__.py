"""Machine types: which RAM a board accepts, and where RAM, ROM and device registers are.

A family of boards is a module with a function `machine_types(target, release)`; `targets` says which target has which
families.
"""

from __future__ import annotations

from ..errors import VMError
from ..loading import load
from .targets import TARGETS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..releases import Release
    from .machine_type import MachineType
    from .targets import Target

MODELLED = ("7.2",)
"""The releases whose machine types are modelled; of others there is `none`."""
UNSUPPORTED = "unsupported machine type\nUse -machine help to list supported machines"


def machine_types(target: Target, release: Release) -> Iterator[MachineType]:
    """All machine types of a target that a release of QEMU has, as far as they are modelled."""
    for family in target.families if release.name in MODELLED else target.families[:1]:
        yield from load(f"{__name__}.{family}").machine_types(target, release)


def find_machine_type(name: str | None, target_name: str | None, release: Release) -> tuple[MachineType, Target]:
    """The machine type of a name or alias, and its target; None is the target's default, x86_64's without a target.

    Raises `VMError` if there is no such machine or target.
    """
    if target_name is not None and target_name not in TARGETS:
        raise VMError(f"unsupported target '{target_name}'")
    if target_name is None and name is None:
        target_name = "x86_64"
    for target in [TARGETS[target_name]] if target_name is not None else TARGETS.values():
        for machine_type in machine_types(target, release):
            matches = machine_type.is_default if name is None else name in (machine_type.name, machine_type.alias)
            if matches:
                return machine_type, target
        if name is None:
            text = "No machine specified, and there is no default\nUse -machine help to list supported machines"
            raise VMError(text, hint=_other_release("", release))
    raise VMError(UNSUPPORTED, hint=_other_release(name, release))


def _other_release(name: str | None, release: Release) -> str | None:
    """What to say of a machine type that this release may have."""
    from ..known.distributions import upstream_machine

    if release.name in MODELLED or (name and upstream_machine(name)):
        return None
    return f"of QEMU {release.name} only the machine none is modelled; --qemu {MODELLED[0]} has all"
