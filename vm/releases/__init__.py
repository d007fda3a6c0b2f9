"""The versions of QEMU that ramslot can be, and where each differs from the one after it.

The code is the newest release; what an older one has different is data: in `changes`, by subject, one release after
another, and in tables whose rows say with `since` and `until` which releases have them. Nothing asks "is this 7.2?":
one asks for a setting, and a table is filtered by `Release.covers`. A new release is a line in `VERSIONS`, and what
its predecessor had different is an entry in `changes`.
"""

from __future__ import annotations

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

VERSIONS = {"11.1": (11, 1, 3), "10.0": (10, 0, 13), "7.2": (7, 2, 22), "5.2": (5, 2, 0)}
"""The releases, newest first, each with the whole version that it says it is."""
NEWEST = "11.1"
DEFAULT = NEWEST
"""What ramslot is when nobody says what to be."""


class Release:
    """One version of QEMU, as far as guest memory shows it."""

    __slots__ = ("_settings", "name", "number", "version")

    def __init__(self, name: str) -> None:
        self.name = name
        """As in `--qemu NAME`: major and minor number."""
        self.version = VERSIONS[name]
        """Major, minor and micro number of the QEMU that was measured."""
        self.number = self.version[:2]
        self._settings: dict[str, dict[str, Any]] = {}

    @property
    def full_name(self) -> str:
        """With the micro number, as QEMU says its version."""
        return ".".join(map(str, self.version))

    def covers(self, since: str | None = None, until: str | None = None) -> bool:
        """Whether something is in this release that came with the version `since` and was last seen in `until`."""
        return (since is None or version_number(since) <= self.number) and (
            until is None or self.number <= version_number(until)
        )

    def text(self, name: str, newest: str) -> str:
        """What this release says where the newest says `newest`: an entry of the subject `texts`."""
        found: str = self.settings("texts").get(name, newest)
        return found

    def settings(self, subject: str) -> dict[str, Any]:
        """What of `subject` is different from the newest release, by name; `changes` lists the subjects."""
        if self.name == NEWEST:
            return {}
        found = self._settings.get(subject)
        if found is None:
            from .changes import CHANGES

            found = self._settings[subject] = self.gather(CHANGES, subject)
        return found

    def gather(self, changes: dict[str, dict[str, dict[str, Any]]], subject: str) -> dict[str, Any]:
        """What `changes` say of `subject` in the releases from the newest to this one."""
        gathered: dict[str, Any] = {}
        for name in VERSIONS:
            gathered |= changes.get(name, {}).get(subject, {})
            if name == self.name:
                break
        return gathered


def version_number(text: str) -> tuple[int, int]:
    """Major and minor number of a version such as `9.1` or `4.0.1`."""
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


_releases: dict[str, Release] = {}


def find_release(name: str | None) -> Release:
    """The release of that name, with or without a micro number; None is the default.

    Raises `VMError` if ramslot cannot be that version.
    """
    wanted = DEFAULT if name is None else ".".join(name.split(".")[:2])
    wanted = next((known for known in VERSIONS if wanted in (known, known.partition(".")[0])), wanted)
    if wanted not in VERSIONS:
        raise VMError(f"QEMU {name} is none that ramslot can be: {', '.join(reversed(VERSIONS))}")
    if wanted not in _releases:
        _releases[wanted] = Release(wanted)
    return _releases[wanted]
