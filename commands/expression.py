"""The numbers of HMP: sums, products, masks and brackets, in 64 bits, as QEMU's monitor reads them."""

from __future__ import annotations

import re

from .hmp import HMPError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MASK = (1 << 64) - 1
NUMBER = re.compile("0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*", re.ASCII)


def take_expression(text: str) -> tuple[int, str]:
    """The value of the expression that `text` begins with, as a signed 64-bit number, and what follows it.

    Raises `HMPError` with QEMU's text.
    """
    reader = _Reader(text)
    value = reader.sum() & MASK
    return value - (value >> 63 << 64), reader.text


class _Reader:
    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text.lstrip()

    def _advance(self, count: int = 1) -> None:
        self.text = self.text[count:].lstrip()

    def _chain(self, operand: Callable[[], int], operators: dict[str, Callable[[int, int], int]]) -> int:
        value = operand()
        while self.text[:1] in operators and self.text:
            operator = operators[self.text[0]]
            self._advance()
            value = operator(value, operand())
        return value

    def sum(self) -> int:
        return self._chain(self._logic, {"+": lambda a, b: a + b, "-": lambda a, b: a - b})

    def _logic(self) -> int:
        return self._chain(self._product, {"&": lambda a, b: a & b, "|": lambda a, b: a | b, "^": lambda a, b: a ^ b})

    def _product(self) -> int:
        return self._chain(self._unary, {"*": lambda a, b: a * b, "/": _divide, "%": _remainder})

    def _unary(self) -> int:
        sign = self.text[:1]
        if not sign:
            raise HMPError("unexpected end of expression\n")
        if sign in "+-~":
            self._advance()
            value = self._unary()
            return {"+": value, "-": -value, "~": ~value}[sign]
        if sign == "(":
            self._advance()
            value = self.sum()
            if self.text[:1] != ")":
                raise HMPError("')' expected\n")
            self._advance()
            return value
        if sign == "'":
            return self._character()
        if sign == "$":  # (There are no CPUs whose registers could be read.)
            raise HMPError("unknown register\n")
        return self._number()

    def _character(self) -> int:
        value, quote = self.text[1:2], self.text[2:3]
        if not value:
            raise HMPError("character constant expected\n")
        if quote != "'":
            raise HMPError("missing terminating ' character\n")
        self._advance(3)
        return ord(value)

    def _number(self) -> int:
        found = NUMBER.match(self.text)
        if found is None:
            raise HMPError(f"invalid char '{self.text[0]}' in expression\n")
        digits = found[0]
        value = int(digits, 8 if digits[0] == "0" and digits.isdigit() else 0)
        if value > MASK:
            raise HMPError("number too large\n")
        self._advance(len(digits))
        return value


def _divide(dividend: int, divisor: int) -> int:
    if not divisor:
        raise HMPError("division by zero\n")
    return (dividend & MASK) // (divisor & MASK)


def _remainder(dividend: int, divisor: int) -> int:
    if not divisor:
        raise HMPError("division by zero\n")
    return (dividend & MASK) % (divisor & MASK)
