"""Descriptors that clients gave: by name (`getfd`), and in sets that stand for a file, `/dev/fdset/N` (`add-fd`)."""

from __future__ import annotations

import errno
import fcntl
import os

from .errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

FDSET = "/dev/fdset/"
"""What the path of a set begins with."""


class NoSuchDescriptor(VMError):  # noqa: N818 (named for what it tells)
    """A set has no descriptor of the wanted kind, or there is no such set; `number` is the errno of older QEMUs."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)
        self.number = number


class Descriptors:
    """Those of one machine; they are its own, and closed with it."""

    def __init__(self) -> None:
        self._named: dict[str, int] = {}
        self._sets: dict[int, dict[int, str | None]] = {}
        """By the number of the set: descriptors, each with what its giver calls it."""
        self._removed: set[int] = set()
        """Those that were taken out of their sets and are still there."""

    # By name

    def keep(self, name: str, fd: int) -> None:
        """Keep one under a name, in place of one of that name."""
        if name in self._named:
            os.close(self._named[name])
        self._named[name] = fd

    @property
    def named(self) -> dict[str, int]:
        """Those that are kept by name; nobody changes it."""
        return self._named

    def take(self, name: str) -> int | None:
        """One that was kept, which is the caller's from now on; None if there is none of that name."""
        return self._named.pop(name, None)

    # Sets

    def add(self, fd: int, number: int | None, opaque: str | None) -> int:
        """Put one into a set, by default a new one with the lowest number; returns the number."""
        if number is None:
            number = next(number for number in range(len(self._sets) + 1) if number not in self._sets)
        self._sets.setdefault(number, {})[fd] = opaque
        return number

    def remove(self, number: int, fd: int | None, *, at_once: bool) -> None:
        """Take one out of a set, or all; unless `at_once` it stays until another is taken. Raises `VMError`."""
        found = self._sets.get(number)
        if found is None or (fd is not None and fd not in found):
            which = f"fdset-id:{number}" if fd is None else f"fdset-id:{number}, fd:{fd}"
            raise VMError(f"File descriptor named '{which}' not found")
        self._removed.update(found if fd is None else (fd,))
        if not at_once:
            return
        for each in self._removed.intersection(found):
            del found[each]
            self._removed.remove(each)
            os.close(each)
        if not found:
            del self._sets[number]

    def sets(self) -> Iterator[tuple[int, dict[int, str | None]]]:
        """All sets, the highest number first."""
        return ((number, self._sets[number]) for number in sorted(self._sets, reverse=True))

    def open(self, path: str, flags: int) -> int | None:
        """A descriptor of a set that may do what flags say, which is the caller's; None if the path is of no set.

        Raises `NoSuchDescriptor`.
        """
        if not path.startswith(FDSET):
            return None
        text = path.removeprefix(FDSET)
        if not (text.isascii() and text.isdigit()):
            raise NoSuchDescriptor(f"Could not parse fdset {path}", errno.EINVAL)
        found = self._sets.get(int(text))
        if found is None:
            raise NoSuchDescriptor(f"Failed to find fdset {path}", errno.ENOENT)
        for fd in found:
            if fd not in self._removed and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == flags & os.O_ACCMODE:
                return os.dup(fd)
        raise NoSuchDescriptor(f"Failed to find file descriptor with matching flags={flags:#x}", errno.EACCES)

    def close(self) -> None:
        """Give all back."""
        while self._named:
            os.close(self._named.popitem()[1])
        while self._sets:
            for fd in self._sets.popitem()[1]:
                os.close(fd)
