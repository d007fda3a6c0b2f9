"""The numbers of HMP: sums, products, masks and brackets, in 64 bits, as QEMU's monitor reads them."""

from __future__ import annotations

from .hmp import HMPError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MASK = (1 << 64) - 1
DIGITS = "0123456789abcdefABCDEFxX"


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
        return self._chain(
            self._product, {"&": lambda a, b: a & b, "|": lambda a, b: a | b, "^": lambda a, b: a ^ b}
        )

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
        return self._number()

    def _number(self) -> int:
        length = 0
        while self.text[length : length + 1] and self.text[length] in DIGITS:
            length += 1
        while length:
            digits = self.text[:length]
            try:
                octal = len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567"
                value = int(digits, 8 if octal else 0)
            except ValueError:
                length -= 1
                continue
            if value > MASK:
                raise HMPError("number too large\n")
            self._advance(length)
            return value
        raise HMPError(f"invalid char '{self.text[0]}' in expression\n")


def _divide(dividend: int, divisor: int) -> int:
    if not divisor:
        raise HMPError("division by zero\n")
    return (dividend & MASK) // (divisor & MASK)


def _remainder(dividend: int, divisor: int) -> int:
    if not divisor:
        raise HMPError("division by zero\n")
    return (dividend & MASK) % (divisor & MASK)
