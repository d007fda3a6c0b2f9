"""iothread: a thread of the host that devices would do their I/O on. It is there, and waits: none here does any."""

from __future__ import annotations

from .errors import VMError
from .objects import UserCreatable
from .qom import Property

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from typing import Any

    from .steps import Task

HIGHEST = (1 << 63) - 1
NUMBERS: dict[str, tuple[int, int, str | None]] = {
    "poll-max-ns": (32768, HIGHEST, None),
    "poll-grow": (2, HIGHEST, None),
    "poll-shrink": (2, HIGHEST, None),
    "poll-weight": (3, 63, "11.1"),
    "aio-max-batch": (0, HIGHEST, "6.1"),
    "thread-pool-min": (0, HIGHEST, "7.1"),
    "thread-pool-max": (64, HIGHEST, "7.1"),
}
"""Its properties: the default of the newest version, the highest value, and the first version that has it."""
EARLIER_DEFAULTS = {"poll-grow": 0, "poll-shrink": 0, "poll-weight": 0}
"""Those of versions before 11.1; from then on such a 0 means the default."""


def _number(name: str, highest: int, since: str | None) -> Property:
    def set_number(thread: Any, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not -HIGHEST - 1 <= value <= HIGHEST:
            raise VMError(f"Invalid parameter type for '{name}', expected: integer")
        if not 0 <= value <= highest:
            raise VMError(f"{name} value must be in range [0, {highest}]")
        thread.set_number(name, value)

    return Property(name, "int", lambda thread: thread.numbers[name], set_number, since=since)


class IOThread(UserCreatable):
    """The thread lives from `complete` to `release`; `numbers` are its properties."""

    type_name = "iothread"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.numbers = {name: default for name, (default, _, _) in NUMBERS.items()}
        if not self.qemu.covers("11.1"):
            self.numbers |= EARLIER_DEFAULTS
        self._thread: threading.Thread | None = None
        self._ended: threading.Event | None = None

    def complete(self, name: str) -> Task[None]:
        """Start the thread; raises `VMError` for a pool that cannot be."""
        import threading

        self._check(self.numbers)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ended.wait, name=f"IO {name}", daemon=True)
        self._thread.start()
        yield from ()

    def release(self) -> None:
        """End the thread."""
        if self._thread is not None and self._ended is not None:
            self._ended.set()
            self._thread.join()
            self._thread = None

    def set_number(self, name: str, value: int) -> None:
        """Set one property; raises `VMError` for a pool that cannot be."""
        if name in EARLIER_DEFAULTS and not value and self.qemu.covers("11.1"):
            value = NUMBERS[name][0]
        changed = {**self.numbers, name: value}
        if self._thread is not None:
            self._check(changed)
        self.numbers = changed

    def _check(self, numbers: dict[str, int]) -> None:
        lowest, highest = numbers["thread-pool-min"], numbers["thread-pool-max"]
        if not highest or lowest > highest or highest > 0x7FFFFFFF:
            raise VMError("bad thread-pool-min/thread-pool-max values")

    def describe(self) -> dict[str, Any]:
        """What `query-iothreads` tells, in all versions."""
        told = {name: value for name, value in self.numbers.items() if not name.startswith("thread-pool")}
        thread_id = self._thread.native_id if self._thread is not None else 0
        return {"id": self.name, "thread-id": thread_id, **told}

    properties = tuple(_number(name, highest, since) for name, (_, highest, since) in NUMBERS.items())
