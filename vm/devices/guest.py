"""The guest's part, played: what a guest does when it is asked to let go of a device, or to have more or less memory.

With no guest nothing happens, as in QEMU while none runs.
"""

from __future__ import annotations

from time import sleep

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..steps import Task
    from .device import PluggableDevice
    from .plugging import Plugging

POLICIES = ("none", "accept", "refuse", "delay", "partial")
"""No guest, one that does what it is asked for, or does not, or does it later, or only half of it."""
DELAY = 1.0
"""Seconds that a guest takes that does things later."""


class PlayedGuest:
    """What the guest does; `policy` is one of `POLICIES`, and `delay` counts for one of them."""

    __slots__ = ("_plugging", "delay", "policy", "start_task")

    def __init__(self, plugging: Plugging) -> None:
        self._plugging = plugging
        self.policy = "none"
        self.delay = DELAY
        self.start_task: Callable[[Task[None]], None] = _run_to_first_step
        """Carries out what takes time."""

    def follow(self, policy: str, delay: float | None = None) -> None:
        """Have another policy, which answers at once what was asked before."""
        self.policy = policy
        self.delay = DELAY if delay is None else delay
        if policy == "none":
            return
        for device in list(self._plugging.devices):
            if device.removal_requested:
                self.release(device)
            else:
                self.resize(device)

    def release(self, device: PluggableDevice) -> None:
        """Answer a request to let go of a device."""
        device.removal_requested = True
        self._do(lambda: self._answer(device))

    def resize(self, device: PluggableDevice) -> None:
        """Answer a request to have more memory of a device, or less."""
        if device.wants_change:
            self._do(lambda: self._change(device))

    def _do(self, action: Callable[[], None]) -> None:
        def act() -> None:
            if self.policy == "none":
                return  # there is no guest any more
            try:
                action()
            except VMError as error:
                self._plugging.machine.board.warn_later(f"the guest failed: {error}")

        if self.policy == "delay":
            self.start_task(_later(self.delay, act))
        else:
            act()

    def _answer(self, device: PluggableDevice) -> None:
        if device in self._plugging.devices and device.removal_requested:
            device.removal_requested = False
            self._plugging.answer_removal(device, accepted=self.policy in ("accept", "delay"))

    def _change(self, device: PluggableDevice) -> None:
        if device.realized and device.wants_change:
            event = device.change(self._decide)
            if event is not None:
                self._plugging.emit(*event)

    def _decide(self, present: int, wanted: int, unit: int) -> int:
        """Where the guest stops on the way from `present` to `wanted` bytes, a multiple of `unit`."""
        if self.policy == "refuse":
            return present
        if self.policy == "partial":
            return present + int((wanted - present) / 2 / unit) * unit
        return wanted


def _later(seconds: float, action: Callable[[], None]) -> Task[None]:
    yield lambda cancellation: _wait(seconds, cancellation)
    action()


def _wait(seconds: float, cancellation: Any) -> None:
    while seconds > 0:
        cancellation.check()
        sleep(min(seconds, 0.1))
        seconds -= 0.1


def _run_to_first_step(task: Task[None]) -> None:
    from ..steps import run_now

    run_now(task)
