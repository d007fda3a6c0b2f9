"""JSON as QEMU writes it: on the wire in lines, and indented for people."""

from __future__ import annotations

from ..schema.plain_json import writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Callable
    from typing import Any

_DEEPEST = 1024
"""Brackets that a value of a client's may have, one in another."""

_SHORT_ESCAPES = ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\r", b"\\r"), (b"\n", b"\\n"))
_PRINTABLE = bytes(range(0x20, 0x7F))

_encode_line = writer()


def encode(value: Any, pretty: bool = False) -> bytes:
    """Spell `value` as QEMU does, as one line (or, `pretty`, as ``-qmp-pretty``), ended by CRLF.

    Members keep their order. Hexadecimal digits of escapes are upper case, a lone surrogate is U+FFFD, and a double has
    up to 17 significant digits and no more than it needs (``1.0`` is ``1``).
    """
    if not pretty and _is_plain(value):
        return _encode_plain(value)
    encoder = _pretty_encoder() if pretty else _encode_line
    try:
        text = encoder(value)
    except RecursionError:
        text = _encode_deep(encoder, value)
    if "\\u" in text:
        text = _respell_escapes(text)
    if _may_have_doubles(text):
        text = _respell_doubles(text)
    if pretty:
        text = _respell_empty(text).replace("\n", "\r\n")
    return (text + "\r\n").encode("ascii")


def _pretty_encoder() -> Callable[[Any], str]:
    import json

    return json.JSONEncoder(check_circular=False, indent=4).encode


def _encode_deep(encoder: Callable[[Any], str], value: Any) -> str:
    import sys

    # A client's own id comes back, and may be nested as deep as the stream lets it.
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + 4 * _DEEPEST)
    try:
        return encoder(value)
    finally:
        sys.setrecursionlimit(limit)


def _is_plain(value: Any, depth: int = 2) -> bool:
    """Whether all members are strings, whole numbers, or objects of such, as those of an answer that may be long."""
    if type(value) is not dict:
        return False
    return all(type(member) in (str, int) or (depth > 1 and _is_plain(member, depth - 1)) for member in value.values())


def _encode_plain(members: dict[str, Any]) -> bytes:
    return b"".join([*_plain_pieces(members), b"\r\n"])


def _plain_pieces(members: dict[str, Any]) -> list[bytes]:
    pieces: list[bytes] = []
    for name, member in members.items():
        pieces += b", ", *_spelled(name), b": "
        pieces += _plain_pieces(member) if type(member) is dict else _spelled(member)
    return [b"{", *pieces[1:], b"}"]


def _spelled(value: str | int) -> tuple[bytes, ...]:
    """A string or a number, in pieces; of a long text in a fraction of the engine's time."""
    if type(value) is str and value.isascii():
        line = value.encode()
        if not line.translate(None, _PRINTABLE).strip(b"\r\n"):
            for character, spelled in _SHORT_ESCAPES:
                line = line.replace(character, spelled)
            return b'"', line, b'"'
    text = _encode_line(value)
    return ((_respell_escapes(text) if "\\u" in text else text).encode(),)


def _may_have_doubles(text: str) -> bool:
    """Whether something outside of strings looks like a double."""
    if "\\" in text:
        text = text.replace("\\\\", "").replace('\\"', "")
    outside = "".join(text.split('"')[::2])
    return "." in outside or "e+" in outside or "e-" in outside or "N" in outside or "I" in outside


def _respell_escapes(text: str) -> str:
    import re

    def respell(match: re.Match[str]) -> str:
        digits = match[1]
        if digits is None:
            return match[0]
        if len(digits) == 4 and "d800" <= digits <= "dfff":
            return "\\uFFFD"
        return "\\u" + digits.upper().replace("\\U", "\\u")

    return re.sub(r"\\(?:u(d[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|[0-9a-f]{4})|.)", respell, text)


def _respell_doubles(text: str) -> str:
    import re

    if not re.search(r"(?:^|[ \[])-?(?:[0-9]++[.e]|[IN])", text):
        return text

    def respell(match: re.Match[str]) -> str:
        literal = match[0]
        if literal[0] == '"' or literal.lstrip("-").isdigit():
            return literal
        return f"{float(literal):.17g}"

    return re.sub(r'"(?:[^"\\]++|\\.)*+"|-?[0-9][-+.0-9e]*+|-?Infinity|NaN', respell, text)


def _respell_empty(text: str) -> str:
    import re

    # Outside of a string, and so at a line's end, "{}" is an empty object; QEMU breaks the line within.
    return re.sub(r"(?m)^( *+)(.*)(?:(\{)(\})|(\[)(\]))(,?)$", r"\1\2\3\5\n\1\4\6\7", text)


def pretty(value: Any) -> str:
    """`value` indented by four spaces, as `qom-get` prints it; without a line end."""
    return encode(value, True).decode().replace("\r\n", "\n").removesuffix("\n")
