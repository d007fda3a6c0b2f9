"""The qtest protocol: lines in, replies out, memory between them. No sockets, no clock, no machine.

A line is a command and its arguments, each one space behind the last. Replies and their quirks are those of QEMU,
measured; where QEMU dies of a line, the reply is `FAIL` with a reason.
"""

from __future__ import annotations

from ..vm.sizes import parse_integer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, Protocol

    class GuestMemory(Protocol):
        """What the commands work on. Every method may raise `QtestError`."""

        byte_order: Literal["little", "big"]

        def read(self, address: int, size: int) -> bytes:
            """The bytes from a guest address on; the last address is followed by the first."""

        def write(self, address: int, data: bytes) -> None:
            """Write bytes where there is memory."""

        def finds_device(self, path: str) -> bool:
            """Whether exactly one object has that path, and is a device."""

    Handler = Callable[["QtestSession", list[str]], str]


MASK = (1 << 64) - 1
MOST_READ = 64 << 20
"""Bytes of one answer."""
MOST_WRITTEN = 1 << 30
"""Bytes that one line may write: nobody else is served meanwhile."""
PORTION = 4 << 20
LONGEST_LINE = 2 * MOST_READ + 4096
LONGEST_TIME = (1 << 63) - 1
LAST_PORT = 0xFFFF
BAD_SIZE = "ERR invalid argument size"
NO_DEADLINE = "cannot advance clock to the next deadline because there is no pending deadline"
WIDTHS = {"b": 1, "w": 2, "l": 4, "q": 8}
_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
_NO_BASE64 = bytes(byte for byte in range(256) if byte not in _BASE64)


class QtestError(Exception):
    """A command cannot be carried out; the text follows `FAIL`."""


class QtestSession:
    """What clients have said, and the answers. One client after another; clock and intercepts outlive them.

    `settings` is what the version of QEMU has different from the newest: the subject `qtest` of `vm.releases.changes`.
    """

    def __init__(
        self, memory: GuestMemory, settings: dict[str, Any], *, binary: bool, has_clock: bool, has_rtas: bool
    ) -> None:
        """`binary`: 0b1 is a number; `has_clock`: the accelerator is qtest, which stops the clock."""
        self.memory = memory
        self.settings = settings
        self.has_clock = has_clock
        self.has_rtas = has_rtas
        self.clock = 0
        """Virtual nanoseconds."""
        self.intercepted: str | None = None
        """The path of the device whose interrupts are told, of which there are none."""
        self.remarks: list[str] = []
        """What is said of the last line besides its reply, for a log."""
        self._binary = binary
        self._received = bytearray()
        self._searched = 0

    def begin(self) -> None:
        """Forget what the last client left unfinished."""
        self._received.clear()
        self._searched = 0

    def receive(self, data: bytes) -> None:
        """Take what a client sent."""
        self._received += data

    def next_line(self) -> bytes | None:
        """The next complete line without its end, to be answered; None if more is needed.

        Of a line that is too long only so much is kept that it is known to be.
        """
        end = self._received.find(b"\n", self._searched)
        if end < 0:
            del self._received[LONGEST_LINE + 1 :]
            self._searched = len(self._received)
            return None
        line = bytes(self._received[: min(end, LONGEST_LINE + 1)])
        del self._received[: end + 1]
        self._searched = 0
        return line

    def answer(self, line: bytes) -> bytes:
        """The reply to a line, with its end; empty to an empty line. Never raises, but for defects of the memory."""
        if not line:
            return b""
        self.remarks.clear()
        try:
            reply = self._carry_out(line)
        except QtestError as error:
            reply = f"FAIL {error}"
        return reply.encode("latin-1", "replace") + b"\n"

    def _carry_out(self, line: bytes) -> str:
        if len(line) > LONGEST_LINE:
            raise QtestError(f"the line is longer than {LONGEST_LINE} bytes")
        if b"\0" in line:
            raise QtestError("there is a zero byte in the line")
        name, *words = line.decode("latin-1").split(" ")
        least, handler = COMMANDS.get(name, (0, None))
        if handler is None or (handler in _OF_CLOCK and not self.has_clock) or (name == "rtas" and not self.has_rtas):
            return f"FAIL Unknown command '{name}'"
        if len(words) < least:
            raise QtestError(f"'{name}' needs {least} argument{'s' if least > 1 else ''}")
        return handler(self, words)

    def number(self, word: str, bits: int = 64) -> int:
        """An unsigned number as C reads it, where negative ones count from the end; raises `QtestError`."""
        value = self._integer(word)
        if abs(value) > MASK:
            raise QtestError(f"'{_shown(word)}' has more than 64 bits")
        return value & (1 << bits) - 1

    def time(self, word: str) -> int:
        """Nanoseconds, which may be negative; raises `QtestError`."""
        value = self._integer(word)
        if not -LONGEST_TIME - 1 <= value <= LONGEST_TIME:
            raise QtestError(f"'{_shown(word)}' has more than 64 bits")
        return value

    def _integer(self, word: str) -> int:
        try:
            return parse_integer(word, self._binary)
        except ValueError:
            raise QtestError(f"'{_shown(word)}' is not a number") from None

    def advance(self, time: int) -> bool:
        """Set the clock forward; False where time is before it."""
        if not self.clock <= time <= LONGEST_TIME:
            return False
        self.clock = time
        return True

    def fill(self, address: int, size: int, byte: bytes) -> None:
        """Write `size` times the same byte."""
        for done in range(0, size, PORTION):
            self.memory.write(address + done & MASK, byte * min(PORTION, size - done))


def _shown(word: str) -> str:
    return word if len(word) <= 40 else f"{word[:40]}..."


def _size(session: QtestSession, word: str, most: int) -> int:
    size = session.number(word)
    if size > most:
        raise QtestError(f"{size} bytes are more than {most} at once")
    return size


# Memory


def _read_value(width: int) -> Handler:
    def handler(session: QtestSession, words: list[str]) -> str:
        data = session.memory.read(session.number(words[0]), width)
        return f"OK {int.from_bytes(data, session.memory.byte_order):#018x}"

    return handler


def _write_value(width: int) -> Handler:
    def handler(session: QtestSession, words: list[str]) -> str:
        address, value = session.number(words[0]), session.number(words[1], 8 * width)
        session.memory.write(address, value.to_bytes(width, session.memory.byte_order))
        return "OK"

    return handler


def _read(session: QtestSession, words: list[str]) -> str:
    address, size = session.number(words[0]), _size(session, words[1], MOST_READ)
    if not size:
        raise QtestError("nothing is to be read")
    return f"OK 0x{session.memory.read(address, size).hex()}"


def _write(session: QtestSession, words: list[str]) -> str:
    """Two digits are a byte; what follows the last two is not looked at, what is missing is zero."""
    address, size, digits = session.number(words[0]), _size(session, words[1], MOST_WRITTEN), words[2]
    if len(digits) < 3:
        return BAD_SIZE
    data = _from_digits(digits[2 : 2 + 2 * size])
    session.memory.write(address, data)
    session.fill(address + len(data), size - len(data), b"\0")
    return "OK"


def _from_digits(digits: str) -> bytes:
    from binascii import Error, unhexlify

    digits = digits[: len(digits) // 2 * 2]
    try:
        return unhexlify(digits.encode("latin-1"))
    except Error:
        return bytes(_nibble(digits[at]) << 4 & 0xF0 | _nibble(digits[at + 1]) for at in range(0, len(digits), 2))


def _nibble(digit: str) -> int:
    """The value of a digit; of anything else all bits, also those above it."""
    return int(digit, 16) if digit in "0123456789abcdefABCDEF" else 0xFF


def _b64read(session: QtestSession, words: list[str]) -> str:
    from binascii import b2a_base64

    data = session.memory.read(session.number(words[0]), _size(session, words[1], MOST_READ))
    return f"OK {b2a_base64(data, newline=False).decode()}"


def _b64write(session: QtestSession, words: list[str]) -> str:
    """What is too much is not written, what is missing is left as it is."""
    address, size, text = session.number(words[0]), session.number(words[1]), words[2]
    if len(text) < 3:
        return BAD_SIZE
    data = decode_base64(text.encode("latin-1"))
    if len(data) != size:
        session.remarks.append(f"b64write: data length mismatch (told {size}, found {len(data)})")
    session.memory.write(address, data[:size])
    return "OK"


def decode_base64(text: bytes) -> bytes:
    """The bytes that GLib reads in a text: what does not belong there is passed over, `=` is a digit of value 0 that
    takes its byte away in the third and the fourth place, digits after the last four are nothing."""
    from binascii import a2b_base64

    text = text.translate(None, _NO_BASE64)
    text = text[: len(text) // 4 * 4]
    data = a2b_base64(text.replace(b"=", b"A"))
    pieces, start = [], 0
    place = text.find(b"=")
    while place >= 0:
        if place % 4 >= 2:
            gone = place // 4 * 3 + place % 4 - 1
            pieces.append(data[start:gone])
            start = gone + 1
        place = text.find(b"=", place + 1)
    return b"".join([*pieces, data[start:]])


def _memset(session: QtestSession, words: list[str]) -> str:
    address, size = session.number(words[0]), _size(session, words[1], MOST_WRITTEN)
    session.fill(address, size, bytes([session.number(words[2], 8)]))
    return "OK"


def _endianness(session: QtestSession, _words: list[str]) -> str:
    return f"OK {session.memory.byte_order}"


# Ports: no device is behind any


def _port(session: QtestSession, word: str) -> int:
    port = session.number(word)
    if port > LAST_PORT:
        raise QtestError(f"there is no port {port:#x}")
    return port


def _in(width: int) -> Handler:
    def handler(session: QtestSession, words: list[str]) -> str:
        count = min(width, LAST_PORT + 1 - _port(session, words[0]))
        if count < width and not session.settings.get("cuts ports", False):
            count = 0
        data = (b"\xff" * count).ljust(width, b"\0")
        return f"OK {int.from_bytes(data, session.memory.byte_order):#06x}"

    return handler


def _out(session: QtestSession, words: list[str]) -> str:
    _port(session, words[0])
    session.number(words[1])
    return "OK"


# The clock, which has no timers


def _clock_step(session: QtestSession, words: list[str]) -> str:
    refuses = session.settings.get("clock refuses", True)
    if not words and refuses:
        raise QtestError(NO_DEADLINE)
    step = session.time(words[0]) if words else 0
    if (not session.advance(session.clock + step) or not step) and refuses:
        raise QtestError("could not advance time")
    return f"OK {session.clock}"


def _clock_set(session: QtestSession, words: list[str]) -> str:
    done = session.advance(session.time(words[0]))
    return f"{'OK' if done or not session.settings.get('clock refuses', True) else 'FAIL'} {session.clock}"


# Interrupts, of which no device has a line here


def _device(session: QtestSession, path: str) -> str:
    if not session.memory.finds_device(path):
        raise QtestError("Unknown device")
    return path


def _irq_intercept_in(session: QtestSession, words: list[str]) -> str:
    named = len(words) > 1 and not session.settings.get("intercepts", False)
    if _device(session, words[0]) and named:
        raise QtestError("Interception of named in-GPIOs not yet supported")
    return _irq_intercept_out(session, words)


def _irq_intercept_out(session: QtestSession, words: list[str]) -> str:
    path = _device(session, words[0])
    if not session.settings.get("intercepts", False):
        raise QtestError("No intercepts installed")
    if session.intercepted not in (None, path):
        raise QtestError("IRQ intercept already enabled")
    session.intercepted = path
    return "OK"


def _set_irq_in(session: QtestSession, words: list[str]) -> str:
    _device(session, words[0])
    raise QtestError("interrupt lines are not modelled")


# The rest


def _rtas(session: QtestSession, words: list[str]) -> str:
    for word in words[1:5]:
        session.number(word)
    raise QtestError(f"RTAS call '{_shown(words[0])}' is not modelled")


def _module_load(_session: QtestSession, _words: list[str]) -> str:
    return "FAIL"  # there are no modules


COMMANDS: dict[str, tuple[int, Handler]] = {
    **{f"read{letter}": (1, _read_value(width)) for letter, width in WIDTHS.items()},
    **{f"write{letter}": (2, _write_value(width)) for letter, width in WIDTHS.items()},
    **{f"in{letter}": (1, _in(width)) for letter, width in WIDTHS.items() if width < 8},
    **{f"out{letter}": (2, _out) for letter, width in WIDTHS.items() if width < 8},
    "read": (2, _read),
    "write": (3, _write),
    "b64read": (2, _b64read),
    "b64write": (3, _b64write),
    "memset": (3, _memset),
    "endianness": (0, _endianness),
    "clock_step": (0, _clock_step),
    "clock_set": (1, _clock_set),
    "irq_intercept_in": (1, _irq_intercept_in),
    "irq_intercept_out": (1, _irq_intercept_out),
    "set_irq_in": (4, _set_irq_in),
    "rtas": (5, _rtas),
    "module_load": (2, _module_load),
}
"""Every command with the least number of its arguments; what more is said is not looked at."""
_OF_CLOCK = (_clock_step, _clock_set)
