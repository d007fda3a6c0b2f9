"""What the guest writes: the dirty log, and the rate at which memory is written."""

from __future__ import annotations

from ..vm.errors import VMError
from ..vm.memory.stream import stream_pages
from .hmp import Flag, HMPCommand, HMPError, Number, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.machine import VirtualMachine
    from ..vm.memory.dirty import DirtyBitmap
    from . import Arguments, Context


def calc_dirty_rate(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Begin to measure; goes on by itself."""
    rate = context.vm.dirty_rate
    context.program.start_task(
        rate.start(
            arguments["calc-time"],
            arguments.get("calc-time-unit", "second"),
            arguments.get("sample-pages"),
            arguments.get("mode", "page-sampling"),
        )
    )
    return {}


def query_dirty_rate(context: Context, arguments: Arguments) -> dict[str, Any]:
    """The latest measurement."""
    rate = context.vm.dirty_rate
    unit = arguments.get("calc-time-unit", "second")
    described: dict[str, Any] = {
        "status": rate.status,
        "sample-pages": rate.sample_pages,
        "mode": rate.mode,
        "start-time": rate.start_time,
        "calc-time-unit": unit,
        "calc-time": rate.milliseconds if unit == "millisecond" else rate.milliseconds // 1000,
    }
    if rate.status == "measured":
        described["dirty-rate"] = rate.megabytes_per_second
        if rate.vcpus is not None:
            described["vcpu-dirty-rate"] = [{"id": number, "dirty-rate": one} for number, one in enumerate(rate.vcpus)]
    return context.answer("query-dirty-rate", described)


def dirty_log_start(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Begin to log for the user."""
    vm = context.vm
    if vm.user_dirty_pages is not None:
        raise VMError("the dirty log is started already")
    vm.check_slots("a dirty log")
    vm.user_dirty_pages = vm.dirty_log.start()
    return {}


def dirty_log_stop(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Log no more."""
    vm = context.vm
    if vm.user_dirty_pages is None:
        raise VMError("the dirty log is not started")
    vm.dirty_log.stop(vm.user_dirty_pages)
    vm.user_dirty_pages = None
    return {}


def dirty_log_clear(context: Context, _arguments: Arguments) -> dict[str, Any]:
    """Forget what was written so far."""
    vm = context.vm
    if vm.user_dirty_pages is None:
        raise VMError("the dirty log is not started")
    vm.dirty_log.sync()
    vm.user_dirty_pages.clear()
    return {}


def query_dirty_log(context: Context, arguments: Arguments) -> dict[str, Any]:
    """What was written."""
    vm = context.vm
    pages = vm.user_dirty_pages
    shown: list[dict[str, Any]] = []
    if pages is not None:
        vm.dirty_log.sync()
        of_aliases = stream_pages(pages)
        for block in vm.topology.ram_blocks:
            bitmap = (pages if block.aliased is None else of_aliases).blocks.get(block)
            described: dict[str, Any] = {"ramblock": block.shown_name, "pages": bitmap.count() if bitmap else 0}
            if arguments.get("ranges"):
                described["ranges"] = _ranges(bitmap, pages.page_size)
            shown.append(described)
    return {"enabled": pages is not None, "page-size": vm.host.page_size, "blocks": shown}


def _ranges(bitmap: DirtyBitmap | None, page_size: int) -> list[dict[str, int]]:
    runs = bitmap.runs() if bitmap is not None else ()
    return [{"offset": first * page_size, "length": count * page_size} for first, count in runs]


def _render_dirty_log(result: dict[str, Any], _words: Any) -> str:
    from ..vm.sizes import size_to_str

    if not result["enabled"]:
        return "dirty log: off\n"
    lines = [f"dirty log: on, pages of {size_to_str(result['page-size'])}\n"]
    for block in result["blocks"]:
        size = size_to_str(block["pages"] * result["page-size"])
        lines.append(f"{block['ramblock']:>24} {block['pages']:10} pages {size:>10}\n")
        for shown in block.get("ranges", ()):
            lines.append(f"{'':24} {shown['offset']:016x}-{shown['offset'] + shown['length'] - 1:016x}\n")
    return "".join(lines)


def _calc_dirty_rate_request(_vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if not words["second"]:
        raise HMPError("Incorrect period length specified!\n")
    if "ring" in words and "bitmap" in words:
        raise HMPError("Either dirty ring or dirty bitmap can be specified!\n")
    arguments: dict[str, Any] = {"calc-time": words["second"], "mode": "page-sampling"}
    if words.get("sample_pages_per_GB", -1) != -1:
        arguments["sample-pages"] = words["sample_pages_per_GB"]
    if "ring" in words:
        arguments["mode"] = "dirty-ring"
    elif "bitmap" in words:
        arguments["mode"] = "dirty-bitmap"
    return "calc-dirty-rate", arguments


def _render_calc_dirty_rate(_result: Any, words: dict[str, Any]) -> str:
    return (
        f"Starting dirty rate measurement with period {words['second']} seconds\n"
        "[Please use 'info dirty_rate' to check results]\n"
    )


def _render_dirty_rate(result: dict[str, Any], _words: Any) -> str:
    rate = f"{result['dirty-rate']} (MB/s)" if "dirty-rate" in result else "(not ready)"
    vcpus = "".join(
        f"vcpu[{vcpu['id']}], Dirty rate: {vcpu['dirty-rate']} (MB/s)\n" for vcpu in result.get("vcpu-dirty-rate", ())
    )
    return (
        f"Status: {result['status']}\n"
        f"Start Time: {result['start-time']} (ms)\n"
        f"Sample Pages: {result['sample-pages']} (per GB)\n"
        f"Period: {result['calc-time']} (sec)\n"
        f"Mode: {result['mode']}\n"
        f"Dirty rate: {rate}\n{vcpus}"
    )


HMP = (
    HMPCommand(
        "calc_dirty_rate",
        _calc_dirty_rate_request,
        _render_calc_dirty_rate,
        help="start a round of guest dirty rate measurement (using -r to"
        "\n\t\t\t specify dirty ring as the method of calculation and"
        "\n\t\t\t -b to specify dirty bitmap as method of calculation)",
        syntax="[-r] [-b] second [sample_pages_per_GB]",
        parameters=(
            Flag("r", "ring"),
            Flag("b", "bitmap"),
            Number("second"),
            Number("sample_pages_per_GB", optional=True),
        ),
        since="6.2",
        example="calc_dirty_rate 1",
    ),
    HMPCommand(
        "info dirty_rate",
        fixed("query-dirty-rate"),
        _render_dirty_rate,
        help="show dirty rate information",
        since="6.2",
    ),
    HMPCommand("dirty_log_start", fixed("dirty-log-start"), help="log what the guest writes"),
    HMPCommand("dirty_log_stop", fixed("dirty-log-stop"), help="log no more"),
    HMPCommand("dirty_log_clear", fixed("dirty-log-clear"), help="forget what was logged so far"),
    HMPCommand(
        "info dirty_log",
        lambda _vm, words: ("query-dirty-log", {"ranges": True} if "ranges" in words else {}),
        _render_dirty_log,
        help="show how much the guest has written (-r: and where)",
        syntax="[-r]",
        parameters=(Flag("r", "ranges"),),
        example="info dirty_log -r",
    ),
)
