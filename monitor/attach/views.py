"""Our structured queries, answered from what a QEMU tells: which questions each needs, and what is made of the answers.

Each view is a task (`vm.steps`) whose steps ask. What is not certain is not told.
"""

from __future__ import annotations

from ...commands import Context, handler
from ...vm.errors import VMError
from .client import ReplyError
from .errors import AnswerError
from .memory_maps import Mapping, mapping_at, read_maps
from .seen import Answers, SeenMachine, region_name
from .table_text import parse_host_address, parse_memory_devices, parse_numa, parse_ramblocks
from .tree_text import parse_flatviews, parse_mtree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from ...commands.shown import Shown
    from ...vm.releases import Release
    from ...vm.steps import Cancellation, Step, Task
    from .client import Client

    Arguments: TypeAlias = dict[str, Any]

SEEN = {
    "query-map": "map",
    "save-map": "map",
    "query-address": "explain",
    "query-memslots": "memslots",
    "query-memslots-cost": "memslots",
}
"""Queries that are asked of a machine as it is seen, and their subjects in `commands`."""
DERIVED = ("query-memslots", "query-memslots-cost")
"""Queries whose answers are made by our rules, QEMU not telling any."""


STRANGE = (LookupError, TypeError, ValueError, AttributeError, RecursionError, AssertionError)
"""What comes of answers of another form than any QEMU's."""


class Views:
    """The views of the machine behind a client; of process `pid`, if that is known, memory is looked at as well."""

    def __init__(self, client: Client, release: Release, pid: int | None = None, command_line: str = "") -> None:
        self._client = client
        self._release = release
        self._pid = pid
        self.command_line = command_line
        self._own: dict[str, Callable[[Arguments], Task[Any]]] = {
            "query-mtree": self._mtree,
            "query-flatviews": self._flatviews,
            "query-ramblocks": self._ramblocks,
            "query-numa": self._numa,
            "query-compat": self._compat,
            "query-command-line-diff": self._diff,
        }

    @property
    def names(self) -> set[str]:
        """The QMP commands that are answered here."""
        return {*self._own, *SEEN}

    def has(self, command: str) -> bool:
        """Whether a QMP command is answered here."""
        return command in self._own or command in SEEN

    def answer(self, command: str, arguments: Arguments) -> Task[Any]:
        """What a command returns; the task raises `VMError`."""
        from ...schema import ArgumentError, contract

        if command != "query-command-line-diff":
            try:
                contract(self._release.number).check(command, arguments)
            except ArgumentError as error:
                raise VMError(str(error)) from None
        try:
            if command in self._own:
                return (yield from self._own[command](arguments))
            return (yield from self._ask_seen(command, arguments))
        except STRANGE as error:
            raise AnswerError(f"QEMU's answers are not understood: {type(error).__name__}: {error}") from None

    def _human(self, line: str) -> Step:
        return self._client.question("human-monitor-command", {"command-line": line})

    # What QEMU tells as text

    def _mtree(self, arguments: Arguments) -> Task[dict[str, Any]]:
        return parse_mtree((yield self._human("info mtree -o -D" if arguments.get("owner") else "info mtree -D")))

    def _flatviews(self, arguments: Arguments) -> Task[list[dict[str, Any]]]:
        return parse_flatviews((yield self._human("info mtree -f -o" if arguments.get("owner") else "info mtree -f")))

    def _ramblocks(self, _arguments: Arguments) -> Task[list[Shown]]:
        blocks = parse_ramblocks((yield self._human("info ramblock")))
        shares = {each.get("id"): each.get("share") for each in (yield from self._told("query-memdev", []))}
        for block in blocks:
            block["region"] = region_name(block["name"])
            if shares.get(block["name"].removeprefix("/objects/")) is not None:
                block["shared"] = shares[block["name"].removeprefix("/objects/")]
        return blocks

    def _numa(self, _arguments: Arguments) -> Task[list[dict[str, Any]]]:
        return parse_numa((yield self._human("info numa")))

    def _told(self, command: str, otherwise: Any, **arguments: Any) -> Task[Any]:
        """What a QMP command returns, or something else where this QEMU refuses it."""
        try:
            return (yield self._client.question(command, arguments))
        except ReplyError:
            return otherwise

    # The machine as it is seen

    def seen(self) -> Task[SeenMachine]:
        """The machine, from a number of questions; raises `VMError`."""
        mtree = yield from self._mtree({})
        views = yield from self._flatviews({})
        answers = Answers(mtree, views, (yield from self._ramblocks({})))
        answers.target = (yield from self._told("query-target", {})).get("arch", answers.target)
        told = yield from self._told("qom-get", "", path="/machine", property="type")
        answers.machine_type = str(told).removesuffix("-machine")
        answers.ram_size = (yield from self._told("query-memory-size-summary", {})).get("base-memory", 0)
        kvm = yield from self._told("query-kvm", {})
        accelerated = any(each["accelerated"] for view in views for each in view["ranges"])
        answers.accelerator = "kvm" if kvm.get("enabled") or accelerated else "tcg"
        answers.memory_devices = yield from self._told("query-memory-devices", [])
        for device in answers.memory_devices:
            name = device["data"].get("id")
            if name:
                path = f"/machine/peripheral/{name}"
                answers.device_types[name] = yield from self._told("qom-get", "", path=path, property="type")
        for child in (yield from self._told("qom-list", [], path="/objects")):
            type_name = child["type"].removeprefix("child<").removesuffix(">")
            if type_name.startswith("memory-backend-"):
                answers.backends[child["name"]] = type_name
        machine = SeenMachine(answers, self._release)
        yield from self._find_hosts(machine)
        return machine

    def _find_hosts(self, machine: SeenMachine) -> Task[None]:
        """Ask where blocks are in the process, of those that the table does not tell of (before QEMU 8.0)."""
        asked = set()
        for each in machine.machine.memory_space.view.ranges:
            block = each.region.ram_block
            if block is None or block.host.address or block in asked:
                continue
            asked.add(block)
            found = parse_host_address((yield self._human(f"gpa2hva {each.start:#x}")))
            if found is not None:
                block.host.address = found[1] - each.offset

    def _ask_seen(self, command: str, arguments: Arguments) -> Task[Any]:
        machine: Any = yield from self.seen()
        with_hosts = arguments.pop("host", False)
        result = handler(SEEN[command], command)(Context(machine, NO_PROGRAM), arguments)
        if command in DERIVED:
            result = {**result, "derived": True}
        if command == "query-memslots" and with_hosts:
            self._add_hosts(result)
        if command == "query-address":
            _check_way(result)
            if "host" in result:
                self._look_at_host(result)
        return result

    def _mappings(self, told: dict[str, Any]) -> list[Mapping]:
        """The process's mappings, or none, with the reason in the answer, where they may not be looked at."""
        try:
            return read_maps(self._pid) if self._pid is not None else []
        except VMError as error:
            told["not-seen"] = str(error)
            return []

    def _add_hosts(self, table: dict[str, Any]) -> None:
        """What is behind each slot: the mapping that it is in, as a whole."""
        mappings = self._mappings(table)
        for slot in table["slots"]:
            found = mapping_at(mappings, slot["hva"]) if slot["hva"] else None
            slot["host"] = {"page-size": 4096, "sampled": 0, "present": 0, "nodes": []}
            if found is not None and found.nodes is not None:
                slot["host"] |= {
                    "page-size": found.page_size,
                    "sampled": max(1, (found.end - found.start) // found.page_size),
                    "present": sum(found.nodes.values()),
                    "nodes": sorted(found.nodes),
                }
                slot["mapping"] = _described(found)

    def _look_at_host(self, info: dict[str, Any]) -> None:
        host = info["host"]
        if host["address"] == info["ramblock"]["offset"]:
            del info["host"]  # nothing tells where the block is
            return
        host["asked"] = True
        found = mapping_at(self._mappings(info), host["address"])
        if found is not None and found.nodes is not None:
            host |= {"page-size": found.page_size, "mapping": _described(found)}

    # Beside others

    def _compat(self, arguments: Arguments) -> Task[dict[str, Any]]:
        from ...commands.compat import describe
        from ...vm.compat.comparing import compare
        from ..compat.live import contract_from
        from ..compat.sides import read_side

        own = yield lambda cancellation: contract_from(Questions(self._client, cancellation), self._client.name)
        other = yield lambda _cancellation: read_side(arguments["partner"], arguments.get("qemu"))
        return describe(compare(other, own) if arguments.get("incoming", False) else compare(own, other))

    def _diff(self, arguments: Arguments) -> Task[dict[str, Any]]:
        from .command_line_diff import describe_diff, views_of

        line = arguments.get("command-line") or self.command_line
        if not line:
            raise VMError("which command line? Give one, or attach with -pid, which looks at QEMU's own")
        ours, notes = yield lambda _cancellation: views_of(line, self._release)
        theirs = {
            "query-flatviews": (yield from self._flatviews({})),
            "query-ramblocks": (yield from self._ramblocks({})),
            "query-numa": (yield from self._numa({})),
            "query-memory-devices": parse_memory_devices((yield self._human("info memory-devices"))),
        }
        status = (yield from self._told("query-status", {})).get("status")
        if status != "prelaunch":
            notes = [*notes, "the guest has run: its firmware, and it, switch memory and registers"]
        return describe_diff(theirs, ours, notes, self._release)


def _check_way(info: dict[str, Any]) -> None:
    """Refuse to explain an address whose way through the tree is not known: QEMU's text leaves some things open."""
    last, found = (info["path"] or [None])[-1], info.get("range")
    if (last is None) != (found is None) or (last and found and last["name"] != found["name"]):
        shown = f"'{found['name']}'" if found else "nothing"
        raise AnswerError(f"QEMU shows {shown} at {info['address']:#x}, and its tree does not tell why")


def _described(mapping: Mapping) -> dict[str, Any]:
    return {
        "start": mapping.start,
        "end": mapping.end - 1,
        "path": mapping.path,
        "policy": mapping.policy,
        "nodes": sorted(mapping.nodes or {}),
    }


class _NoProgram:
    """Seen machines are in no program: nothing that is asked of them needs one."""


NO_PROGRAM: Any = _NoProgram()


class Questions:
    """A client as `compat.live` asks it, from within a step."""

    def __init__(self, client: Client, cancellation: Cancellation) -> None:
        self._client = client
        self._cancellation = cancellation

    def ask(self, command: str, **arguments: Any) -> Any:
        """What a command returns; None if it fails."""
        try:
            return self._client.question(command, arguments)(self._cancellation)
        except ReplyError:
            return None

    def human(self, line: str) -> str:
        """What an HMP line prints."""
        return str(self.ask("human-monitor-command", **{"command-line": line}) or "")
