"""What would become of a device that is not plugged yet, and the smallest change by which it could be.

Nothing changes: a device is made aside and looked at as `plugging` does. Each remedy was tried so before it is named.
"""

from __future__ import annotations

from ..errors import VMError
from ..sizes import option_size
from .device import MemoryDevice, PluggableDevice
from .values import as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from .plugging import Plugging

    Change = tuple[str, dict[str, Any], int, int]

LEAVABLE = ("addr", "memaddr", "devno", "slot", "node")
"""Properties that can be left to the machine."""


class Preview:
    """What would become of it: the device, or the `error`; then `fix` says what would help, if anything would."""

    __slots__ = ("device", "error", "fix")

    def __init__(self) -> None:
        self.device: PluggableDevice | None = None
        self.error: VMError | None = None
        self.fix: str | None = None


def preview(plugging: Plugging, arguments: dict[str, Any]) -> Preview:
    """Look at the arguments of `device_add` beforehand."""
    found = Preview()
    try:
        found.device = plugging.draft(arguments)
    except VMError as error:
        found.error = error
        found.fix = _smallest_change(plugging, arguments)
    return found


def _smallest_change(plugging: Plugging, arguments: dict[str, Any]) -> str | None:
    for said, changed, slots, room in _changes(plugging, arguments):
        try:
            device = plugging.draft(changed, more_slots=slots, more_room=room)
        except VMError:
            continue
        if isinstance(device, MemoryDevice) and device.address_property in arguments.keys() - changed.keys():
            said += f"; it goes to {device.address:#x} then"
        return said
    return _from_the_start(plugging, arguments) or _another_backend(plugging, arguments)


def _from_the_start(plugging: Plugging, arguments: dict[str, Any]) -> str | None:
    """That it could be had from the start, where it comes too late."""
    try:
        plugging.draft(arguments, hot=False)
    except VMError:
        return None
    options = [f"{name}={as_text(value)}" for name, value in arguments.items() if name != "driver"]
    return f"have it from the start: -device {','.join([str(arguments['driver']), *options])}"


def _changes(plugging: Plugging, arguments: dict[str, Any]) -> Iterator[Change]:
    """What may help: its words, the arguments then, and how many slots and bytes more the machine has."""
    given = [name for name in LEAVABLE if name in arguments]
    for name in given:
        yield f"leave out {name}=", {key: arguments[key] for key in arguments if key != name}, 0, 0
    free = {key: arguments[key] for key in arguments if key not in LEAVABLE}
    if len(given) > 1:
        yield f"leave out {', '.join(f'{name}=' for name in given)}", free, 0, 0
    machine, room = plugging.machine, plugging.room
    more = plugging.missing_room(free)
    slots, whole = machine.ram_slots, machine.max_ram_size
    starts = [(1, 0)] if room is not None else []
    starts += [(0, more), (1, more)] if more else []
    for extra, size in starts:
        words = [f"slots={slots + extra}"] * bool(extra) + [f"maxmem={option_size(whole + size)}"] * bool(size)
        for changed in (arguments, free):
            yield f"start the machine with -m …,{','.join(words)}", changed, extra, size


def _another_backend(plugging: Plugging, arguments: dict[str, Any]) -> str | None:
    """The size of a backend that would fit, or that another is needed, where all but the backend is right."""
    backend = plugging.backend_of(arguments)
    if not plugging.takes_memory(arguments.get("driver")):
        return None
    if backend is None:
        return "name a memory backend that exists: memdev=ID"
    unit = plugging.unit_of(arguments, backend)
    if backend.size % unit:
        below, above = backend.size // unit * unit, -(-backend.size // unit) * unit
        sizes = " or ".join(option_size(size) for size in (below, above) if size)
        return f"make the backend {sizes} large, a multiple of {option_size(unit)}"
    return "make a memory backend of its own for it" if backend.in_use else None
