"""Writes `vm/known/device_types.txt` and `device_properties.txt` anew: which devices users can make of real QEMUs.

Run as `python -m ramslot.tests.recorders.devices`, with a QEMU of every release beside it (see
`tests/differential/oracle.py`). A QEMU that finds the modules of another build lists no devices, so those of the system
are hidden from all but the system's own.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from ramslot.tests.differential.oracle import REFERENCE, RELEASES, qemu
from ramslot.vm import known
from ramslot.vm.devices.pci import PCIDevice
from ramslot.vm.releases import find_release

FOLDER = Path(str(known.__file__)).parent
TARGETS = (*("x86_64", "i386", "aarch64", "arm", "ppc64", "ppc64le", "s390x", "riscv64", "riscv32", "loongarch64"),)
BUSES = (
    *("PCI", "usb-bus", "virtio-serial-bus", "SCSI", "IDE", "ISA", "HDA", "System", "virtual-css-bus", "virtio-bus"),
    *("ccid-bus", "floppy-bus", "i2c-bus", "spapr-vio-bus", "s390-sclp-events-bus", "nvme-bus", "IndustryPack"),
    *("vmbus", "ap-bus", "s390-pcibus"),
)
WITHOUT_BUS = (
    *("diag288", "hv-syndbg", "ipmi-bmc-extern", "ipmi-bmc-sim", "loader", "guest-loader", "nvme-subsys"),
    *("spapr-rng", "spapr-tpm-proxy", "tpm-crb", "vmclock", "vmcoreinfo", "vmgenid"),
)
MODULES = "/usr/lib/x86_64-linux-gnu/qemu"
FROM_MODULES = ("qxl", "qxl-vga")
"""In packages that are beside no newer QEMU here; they are there all the same, and as they were."""
TYPES_HEAD = "# NAME[:SINCE-UNTIL] BUS (- without one) ALIAS (-) TARGETS (* for all that are recorded)\n"
PROPERTIES_HEAD = "# PROPERTY=TYPE,... of the TYPE[:SINCE-UNTIL]... behind them, less what every PCI device has.\n"

Row = tuple[str, str]
"""Bus and alias."""


def hidden(program: str, release: str) -> list[str]:
    """The beginning of a command that runs a QEMU where it sees no other build's modules."""
    if release == REFERENCE:
        return [program]
    return ["unshare", "-rm", "sh", "-c", f'mount -t tmpfs none {MODULES} 2>&1 >&2; exec "$@"', "sh", program]


def run(program: str, release: str, *options: str, requests: str = "") -> str:
    """What a QEMU says on standard output."""
    command = [*hidden(program, release), "-M", "none", "-display", "none", *options]
    return subprocess.run(command, input=requests, capture_output=True, text=True, timeout=100).stdout


def listed(program: str, release: str) -> dict[str, Row]:
    """The devices that users can make, without CPUs and what needs a graphics library."""
    told = run(program, release, "-device", "help")
    rows = re.findall(r'^name "([^"]+)"(?:, bus ([^,\n]+))?(?:, alias "([^"]+)")?', told, re.MULTILINE)
    return {
        name: (bus or "-", alias or "-")
        for name, bus, alias in rows
        if (bus in BUSES or name in WITHOUT_BUS) and not re.search(r"-gl(-|$)", name)
    }


def properties(program: str, release: str, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """The properties of each type with their types."""
    requests = ['{"execute": "qmp_capabilities"}']
    requests += [
        json.dumps({"execute": "device-list-properties", "arguments": {"typename": name}, "id": name}) for name in names
    ]
    found = {}
    lines = "\n".join((*requests, '{"execute": "quit"}', ""))
    for reply in map(json.loads, run(program, release, "-qmp", "stdio", requests=lines).splitlines()):
        if "id" in reply and "return" in reply:
            found[reply["id"]] = {each["name"]: each["type"].replace(" ", "") for each in reply["return"]}
    return found


def marks(releases: Iterable[str]) -> str:
    """`:SINCE-UNTIL` of a run of releases."""
    having = set(releases)
    inside = [release for release in RELEASES if release in having]
    since = "" if inside[0] == RELEASES[0] else inside[0]
    until = "" if inside[-1] == RELEASES[-1] else inside[-1]
    return f":{since}-{until}" if since or until else ""


def type_lines(found: dict[str, dict[str, dict[str, Row]]]) -> Iterator[str]:
    """A line for each type and those targets that have it in the same releases; `found` is by type, target, release."""
    for name, targets in sorted(found.items()):
        groups: dict[tuple[str, Row], list[str]] = defaultdict(list)
        for target, releases in targets.items():
            if name in FROM_MODULES:
                releases |= dict.fromkeys(RELEASES, next(iter(releases.values())))
            for row in dict.fromkeys(releases.values()):
                having = [release for release in releases if releases[release] == row]
                of_all = having == [release for release in RELEASES if qemu(target, release)]
                groups["" if of_all else marks(having), row].append(target)
        for (when, (bus, alias)), having in groups.items():
            yield f"{name}{when} {bus} {alias} {'*' if len(having) == len(TARGETS) else ','.join(having)}\n"


def property_lines(found: dict[str, dict[str, dict[str, str]]]) -> Iterator[str]:
    """A line for all properties that the same types have; `found` is by type, release, property."""
    holders: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name, releases in found.items():
        for release, declared in releases.items():
            for each in declared.items():
                holders[each][name].append(release)
    lines = defaultdict(list)
    for (name, kind), types in holders.items():
        key = " ".join(
            each + (marks(releases) if set(releases) != set(found[each]) else "")
            for each, releases in sorted(types.items())
        )
        lines[key].append(f"{name}={kind}")
    for key, names in sorted(lines.items()):
        yield f"{','.join(sorted(names))} {key}\n"


def main() -> None:
    types: dict[str, dict[str, dict[str, Row]]] = defaultdict(lambda: defaultdict(dict))
    declared: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for release in RELEASES:
        common = {each.name for each in PCIDevice.class_properties(find_release(release))}
        for target in TARGETS:
            program = qemu(target, release)
            if program is None:
                continue
            rows = listed(program, release)
            for name, row in rows.items():
                types[name][target][release] = row
            for name, has in properties(program, release, rows).items():
                skipped = common if rows[name][0] == "PCI" else set()
                declared[name][release] |= {each: kind for each, kind in has.items() if each not in skipped}
    for name in FROM_MODULES:
        declared[name] |= dict.fromkeys(RELEASES[2:], declared[name][REFERENCE])
    (FOLDER / "device_types.txt").write_text(TYPES_HEAD + "".join(type_lines(types)))
    (FOLDER / "device_properties.txt").write_text(PROPERTIES_HEAD + "".join(property_lines(declared)))


if __name__ == "__main__":
    main()
