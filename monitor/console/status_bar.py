"""The line below the prompt: what the machine is and does, in a few words."""

from __future__ import annotations

from ...vm.sizes import size_to_str

TYPE_CHECKING = False
if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import StyleAndTextTuples

    from ...vm.machine import VirtualMachine
    from ..program import Program

SEPARATOR = ("", " │ ")


def status_bar(program: Program) -> StyleAndTextTuples:
    """The bar as fragments: machine type, run state, RAM, memslots, clients, and what is being preallocated."""
    vm = program.vm
    assert vm is not None
    state = "running" if vm.run_state.running else "paused"
    parts: StyleAndTextTuples = [
        ("", vm.machine_type.name),
        (f"class:bottom-toolbar.{state}", vm.run_state.name),
        ("", ram_text(vm.machine.ram_size)),
        ("", _memslots(vm)),
        ("", _clients(sum(monitor.connected for monitor in program.monitors))),
    ]
    parts += [("", f"{each.name} {each.done * 100 // each.length}%") for each in vm.objects.defaults.preallocations[:1]]
    if vm.config.name:
        parts.insert(0, ("", vm.config.name))
    fragments: StyleAndTextTuples = [("", " ")]
    for part in parts:
        fragments += [part, SEPARATOR]
    fragments[-1] = ("", " ")
    return fragments


def ram_text(size: int) -> str:
    """The machine's RAM, of so many bytes, in words."""
    return f"{size_to_str(size)} RAM" if size else "no RAM"


def _memslots(vm: VirtualMachine) -> str:
    accelerator = vm.accelerator
    if not accelerator.follows:
        return f"{accelerator.name}, no memslots"
    return f"{accelerator.name}: {len(accelerator.slots)}/{accelerator.slots.max_slots} memslots"


def _clients(count: int) -> str:
    return f"{count} client{'' if count == 1 else 's'}"
