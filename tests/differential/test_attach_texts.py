"""QEMU's tables and trees, read back: what is read makes the same text again, and the tree shows QEMU's flat view."""

from __future__ import annotations

from typing import Any

import pytest

from ramslot.commands import hmp_commands
from ramslot.monitor.attach.seen import Answers, SeenMachine
from ramslot.monitor.attach.table_text import parse_memory_devices, parse_numa, parse_ramblocks
from ramslot.monitor.attach.tree_text import parse_flatviews, parse_mtree
from ramslot.vm.releases import find_release

from .attached import BOARDS, MACHINES, RELEASES, ask, running

TEXTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "info mtree -D": (parse_mtree, {"disabled": True}),
    "info mtree -o -D": (parse_mtree, {"disabled": True, "owner": True}),
    "info mtree -f": (parse_flatviews, {"flat": True}),
    "info mtree -f -o": (parse_flatviews, {"flat": True, "owner": True}),
    "info ramblock": (parse_ramblocks, {}),
    "info numa": (parse_numa, {}),
}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("machine", MACHINES)
def test_what_qemu_says_is_read_to_the_byte(machine: str, release: str) -> None:
    commands = hmp_commands(find_release(release))
    with running(machine, release, *(("-device", "VGA") if machine in ("pc", "pseries") else ())) as (address, _):
        texts = ask(address, *TEXTS)
    for (line, (parse, words)), text in zip(TEXTS.items(), texts, strict=True):
        text = text.replace("\r\n", "\n")
        command = commands[" ".join(line.split()[:2])]
        assert command.render(parse(text), words) == text, line


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("machine", MACHINES)
def test_the_tree_as_it_was_read_shows_what_qemu_shows(machine: str, release: str) -> None:
    with running(machine, release) as (address, _):
        tree, view, blocks = ask(address, "info mtree -D", "info mtree -f", "info ramblock")
    seen = SeenMachine(
        Answers(parse_mtree(tree), parse_flatviews(view), parse_ramblocks(blocks)), find_release(release)
    )
    assert seen.spaces
    for space in seen.spaces:
        assert space.root.name
        assert space.unexplained == 0, space.name


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("machine", BOARDS)
def test_trees_of_other_boards_and_devices(machine: str, release: str) -> None:
    with running(machine, release) as (address, _):
        tree, view, blocks = ask(address, "info mtree -D", "info mtree -f", "info ramblock")
    mtree, views = parse_mtree(tree), parse_flatviews(view)
    commands = hmp_commands(find_release(release))
    assert commands["info mtree"].render(mtree, {"disabled": True}) == tree.replace("\r\n", "\n")
    assert commands["info mtree"].render(views, {"flat": True}) == view.replace("\r\n", "\n")
    seen = SeenMachine(Answers(mtree, views, parse_ramblocks(blocks)), find_release(release))
    names = [space.name for space in seen.spaces]
    for space in seen.spaces:
        if names.count(space.name) == 1:  # which of several has which view is not told
            assert space.root.name
            assert space.unexplained == 0, space.name


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("machine", ["pc", "virtio-mem", "none"])
def test_memory_devices_are_those_of_qmp(machine: str, release: str) -> None:
    with running(machine, release) as (address, _):
        text, devices = ask(address, "info memory-devices", '{"execute": "query-memory-devices"}')
    assert parse_memory_devices(text) == devices
