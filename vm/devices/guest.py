"""The guest's part, played: what a guest does when it is asked to let go of a device, or to have more or less memory.

With no guest nothing happens, as in QEMU while none runs.
"""

from __future__ import annotations

from time import sleep

from ..errors import VMError
from ..steps import run_now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..steps import Task
    from .device import PluggableDevice
    from .plugging import Plugging

DELAY = 1.0
"""Seconds that a guest takes that does things later."""


class PlayedGuest:
    """What the guest does, by its `policy`.

    That is none (there is no guest), accept (it does what it is asked for), refuse, delay (it does, so many seconds
    later), or partial (only half of it).
    """

    __slots__ = ("_expected", "_plugging", "delay", "policy", "start_task")

    def __init__(self, plugging: Plugging) -> None:
        self._plugging = plugging
        self._expected: set[PluggableDevice] = set()
        """The devices that the guest will look at when its time has come."""
        self.policy = "none"
        self.delay = DELAY
        self.start_task: Callable[[Task[None]], object] = run_now
        """Carries out what takes time."""

    def follow(self, policy: str, delay: float | None = None) -> None:
        """Have another policy, by which all is answered that was asked before."""
        self.policy = policy
        self.delay = DELAY if delay is None else delay
        self._expected = set()  # what was to be looked at later is looked at now, or by another rule
        for device in list(self._plugging.devices):
            self.attend(device)

    def attend(self, device: PluggableDevice) -> None:
        """Look at a device, of which something is wanted: now, or later."""
        if self.policy == "none" or self._plugging.frozen or not (device.removal_requested or device.wants_change):
            return
        if self.policy != "delay":
            self._answer(device)
        elif device not in self._expected:
            self._expected.add(device)
            self.start_task(self._attend_later(device))

    def _attend_later(self, device: PluggableDevice) -> Task[None]:
        seconds, expected = self.delay, self._expected
        try:
            yield lambda cancellation: _wait(seconds, cancellation)
        finally:
            expected.remove(device)
        if expected is self._expected and device in self._plugging.devices:
            self._answer(device)

    def _answer(self, device: PluggableDevice) -> None:
        """Do what is wanted of a device; a guest that fails is told of, and nothing changed."""
        try:
            if device.removal_requested:
                device.removal_requested = False
                self._plugging.answer_removal(device, accepted=self.policy in ("accept", "delay"))
            elif device.wants_change:
                event = device.change(self._decide)
                if event is not None:
                    self._plugging.emit(*event)
        except VMError as error:
            self._plugging.machine.board.warn_later(f"the guest failed: {error}")

    def _decide(self, present: int, wanted: int, unit: int) -> int:
        """Where the guest stops on the way from `present` to `wanted` bytes, a multiple of `unit`."""
        if self.policy == "refuse":
            return present
        if self.policy == "partial":
            return present + int((wanted - present) / 2 / unit) * unit
        return wanted


def _wait(seconds: float, cancellation: Any) -> None:
    while seconds > 0:
        cancellation.check()
        sleep(min(seconds, 0.1))
        seconds -= 0.1
