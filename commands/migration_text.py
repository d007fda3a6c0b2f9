"""The text of `info migrate` and `info migrate_parameters`, and values of parameters as people write them."""

from __future__ import annotations

from ..vm.errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..vm.releases import Release

MIB = 1 << 20
PARAMETER_KINDS: dict[str, str] = {
    "announce-initial": "{} ms",
    "announce-max": "{} ms",
    "announce-rounds": "{}",
    "announce-step": "{} ms",
    "compress-level": "{}",
    "compress-threads": "{}",
    "compress-wait-thread": "switch",
    "decompress-threads": "{}",
    "throttle-trigger-threshold": "{}",
    "cpu-throttle-initial": "{}",
    "cpu-throttle-increment": "{}",
    "cpu-throttle-tailslow": "switch",
    "max-cpu-throttle": "{}",
    "tls-creds": "'{}'",
    "tls-hostname": "'{}'",
    "max-bandwidth": "{} bytes/second",
    "avail-switchover-bandwidth": "{} bytes/second",
    "downtime-limit": "{} ms",
    "x-checkpoint-delay": "{} ms",
    "block-incremental": "switch",
    "multifd-channels": "{}",
    "multifd-compression": "{}",
    "zero-page-detection": "{}",
    "xbzrle-cache-size": "{} bytes",
    "max-postcopy-bandwidth": "{}",
    "tls-authz": "'{}'",
    "x-vcpu-dirty-limit-period": "{} ms",
    "vcpu-dirty-limit": "{} MB/s",
    "mode": "{}",
    "direct-io": "switch",
    "x-rdma-chunk-size": "{} bytes",
    "cpr-exec-command": "words",
}
"""How people are shown parameters, in QEMU's order; those that are absent are shown to programs alone."""
NEWER_ORDER = {"tls-authz": "tls-hostname", "max-postcopy-bandwidth": "avail-switchover-bandwidth"}
"""Since QEMU 11.0 some stand behind others."""
SIZES = ("max-bandwidth", "avail-switchover-bandwidth", "xbzrle-cache-size", "max-postcopy-bandwidth")
IN_MEBIBYTES = ("max-bandwidth", "avail-switchover-bandwidth")
"""Sizes that are in MiB where no suffix says otherwise."""


def parse_parameter(name: str, text: str, release: Release) -> Any:
    """The value of a parameter as people write it; raises `VMError`."""
    from ..vm.sizes import parse_integer, parse_size

    kind = PARAMETER_KINDS[name]
    if kind == "switch":
        if text not in ("on", "off"):
            raise VMError(f"Parameter '{name}' expects 'on' or 'off'")
        return text == "on"
    if kind == "words":
        return text.split()
    if name in SIZES:
        try:
            return parse_size(text, "M" if name in IN_MEBIBYTES else "B")
        except ValueError:
            raise VMError(f"Invalid size {text}") from None
    if kind == "'{}'" or name in ("multifd-compression", "zero-page-detection", "mode"):
        return text
    try:
        return parse_integer(text)
    except ValueError:
        expected = "an int64 value" if release.covers("6.0") else "int64"
        raise VMError(f"Parameter '{name}' expects {expected}") from None


def parameters_text(result: dict[str, Any], words: dict[str, Any]) -> str:
    """All parameters, a line each."""
    newer = words["release"].covers("11.0")
    order = list(PARAMETER_KINDS)
    if newer:
        for name, before in NEWER_ORDER.items():
            order.remove(name)
            order.insert(order.index(before) + 1, name)
    lines = [_parameter_line(name, result[name], newer) for name in order if name in result]
    return "".join(lines)


def _parameter_line(name: str, value: Any, newer: bool) -> str:
    kind = PARAMETER_KINDS[name]
    if kind == "switch":
        return f"{name}: {'on' if value else 'off'}\n"
    if kind == "words":
        return f"{' '.join([f'{name}:', *value])}\n"
    if name == "max-postcopy-bandwidth" and newer:
        kind = "{} bytes/second"
    return f"{name}: {kind.format(value)}\n"


def info_text(result: dict[str, Any], words: dict[str, Any]) -> str:
    """What `info migrate` prints."""
    release = words["release"]
    if release.covers("11.0"):
        text = _newer_text(result)
        return text + "".join(["Globals:\n", *(f"  {line}" for line in _globals(words))]) if words.get("all") else text
    lines = ["globals:\n", *_globals(words)]
    if "status" in result:
        reason = f" ({result['error-desc']})" if "error-desc" in result else ""
        lines.append(f"Migration status: {result['status']}{reason}\n")
        lines.append(f"total time: {result.get('total-time', 0)} ms\n")
        times = (("expected-downtime", "expected downtime"), ("downtime", "downtime"), ("setup-time", "setup"))
        lines += [f"{label}: {result[name]} ms\n" for name, label in times if name in result]
    if "ram" in result:
        lines += _older_ram(result["ram"])
    if "cpu-throttle-percentage" in result:
        lines.append(f"cpu throttle percentage: {result['cpu-throttle-percentage']}\n")
    if "socket-address" in result:
        lines += ["socket address: [\n", *(f"\t{_socket(each)}\n" for each in result["socket-address"]), "]\n"]
    return "".join(lines)


def _globals(words: dict[str, Any]) -> list[str]:
    release = words["release"]
    configured = "on" if words["configured"] else "off"
    lines = [
        "store-global-state: on\n",
        "only-migratable: off\n",
        f"send-configuration: {configured}\n",
        f"send-section-footer: {configured}\n",
    ]
    if not release.covers("9.1"):
        lines.append("decompress-error-check: on\n")
    if release.covers("10.0"):
        lines.append(f"send-switchover-start: {'on' if words['switchover'] else 'off'}\n")
    return [*lines, "clear-bitmap-shift: 18\n"]


def _older_ram(ram: dict[str, Any]) -> list[str]:
    kib = 1 << 10
    rows: list[tuple[str, str]] = [
        ("transferred ram", f"{ram['transferred'] // kib} kbytes"),
        ("throughput", f"{ram['mbps']:.2f} mbps"),
        ("remaining ram", f"{ram['remaining'] // kib} kbytes"),
        ("total ram", f"{ram['total'] // kib} kbytes"),
        ("duplicate", f"{ram['duplicate']} pages"),
        *([("skipped", f"{ram['skipped']} pages")] if "skipped" in ram else []),
        ("normal", f"{ram['normal']} pages"),
        ("normal bytes", f"{ram['normal-bytes'] // kib} kbytes"),
        ("dirty sync count", f"{ram['dirty-sync-count']}"),
        ("page size", f"{ram['page-size'] // kib} kbytes"),
        ("multifd bytes", f"{ram['multifd-bytes'] // kib} kbytes"),
        ("pages-per-second", f"{ram['pages-per-second']}"),
        *([("dirty pages rate", f"{ram['dirty-pages-rate']} pages")] if ram["dirty-pages-rate"] else []),
    ]
    for name, label in (("precopy-bytes", "precopy ram"), ("downtime-bytes", "downtime ram")):
        if ram.get(name):
            rows.append((label, f"{ram[name] // kib} kbytes"))
    return [f"{label}: {text}\n" for label, text in rows]


def _newer_text(result: dict[str, Any]) -> str:
    lines = []
    if "status" in result:
        reason = f" ({result['error-desc']})" if "error-desc" in result else ""
        lines.append(f"Status: \t\t{result['status']}{reason}\n")
    if "total-time" in result:
        times = [("total", "total-time"), ("setup", "setup-time"), ("exp_down", "expected-downtime")]
        shown = [f"{label}={result[name]}" for label, name in [*times, ("down", "downtime")] if name in result]
        lines.append(f"Time (ms): \t\t{', '.join(shown)}\n")
    if "ram" in result:
        lines += _newer_ram(result["ram"])
    if "cpu-throttle-percentage" in result:
        lines.append(f"CPU Throttle (%): \t{result['cpu-throttle-percentage']}\n")
    if "socket-address" in result:
        lines += ["Sockets: [\n", *(f"\t{_socket(each)}\n" for each in result["socket-address"]), "]\n"]
    return "".join(lines)


def _newer_ram(ram: dict[str, Any]) -> list[str]:
    from ..vm.sizes import size_to_str

    size: Callable[[int], str] = size_to_str
    others = f"dirty_syncs={ram['dirty-sync-count']}"
    if ram["dirty-pages-rate"]:
        others += f", dirty_pages_rate={ram['dirty-pages-rate']}"
    if ram["downtime-bytes"]:
        others += f", downtime_bytes={ram['downtime-bytes']}"
    return [
        "RAM info:\n",
        f"  Throughput (Mbps): \t{ram['mbps']:.2f}\n",
        f"  Sizes: \t\tpagesize={size(ram['page-size'])}, total={size(ram['total'])}\n",
        f"  Transfers: \t\ttransferred={size(ram['transferred'])}, remain={size(ram['remaining'])}\n",
        f"    Channels: \t\tprecopy={size(ram['precopy-bytes'])}, multifd={size(ram['multifd-bytes'])}, postcopy=0 B\n",
        f"    Page Types: \tnormal={ram['normal']}, zero={ram['duplicate']}\n",
        f"  Page Rates (pps): \ttransfer={ram['pages-per-second']}\n",
        f"  Others: \t\t{others}\n",
    ]


def _socket(address: dict[str, str]) -> str:
    if address["type"] == "unix":
        return f"unix:{address['path']}"
    return f"tcp:{address['host']}:{address['port']}"
