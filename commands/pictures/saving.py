"""Pictures as files: which kind is wanted, and how one is written."""

from __future__ import annotations

import os
import stat

from ...vm.errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KINDS = ("svg", "html")


def kind_of(path: str) -> str:
    """The kind of picture that a file's name asks for; raises `VMError`."""
    kind = os.path.splitext(path)[1][1:].lower()
    if kind not in KINDS:
        raise VMError(f"cannot tell the kind of picture from '{path}': expects a name that ends with .svg or .html")
    return kind


def save(path: str, document: dict[str, Any], kind: str) -> None:
    """Draw a document into a file; raises `VMError`."""
    text = picture(document, kind)
    try:
        _write(path, text)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise VMError(f"cannot write '{path}': {reason}") from None


def picture(document: dict[str, Any], kind: str) -> str:
    """The picture of a document, as one of `KINDS`."""
    if kind == "svg":
        from .svg import draw

        return draw(document)
    from .page import make_page

    return make_page(document)


def _write(path: str, text: str) -> None:
    """Replace the contents of a regular file; a pipe could keep all waiting. Raises `OSError`, `ValueError`."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    with open(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no regular file")
        file.truncate(0)
        file.write(text)
