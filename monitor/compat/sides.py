"""Recognizes what one side of a comparison was given as, and reads it."""

from __future__ import annotations

import os

from ...vm.compat.contract import Contract
from ...vm.errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .pasted import CommandLine

MOST_BYTES = 64 << 20
"""Of a text; a log that is longer is about more than one machine."""
NOT_UNDERSTOOD = (
    "'{}' is no command line of QEMU, no monitor (unix:PATH, tcp:HOST:PORT), and no file with a domain's XML, a log, "
    "or a saved stream"
)
NO_COMMAND_LINE = "'{}' is no command line of QEMU, no monitor, and no file with such a line or a domain's XML"


def read_side(text: str, version: str | None = None) -> Contract:
    """The contract of a side as people give it; `version` is the QEMU to be. Raises `VMError`."""
    from . import live

    text = text.strip()
    if live.is_address(text):
        return live.read_monitor(text, version)
    if os.path.exists(text):
        return _read_file(text, version)
    return read_text(text, text, version)


def _read_file(path: str, version: str | None) -> Contract:
    from . import streams

    try:
        if streams.is_stream(path):
            return streams.read_stream(path, version)
        text = _text_of(path)
    except OSError as error:
        raise VMError(f"Could not read '{path}': {error.strerror}") from None
    return read_text(text, os.path.basename(path), version)


def _text_of(path: str) -> str:
    """What is in a file; `OSError` is for the caller."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read(MOST_BYTES)


def read_text(text: str, origin: str, version: str | None = None) -> Contract:
    """The contract that a text describes: XML, a contract as JSON, or a command line in whatever is around it."""
    from .command_lines import read_command_line

    if text.lstrip()[:1] == "{":
        return _read_json(text, origin)
    return read_command_line(_line_in(text, origin, version), origin, version)


def find_side_line(text: str, version: str | None = None) -> CommandLine:
    """The command line of a machine that is told as one, or by a file with one or with XML; raises `VMError`."""
    text = text.strip()
    if not os.path.exists(text):
        return _line_in(text, text, version, NO_COMMAND_LINE)
    try:
        contents = _text_of(text)
    except OSError as error:
        raise VMError(f"Could not read '{text}': {error.strerror}") from None
    return _line_in(contents, os.path.basename(text), version, NO_COMMAND_LINE)


def _line_in(text: str, origin: str, version: str | None, complaint: str = NOT_UNDERSTOOD) -> CommandLine:
    from .pasted import find_command_line

    if text.lstrip()[:1] == "<":
        from .domain_xml import read_domain

        return read_domain(text, version)
    line = find_command_line(text)
    if line is None:
        raise VMError(complaint.format(origin if len(origin) < 80 else f"{origin[:77]}..."))
    return line


def _read_json(text: str, origin: str) -> Contract:
    import json

    try:
        return Contract.from_json(json.loads(text))
    except (ValueError, RecursionError, TypeError) as error:
        raise VMError(f"{origin}: {error}") from None
