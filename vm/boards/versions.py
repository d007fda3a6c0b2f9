"""The versions of machine types: which of them a release has, and what each has different from its successor."""

from __future__ import annotations

from ..releases import version_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..releases import Release
    from .machine import Machine

VERSIONS = (
    "11.1", "11.0", "10.2", "10.1", "10.0", "9.2", "9.1", "9.0", "8.2", "8.1", "8.0", "7.2", "7.1", "7.0", "6.2", "6.1",
    "6.0", "5.2", "5.1", "5.0", "4.2", "4.1", "4.0.1", "4.0", "3.1", "3.0", "2.12", "2.11", "2.10", "2.9", "2.8", "2.7",
    "2.6", "2.5", "2.4", "2.3", "2.2", "2.1", "2.0", "1.7", "1.6", "1.5", "1.4", "1.3", "1.2", "1.1", "1.0",
)  # fmt: skip
"""All that any family has had, newest first; `4.0.1` is the Q35's alone."""
OLDEST = "5.2"
DEPRECATED_UNTIL = "8.1"
DEPRECATION = "machines more than 3 years old are subject to deletion after 6 years"


class Version:
    """One version of a family, as a release has it."""

    __slots__ = ("deprecated", "is_newest", "name", "settings")

    def __init__(self, name: str, settings: dict[str, Any], release: Release, *, is_newest: bool) -> None:
        self.name = name
        self.settings = settings
        """What it has different from the machine class."""
        self.is_newest = is_newest
        self.deprecated = deprecation(name, release)
        """Why it should no longer be used; None if it may be."""


def family_versions(
    family: str, machine: type[Machine], release: Release, changes: dict[str, dict[str, Any]]
) -> Iterator[Version]:
    """The versions of a family that a release has, newest first.

    `changes` says of a version which attributes of `machine` it has different from its successor; it has all that its
    successors say, too. Where a release's list begins is in its subject `oldest versions`.
    """
    oldest = version_number(release.settings("oldest versions").get(family, OLDEST))
    settings = release_settings(machine, release)
    is_newest = True
    for name in VERSIONS:
        settings = {**settings, **changes.get(name, {})}
        if oldest <= version_number(name) <= release.number and (name != "4.0.1" or family == "pc-q35"):
            yield Version(name, settings, release, is_newest=is_newest)
            is_newest = False


def deprecation(version: str, release: Release) -> str | None:
    """Why a version should no longer be used; None if it may be."""
    settings = release.settings("deprecated versions")
    if version_number(version) > version_number(settings.get("until", DEPRECATED_UNTIL)):
        return None
    reason: str = settings.get("reason", DEPRECATION)
    return reason


def release_settings(machine: type[Machine], release: Release) -> dict[str, Any]:
    """What a release has different in a machine class and those it inherits from, whose names are the subjects."""
    found: dict[str, Any] = {}
    for known in reversed(machine.__mro__):
        found = {name: value for name, value in found.items() if name not in known.__dict__}
        found |= release.settings(known.__name__)
    return found
