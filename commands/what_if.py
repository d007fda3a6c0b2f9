"""What would become of a device: told beforehand."""

from __future__ import annotations

from ..schema.visiting import qdict_order
from .devices import device_add_request
from .hmp import HMPCommand, HMPError, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.devices.device import MemoryDevice
    from ..vm.machine import VirtualMachine
    from . import Arguments, Context


def what_if_device_add(context: Context, arguments: Arguments) -> dict[str, Any]:
    """What `device_add` with these arguments would do."""
    from ..vm.devices.device import MemoryDevice
    from ..vm.devices.preview import preview

    vm = context.vm
    found = preview(vm.plugging, {name: arguments[name] for name in qdict_order(arguments)})
    room = vm.plugging.room
    described: dict[str, Any] = {"fits": found.error is None}
    if room is not None:
        described |= {"free": room.room - room.used, "free-slots": room.slots - room.taken_slots}
    if found.error is not None:
        described["error"] = str(found.error)
        if found.fix is not None:
            described["fix"] = found.fix
    elif found.device is not None:
        described |= found.device.describe_place(vm.plugging.rooms)
        if isinstance(found.device, MemoryDevice) and found.device.is_mapped and vm.accelerator.follows:
            described |= _memslots_for(vm, found.device)
    return described


def _memslots_for(vm: VirtualMachine, device: MemoryDevice) -> dict[str, Any]:
    """How many memslots it takes, how many are free, and what the kernel would keep for them; an error if too few."""
    from ..vm.accel.cost import SlotCost

    slots, cost, needed = vm.accelerator.slots, SlotCost(), 0
    assert vm.plugging.room is not None, "it fits"
    free = vm.plugging.room.free_memslots(slots)
    x86 = vm.target.arch in ("x86_64", "i386")
    most = min(slots.max_size, -(-device.length // device.memslots))
    for start in range(0, device.length, most):
        needed += 1
        size = min(most, device.length - start)
        cost.add(device.address + start, size, log_dirty=False, x86=x86, shadow=vm.accelerator.shadow_paging)
    described: dict[str, Any] = {"memslots": needed, "free-memslots": free, "kernel-memory": cost.total}
    if needed > free:
        error = f"not enough memslots: {needed} needed, {free} free of {slots.max_slots}"
        described |= {"fits": False, "error": error}
    return described


# HMP


def _render_what_if(result: dict[str, Any], words: dict[str, Any]) -> str:
    from ..vm.sizes import size_to_str

    if "help" in words:
        return f"{words['help']}\n"
    lines = []
    if result["fits"]:
        lines.append(f"it fits: {', '.join(_places(result))}")
        if "memslots" in result:
            kernel = size_to_str(result["kernel-memory"])
            lines.append(f"memslots: {result['memslots']} of {result['free-memslots']} free; kernel memory: {kernel}")
    else:
        lines.append(f"it does not fit: {result['error']}")
        if "fix" in result:
            lines.append(f"smallest change: {result['fix']}")
    if "free" in result:
        lines.append(f"room now: {size_to_str(result['free'])}, {result['free-slots']} slots")
    return "".join(f"{line}\n" for line in lines)


def _places(result: dict[str, Any]) -> list[str]:
    """All that was decided of where it goes."""
    from ..vm.sizes import size_to_str

    found = []
    if "size" in result:
        place = f"at {result['addr']:#x}" if "addr" in result else "nowhere: nothing takes it"
        found.append(f"{size_to_str(result['size'])} {place}")
    if result.get("slot", -1) >= 0:
        found.append(f"slot {result['slot']}")
    if "function" in result:
        found.append(f"PCI function {result['function']}")
    if "devno" in result:
        found.append(f"device number {result['devno']}")
    if "node" in result:
        found.append(f"node {result['node']}")
    return found


def _what_if_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if words["command"] != "device_add":
        raise HMPError("what_if: only of device_add can be told beforehand\n")
    request, arguments = device_add_request(vm, words)
    return ("what-if-device-add" if request == "device_add" else request), arguments


HMP = (
    HMPCommand(
        "what_if",
        _what_if_request,
        _render_what_if,
        help="tell whether and where a device would fit, what it would cost, and else what the smallest remedy is",
        syntax="device_add driver[,prop=value][,...]",
        parameters=(Word("command", "foreseen"), Word("device", "device", optional=True)),
        example="what_if device_add pc-dimm,memdev=m",
    ),
)
