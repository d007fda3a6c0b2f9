"""Tables that fit the terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramslot.commands import hmp_commands
from ramslot.monitor.console.tables import narrowed
from ramslot.vm.releases import VERSIONS, find_release


def ramblocks(version: str, blocks: list[tuple[str, int, int]]) -> str:
    """What `info ramblock` prints of blocks with names, offsets and sizes."""
    from ramslot.commands.shown import Shown

    rows = [
        Shown(
            {
                "name": name, "page-size": 4096, "offset": offset, "used-length": size, "max-length": size,
                "host-address": 0x7F0000000000 + offset, "readonly": False,
            }
        )
        for name, offset, size in blocks
    ]  # fmt: skip
    return hmp_commands(find_release(version))["info ramblock"].render(rows, {})


def words(text: str) -> list[list[str]]:
    """The words of each line, numbers without what may be left out of them."""
    return [[word.removeprefix("0x").lstrip("0") for word in line.split()] for line in text.splitlines()]


@pytest.mark.parametrize("version", VERSIONS)
@given(
    blocks=st.lists(
        st.tuples(st.sampled_from(["pc.ram", "a", "/rom@etc/acpi/tables", "0000:00:02.0/vga.vram"]),
                  st.integers(0, 2**42), st.integers(0, 2**42)),
        min_size=1, max_size=5,
    ),
    columns=st.integers(10, 200),
)  # fmt: skip
def test_nothing_is_lost_and_it_fits_or_stays(version: str, blocks: list[tuple[str, int, int]], columns: int) -> None:
    text = ramblocks(version, blocks)
    shown = narrowed("info ramblock", text, columns)
    assert words(shown) == words(text)
    widest, narrowest = (max(map(len, each.splitlines())) for each in (text, narrowed("info ramblock", text, 1)))
    assert max(map(len, shown.splitlines())) <= max(columns, narrowest)
    assert (shown == text) is (widest <= columns)


def test_a_table_in_eighty_columns() -> None:
    text = ramblocks("11.1", [("pc.ram", 0, 1 << 32), ("pc.bios", 1 << 32, 1 << 18)])
    assert narrowed("info ramblock", text, 80).splitlines() == [
        "Block Name PSize      Offset        Used       Total            HVA RO",
        "    pc.ram 4 KiB 0x000000000 0x100000000 0x100000000 0x7f0000000000 rw",
        "   pc.bios 4 KiB 0x100000000 0x000040000 0x000040000 0x7f0100000000 rw",
    ]
    assert narrowed("info ramblock", text, 64).splitlines()[1:] == [
        "    pc.ram 4 KiB 000000000 100000000 100000000 7f0000000000 rw",
        "   pc.bios 4 KiB 100000000 000040000 000040000 7f0100000000 rw",
    ]


def test_other_answers_stay_as_they_are() -> None:
    text = "x" * 300 + "\n"
    assert narrowed("info mtree", text, 80) == text
    assert narrowed("info memslots", "accelerator: tcg, no memslots\n", 10) == "accelerator: tcg, no memslots\n"
    assert narrowed("", text, 80) == text
