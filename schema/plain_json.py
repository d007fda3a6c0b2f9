"""Plain JSON by the engine in C below the standard library's `json`.

`json` itself loads regular expressions and enumerations, some 7 ms at every start, for what only bad input and
indented output need. The engine is the interpreter's own and not its public face: where it is not there, or is called
in another way, `json` is what is used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    ReadAt = Callable[[str, int], tuple[Any, int]]
    Write = Callable[[Any], str]


class _Reading:
    """What the scanner wants to know, by the names of `json.JSONDecoder`'s attributes."""

    __slots__ = ("object_hook", "object_pairs_hook", "parse_constant", "parse_float", "parse_int", "strict")

    def __init__(self, **hooks: Any) -> None:
        self.strict = True
        self.object_hook = None
        self.object_pairs_hook = hooks.get("object_pairs_hook")
        self.parse_int = hooks.get("parse_int", int)
        self.parse_float = hooks.get("parse_float", float)
        self.parse_constant = hooks.get("parse_constant", _no_constant)


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def reader(**hooks: Any) -> ReadAt:
    """A function that reads the value at a place in a text, and returns it and where it ends.

    The hooks are those of `json.JSONDecoder`. Raises `ValueError`; blanks before the value are not passed over.
    """
    try:
        from _json import make_scanner

        scan: ReadAt = make_scanner(_Reading(**hooks))  # type: ignore[arg-type]  # it takes whatever has the attributes
    except (ImportError, AttributeError, TypeError):
        import json

        return json.JSONDecoder(**hooks).raw_decode

    def read(text: str, position: int) -> tuple[Any, int]:
        try:
            return scan(text, position)
        except StopIteration as stop:
            raise ValueError(f"no value at {stop.value}") from None
        except SystemError:  # it would raise an exception of `json.decoder`, were that loaded
            raise ValueError("no JSON") from None

    return read


def writer() -> Write:
    """A function that writes a value as one line of ASCII, as `json.dumps` does by default."""
    try:
        from _json import encode_basestring_ascii, make_encoder

        encode: Callable[[Any, int], tuple[str, ...]] = make_encoder(
            None, _refuse, encode_basestring_ascii, None, ": ", ", ", False, False, True
        )
        if "".join(encode({"a": [1]}, 0)) != '{"a": [1]}':
            raise TypeError("another engine")
    except (ImportError, TypeError):
        import json

        return json.JSONEncoder(check_circular=False).encode
    return lambda value: "".join(encode(value, 0))


def _refuse(value: object) -> object:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
