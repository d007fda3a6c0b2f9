"""What `ramslot stream` tells people, made of what it tells programs."""

from __future__ import annotations

from ...vm.sizes import size_to_str

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_RANGES = 8
"""Of pages that differ, in one block."""


def info_text(told: dict[str, Any]) -> str:
    """A stream at a glance."""
    lines = [f"machine type: {told['machine-type'] or 'not told'}, pages of {size_to_str(told['page-size'])}"]
    if "libvirt" in told:
        state = "ran" if told["libvirt"]["was-running"] else "was paused"
        lines.append(f"saved by libvirt: the machine {state}, {size_to_str(told['libvirt']['xml-bytes'])} of XML")
    if told["compression"] != "raw":
        lines.append(
            f"compression: {told['compression']}, {size_to_str(told['file-size'])} of {size_to_str(told['size'])}"
        )
    if told["capabilities"]:
        lines.append(f"capabilities: {', '.join(told['capabilities'])}")
    if told["uuid"] is not None:
        lines.append(f"UUID: {told['uuid']}")
    if told["run-state"] is not None:
        lines.append(f"run state: {told['run-state']}")
    lines.append(
        f"memory: {size_to_str(told['ram']['size'])} in {len(told['blocks'])} RAMBlocks, {_pages(told['ram'])}"
    )
    lines += [f"  {block['name']}: {size_to_str(block['size'])}, {_pages(block)}" for block in told["blocks"]]
    live = [f"{section['name']} ({section['count']})" for section in told["live-sections"]]
    lines.append(f"sections while the guest runs: {', '.join(live)}")
    lines.append(f"devices: {len(told['devices']) or 'not described'}, {size_to_str(told['device-bytes'])}")
    return "\n".join(lines) + "\n"


def _pages(told: dict[str, Any]) -> str:
    """How many pages there are and what they are."""
    pages = told["pages"]
    text = f"{pages} pages"
    if pages:
        text += f", {told['zero-pages'] * 100 // pages}% zero"
    if told["sent-again"]:
        text += f", {told['sent-again']} sent again"
    if told["missing-pages"]:
        text += f", {told['missing-pages']} not sent"
    sent = told.get("sent", {})
    for kind in ("xbzrle", "compressed"):
        if kind in sent:
            text += f", {sent[kind]} sent {kind}"
    return text


def list_text(told: dict[str, Any]) -> str:
    """All RAMBlocks and devices, a line each."""
    lines = [f"{'Block':>24} {'Size':>18} {'Pages':>10} {'Zero':>10}"]
    for block in told["blocks"]:
        line = f"{block['name']:>24} {block['size']:#018x} {block['pages']:10} {block['zero-pages']:10}"
        lines.append(line + (f" {block['hash']}" if "hash" in block else ""))
    lines.append(f"{'Device':>48} {'Instance':>10} {'Version':>8} {'Size':>8}")
    lines += [
        f"{device['name']:>48} {device['instance']:10} {device['version']:8} {device['size']:8}"
        for device in told["devices"]
    ]
    return "\n".join(lines) + "\n"


def verdict_text(told: dict[str, Any]) -> str:
    """What is said of a stream that is whole."""
    return f"{told['file']}: whole, {size_to_str(told['ram']['size'])} of memory, {len(told['devices'])} devices"


def diff_text(found: list[dict[str, Any]]) -> str:
    """What differs, a line each, with the first ranges of pages below."""
    lines = []
    for entry in found:
        name = f"{entry['what']} {entry['name']}" if "name" in entry else entry["what"]
        if entry["what"] == "pages":
            lines.append(f"block {entry['name']}: {entry['pages']} pages differ")
            ranges = entry["ranges"]
            lines += [f"  {start:016x}-{end - 1:016x}" for start, end in ranges[:MOST_RANGES]]
            if len(ranges) > MOST_RANGES:
                lines.append("  ...")
        elif "first-difference" in entry:
            lines.append(f"{name}: differs from byte {entry['first-difference']} on")
        else:
            unit = " bytes" if "name" in entry else ""
            lines.append(f"{name}: {_side(entry['from'], unit)} -> {_side(entry['to'], unit)}")
    return "".join(f"{line}\n" for line in lines) or "nothing differs\n"


def _side(value: Any, unit: str) -> str:
    if value is None:
        return "none"
    return f"{', '.join(value) or 'none' if isinstance(value, list) else value}{unit}"
