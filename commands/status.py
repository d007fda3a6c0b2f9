"""The machine as a whole: name, version, run state."""

from __future__ import annotations

from .. import __version__
from ..vm.errors import VMError
from .hmp import HMPCommand, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.steps import Task
    from . import Arguments, Context

PACKAGE = f"ramslot {__version__}"
NO_UUID = "00000000-0000-0000-0000-000000000000"


def query_status(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """The run state."""
    told = {"status": context.vm.run_state.name, "singlestep": False, "running": context.vm.run_state.running}
    return context.answer("query-status", told)


def query_version(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """The QEMU version spoken, and ours."""
    major, minor, micro = context.vm.release.version
    return {"qemu": {"micro": micro, "minor": minor, "major": major}, "package": PACKAGE}


def query_name(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """The machine's name, if it has one."""
    name = context.vm.config.name
    return {} if name is None else {"name": name}


def query_uuid(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """The machine's UUID, all zeros if it has none."""
    return {"UUID": context.vm.config.uuid or NO_UUID}


def query_kvm(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Whether KVM runs the machine, and could."""
    return {"enabled": context.vm.accelerator.in_kernel, "present": context.vm.target.has_kvm}


def query_accelerators(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """The accelerator that is used, and those that there are."""
    present = {"qtest", "sim", "tcg"} | ({"kvm"} if context.vm.target.has_kvm else set())
    return {"enabled": context.vm.accelerator.name, "present": sorted(present)}


def query_target(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """The architecture."""
    return {"arch": context.vm.target.arch}


def stop(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Pause the machine."""
    context.vm.run_state.stop()
    return {}


def cont(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Let the machine run."""
    context.vm.run_state.cont()
    return {}


def system_reset(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Reset the machine."""
    context.vm.reset("host-qmp-system-reset")
    return {}


def system_powerdown(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Press the power button. The guest that is played has no system that would shut down."""
    context.vm.emit("POWERDOWN")
    return {}


def x_exit_preconfig(context: Context, _arguments: Arguments) -> Task[dict[str, Any]]:
    """Make the board; what keeps it from being made ends the program, as with QEMU."""
    from ..vm.preconfig import exit_preconfig

    return _or_end(context, exit_preconfig(context.vm))


def _or_end(context: Context, task: Task[None]) -> Task[dict[str, Any]]:
    try:
        yield from task
    except VMError as error:
        context.program.fail(error)
        raise
    return {}


def quit(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """End the program; as with QEMU the event comes before the answer, and nothing after it is answered."""
    context.program.shut_down("host-qmp-quit")
    return {}


def _render_status(result: dict[str, Any], _words: Any) -> str:
    state = "running" if result["running"] else "paused"
    detail = "" if result["status"] in ("running", "paused") else f" ({result['status']})"
    return f"VM status: {state}{detail}\n"


def _render_version(result: dict[str, Any], _words: Any) -> str:
    qemu = result["qemu"]
    return f"{qemu['major']}.{qemu['minor']}.{qemu['micro']}{result['package']}\n"


def _render_kvm(result: dict[str, Any], _words: Any) -> str:
    if not result["present"]:
        return "kvm support: not compiled\n"
    return f"kvm support: {'enabled' if result['enabled'] else 'disabled'}\n"


def _render_accelerators(result: dict[str, Any], _words: Any) -> str:
    enabled = result["enabled"]
    return " ".join(f"[{name}]" if name == enabled else name for name in result["present"]) + "\n"


def _render_name(result: dict[str, Any], _words: Any) -> str:
    return f"{result['name']}\n" if "name" in result else ""


HMP = (
    HMPCommand("cont", fixed("cont"), help="resume emulation", aliases=("c",), since="6.0"),
    HMPCommand("c", fixed("cont"), help="resume emulation", aliases=("cont",), until="5.2"),
    HMPCommand("stop", fixed("stop"), help="stop emulation", aliases=("s",), since="6.0"),
    HMPCommand("stop", fixed("stop"), help="stop emulation", until="5.2"),
    HMPCommand("system_reset", fixed("system_reset"), help="reset the system"),
    HMPCommand("system_powerdown", fixed("system_powerdown"), help="send system power down event"),
    HMPCommand("exit_preconfig", fixed("x-exit-preconfig"), help="exit the preconfig state", preconfig=True),
    HMPCommand("quit", fixed("quit"), help="quit the emulator", aliases=("q",), preconfig=True, since="6.0"),
    HMPCommand("q", fixed("quit"), help="quit the emulator", aliases=("quit",), preconfig=True, until="5.2"),
    HMPCommand(
        "info accelerators",
        fixed("query-accelerators"),
        _render_accelerators,
        help="show present and enabled information",
        since="11.1",
    ),
    HMPCommand("info kvm", fixed("query-kvm"), _render_kvm, help="show KVM information"),
    HMPCommand("info name", fixed("query-name"), _render_name, help="show the current VM name", preconfig=True),
    HMPCommand(
        "info status",
        fixed("query-status"),
        _render_status,
        help="show the current VM status (running|paused)",
        preconfig=True,
    ),
    HMPCommand(
        "info uuid",
        fixed("query-uuid"),
        lambda result, _words: f"{result['UUID']}\n",
        help="show the current VM UUID",
        preconfig=True,
    ),
    HMPCommand(
        "info version", fixed("query-version"), _render_version, help="show the version of QEMU", preconfig=True
    ),
)
