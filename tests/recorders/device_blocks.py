"""Writes `vm/known/device_blocks.txt` anew: the RAMBlocks that devices of real QEMUs bring, which are in their streams.

Run as `python -m ramslot.tests.recorders.device_blocks [devices|defaults]`, with a QEMU of every release beside it (see
`tests/differential/oracle.py`). What starts with none of the properties tried here is not recorded.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from ramslot.tests.differential.oracle import REFERENCE, RELEASES, qemu
from ramslot.tests.recorders.devices import FROM_MODULES, hidden, run
from ramslot.vm import known
from ramslot.vm.boards import machine_types
from ramslot.vm.boards.targets import targets
from ramslot.vm.known import family_of
from ramslot.vm.releases import find_release

FOLDER = Path(str(known.__file__)).parent
HEAD = "# NAME[:SINCE-UNTIL], then each RAMBlock as they come, without the device's path, = and its bytes; no block is none.\n"
DEFAULTS_HEAD = "# Machine types without their versions[:SINCE-UNTIL], then each RAMBlock that default devices bring.\n"
BUSES = ("PCI", "ISA", "System", "virtual-css-bus", "virtio-bus", "-")
MACHINES = {"x86_64": ("q35", "pc"), "aarch64": ("virt",), "s390x": ("s390-ccw-virtio",), "ppc64": ("pseries",)}
SURROUNDINGS = (
    *("-blockdev", "null-co,node-name=d0,size=1048576", "-chardev", "null,id=c0", "-netdev", "hubport,hubid=1,id=n0"),
    *("-object", "rng-builtin,id=r0", "-object", "cryptodev-backend-builtin,id=k0", "-audiodev", "none,id=a0"),
)
PROPERTIES = (
    *("drive=d0", "chardev=c0", "netdev=n0", "rng=r0", "cryptodev=k0", "host=c0", "chassis_nr=9", "audiodev=a0"),
    *("serial=x", "serial=x,drive=d0"),
)
LINE = re.compile(r"^ *(\S+) +\d+ [KMG]iB +0x(\w+) 0x\w+ 0x(\w+)", re.MULTILINE)
OF_SEVERAL_TARGETS = ("virt",)
"""Families that are one only by name."""
CONTROLLERS = {
    "all": (
        *("-device", "virtio-scsi", "-device", "virtio-serial", "-device", "qemu-xhci", "-device", "intel-hda"),
        *("-device", "pcie-root-port,id=p0,chassis=3"),
    ),
    "some": ("-device", "virtio-scsi", "-device", "virtio-serial", "-device", "qemu-xhci"),
    "none": (),
}


def blocks(command: list[str], more: tuple[str, ...] = ("-nodefaults",)) -> dict[str, int] | None:
    """The RAMBlocks of a machine as they came, with the most that each may have; None where it does not start."""
    line = '{"execute": "human-monitor-command", "arguments": {"command-line": "info ramblock"}}'
    asked = f'{{"execute": "qmp_capabilities"}}\n{line}\n{{"execute": "quit"}}\n'
    try:
        run = subprocess.run(
            [*command, *more, "-S", "-display", "none", "-qmp", "stdio"],
            input=asked,
            capture_output=True,
            text=True,
            timeout=3,
        )
    except subprocess.TimeoutExpired:
        return None
    for reply in run.stdout.splitlines():
        text = json.loads(reply).get("return")
        if isinstance(text, str):
            found = {name: (int(offset, 16), int(length, 16)) for name, offset, length in LINE.findall(text)}
            return {name: length for name, (_, length) in sorted(found.items(), key=lambda row: row[1])}
    return None


def devices(arch: str, release: str) -> list[str]:
    """Those that may bring memory; what is on other buses has none."""
    names = []
    for known_name, bus, _alias, having in known.rows("device_types"):
        name, _, marks = known.parted(known_name)
        if bus in BUSES and (having == "*" or arch in having.split(",")) and known.covers(marks, find_release(release)):
            names.append(name)
    return names


def properties(program: str, release: str, name: str) -> list[str]:
    """Those of the properties that are tried which a device has."""
    told = run(program, release, "-device", f"{name},help")
    return [each for each in PROPERTIES if all(f" {part.partition('=')[0]}=" in told for part in each.split(","))]


def brought(
    program: list[str], machine: str, name: str, has: list[str], plain: dict[str, dict[str, int] | None]
) -> dict[str, int] | None:
    """What a device brings; None if none could be made."""
    for controllers, options in CONTROLLERS.items():
        base = plain[controllers]
        for given in ("", *has) if base is not None else ():
            device = f"{name},{given}" if given else name
            command = [*program, "-M", machine, "-m", "64", *SURROUNDINGS, *options, "-device", device]
            found = blocks(command)
            if found is not None and base is not None:
                return {block.rpartition("/")[2]: size for block, size in found.items() if block not in base}
    return None


def recorded(release: str) -> Iterator[tuple[str, dict[str, int]]]:
    seen = set()
    for arch, machines in MACHINES.items():
        program = qemu(arch, release)
        for machine in machines if program else ():
            assert program is not None
            command = hidden(program, release)
            plain = {
                name: blocks([*command, "-M", machine, "-m", "64", *SURROUNDINGS, *options])
                for name, options in CONTROLLERS.items()
            }
            for name in devices(arch, release):
                if name in seen:
                    continue
                found = brought(command, machine, name, properties(program, release, name), plain)
                if found is not None:
                    seen.add(name)
                    yield name, found
            print(release, machine, file=sys.stderr)


def default_blocks(release: str) -> Iterator[tuple[str, dict[str, int]]]:
    """What machines have without -nodefaults and not with it, by families; the last version speaks for all."""
    for target in targets(find_release(release)):
        program = qemu(target, release)
        names = [found.name for found in machine_types(targets(find_release(release))[target], find_release(release))]
        for family, name in {family_of(name): name for name in sorted(names)}.items() if program else ():
            assert program is not None
            options = [program, "-M", name, "-serial", "null"]
            with_defaults, without = blocks(options, ()), blocks(options)
            if with_defaults is not None and without is not None:
                name = f"{family}@{target}" if family in OF_SEVERAL_TARGETS else family
                yield name, {block: size for block, size in with_defaults.items() if block not in without}


def gathered(read: Callable[[str], Iterator[tuple[str, dict[str, int]]]]) -> list[str]:
    """The rows of a file, from what each release has."""
    found: dict[str, dict[str, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for release in RELEASES:
        for name, sizes in read(release):
            found[name][release].update(sizes)
    for name in FROM_MODULES:
        for release in RELEASES:
            if name in found and not found[name][release]:
                found[name][release] = found[name][REFERENCE]
    return [
        " ".join([name + marks, *(f"{block}={size}" for block, size in sizes.items())]) + "\n"
        for name, releases in sorted(found.items())
        for marks, sizes in spans(releases)
    ]


def main(subjects: list[str]) -> None:
    if "devices" in subjects or not subjects:
        (FOLDER / "device_blocks.txt").write_text(HEAD + "".join(gathered(recorded)))
    if "defaults" in subjects or not subjects:
        (FOLDER / "default_blocks.txt").write_text(DEFAULTS_HEAD + "".join(gathered(default_blocks)))


def spans(releases: dict[str, dict[str, int]]) -> Iterator[tuple[str, dict[str, int]]]:
    """Each run of releases with the same blocks, marked as `known.covers` reads it."""
    runs: list[list[str]] = []
    for release in RELEASES:
        if release not in releases:
            continue
        position = RELEASES.index(release)
        if runs and RELEASES[position - 1] == runs[-1][-1] and releases[release] == releases[runs[-1][-1]]:
            runs[-1].append(release)
        else:
            runs.append([release])
    for each in runs:
        since = "" if each[0] == RELEASES[0] else each[0]
        until = "" if each[-1] == RELEASES[-1] else each[-1]
        yield f":{since}-{until}" if since or until else "", releases[each[0]]


if __name__ == "__main__":
    main(sys.argv[1:])
