"""The two grammars of option texts, as QEMU 7.2 reads them; measured.

`parse_opts` reads the older one, QemuOpts (`-m`, `-object`, `-chardev`, …): a flat list of pairs, flags allowed.
`parse_keyval` reads the newer one (`-machine`, `-smp`, `object_add`, …): dotted keys that make a tree.
What keys mean, their types and the prefix of an error text are the caller's.
"""

from __future__ import annotations

from ..vm.objects import IDENTIFIER_RULE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from typing import Any

HELP_WORDS = ("help", "?")

BAD_IDENTIFIER = f"Parameter 'id' expects an identifier\n{IDENTIFIER_RULE}"

_LONGEST_FRAGMENT = 127
_DIGITS = frozenset("0123456789")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_VENDOR_CHARACTERS = _LETTERS | _DIGITS | {"-", "."}
_NAME_CHARACTERS = _LETTERS | _DIGITS | {"-", "_"}


class OptionError(Exception):
    """An option text is refused; `str(error)` is QEMU's text without the option's name before it.

    `hint` may name the remedy.
    """

    def __init__(self, text: str, hint: str | None = None) -> None:
        super().__init__(text)
        self.hint = hint


def parse_opts(
    text: str,
    implied_key: str | None = None,
    known: Container[str] = (),
    warn: Callable[[str], None] | None = None,
) -> Iterator[tuple[str, str | None]]:
    """Yield the `(key, value)` pairs of a QemuOpts text in order, repeated keys included.

    The first value needs no key if there is an `implied_key`. `,,` stands for a comma in a value. A key alone is a
    flag: on, or off when it begins with `no` and is not itself `known`; `warn` is told about it. The words for help
    alone come with the value None, `known` or not. No text is refused here.
    """
    position = 0
    while position < len(text):
        end = _key_end(text, position)
        if text[end : end + 1] == "=":
            key = text[position:end]
            value, position = _value(text, end + 1)
            yield key, value
        elif implied_key is not None and not position:
            value, position = _value(text, 0)
            yield implied_key, value
        else:
            word = text[position:end]
            position = end + 1
            if word in HELP_WORDS:
                yield word, None
                continue
            key, value = word, "on"
            if word.startswith("no") and word not in known:
                key, value = word[2:], "off"
            if warn is not None:
                warn(f"warning: short-form boolean option '{word}' deprecated\nPlease use {key}={value} instead")
            yield key, value


def parse_keyval(text: str, implied_key: str | None = None, into: dict[str, Any] | None = None) -> tuple[Any, bool]:
    """Return the tree of a keyval text, and whether help was asked for.

    Leaves are strings; `a.b=1` makes a dict at `a`, `a.0=1` a list. `into` is a tree to merge with (and returned); the
    last value of a key wins. The first value needs no key if there is an `implied_key`.

    :raise OptionError: a malformed key or a key used both as a value and as a tree.
    """
    tree: dict[str, Any] = {} if into is None else into
    wants_help = False
    position = 0
    while position < len(text):
        end = _key_end(text, position)
        key = text[position:end]
        if text[end : end + 1] == "=":
            fragments = _fragments(key)
            value, position = _value(text, end + 1)
            _insert(tree, fragments, value)
        elif key in HELP_WORDS:
            wants_help = True
            position = end + 1
        elif implied_key is not None and not position and key:
            _insert(tree, [implied_key], key)
            position = end + 1
        else:
            _fragments(key)
            raise OptionError(f"Expected '=' after parameter '{key}'")
    for key in tree:
        tree[key] = _with_lists(tree[key], key)
    return tree, wants_help


def _key_end(text: str, position: int) -> int:
    """Return where the key or flag at `position` ends: at a `=`, a comma, or the end."""
    comma = text.find(",", position)
    if comma < 0:
        comma = len(text)
    equals = text.find("=", position, comma)
    return comma if equals < 0 else equals


def _value(text: str, position: int) -> tuple[str, int]:
    """Return the value at `position`, doubled commas made single, and where the next key begins."""
    start = position
    while True:
        comma = text.find(",", position)
        if comma < 0:
            return text[start:].replace(",,", ","), len(text)
        if text[comma + 1 : comma + 2] != ",":
            return text[start:comma].replace(",,", ","), comma + 1
        position = comma + 2


def _fragments(key: str) -> list[str]:
    """Return the parts of a dotted key."""
    fragments: list[str] = []
    position = 0
    while True:
        end = _index_end(key, position) if fragments else position
        if end == position:
            end = _name_end(key, position)
        if end == position or key[end : end + 1] not in ("", "."):
            raise OptionError(f"Invalid parameter '{key}'")
        fragment = key[position:end]
        if len(fragment) > _LONGEST_FRAGMENT:
            kind = "Parameter" if fragment == key else "Parameter fragment"
            raise OptionError(f"{kind} '{fragment}' is too long")
        fragments.append(fragment)
        if end == len(key):
            return fragments
        position = end + 1


def _index_end(key: str, position: int) -> int:
    while key[position : position + 1] in _DIGITS:
        position += 1
    return position


def _name_end(key: str, position: int) -> int:
    """Return where the QAPI name at `position` ends (`position` itself: there is none).

    A name begins with a letter, or with a vendor's `__reverse.domain_`, which may have dots.
    """
    start = position
    if key.startswith("__", position):
        position += 2
        while key[position : position + 1] in _VENDOR_CHARACTERS:
            position += 1
        if key[position : position + 1] != "_":
            return start
        position += 1
    if key[position : position + 1] not in _LETTERS:
        return start
    while key[position : position + 1] in _NAME_CHARACTERS:
        position += 1
    return position


def _insert(tree: dict[str, Any], fragments: list[str], value: str) -> None:
    """Put `value` at the place of a dotted key."""
    for depth, fragment in enumerate(fragments[:-1], 1):
        below = tree.setdefault(fragment, {})
        if not isinstance(below, dict):
            raise _used_inconsistently(".".join(fragments[:depth]))
        tree = below
    if not isinstance(tree.get(fragments[-1], ""), str):
        raise _used_inconsistently(".".join(fragments))
    tree[fragments[-1]] = value


def _with_lists(node: Any, path: str) -> Any:
    """Return `node` with each dict whose keys are all numbers made a list."""
    if not isinstance(node, dict):
        return node
    for key in node:
        node[key] = _with_lists(node[key], f"{path}.{key}")
    numbers = [key for key in node if _DIGITS.issuperset(key)]
    if not numbers:
        return node
    if len(numbers) != len(node):
        raise _used_inconsistently(path)
    items = {int(key): node[key] for key in numbers}
    for index in range(len(items)):
        if index not in items:
            raise OptionError(f"Parameter '{path}.{index}' missing")
    return [items[index] for index in range(len(items))]


def _used_inconsistently(path: str) -> OptionError:
    return OptionError(f"Parameters '{path}.*' used inconsistently")
