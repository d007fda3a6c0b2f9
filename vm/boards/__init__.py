"""Machine types: which RAM a board accepts, and where RAM, ROM and device registers are.

A family of boards is a module with a function `machine_types(target, release)`; `targets` says which target has which
families.
"""

from __future__ import annotations

from ..errors import VMError
from ..loading import load
from ..releases import VERSIONS, find_release
from .targets import targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..releases import Release
    from .machine_type import MachineType
    from .targets import Target

UNSUPPORTED = 'unsupported machine type: "{}"\nUse -machine help to list supported machines'


def machine_types(target: Target, release: Release) -> Iterator[MachineType]:
    """All machine types of a target that a release of QEMU has, as far as they are modelled."""
    for family in target.families:
        yield from load(f"{__name__}.{family}").machine_types(target, release)


def find_machine_type(name: str | None, target_name: str | None, release: Release) -> tuple[MachineType, Target]:
    """The machine type of a name or alias, and its target; None is the target's default, x86_64's without a target.

    Raises `VMError` if there is no such machine or target.
    """
    known = targets(release)
    if target_name is not None and target_name not in known:
        raise VMError(f"unsupported target '{target_name}'")
    if target_name is None and name is None:
        target_name = "x86_64"
    for target in [known[target_name]] if target_name is not None else known.values():
        for machine_type in machine_types(target, release):
            matches = machine_type.is_default if name is None else name in (machine_type.name, machine_type.alias)
            if matches:
                return machine_type, target
        if name is None:
            text = "No machine specified, and there is no default\nUse -machine help to list supported machines"
            raise VMError(text)
    raise VMError(release.text("unsupported machine", UNSUPPORTED).format(name))


def releases_with(name: str, target_name: str | None) -> list[str]:
    """The releases, newest first, that have a machine type of that name, on a target if one is given."""
    found = []
    for release_name in VERSIONS:
        try:
            find_machine_type(name, target_name, find_release(release_name))
        except VMError:
            continue
        found.append(release_name)
    return found
