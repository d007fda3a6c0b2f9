"""What may go wrong between a client and its endpoint, as data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, get_args

Kind = Literal[
    "delay", "disconnect", "duplicate", "error", "event", "garbage", "refuse", "silence", "slow", "split", "stale"
]
GREETING = "greeting"
"""Stands for a command where the greeting is meant."""
NEGOTIATION = "qmp_capabilities"


class Details(TypedDict, total=False):
    """What may be said of a `Fault` beside kind and command."""

    nth: int | None
    seconds: float
    at: tuple[int, ...]
    event: str
    data: dict[str, Any] | None
    description: str
    error_class: str
    garbage: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, once or each time.

    Commands are counted from when the fault is set, over all connections. Without `command` every command counts but
    ``qmp_capabilities``, which has to be named; ``greeting`` counts connections. Kinds:

    - ``delay``: the reply comes `seconds` later.
    - ``slow``: the endpoint reads nothing for `seconds` before it takes the command.
    - ``split``: the reply comes in pieces, cut before the bytes `at` (all of them, if none is given), each piece when
      the client has read the one before.
    - ``event``: an event (`event`, `data`) comes between command and reply.
    - ``stale``: the reply before this one comes once more, before it.
    - ``duplicate``: the reply comes twice.
    - ``silence``: the command is carried out, and no reply comes.
    - ``error``: the command is not carried out, an error comes (`description`, `error_class`).
    - ``disconnect``: the connection ends before the command is carried out; with `at`, after it, when so many bytes of
      the reply were sent.
    - ``garbage``: the bytes `garbage` come before the reply.
    - ``refuse``: the client is hung up on as it connects, also while another one is there. Without this a second client
      waits until the first has left, as with QEMU. `command` says nothing here.

    :raise ValueError: there is no such kind, or it lacks what it needs.
    """

    kind: Kind
    command: str | None = None
    nth: int | None = 1
    """Which of the commands, from 1; None is each."""
    seconds: float = 0.1
    at: tuple[int, ...] = ()
    event: str = "RESUME"
    data: dict[str, Any] | None = None
    description: str = "injected by a test"
    error_class: str = "GenericError"
    garbage: bytes = field(default=b'\x00\xff{"return": }\r\n')

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"there is no fault '{self.kind}', but {', '.join(get_args(Kind))}")
        if self.nth is not None and self.nth < 1:
            raise ValueError("nth counts from 1")
        if self.seconds < 0 or any(offset < 0 for offset in self.at):
            raise ValueError("seconds and at are not negative")
        if self.kind == "disconnect" and len(self.at) > 1:
            raise ValueError("a connection ends at one byte")
        if self.kind == "error" and self.command == GREETING:
            raise ValueError("no error can come for a greeting")

    @property
    def withholds(self) -> bool:
        """Whether the command never reaches the server."""
        return self.kind == "error" or (self.kind == "disconnect" and not self.at and self.command != GREETING)

    def concerns(self, name: str) -> bool:
        """Whether this command (or the greeting) counts."""
        if self.command is None:
            return name not in (GREETING, NEGOTIATION)
        return name == self.command
