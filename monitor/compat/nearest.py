"""Which of the QEMUs that are modelled stands for one that is not."""

from __future__ import annotations

from ...vm.boards import releases_with
from ...vm.errors import VMError
from ...vm.releases import VERSIONS, Release, find_release, version_number


def nearest_release(told: str, machine_type: str | None, target: str | None, notes: list[str]) -> Release:
    """The release of a version as people know it; else the newest before it that has the machine type, and a note.

    Raises `VMError` for what is no version.
    """
    number = _number(told)
    exact = [name for name in VERSIONS if version_number(name) == number]
    if exact:
        return find_release(exact[0])
    fitting = [name for name in VERSIONS if machine_type is None or name in releases_with(machine_type, target)]
    older = [name for name in fitting or VERSIONS if version_number(name) <= number]
    nearest = older[0] if older else (fitting or list(VERSIONS))[-1]
    notes.append(f"QEMU {told} is not modelled: taken as {nearest}")
    return find_release(nearest)


def is_release(told: str, release: Release) -> bool:
    """Whether a version is that release; raises `VMError` for what is no version."""
    return _number(told) == release.number


def _number(told: str) -> tuple[int, int]:
    try:
        return version_number(told)
    except ValueError:
        raise VMError(f"'{told}' is no version of QEMU") from None
