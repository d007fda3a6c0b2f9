"""Maps that are made by themselves: every byte of RAM stays at its guest-physical address, and what is uncertain is refused."""

from __future__ import annotations

from itertools import accumulate, pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramslot.vm.compat.contract import Block, Contract
from ramslot.vm.compat.fitting import Fit, fitting_maps
from ramslot.vm.errors import VMError

PAGE = 4096
LOW = 1 << 20


def machine(lengths: list[int], names: list[str], gap: int = 0, roles: str = "node") -> Contract:
    """RAM in blocks that follow each other in a guest's addresses from 1 MiB on, after a gap."""
    starts = [0, *accumulate(lengths)]
    blocks = [
        Block(name, length, length, role=roles, places=((LOW + gap + start, 0, length),))
        for name, length, start in zip(names, lengths, starts, strict=False)
    ]
    return Contract("test", tuple(sorted(blocks, key=lambda block: -block.used_length)))


def listed(contract: Contract) -> list[tuple[str, int]]:
    return [(block.name, block.used_length) for block in contract.blocks]


def cut(pages: int, places: set[int]) -> list[int]:
    edges = [0, *sorted(place for place in places if place < pages), pages]
    return [(end - start) * PAGE for start, end in pairwise(edges)]


cuts = st.sets(st.integers(1, 39), max_size=5)


@given(st.integers(1, 40), cuts, cuts, st.booleans(), st.integers(0, 1 << 32))
def test_every_page_stays_at_its_address(
    pages: int, here: set[int], there: set[int], same_names: bool, seed: int
) -> None:
    dice = Random(seed)
    letters = "abcdefghijkl"
    names = dice.sample(letters, 6), dice.sample(letters if same_names else "uvwxyz", 6)
    source, destination = machine(cut(pages, here), names[0]), machine(cut(pages, there), names[1])
    layout = Fit(destination, source).layout(listed(source), PAGE)
    assert sorted(layout.blocks) == sorted(listed(destination))
    for block in source.blocks:
        assert block.places is not None
        for offset in range(0, block.used_length, PAGE):
            piece = layout.piece(block.name, offset)
            target = destination.lookup[piece.name].places
            assert target is not None
            assert target[0][0] + piece.target + offset - piece.start == block.places[0][0] + offset


@given(st.integers(1, 40), cuts)
def test_one_block_needs_no_more_than_the_stream(pages: int, there: set[int]) -> None:
    source, destination = machine([pages * PAGE], ["m"]), machine(cut(pages, there), list("uvwxyz"))
    assert fitting_maps(listed(source), destination) == fitting_maps(listed(source), destination, source)


MIB = 1 << 20
CERTAIN: dict[str, tuple[list[tuple[str, int]], Contract, list[str]]] = {
    "nothing to do": ([("m", MIB)], machine([MIB], ["m"]), []),
    "another name": ([("m", MIB)], machine([MIB], ["n"]), ["m=n"]),
    "a path": ([("/objects/m", MIB)], machine([MIB], ["m"]), ["/objects/m=m"]),
    "other names of other lengths": ([("m", MIB), ("d", 2 * MIB)], machine([MIB, 2 * MIB], ["x", "y"]), ["m=x", "d=y"]),
    "two nodes": ([("m", 3 * MIB)], machine([MIB, 2 * MIB], ["x", "y"]), ["m=x@0x0+0x100000,y@0x100000+0x200000"]),
    "a part with the name": (
        [("x", 3 * MIB)],
        machine([MIB, 2 * MIB], ["x", "y"]),
        ["x=x@0x0+0x100000,y@0x100000+0x200000"],
    ),
    "parts of old mainframes": ([("r", 2 * MIB), ("r.1", MIB)], machine([3 * MIB], ["m"]), ["r=m", "r.1=m"]),
}


@pytest.mark.parametrize("case", CERTAIN)
def test_what_is_certain(case: str) -> None:
    blocks, destination, maps = CERTAIN[case]
    assert fitting_maps(blocks, destination) == maps


UNCERTAIN: dict[str, tuple[list[tuple[str, int]], Contract, Contract | None, str]] = {
    "an order": (
        [("a", MIB), ("b", MIB)],
        machine([2 * MIB], ["m"]),
        None,
        "a stream does not tell in which order a .*, b .* are RAM: -from .* -map a=m -map b=m",
    ),
    "two of a length": ([("a", MIB), ("b", MIB)], machine([MIB, MIB], ["x", "y"]), None, "in which order"),
    "more RAM": ([("a", MIB)], machine([2 * MIB], ["m"]), None, "cannot become m .* in all"),
    "no RAM": ([("a", MIB)], machine([], []), None, "cannot become nothing"),
    "a ROM": ([("0000:00:02.0/e1000.rom", MIB)], machine([MIB], ["m"]), None, "it is no RAM"),
    "a ROM of the board": ([("bios", MIB)], machine([2 * MIB], ["bios"], roles="board"), None, "Size mismatch: bios"),
    "a name": ([("a", MIB)], machine([MIB], ["m,x"]), None, "'m,x' cannot be said in a map"),
    "another source": ([("a", MIB)], machine([MIB], ["m"]), machine([MIB], ["b"]), "no RAMBlock 'a'"),
    "another place": ([("a", MIB)], machine([MIB], ["m"]), machine([MIB], ["a"], gap=MIB), "is elsewhere"),
    "two devices": (
        [("a", MIB), ("b", MIB)],
        machine([MIB, MIB], ["x", "y"], roles="device"),
        machine([MIB, MIB], ["a", "b"], roles="device"),
        "devices' memory, a .*, b .*, could become x .*, y",
    ),
}


@pytest.mark.parametrize("case", UNCERTAIN)
def test_what_is_uncertain_is_refused(case: str) -> None:
    blocks, destination, source, text = UNCERTAIN[case]
    with pytest.raises(VMError, match=text):
        fitting_maps(blocks, destination, source)


def test_nodes_that_are_nowhere_have_no_order() -> None:
    blocks = tuple(Block(name, MIB, MIB, role="node") for name in ["x", "y"])
    with pytest.raises(VMError, match="nothing tells where x, y is"):
        fitting_maps([("m", 2 * MIB)], Contract("test", blocks))
