"""Statistics: what the kernel counts of the virtual machine and of its CPU, in QEMU's order and words."""

from __future__ import annotations

from .hmp import HMPCommand, HMPError, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.accel.kvm_stats import Statistic
    from ..vm.machine import VirtualMachine
    from . import Arguments, Context

CRYPTODEV = tuple(
    f"{kind}-{operation}-{unit}"
    for kind, operations in (("asym", ("verify", "sign", "decrypt", "encrypt")), ("sym", ("decrypt", "encrypt")))
    for unit in ("bytes", "ops")
    for operation in operations
)
"""What QEMU counts of a crypto device; there is none here."""

SI_PREFIXES = ("a", "f", "p", "n", "u", "m", "", "K", "M", "G", "T", "P", "E")
"""Of 10 to the power of -18, -15 and so on."""
IEC_PREFIXES = ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei")
"""Of 2 to the power of 0, 10 and so on."""
SYMBOLS = {"seconds": "s", "bytes": "B"}


def query_stats(context: Context, arguments: Arguments) -> list[dict[str, Any]]:
    """What was counted until now; the last request first."""
    requests = [each for each in arguments.get("providers", [{"provider": "kvm"}]) if each["provider"] == "kvm"]
    measured = _measured(context.vm, arguments) if requests else []
    found = []
    for request in reversed(requests):
        for path, statistics in measured:
            wanted = request.get("names")
            values = [
                {"name": each.name, "value": _value(each)}
                for each in reversed(statistics)
                if wanted is None or each.name in wanted
            ]
            if values:
                found.append({"provider": "kvm", **path, "stats": values})
    return found


def _measured(vm: VirtualMachine, arguments: Arguments) -> list[tuple[dict[str, str], list[Statistic]]]:
    """What was counted of each thing that is asked about, with its path."""
    from ..vm.accel.kvm_stats import vcpu_statistics, vm_statistics

    if arguments["target"] == "vm":
        return [({}, vm_statistics(vm.accelerator))]
    if arguments["target"] == "vcpu":
        # The CPU that guests run on is the first of the machine's.
        path = _first_cpu(vm)
        if path is not None and path in arguments.get("vcpus", [path]):
            return [({"qom-path": path}, vcpu_statistics(vm.accelerator))]
    return []


def _first_cpu(vm: VirtualMachine) -> str | None:
    for cpu in vm.machine.cpus:
        return cpu.path
    return None


def _value(statistic: Statistic) -> int | bool | list[int]:
    """As QEMU tells it: buckets from the highest down."""
    if statistic.unit == "boolean":
        return bool(statistic.values[0])
    return statistic.values[0] if len(statistic.values) == 1 else statistic.values[::-1]


def query_stats_schemas(context: Context, arguments: Arguments) -> list[dict[str, Any]]:
    """What there is to be counted."""
    vm, provider = context.vm, arguments.get("provider")
    found = []
    if provider in (None, "kvm"):
        found += [{"provider": "kvm", "target": target, "stats": _kinds(vm, target)} for target in ("vcpu", "vm")]
    if provider in (None, "cryptodev") and vm.release.covers("8.0"):
        stats = [{"name": name, "type": "cumulative", "exponent": 0} for name in CRYPTODEV]
        found.append({"provider": "cryptodev", "target": "cryptodev", "stats": stats})
    return [each for each in found if each["stats"]]


def _kinds(vm: VirtualMachine, target: str) -> list[dict[str, Any]]:
    """What KVM counts of a target; nothing of CPUs where the machine has none."""
    from ..vm.accel.kvm_stats import vcpu_kinds, vm_statistics

    statistics: list[Statistic] = []
    if target == "vm":
        statistics = vm_statistics(vm.accelerator)
    elif target == "vcpu" and vm.machine.cpus:
        statistics = vcpu_kinds(vm.accelerator)
    return [_described(each) for each in reversed(statistics)]


def _described(statistic: Statistic) -> dict[str, Any]:
    told: dict[str, Any] = {"name": statistic.name, "type": statistic.type, "exponent": statistic.exponent}
    if statistic.unit is not None:
        told["unit"] = statistic.unit
    if statistic.exponent:
        told["base"] = statistic.base
    if statistic.type == "linear-histogram":
        told["bucket-size"] = statistic.bucket_size
    return told


# HMP


def _stats_request(vm: VirtualMachine, words: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    from .. import schema

    contract = schema.contract(vm.release.number)
    targets = contract.properties("query-stats")[0].values
    providers = contract.properties("query-stats-schemas")[0].values
    target, provider = words["target"], words.get("provider")
    if target not in targets:
        raise HMPError(f"invalid stats target {target}\n")
    if provider is not None and provider not in providers:
        raise HMPError(f"invalid stats provider {provider}\n")
    arguments: dict[str, Any] = {"target": target}
    if target == "vcpu":
        path = _first_cpu(vm)
        arguments["vcpus"] = [path] if path is not None else []
    names = words.get("names", "*")
    if names != "*" or provider is not None:
        request: dict[str, Any] = {} if names == "*" else {"names": names.split(",")}
        arguments["providers"] = [{"provider": each, **request} for each in ([provider] if provider else providers)]
    words["kinds"] = {kind["name"]: kind for kind in _kinds(vm, target)}
    return "query-stats", arguments


def _render_stats(results: list[dict[str, Any]], words: dict[str, Any]) -> str:
    lines = []
    for result in results:
        if "provider" not in words:
            lines.append(f"provider: {result['provider']}\n")
        lines += [_line(words["kinds"][each["name"]], each["value"]) for each in result["stats"]]
    return "".join(lines)


def _line(kind: dict[str, Any], value: int | bool | list[int]) -> str:
    if isinstance(value, bool):
        shown = "yes" if value else "no"
    elif isinstance(value, int):
        shown = str(_signed(value))
    else:
        shown = "".join(f"[{number}]={_signed(each)} " for number, each in enumerate(value, 1))
    facts = [kind["type"], _unit(kind), f"bucket size={kind['bucket-size']}" if "bucket-size" in kind else ""]
    return f"    {kind['name']} ({', '.join(filter(None, facts))}): {shown}\n"


def _unit(kind: dict[str, Any]) -> str:
    """What a value is in, such as `ns`, `KiB` or `* 10^2 cycles`."""
    unit, exponent, base = kind.get("unit", ""), kind["exponent"], kind.get("base")
    symbol = SYMBOLS.get(unit)
    if not exponent:
        return symbol or unit
    if symbol and base == 10 and exponent % 3 == 0 and -18 <= exponent <= 18:
        return SI_PREFIXES[exponent // 3 + 6] + symbol
    if symbol and base == 2 and exponent % 10 == 0 and 0 <= exponent <= 60:
        return IEC_PREFIXES[exponent // 10] + symbol
    return f"* {base}^{exponent} {unit}".rstrip()


def _signed(value: int) -> int:
    """A 64-bit number as HMP prints it."""
    return value - (1 << 64) if value >> 63 else value


HMP = (
    HMPCommand(
        "info stats",
        _stats_request,
        _render_stats,
        help="show statistics for the given target (vm or vcpu); optionally filter by"
        "name (comma-separated list, or * for all) and provider",  # without a blank in QEMU, too
        syntax="target [names] [provider]",
        parameters=(Word("target"), Word("names", optional=True), Word("provider", optional=True)),
        since="7.1",
        example="info stats vm",
    ),
)
