"""Which of the QEMUs that are modelled stands for one that is not."""

from __future__ import annotations

from ...vm.boards import releases_with
from ...vm.errors import VMError
from ...vm.releases import VERSIONS, Release, find_release, version_number


def nearest_release(told: str, machine_type: str | None, target: str | None, notes: list[str]) -> Release:
    """The release of a version as people know it; else the newest before it that has the machine type, and a note.

    Raises `VMError` for what is no version.
    """
    if told in VERSIONS:
        return find_release(told)
    try:
        number = version_number(told)
    except (VMError, ValueError):
        raise VMError(f"'{told}' is no version of QEMU") from None
    fitting = [name for name in VERSIONS if machine_type is None or name in releases_with(machine_type, target)]
    older = [name for name in fitting or VERSIONS if version_number(name) <= number]
    nearest = older[0] if older else (fitting or list(VERSIONS))[-1]
    notes.append(f"QEMU {told} is not modelled: taken as {nearest}")
    return find_release(nearest)
