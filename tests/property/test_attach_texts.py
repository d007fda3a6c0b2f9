"""What our renderers write is read back as it was; no text whatever raises more than one kind of error."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.commands import hmp_commands
from ramslot.commands.mtree import ShownTree
from ramslot.commands.shown import Shown
from ramslot.monitor.attach.errors import AnswerError
from ramslot.monitor.attach.memory_maps import parse_maps
from ramslot.monitor.attach.seen import Answers, SeenMachine
from ramslot.monitor.attach.table_text import (
    parse_host_address,
    parse_memory_devices,
    parse_numa,
    parse_ramblocks,
)
from ramslot.monitor.attach.tree_text import parse_flatviews, parse_mtree
from ramslot.vm.errors import VMError
from ramslot.vm.releases import find_release

COMMANDS = hmp_commands(find_release("11.1"))
OLD_COMMANDS = hmp_commands(find_release("7.2"))
NAMES = st.from_regex(r"[a-z][a-z0-9.]{0,8}(/[a-z.]{1,6}|@[a-z]{1,6})?( [a-z]{1,4})?", fullmatch=True)
ADDRESSES = st.integers(0, (1 << 64) - 1)
TYPES = st.sampled_from(["ram", "rom", "romd", "i/o", "container", "nv-ram", "ramd"])
PRIORITIES = st.integers(-(1 << 31), (1 << 31) - 1)
OWNERS = st.none() | st.fixed_dictionaries(
    {"kind": st.sampled_from(["dev", "obj"]), "relation": st.sampled_from(["owner", "parent"]), "path": NAMES},
    optional={"through": st.just("memory-region-portio-list")},
)


@st.composite
def trees(draw: st.DrawFn, depth: int = 2) -> ShownTree:
    start = draw(ADDRESSES)
    tree: dict[str, Any] = {
        "name": draw(NAMES),
        "start": start,
        "end": draw(st.integers(start, (1 << 64) - 1)),
        "priority": draw(PRIORITIES),
        "type": draw(TYPES),
        "enabled": draw(st.booleans()),
    }
    if draw(st.booleans()):
        tree["alias"] = {"name": draw(NAMES), "offset": draw(ADDRESSES)}
    owner = draw(OWNERS)
    if owner is not None:
        tree["owner"] = owner
    tree["subregions"] = draw(st.lists(trees(depth - 1), max_size=2)) if depth else []
    return ShownTree(tree)


MTREES = st.fixed_dictionaries(
    {
        "address-spaces": st.lists(
            st.fixed_dictionaries({"names": st.lists(NAMES, min_size=1, max_size=2), "root": trees()}),
            min_size=1,
            max_size=2,
        ),
        "regions": st.lists(trees(), max_size=2),
    }
)


@settings(max_examples=50)
@given(MTREES)
def test_a_tree_is_read_as_it_was_written(mtree: dict[str, Any]) -> None:
    text = COMMANDS["info mtree"].render(copy.deepcopy(mtree), {"disabled": True, "owner": True})
    assert parse_mtree(text) == mtree
    assert parse_mtree(text.replace("\n", "\r\n")) == mtree


@st.composite
def ranges(draw: st.DrawFn) -> Shown:
    start = draw(ADDRESSES)
    kind = draw(TYPES)
    told = {
        "start": start,
        "end": draw(st.integers(start, (1 << 64) - 1)),
        "priority": draw(PRIORITIES),
        "type": kind,
        "name": draw(NAMES),
        "offset": draw(ADDRESSES),
        "readonly": kind == "rom",
        "accelerated": draw(st.booleans()),
    }
    owner = draw(OWNERS)
    return Shown(told if owner is None else told | {"owner": owner})


VIEWS = st.fixed_dictionaries(
    {
        "address-spaces": st.lists(st.fixed_dictionaries({"name": NAMES, "root": NAMES}), min_size=1, max_size=3),
        "ranges": st.lists(ranges(), max_size=4),
    },
    optional={"root": NAMES},
)


@given(st.lists(VIEWS, min_size=1, max_size=3))
def test_views_are_read_as_they_were_written(views: list[dict[str, Any]]) -> None:
    text = COMMANDS["info mtree"].render(copy.deepcopy(views), {"flat": True, "owner": True})
    assert parse_flatviews(text) == views


PAGES = st.sampled_from([1024, 4096, 65536, 2 << 20, 1 << 30])
BLOCKS = st.builds(
    lambda name, more: Shown({"name": name, **more, "migratable": name != ""}),
    NAMES | st.just(""),
    st.fixed_dictionaries(
        {"page-size": PAGES, "offset": ADDRESSES, "used-length": ADDRESSES, "max-length": ADDRESSES}
        | {"host-address": ADDRESSES, "readonly": st.booleans()}
    ),
)


@given(st.lists(BLOCKS, max_size=4))
def test_ramblocks_are_read_as_they_were_written(blocks: list[Shown]) -> None:
    assert parse_ramblocks(COMMANDS["info ramblock"].render(copy.deepcopy(blocks), {})) == blocks
    old = [
        {name: value for name, value in block.items() if name not in ("host-address", "readonly")} for block in blocks
    ]
    assert parse_ramblocks(OLD_COMMANDS["info ramblock"].render(copy.deepcopy(blocks), {})) == old


NODES = st.lists(
    st.fixed_dictionaries(
        {
            "cpus": st.lists(st.integers(0, 300), max_size=4),
            "size": st.integers(0, 1 << 40).map(lambda size: size << 20),
            "plugged": st.integers(0, 1 << 40).map(lambda size: size << 20),
        }
    ),
    max_size=4,
).map(lambda nodes: [{"node-id": number, **node} for number, node in enumerate(nodes)])


@given(NODES)
def test_nodes_are_read_as_they_were_written(nodes: list[dict[str, Any]]) -> None:
    assert parse_numa(COMMANDS["info numa"].render(copy.deepcopy(nodes), {})) == nodes


PARSERS: list[Callable[[str], Any]] = [
    parse_mtree,
    parse_flatviews,
    parse_ramblocks,
    parse_numa,
    parse_memory_devices,
    parse_host_address,
]
GOOD = [
    "address-space: a\n  0000000000000000-00000000000000ff (prio 0, i/o): x\n\n",
    'FlatView #0\n AS "a", root: r\n Root memory region: r\n  0000000000000000-00000000000000ff (prio 0, ram): x\n\n',
    "              Block Name    PSize              Offset               Used              Total\n"
    "                       a    4 KiB  0x0000000000000000 0x0000000000001000 0x0000000000001000\n",
    "1 nodes\nnode 0 cpus: 0\nnode 0 size: 1 MB\nnode 0 plugged: 0 MB\n",
    'Memory device [dimm]: "d"\n  addr: 0x100\n',
    "Host virtual address for 0x1000 (n0) is 0x7f0533e01000\n",
]


@st.composite
def nearly_good(draw: st.DrawFn) -> str:
    """A good text with a piece of it replaced, twice or left out."""
    text = draw(st.sampled_from(GOOD))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, len(text)))
    return (
        text[:start]
        + draw(st.text(max_size=8) | st.sampled_from(["", text, text[start:end] * 2, "9" * 5000]))
        + text[end:]
    )


@pytest.mark.parametrize("parse", PARSERS)
@given(text=st.text() | nearly_good())
def test_no_text_raises_anything_else(parse: Callable[[str], Any], text: str) -> None:
    try:
        parse(text)
    except AnswerError as error:
        assert str(error)


@pytest.mark.parametrize(("parse", "text"), list(zip(PARSERS, GOOD, strict=True)))
def test_what_the_nearly_good_texts_are_made_of_is_good(parse: Callable[[str], Any], text: str) -> None:
    assert parse(text)


@given(st.text())
def test_maps_of_any_kind_are_read(text: str) -> None:
    assert isinstance(parse_maps(text, text), list)


@settings(max_examples=30)
@given(MTREES, st.lists(VIEWS, min_size=1, max_size=3), st.lists(BLOCKS, max_size=3))
def test_answers_that_do_not_fit_are_refused_or_shown(
    mtree: dict[str, Any], views: list[dict[str, Any]], blocks: list[Shown]
) -> None:
    try:
        seen = SeenMachine(Answers(mtree, views, blocks), find_release(None))
        for space in seen.spaces:
            assert space.root is not None
    except VMError as error:
        assert str(error)


def test_an_alias_of_itself_is_refused() -> None:
    text = (
        "address-space: memory\n  0000000000000000-00000000000000ff (prio 0, i/o): r\n"
        "    0000000000000000-000000000000000f (prio 0, i/o): alias a @b 0000000000000000-000000000000000f\n\n"
        "memory-region: b\n  0000000000000000-000000000000000f (prio 0, i/o): b\n"
        "    0000000000000000-000000000000000f (prio 0, i/o): alias a @b 0000000000000000-000000000000000f\n\n"
    )
    view = 'FlatView #0\n AS "memory", root: r\n Root memory region: r\n  No rendered FlatView\n\n'
    seen = SeenMachine(Answers(parse_mtree(text), parse_flatviews(view), []), find_release(None))
    with pytest.raises(AnswerError, match="alias of itself"):
        assert seen.spaces[0].root
