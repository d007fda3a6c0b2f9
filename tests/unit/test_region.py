"""MemoryRegions and the transactions in which they change."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ramslot.vm.memory.address_space import AddressSpace, MemoryTopology
from ramslot.vm.memory.ramblock import RAMBlock
from ramslot.vm.memory.region import MemoryRegion

PAGE = 0x1000


class Host:
    address = 0
    page_size = PAGE


class Tree:
    """A container `system` of 64 KiB and an address space on it."""

    def __init__(self) -> None:
        self.topology = MemoryTopology()
        self.system = self.topology.container("system", 0x10000)
        self.space = self.topology.add_space("memory", self.system)

    def ram(self, name: str, size: int = PAGE) -> MemoryRegion:
        return self.topology.ram(name, size, self.block(size))

    @staticmethod
    def block(size: int = PAGE) -> RAMBlock:
        return RAMBlock("", size, size, Host())  # type: ignore[arg-type]  # only these two are looked at


def shown(space: AddressSpace) -> list[tuple[int, int, str, int]]:
    return [(flat.start, flat.end, flat.region.name, flat.offset) for flat in space.view.ranges]


@pytest.fixture
def tree() -> Tree:
    return Tree()


def test_types_as_info_mtree_prints_them(tree: Tree) -> None:
    topology = tree.topology
    flash = topology.rom_device("flash", PAGE, tree.block())
    assert flash.type_text == "romd"
    flash.set_romd_mode(False)
    assert flash.type_text == "i/o"
    ram, rom = tree.ram("ram"), topology.rom("rom", PAGE, tree.block())
    assert (ram.type_text, rom.type_text) == ("ram", "rom")
    for region in (topology.container("c"), topology.io("i", 1), topology.reservation("r", 1)):
        assert region.type_text == "i/o"
    alias = topology.alias("a", topology.alias("b", rom, 0, PAGE), 0, PAGE)
    assert alias.type_text == "rom"
    ram.set_readonly(True)
    assert ram.type_text == "rom"


def test_higher_priority_is_seen_then_the_younger(tree: Tree) -> None:
    first, second, third = tree.ram("first"), tree.ram("second"), tree.ram("third")
    tree.system.add_subregion(0, first, 1)
    tree.system.add_subregion(0, second)
    assert shown(tree.space) == [(0, PAGE, "first", 0)]
    tree.system.add_subregion(0, third, 1)
    assert shown(tree.space) == [(0, PAGE, "third", 0)]
    assert list(tree.system.subregions) == [third, first, second]
    assert tree.system.visible_subregions(PAGE, 2 * PAGE) == []
    tree.system.remove_subregion(third)
    assert (third.container, shown(tree.space)) == (None, [(0, PAGE, "first", 0)])


def test_a_moved_region_is_the_youngest(tree: Tree) -> None:
    left, right = tree.ram("left"), tree.ram("right")
    tree.system.add_subregion(0, left)
    tree.system.add_subregion(0x800, right)
    assert shown(tree.space) == [(0, 0x800, "left", 0), (0x800, 0x1800, "right", 0)]
    left.set_address(0x400)
    assert left.address == 0x400
    assert shown(tree.space) == [(0x400, 0x1400, "left", 0), (0x1400, 0x1800, "right", 0xC00)]


def test_what_reaches_out_of_its_container_is_cut(tree: Tree) -> None:
    tree.system.add_subregion(0xF800, tree.ram("end"))
    tree.system.add_subregion(0x20000, tree.ram("outside"))
    assert shown(tree.space) == [(0xF800, 0x10000, "end", 0)]


def test_aliases_show_a_window_of_their_target(tree: Tree) -> None:
    ram = tree.ram("ram", 4 * PAGE)
    inner = tree.topology.alias("inner", ram, PAGE, 2 * PAGE)
    outer = tree.topology.alias("outer", inner, 0x800, 8 * PAGE)
    tree.system.add_subregion(0x8000, outer)
    assert shown(tree.space) == [(0x8000, 0x9800, "ram", 0x1800)]
    outer.set_alias_offset(PAGE)
    assert (outer.alias_offset, shown(tree.space)) == (PAGE, [(0x8000, 0x9000, "ram", 2 * PAGE)])
    ram.set_enabled(False)
    assert shown(tree.space) == []
    ram.set_enabled(True)
    inner.set_size(PAGE)
    assert shown(tree.space) == []
    assert tree.ram("x").alias_offset == 0


def test_read_only_comes_from_above(tree: Tree) -> None:
    ram = tree.ram("ram")
    window = tree.topology.alias("window", ram, 0, PAGE)
    tree.system.add_subregion(0, window)
    tree.system.add_subregion(0x8000, ram)
    window.set_readonly(True)
    assert [flat.readonly for flat in tree.space.view.ranges] == [True, False]


def test_dirty_logging_is_part_of_the_view(tree: Tree) -> None:
    ram = tree.ram("ram")
    tree.system.add_subregion(0, ram)
    before = tree.space.view.ranges[0]
    ram.set_dirty_log_mask(1)
    after = tree.space.view.ranges[0]
    assert after.dirty_log_mask == 1
    assert after.same_place(before)
    assert not after.same(before)


def test_changes_that_make_no_sense_are_refused(tree: Tree) -> None:
    ram, other = tree.ram("ram"), tree.topology.container("other")
    tree.system.add_subregion(0, ram)
    for container in (tree.system, other):
        with pytest.raises(ValueError, match="'ram' is already in 'system'"):
            container.add_subregion(0, ram)
    with pytest.raises(ValueError, match="'ram' is not in 'other'"):
        other.remove_subregion(ram)
    with pytest.raises(ValueError, match=r"outside \[0, 2\^64\]"):
        ram.set_size((1 << 64) + 1)
    with pytest.raises(ValueError, match=r"outside \[0, 2\^64\]"):
        tree.topology.io("negative", -1)
    with pytest.raises(ValueError, match="not an alias"):
        ram.set_alias_offset(0)
    with pytest.raises(ValueError, match="not a ROM device"):
        ram.set_romd_mode(True)
    assert shown(tree.space) == [(0, PAGE, "ram", 0)]


def test_a_region_that_is_nowhere_may_change(tree: Tree) -> None:
    ram = tree.ram("ram", 2 * PAGE)
    alias = tree.topology.alias("alias", ram, 0, PAGE)
    alias.set_size(2 * PAGE)
    alias.set_alias_offset(PAGE)
    ram.set_address(PAGE)
    assert ram.address == 0, "an address is one within a container"
    tree.system.add_subregion(0, alias)
    assert shown(tree.space) == [(0, PAGE, "ram", PAGE)]


class Counter:
    """A listener that only counts."""

    def __init__(self) -> None:
        self.updates = 0

    def update(self, _gone: object, _new: object) -> Callable[[], None]:
        self.updates += 1
        return lambda: None


def test_a_transaction_tells_once(tree: Tree) -> None:
    counter = Counter()
    tree.space.add_listener(counter)
    with tree.topology.transaction():
        tree.system.add_subregion(0, tree.ram("a"))
        with tree.topology.transaction():
            tree.system.add_subregion(PAGE, tree.ram("b"))
        assert shown(tree.space) == [], "nothing is shown before the outermost transaction ends"
    assert len(shown(tree.space)) == 2
    assert counter.updates == 2, "the one that is due at once, and one for all changes"


def test_what_changes_nothing_tells_nothing(tree: Tree) -> None:
    ram = tree.ram("ram")
    tree.system.add_subregion(0, ram)
    counter = Counter()
    tree.space.add_listener(counter)
    ram.set_enabled(True)
    with tree.topology.transaction():
        ram.set_enabled(False)
        ram.set_enabled(True)
    assert counter.updates == 1


def test_a_transaction_that_raises_takes_all_back(tree: Tree) -> None:
    ram, gone = tree.ram("ram"), tree.ram("gone")
    tree.system.add_subregion(0, ram)
    tree.system.add_subregion(0x4000, gone, 5)
    before = shown(tree.space)
    with pytest.raises(KeyError), tree.topology.transaction():
        ram.set_address(0x2000)
        ram.set_size(0x10)
        ram.set_readonly(True)
        tree.system.remove_subregion(gone)
        tree.system.add_subregion(0x8000, tree.ram("new"))
        raise KeyError("half way")
    assert shown(tree.space) == before
    assert (ram.address, ram.size, ram.readonly) == (0, PAGE, False)
    assert (gone.container, gone.address, gone.priority) == (tree.system, 0x4000, 5)
    tree.system.add_subregion(0xC000, tree.ram("later"))
    assert [name for _, _, name, _ in shown(tree.space)] == ["ram", "gone", "later"]


def test_a_listener_that_refuses_undoes_the_change_for_all(tree: Tree) -> None:
    class Refuser(Counter):
        def update(self, gone: object, new: object) -> Callable[[], None]:
            if self.updates:
                raise MemoryError("no more")
            return super().update(gone, new)

    kept: list[object] = []

    class Keeper:
        def update(self, _gone: object, new: object) -> Callable[[], None]:
            kept.append(new)
            return kept.clear

    tree.space.add_listener(Keeper())
    tree.space.add_listener(Refuser())
    ram = tree.ram("ram")
    with pytest.raises(MemoryError, match="no more"):
        tree.system.add_subregion(0, ram)
    assert (ram.container, shown(tree.space)) == (None, [])
    assert kept == [], "who had agreed has taken it back"
