"""Sizes as QEMU reads and writes them, and its rules for the size of RAM; measured with QEMU 7.2.

Pure arithmetic on text and ints. Which option or property a size belongs to, and the words of an error about it, are
the caller's, except for the rules between size, maxmem and slots, whose texts are the same for every caller.
"""

from __future__ import annotations

from .errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .releases import Release

RAM_ALIGNMENT = 8192
"""Machine RAM is rounded up to this many bytes."""

_LIMIT = 1 << 64
_SHIFTS = {"B": 0, "K": 10, "M": 20, "G": 30, "T": 40, "P": 50, "E": 60}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_C_WHITESPACE = " \t\n\v\f\r"
_DECIMAL = frozenset("0123456789")
_HEXADECIMAL = frozenset("0123456789abcdefABCDEF")
_BINARY = frozenset("01")
_OCTAL = frozenset("01234567")


class SizeError(ValueError):
    """A text is not a size."""


class BadSizeError(SizeError):
    """The text is no non-negative number with an optional suffix."""


class SizeRangeError(SizeError):
    """The text is a number, but not below 2^64."""


def parse_size(text: str, default_suffix: str = "B", warn: Callable[[str], None] | None = None) -> int:
    """Return the bytes that `text` means; without a suffix it counts in `default_suffix`.

    Suffixes B, K, M, G, T, P, E in either case; hexadecimal with 0x, octal is not known. A fraction needs a unit that
    it can be a part of, is rounded to the nearest byte, halves up, and has the precision of a double. `warn` is told
    about deprecated spellings.

    :raise BadSizeError: not a number, negative, or with something left over.
    :raise SizeRangeError: 2^64 or more.
    """
    number = text.lstrip(_C_WHITESPACE).removeprefix("+")
    hexadecimal = number[:2] in ("0x", "0X")
    if hexadecimal:
        number = number[2:]
    digits, rest = _leading(number, _HEXADECIMAL if hexadecimal else _DECIMAL)
    if not digits:
        raise BadSizeError(text)
    whole = int(digits, 16 if hexadecimal else 10)
    if whole >= _LIMIT:
        raise (BadSizeError if rest else SizeRangeError)(text)
    fraction = 0.0
    if rest.startswith(".") and not hexadecimal:
        digits, rest = _leading(rest[1:], _DECIMAL)
        # So many nines that the double is 1 count for nothing, as they do in QEMU.
        fraction = float(f"0.{digits}") % 1.0
    shift = _SHIFTS.get(rest[:1].upper() or default_suffix)
    if hexadecimal and shift and warn is not None:
        spelled = text if rest else text + default_suffix
        warn(f"warning: Using a multiplier suffix on hex numbers is deprecated: {spelled}")
    if shift is None or len(rest) > 1 or (fraction and not shift):
        raise BadSizeError(text)
    size = (whole << shift) + int(fraction * (1 << shift) + 0.5)
    if size >= _LIMIT:
        raise SizeRangeError(text)
    return size


def parse_integer(text: str, binary: bool = False) -> int:
    """Return the integer of any magnitude that `text` spells as in C: 0x for hexadecimal, a leading 0 for octal.

    With `binary`, which newer C libraries have, 0b is for binary.

    :raise ValueError: not a number, or with something left over.
    """
    number = text.lstrip(_C_WHITESPACE)
    sign = -1 if number.startswith("-") else 1
    if number.startswith(("-", "+")):
        number = number[1:]
    base, allowed = 10, _DECIMAL
    if number[:2] in ("0x", "0X"):
        number, base, allowed = number[2:], 16, _HEXADECIMAL
    elif binary and number[:2] in ("0b", "0B"):
        number, base, allowed = number[2:], 2, _BINARY
    elif number.startswith("0"):
        base, allowed = 8, _OCTAL
    if not number or not allowed.issuperset(number):
        raise ValueError(text)
    return sign * int(number, base)


def size_to_str(size: int) -> str:
    """Return `size` bytes for people: three significant digits, in the largest unit that keeps them below 1000."""
    unit = 0
    while size >= 1000 << (10 * unit) and unit < len(_UNITS) - 1:
        unit += 1
    return f"{size / (1 << (10 * unit)):.3g} {_UNITS[unit]}"


def option_size(size: int) -> str:
    """Return `size` bytes exactly, as options take them: in the largest unit that leaves a whole number."""
    number, unit = exact_size(size).split()
    return f"{number}{unit[0]}"


def exact_size(size: int) -> str:
    """Return `size` bytes exactly for people: in the largest unit that leaves a whole number."""
    unit = 0
    while size and size % 1024 == 0 and unit < 4:
        size >>= 10
        unit += 1
    return f"{size} {_UNITS[unit]}"


def round_ram_size(size: int) -> int:
    """Return the bytes of RAM that a machine asked for `size` bytes gets."""
    return -(-size // RAM_ALIGNMENT) * RAM_ALIGNMENT


def check_ram_limits(ram_size: int, max_ram_size: int | None, ram_slots: int | None, release: Release) -> None:
    """Refuse a maxmem or a number of memory slots that does not fit a machine of `ram_size` bytes.

    `ram_size` is what the machine will have, so its default where none was given.

    :raise VMError: with QEMU's text.
    """
    if max_ram_size is None:
        if ram_slots:
            raise VMError(release.text("slots without maxmem", "slots specified but no max-size"))
        return
    name = release.text("maxmem", "maxmem")
    if max_ram_size < ram_size:
        raise VMError(
            f"invalid value of {name}: maximum memory size (0x{max_ram_size:x}) must be at least"
            f" the initial memory size (0x{ram_size:x})"
        )
    if ram_slots and max_ram_size == ram_size:
        raise VMError(
            f"invalid value of {name}: memory slots were specified but maximum memory size"
            f" (0x{max_ram_size:x}) is equal to the initial memory size (0x{ram_size:x})"
        )


def _leading(text: str, allowed: frozenset[str]) -> tuple[str, str]:
    """Split `text` after its leading characters out of `allowed`."""
    end = 0
    while end < len(text) and text[end] in allowed:
        end += 1
    return text[:end], text[end:]
