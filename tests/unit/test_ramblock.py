"""The RAMBlock table: places, order, names. The rules are facts observed of QEMU; tests/property has them at random."""

from __future__ import annotations

from itertools import permutations

import pytest

from ramslot.vm.memory.ramblock import RAMBlock, RAMBlockTable

KIB = 1 << 10
MIB = 1 << 20


class Host:
    address = 0x7F0000000000
    page_size = 2 * MIB


def block(name: str, used: int, reserved: int | None = None) -> RAMBlock:
    return RAMBlock(name, used, reserved or used, Host())  # type: ignore[arg-type]  # only these two are looked at


def table_of(*blocks: RAMBlock, alignment: int = 256 * KIB) -> RAMBlockTable:
    table = RAMBlockTable(alignment)
    for added in blocks:
        table.add(added)
    return table


def test_offsets_are_multiples_of_64_target_pages() -> None:
    first, second, third = block("a", 4 * KIB), block("b", 300 * KIB), block("c", 4 * KIB)
    table_of(first, second, third)
    assert [added.offset for added in (first, second, third)] == [0, 256 * KIB, 768 * KIB]
    again = block("d", 4 * KIB), block("e", 4 * KIB)
    table_of(*again, alignment=16 * KIB)
    assert again[1].offset == 16 * KIB


def test_the_smallest_gap_that_fits_is_taken() -> None:
    blocks = [block(str(number), 1 * MIB) for number in range(7)]
    table = table_of(*blocks)
    for number in (1, 2, 4):
        table.remove(blocks[number])
    small, large = block("small", 1 * MIB), block("large", 2 * MIB)
    table.add(small)
    table.add(large)
    assert small.offset == 4 * MIB
    assert large.offset == 1 * MIB


def test_a_hole_at_the_beginning_is_not_used_while_there_is_a_block() -> None:
    first, second, third = block("a", 1 * MIB), block("b", 1 * MIB), block("c", 1 * MIB)
    table = table_of(first, second)
    table.remove(first)
    table.add(third)
    assert third.offset == 2 * MIB
    table.remove(second)
    table.remove(third)
    table.add(first)
    assert first.offset == 0


def test_the_list_is_sorted_by_reserved_length_then_age() -> None:
    small, old, young, tables = block("s", 4096), block("o", 1 * MIB), block("y", 1 * MIB), block("t", 4096, 2 * MIB)
    table = table_of(small, old, young, tables)
    assert list(table) == [tables, old, young, small]
    assert (tables.resizeable, old.resizeable) == (True, False)
    table.remove(old)
    table.add(old)
    assert list(table) == [tables, young, old, small]


def test_blocks_of_pc_lie_as_in_qemu() -> None:
    """`info ramblock` of a pc with 128 MiB."""
    sizes = (128 * MIB, 0), (256 * KIB, 0), (128 * KIB, 0), (128 * KIB, 2 * MIB), (4 * KIB, 64 * KIB), (4 * KIB, 0)
    blocks = [block("", used, reserved) for used, reserved in sizes]
    table_of(*blocks)
    assert [added.offset for added in blocks] == [0, 0x8000000, 0x8040000, 0x8080000, 0x8280000, 0x82C0000]


def test_a_full_ram_address_space_refuses() -> None:
    table = table_of(block("half", 1 << 63), block("most", (1 << 63) - (1 << 20)))
    with pytest.raises(OverflowError, match="no room for 0x200000 bytes"):
        table.add(block("more", 2 * MIB))
    assert len(table) == 2
    last = block("last", 1 * MIB)
    table.add(last)
    assert last.offset + last.max_length == 1 << 64


def test_names_come_and_go() -> None:
    ram, other = block("pc.ram", 1 * MIB), block("m", 1 * MIB)
    table = table_of(ram, other)
    assert (ram.name, table.named("pc.ram")) == ("", None), "nothing uses it yet"
    table.rename(ram, "pc.ram")
    table.rename(ram, "pc.ram")
    assert table.named("pc.ram") is ram
    with pytest.raises(ValueError, match=r"pc\.ram"):
        table.rename(other, "pc.ram")
    assert other.name == ""
    table.rename(ram, "")
    table.rename(other, "pc.ram")
    assert table.named("pc.ram") is other
    table.remove(other)
    assert table.named("pc.ram") is None


def test_a_block_has_the_pages_of_its_host_memory() -> None:
    assert block("m", 4 * MIB).page_size == 2 * MIB


class Mapping(Host):
    """Host memory that counts how often it is unmapped, and cannot be while it is looked at."""

    def __init__(self) -> None:
        self.closed = 0
        self.viewed = False

    def close(self) -> None:
        if self.viewed:
            raise BufferError
        self.closed += 1


def divided(*sizes: int) -> tuple[Mapping, RAMBlock, list[RAMBlock]]:
    """A block, and aliases of it one after another."""
    mapping = Mapping()
    below = RAMBlock("m", sum(sizes), sum(sizes), mapping, shared=True)  # type: ignore[arg-type]  # not looked at otherwise
    starts = [sum(sizes[:number]) for number in range(len(sizes))]
    aliases = [
        RAMBlock.alias(str(number), below, start, size)
        for number, (start, size) in enumerate(zip(starts, sizes, strict=True))
    ]
    return mapping, below, aliases


def test_an_alias_has_ram_addresses_of_its_own_and_the_memory_of_the_block_below() -> None:
    _, below, (first, second) = divided(1 * MIB, 3 * MIB)
    table = table_of(below, first, second)
    assert [(alias.offset, alias.max_length) for alias in table] == [(0, 4 * MIB), (5 * MIB, 3 * MIB), (4 * MIB, MIB)]
    assert (second.aliased, second.aliased_offset, second.aliased_end) == (below, 1 * MIB, 4 * MIB)
    assert [alias.host_address - Host.address for alias in (below, first, second)] == [0, 0, 1 * MIB]
    assert (second.page_size, second.shared, second.readonly, second.resizeable) == (2 * MIB, True, False, False)
    assert not second.migratable
    table.rename(second, "ram")
    assert (second.migratable, below.migratable) == (True, False)


def test_every_byte_has_one_alias_at_most() -> None:
    _, below, (first, _) = divided(1 * MIB, 1 * MIB)
    for offset, length in ((0, 1), (MIB - 1, 2), (2 * MIB - 1, 1), (-1, 1), (0, 0), (2 * MIB, 1), (0, 2 * MIB)):
        with pytest.raises(ValueError, match=r"overlaps|does not own"):
            RAMBlock.alias("more", below, offset, length)
    with pytest.raises(ValueError, match="does not own"):
        RAMBlock.alias("of an alias", first, 0, 1)
    assert len(below.aliases) == 2
    first.close()
    assert RAMBlock.alias("again", below, 4096, 4096).aliased_offset == 4096


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_memory_stays_until_the_last_of_a_block_and_its_aliases_is_closed(order: tuple[int, ...]) -> None:
    mapping, below, aliases = divided(1 * MIB, 1 * MIB)
    blocks = [below, *aliases]
    for number in order[:-1]:
        blocks[number].close()
        blocks[number].close()
        assert not mapping.closed
    mapping.viewed = True
    with pytest.raises(BufferError):
        blocks[order[-1]].close()
    mapping.viewed = False
    blocks[order[-1]].close()
    assert mapping.closed == 1
    with pytest.raises(ValueError, match="does not own"):
        RAMBlock.alias("late", below, 0, 1)
