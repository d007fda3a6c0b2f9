"""What a guest is to do, how far it is, and what of that goes to another machine."""

from __future__ import annotations

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WORD = 8
"""Bytes of one access."""
WORD_MASK = (1 << 64) - 1
GIVEN = ("start", "length", "mode", "stride", "value", "passes", "rate")
COUNTED = ("position", "passes_done", "accesses", "exits", "first_exit", "sum", "seconds")
"""What a job was given, and what it counts."""
MODES = ("read", "write", "pattern")


class GuestJob:
    """What a guest does, and how far it is. Addresses are guest-physical; sizes and strides are in bytes.

    It reads (`read`), writes `value` (`write`) or writes `value` plus the word's own address (`pattern`) to the word at
    each `stride` of `[start, start + length)`, `passes` times, or with 0 until it is stopped. With a `rate` it covers
    no more than so many bytes of the range per second.
    """

    __slots__ = (
        "accesses", "error", "exits", "first_exit", "length", "mode", "passes", "passes_done", "position", "rate",
        "seconds", "start", "status", "stride", "sum", "value",
    )  # fmt: skip

    def __init__(
        self,
        start: int,
        length: int,
        mode: str = "write",
        stride: int = 4096,
        value: int = 0,
        passes: int = 1,
        rate: int = 0,
    ) -> None:
        """Raises `VMError` for what no guest can do."""
        for name, number in (("start", start), ("length", length), ("stride", stride)):
            if number % WORD:
                raise VMError(f"Parameter '{name}' expects a multiple of {WORD}")
        if not length:
            raise VMError("Parameter 'length' expects a size above 0")
        if not stride:
            raise VMError("Parameter 'stride' expects a size above 0")
        self.mode = mode
        self.start = start
        self.length = length
        self.stride = stride
        self.value = value
        self.passes = passes
        self.rate = rate
        self.status = "running"
        """`running`, and in the end `completed`, `stopped` or `failed`."""
        self.error = ""
        self.passes_done = 0
        self.position = start
        """The address that comes next in the present pass."""
        self.accesses = 0
        self.exits = 0
        """Accesses that no memory answered: a hole, registers, a write to what is read-only."""
        self.first_exit: int | None = None
        """The address of the first of them."""
        self.sum = 0
        """Of all words that were read, modulo 2^64."""
        self.seconds = 0.0

    def advance(self, done: int) -> int:
        """Count accesses that were made, and return the address behind them."""
        self.accesses += done
        gpa = self.position + done * self.stride
        if gpa < self.start + self.length:
            self.position = gpa
        else:
            self.position = self.start
            self.passes_done += 1
        return gpa

    def told(self) -> dict[str, Any]:
        """All that another machine needs to go on with it."""
        return {name: getattr(self, name) for name in GIVEN + COUNTED}

    @classmethod
    def taken_over(cls, told: dict[str, Any]) -> GuestJob:
        """A job that another machine told of; raises `VMError` for what is none."""
        unreadable = VMError("the guest's job cannot be read")
        if not told.keys() >= {*GIVEN, *COUNTED}:
            raise unreadable
        for name in GIVEN + COUNTED:
            value = told[name]
            if name == "mode":
                good = value in MODES
            elif name == "seconds":
                good = type(value) in (int, float) and 0 <= value < WORD_MASK
            else:
                good = (name == "first_exit" and value is None) or (type(value) is int and 0 <= value <= WORD_MASK)
            if not good:
                raise unreadable
        job = cls(**{name: told[name] for name in GIVEN})
        for name in COUNTED:
            setattr(job, name, told[name])
        if not job.start <= job.position < job.start + job.length or job.position % WORD:
            raise unreadable
        return job

    def describe(self, *, runs: bool) -> dict[str, Any]:
        """How far it is, as `query-guest` and its event tell it; `runs` says whether the machine does."""
        described: dict[str, Any] = {
            "status": "paused" if self.status == "running" and not runs else self.status,
            "mode": self.mode,
            "start": self.start,
            "length": self.length,
            "stride": self.stride,
            "passes": self.passes_done,
            "accesses": self.accesses,
            "exits": self.exits,
            "elapsed": int(self.seconds * 1000),
        }
        if self.first_exit is not None:
            described["first-exit"] = self.first_exit
        if self.mode == "read":
            described["sum"] = self.sum
        if self.error:
            described["error"] = self.error
        return described

    def note_exit(self, gpa: int) -> None:
        """Count an access that no memory answered."""
        self.exits += 1
        if self.first_exit is None:
            self.first_exit = gpa
