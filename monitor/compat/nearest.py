"""Which of the QEMUs that are modelled stands for one that is not."""

from __future__ import annotations

from ...vm.boards import find_machine_type, releases_with
from ...vm.errors import VMError
from ...vm.known import family_of
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


def versioned_machine(name: str | None, told: str, target: str | None) -> str | None:
    """The machine type that an alias, or none, stands for in a QEMU that is not modelled, if a modelled one has it."""
    number = _number(told)
    if any(version_number(each) == number for each in VERSIONS):
        return None
    for each in VERSIONS:
        try:
            found = find_machine_type(name, target, find_release(each))[0].name
        except VMError:
            continue
        family = family_of(found)
        if family == found or name == found:
            return None
        versioned = f"{family}-{number[0]}.{number[1]}"
        return versioned if releases_with(versioned, target) else None
    return None


def is_release(told: str, release: Release) -> bool:
    """Whether a version is that release; raises `VMError` for what is no version."""
    return _number(told) == release.number


def _number(told: str) -> tuple[int, int]:
    try:
        return version_number(told)
    except ValueError:
        raise VMError(f"'{told}' is no version of QEMU") from None
