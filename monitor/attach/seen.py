"""A machine as a QEMU's answers tell of it: enough of one for our own views (`info map`, `why`, `info memslots`).

Flat views are QEMU's own. The slots are what `vm.accel` makes of such a view at once; QEMU tells of none, and has
other numbers where devices came and went.
"""

from __future__ import annotations

from bisect import bisect_right
from types import SimpleNamespace

from ...vm.accel import MAX_SLOTS, Accelerator, default_max_memslot_size
from ...vm.accel.sim import SimMemslotTable
from ...vm.errors import VMError
from ...vm.memory.address_space import MemoryTopology
from ...vm.memory.flatview import FlatRange
from ...vm.memory.ramblock import RAMBlock
from ...vm.memory.region import IO, RAM, ROM, ROM_DEVICE, MemoryRegion
from .seen_tree import SeenTrees, region_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ...vm.releases import Release

HOST_PAGE = 4096
CPU_SPACE = "memory"
"""The address space that all CPUs see, by its name in QEMU."""
DEVICE_MEMORY = "device-memory"
"""The region that memory devices are in, on all boards that have one."""
_KINDS = {"ram": RAM, "rom": ROM, "romd": ROM_DEVICE, "ramd": RAM}
"""Kinds of regions that a flat view shows, by their types; the others are registers."""


class Answers:
    """What a QEMU told, as our structured commands tell it."""

    def __init__(
        self, mtree: dict[str, Any], flatviews: list[dict[str, Any]], ramblocks: Sequence[dict[str, Any]]
    ) -> None:
        self.mtree = mtree
        self.flatviews = flatviews
        self.ramblocks = ramblocks
        self.target = "x86_64"
        self.machine_type = ""
        self.ram_size = 0
        self.accelerator = "tcg"
        self.backends: dict[str, str] = {}
        """Types of memory backends by their ids."""
        self.memory_devices: list[dict[str, Any]] = []
        self.device_types: dict[str, str] = {}
        """Types of devices by their ids."""


class SeenHost:
    """Where a RAMBlock is in the QEMU's process; `address` is 0 where that is not known."""

    def __init__(self, address: int, page_size: int) -> None:
        self.address = address
        self.page_size = page_size

    def page_nodes(self, offsets: list[int]) -> list[int | None]:
        """No node: one process may not ask where the pages of another are."""
        return [None] * len(offsets)


class SeenBackend:
    """A memory backend by its id."""

    def __init__(self, name: str, type_name: str, region: MemoryRegion | None) -> None:
        self.name = name
        self.type_name = type_name
        self.path = f"/objects/{name}"
        self.region = region


class SeenObjects:
    """The objects of users, of which the backends are told."""

    def __init__(self, backends: list[SeenBackend]) -> None:
        self._backends = backends

    def backends(self) -> list[SeenBackend]:
        """All memory backends."""
        return self._backends


class SeenDevice:
    """A memory device. How much of it is plugged is told, where is not."""

    def __init__(self, told: dict[str, Any], types: dict[str, str]) -> None:
        data = told["data"]
        self.device_id: str | None = data.get("id")
        self.path = f"/machine/peripheral/{self.device_id}" if self.device_id else "/machine/peripheral-anon"
        self.type_name = types.get(self.device_id or "", {"dimm": "pc-dimm"}.get(told["type"], told["type"]))
        self.address = int(data.get("addr", data.get("memaddr", 0)))
        self.size = int(data.get("size", 0))
        self.length = int(data.get("max-size", self.size))
        self.is_mapped = bool(self.length)

    @property
    def plugged(self) -> int:
        """Bytes that are memory of the guest."""
        return self.size

    def is_plugged(self, _address: int) -> bool | None:
        """Whether an address is; None where only some of it is."""
        return bool(self.size) if self.size in (0, self.length) else None


class SeenView:
    """A flat view, sorted by address."""

    def __init__(self, ranges: list[FlatRange]) -> None:
        self.ranges = ranges
        self._starts = [each.start for each in ranges]

    def find(self, address: int) -> FlatRange | None:
        """The range that has an address."""
        place = bisect_right(self._starts, address) - 1
        return self.ranges[place] if place >= 0 and address < self.ranges[place].end else None


class SeenSpace:
    """An address space; its tree is made when it is looked at."""

    def __init__(self, name: str, view: SeenView, trees: SeenTrees) -> None:
        self.name = name
        self.view = view
        self._trees = trees

    @property
    def root(self) -> MemoryRegion:
        """The tree, from its root down; raises `VMError` where QEMU's text has none of this name."""
        return self._trees.root_of(self.name, self.view.ranges)

    @property
    def unexplained(self) -> int:
        """How many ranges the tree would show that QEMU does not, once `root` was asked for."""
        return self._trees.differs.get(self.name, 0)


class SeenBoard:
    """The part of a machine that is a `Machine` in our own."""

    has_registers = True
    tells_readonly_aliases = False
    """QEMU's text does not."""

    def __init__(self, name: str, ram_size: int, memory_space: SeenSpace, device_memory: MemoryRegion | None) -> None:
        self.machine_type = SimpleNamespace(name=name)
        self.ram_size = ram_size
        self.memory_space = memory_space
        self.device_memory = device_memory


class SeenMachine:
    """What `commands.map`, `commands.explain` and `commands.memslots` ask a machine for.

    :raise VMError: the answers do not fit together.
    """

    def __init__(self, answers: Answers, release: Release) -> None:
        self.release = release
        self.target = SimpleNamespace(arch=answers.target)
        self._blocks = _Blocks(answers.ramblocks)
        self._regions = MemoryTopology()
        trees = SeenTrees(answers.mtree, self._blocks.of)
        self.spaces = [
            SeenSpace(space["name"], self._view(described, trees.distance(space["name"], described.get("root"))), trees)
            for described in answers.flatviews
            for space in described["address-spaces"]
        ]
        self.topology = SimpleNamespace(spaces=self.spaces)
        memory_space = next((space for space in self.spaces if space.name == CPU_SPACE), None)
        if memory_space is None:
            raise VMError(f"this QEMU tells of no address space '{CPU_SPACE}'")
        device_memory = trees.find(CPU_SPACE, DEVICE_MEMORY)
        self.machine = SeenBoard(answers.machine_type, answers.ram_size, memory_space, device_memory)
        self.memory_devices = [SeenDevice(each, answers.device_types) for each in answers.memory_devices]
        self.objects = SeenObjects(
            [SeenBackend(name, type_name, self._backend_region(name)) for name, type_name in answers.backends.items()]
        )
        self.accelerator = self._accelerator(answers)

    def _backend_region(self, name: str) -> MemoryRegion | None:
        block = self._blocks.of(name, 0) or self._blocks.of(f"/objects/{name}", 0)
        return None if block is None else self._regions.ram(name, block.max_length, block)

    def _view(self, described: dict[str, Any], distance: int) -> SeenView:
        regions: dict[tuple[str, str], MemoryRegion] = {}
        ranges = []
        for each in sorted(described["ranges"], key=lambda told: told["start"]):
            kind = each["type"].removeprefix("nv-")
            region = regions.get((each["name"], kind))
            if region is None:
                region = regions[each["name"], kind] = self._region(each["name"], kind)
            start, end = each["start"] - distance, each["end"] + 1 - distance
            ranges.append(
                FlatRange(start, end, region, each["offset"], each["readonly"], each["type"].startswith("nv-"))
            )
        return SeenView(ranges)

    def _region(self, name: str, type_text: str) -> MemoryRegion:
        """The region that a range shows, as far as the view tells; its size is not told."""
        kind = _KINDS.get(type_text, IO)
        block = self._blocks.of(name, 0) if kind != IO else None
        if kind == ROM and block is None:
            kind = IO  # registers behind something that lets no write through
        elif kind == ROM and not block_is_rom(block):
            kind = RAM  # the same
        return region_of(self._regions, kind, name, 1 << 64, block)

    def _accelerator(self, answers: Answers) -> Accelerator:
        """The slots that KVM would be given of the CPUs' view."""
        size = default_max_memslot_size(answers.target, HOST_PAGE)
        table = SimMemslotTable(HOST_PAGE, size, MAX_SLOTS)
        table.follower(0).update([], self.machine.memory_space.view.ranges)
        return Accelerator(answers.accelerator, table, in_kernel=False)


def block_is_rom(block: RAMBlock | None) -> bool:
    """Whether a block is known to be ROM."""
    return block is not None and block.readonly


def region_name(block: str) -> str:
    """The name of a RAMBlock's region: without the path of a device before it, which begins with no slash."""
    return block if block.startswith("/") else block.rpartition("/")[2]


class _Blocks:
    """RAMBlocks by the names of their regions: QEMU puts a device's path before those of its regions."""

    def __init__(self, told: Sequence[dict[str, Any]]) -> None:
        self._by_name: dict[str, list[RAMBlock]] = {}
        for each in told:
            name = each["name"]
            host: Any = SeenHost(each.get("host-address", 0), each["page-size"])
            block = RAMBlock(region_name(name), each["used-length"], each["max-length"], host)
            block.name, block.offset = name, each["offset"]
            block.readonly = each.get("readonly", False)
            block.shared = each.get("shared", False)
            for key in dict.fromkeys((name, region_name(name))):
                self._by_name.setdefault(key, []).append(block)

    def of(self, name: str, size: int) -> RAMBlock | None:
        """The block of a region; of several the one of its size, or the first."""
        found = self._by_name.get(name, [])
        return next((block for block in found if block.max_length == size), found[0] if found else None)
