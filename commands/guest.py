"""A guest that reads and writes memory: started, stopped, watched."""

from __future__ import annotations

from ..vm.errors import VMError
from .hmp import HMPCommand, Word, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.accel.guest_job import GuestJob
    from ..vm.machine import VirtualMachine
    from ..vm.steps import Task
    from . import Arguments, Context

NUMBERS = ("start", "length", "stride", "value", "passes", "rate")
UINT64 = (1 << 64) - 1
"""Makes a negative number the unsigned one that QEMU's parser takes it for."""


def guest_run(context: Context, arguments: Arguments) -> Any:
    """Start a guest, which goes on by itself and whose end is an event; a task if the caller wants to wait."""
    from ..vm.accel.guest_job import GuestJob

    wait = arguments.get("wait", False)
    if wait and not context.vm.run_state.running:
        raise VMError("a guest runs while the machine does, which is paused: nothing would end the wait")
    numbers = {name: arguments[name] & UINT64 for name in NUMBERS if name in arguments}
    job = GuestJob(mode=arguments.get("mode", "write"), **{"start": 0, **numbers})
    task = _follow(context, context.vm.start_guest(job), wait)
    if wait:
        return task
    context.program.start_task(task)
    return {}


def _follow(context: Context, task: Task[GuestJob], wait: bool) -> Task[dict[str, Any]]:
    job = yield from task
    context.vm.emit("GUEST_ENDED", job.describe(runs=context.vm.run_state.running))
    if wait and job.status == "failed":
        raise VMError(job.error)
    return {}


def guest_stop(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Stop the guest."""
    context.vm.stop_guest()
    return {}


def query_guest(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """The guest that runs or ran last."""
    job = context.vm.guest_job
    return {"status": "none"} if job is None else job.describe(runs=context.vm.run_state.running)


def _guest_run_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    from .. import schema
    from ..vm.sizes import parse_size
    from .keyval import OptionError, parse_keyval

    try:
        pairs, _ = parse_keyval(words["guest"], "mode")
        return "guest-run", schema.contract(vm.release.number).from_keyval("guest-run", pairs, "hmp", parse_size)
    except (OptionError, schema.ArgumentError) as error:
        raise VMError(str(error)) from None


def _render_guest(result: dict[str, Any], _words: Any) -> str:
    from ..vm.sizes import size_to_str

    if result["status"] == "none":
        return "no guest has run\n"
    last = result["start"] + result["length"] - 1
    lines = [
        f"guest: {result['status']}, {result['mode']} {result['start']:016x}-{last:016x}, "
        f"stride {size_to_str(result['stride'])}",
        f"passes: {result['passes']}, accesses: {result['accesses']}, {result['elapsed']} ms",
    ]
    if result["exits"]:
        lines.append(f"not answered by memory: {result['exits']}, the first at {result['first-exit']:016x}")
    if "sum" in result:
        lines.append(f"sum: {result['sum']:#018x}")
    if "error" in result:
        lines.append(f"error: {result['error']}")
    return "\n".join(lines) + "\n"


HMP = (
    HMPCommand(
        "guest_run",
        _guest_run_request,
        help="let a guest read or write memory, by real instructions in KVM",
        syntax="[mode=]read|write|pattern,length=size[,start=addr][,stride=size][,value=n][,passes=n][,rate=size][,wait=on]",
        parameters=(Word("guest", rest=True),),
        example="guest_run write,start=0,length=1M,wait=on",
    ),
    HMPCommand("guest_stop", fixed("guest-stop"), help="stop the guest"),
    HMPCommand("info guest", fixed("query-guest"), _render_guest, help="show the guest that runs, or ran last"),
)
