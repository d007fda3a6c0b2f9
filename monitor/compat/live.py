"""The contract of a machine that runs, asked over its QMP monitor: ramslot's or a real QEMU's."""

from __future__ import annotations

import json
import re
import socket

from ...vm.boards import find_machine_type
from ...vm.compat.contract import Block, Contract, Place
from ...vm.compat.of_machine import FIRMWARE_DECIDES_BELOW
from ...vm.errors import VMError
from ...vm.migration import versions
from ...vm.migration.settings import TOLD
from ...vm.releases import Release
from .nearest import nearest_release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Asked(Protocol):
        """A monitor that can be asked."""

        def ask(self, command: str, **arguments: Any) -> Any:
            """What a command returns; None if it fails."""

        def human(self, line: str) -> str:
            """What an HMP line prints."""


SECONDS = 10.0
"""How long an answer is waited for."""
LINE = re.compile(r"^ *(\S+) +(\d+) ([KMG])iB +0x\w+ 0x(\w+) 0x(\w+)", re.MULTILINE)
"""A line of `info ramblock` of a block that has a name."""
RANGE = re.compile(r"^  (\w{16})-(\w{16}) \(prio -?\d+, ram\): (\S+?)(?: @(\w{16}))?(?: KVM)?\s*$", re.MULTILINE)
"""A line of `info mtree -f` about memory that can be written."""
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Monitor:
    """A QMP client, as small as the questions are. Raises `VMError`."""

    def __init__(self, address: str) -> None:
        self._address = address
        try:
            self._socket = _connect(address)
            self._socket.settimeout(SECONDS)
            self._file = self._socket.makefile("r", encoding="utf-8", newline="\n")
        except OSError as error:
            raise VMError(f"{address}: {error.strerror or error}") from None

    def __enter__(self) -> Monitor:
        greeting = self._message()
        if "QMP" not in greeting:
            raise VMError(f"{self._address}: this is no QMP monitor")
        self.ask("qmp_capabilities")
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()
        self._socket.close()

    def _message(self) -> dict[str, Any]:
        try:
            line = self._file.readline()
            message = json.loads(line)
        except (OSError, ValueError):
            raise VMError(f"{self._address}: this is no QMP monitor, or another client has it") from None
        return message if isinstance(message, dict) else {}

    def ask(self, command: str, **arguments: Any) -> Any:
        """What a command returns; None if it fails."""
        request = {"execute": command, "arguments": arguments} if arguments else {"execute": command}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise VMError(f"{self._address}: {error.strerror or error}") from None
        while True:
            message = self._message()
            if "return" in message or "error" in message:
                return message.get("return")

    def human(self, line: str) -> str:
        """What an HMP line prints."""
        return str(self.ask("human-monitor-command", **{"command-line": line}) or "")


def _connect(address: str) -> socket.socket:
    kind, _, place = address.partition(":")
    place = place.partition(",")[0]
    if kind == "unix":
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            found.settimeout(SECONDS)
            found.connect(place)
        except BaseException:
            found.close()
            raise
        return found
    host, _, port = place.rpartition(":")
    return socket.create_connection((host.strip("[]") or "127.0.0.1", port), SECONDS)


def is_address(text: str) -> bool:
    """Whether a text is where a monitor is."""
    return bool(re.match(r"unix:\S+$|tcp:\S*:\d+(,\S*)?$", text))


def read_monitor(address: str, version: str | None = None) -> Contract:
    """The contract of the machine behind a monitor; raises `VMError`. Nothing there changes."""
    with Monitor(address) as monitor:
        return contract_from(monitor, address, version)


def contract_from(monitor: Asked, address: str, version: str | None = None) -> Contract:
    """The contract of the machine that a monitor's answers tell of; raises `VMError`."""
    told = monitor.ask("query-version")
    number = told["qemu"] if told else {"major": 0, "minor": 0}
    name = str(monitor.ask("qom-get", path="/machine", property="type") or "").removesuffix("-machine")
    notes: list[str] = []
    release = nearest_release(version or f"{number['major']}.{number['minor']}", name or None, None, notes)
    return _contract(monitor, address, release, name, notes)


def _contract(monitor: Asked, address: str, release: Release, name: str, notes: list[str]) -> Contract:
    target_name = (monitor.ask("query-target") or {}).get("arch")
    try:
        machine_type, target = find_machine_type(name, target_name, release)
    except VMError as error:
        raise VMError(f"{address}: {error}") from None
    page_size: int = machine_type.setting("page_size") or target.page_size
    switched = monitor.ask("query-migrate-capabilities") or []
    on = {each["capability"] for each in switched if each["state"]}
    uuid = str((monitor.ask("query-uuid") or {}).get("UUID", "")).replace("-", "")
    own_uuid = uuid if uuid.strip("0") else None
    sizes = monitor.ask("qom-get", path="/machine", property="memory") or {}
    summary = str(monitor.ask("qom-get", path="/machine", property="memory-backend") or "")
    return Contract(
        origin=address,
        blocks=tuple(_blocks(monitor, summary.rpartition("/")[2] or machine_type.default_ram_id)),
        release=release.name,
        target=target.name,
        machine_type=name,
        page_size=page_size,
        least_page_size=target.page_size,
        configured=versions.has_configuration(name),
        told_page_bits=page_size.bit_length() - 1 if page_size > target.page_size else None,
        capabilities=tuple(each for each in TOLD if each in on),
        uuid=own_uuid if "validate-uuid" in on else None,
        own_uuid=own_uuid,
        last_command=versions.last_command(release),
        sends_switchover_start=versions.sends_switchover_start(name, release),
        ram_section=versions.ram_section(release),
        ram_slots=sizes.get("slots", 0) if sizes else None,
        max_ram_size=sizes.get("max-size"),
        default_ram_id=machine_type.default_ram_id,
        exact=not notes,
        notes=tuple(notes),
    )


def _blocks(monitor: Asked, ram: str) -> list[Block]:
    shares = {each.get("id"): each.get("share") for each in monitor.ask("query-memdev") or []}
    ours = {each["name"]: each for each in monitor.ask("query-ramblocks") or []}
    places = _places(monitor.human("info mtree -f"))
    nodes = _node_ids(monitor)
    found = []
    for name, number, unit, used, most in LINE.findall(monitor.human("info ramblock")):
        owner = name.rpartition("/")[2] if name.rpartition("/")[2] in shares else ""
        used_length, max_length = int(used, 16), int(most, 16)
        known = ours.get(name, {})
        found.append(
            Block(
                name=name,
                used_length=used_length,
                max_length=max_length,
                resizeable=known.get("resizeable", used_length != max_length),
                page_size=int(number) * UNITS[unit],
                shared=known.get("shared", shares.get(owner)),
                role=_role(owner, name, ram, nodes),
                owner=owner or (name if name == ram else ""),
                places=tuple(places.get(name, places.get(owner, []))),
            )
        )
    return found


def _role(owner: str, name: str, ram: str, nodes: set[str]) -> str:
    if ram in (owner, name):
        return "ram"
    if owner:
        return "node" if owner in nodes else "device"
    return "board"


def _node_ids(monitor: Asked) -> set[str]:
    """The ids of backends that are neither the machine's RAM nor a memory device's."""
    plugged = {
        str(each["data"].get("memdev", "")).rpartition("/")[2] for each in monitor.ask("query-memory-devices") or []
    }
    return {str(each.get("id")) for each in monitor.ask("query-memdev") or []} - plugged


def _places(text: str) -> dict[str, list[Place]]:
    """Where memory is that can be written, by the names of regions, from the view of the CPUs."""
    found: dict[str, list[Place]] = {}
    for section in text.replace("\r\n", "\n").split("\n\n"):
        if '"memory"' not in section:
            continue
        for start, end, name, offset in RANGE.findall(section):
            first = max(int(start, 16), FIRMWARE_DECIDES_BELOW)
            length = int(end, 16) + 1 - first
            if length > 0:
                place = first, int(offset or "0", 16) + first - int(start, 16), length
                _add(found.setdefault(name, []), place)
        break
    return found


def _add(places: list[Place], place: Place) -> None:
    if places and places[-1][0] + places[-1][2] == place[0] and places[-1][1] + places[-1][2] == place[1]:
        places[-1] = places[-1][0], places[-1][1], places[-1][2] + place[2]
    else:
        places.append(place)
