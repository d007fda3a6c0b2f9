"""What is wrong with a stream, in the words of the QEMU that meets it."""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..releases import Release


MAGIC_BYTES = 4


class StreamError(Exception):
    """A stream that cannot be loaded.

    `text` is what is wrong; `also` are lines that QEMU reports on the way, `older` those of QEMUs up to 10.0,
    `context` the section in which it was found, `code` the errno that loading fails with. Up to QEMU 10.0 these are
    lines on stderr, since 11.1 the last is one line with the reason in it (`newer`, where that is in other words);
    a reason that was merely `reported` is a line there, too, and `newer` stands for the section's failure.
    """

    def __init__(
        self,
        text: str,
        code: int = errno.EINVAL,
        *,
        also: tuple[str, ...] = (),
        older: tuple[str, ...] = (),
        newer: str = "",
        newer_code: int = 0,
        reported: bool = False,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.also = also
        self.older = older
        self.newer = newer
        self.newer_code = newer_code or code
        self.reported = reported
        self.context = ""
        self.newer_context = ""

    def of_section(self, context: str, newer: str) -> StreamError:
        """The error, found while the content of a section was loaded; `newer` is what QEMU 11.1 says of that."""
        self.context = context
        self.newer_context = newer
        return self

    def lines(self, release: Release) -> list[str]:
        """What stderr shows of it, each line behind the program's name."""
        newer = release.covers("11.0")
        failed = f"load of migration failed: {os.strerror(self.newer_code if newer else self.code)}"
        own = [*self.also, self.text] if self.text else list(self.also)
        if not newer:
            return [*self.older, *own, *filter(None, [self.context]), failed]
        if self.context or self.reported:
            return [*own, f"{failed}: {self.newer_context or self.newer}"]
        return [*self.also, f"{failed}: {self.newer or self.text}"]


class ChannelError(StreamError):
    """A connection that is not what was waited for: said in one line."""

    def lines(self, release: Release) -> list[str]:
        """What stderr shows of it."""
        return [self.newer if release.covers("11.0") else self.text]


def stranger(beginning: bytes, older: str = "") -> ChannelError:
    """Somebody connected, and what came first, 4 bytes if it went on so long, is no beginning of anything."""
    newer = f"unknown channel magic: {int.from_bytes(beginning)}"
    return ChannelError(older, newer=newer if len(beginning) == MAGIC_BYTES else "Failed to peek at channel")


def cut(newer: str = "") -> StreamError:
    """The stream ended within something."""
    return StreamError("", errno.EIO, newer=newer)
