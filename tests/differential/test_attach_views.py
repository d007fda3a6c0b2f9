"""Our views of a real QEMU beside what ramslot itself shows for the same command line.

They are equal but for what no QEMU tells: numbers of slots, addresses of hosts, and (named below) what its texts leave out.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ramslot.monitor.attach.addresses import Address, connect
from ramslot.monitor.attach.attached import Attached
from ramslot.monitor.attach.client import Client
from ramslot.monitor.loop import Loop

from .attached import MACHINES, RELEASES, options_of, running
from .oracle import OUR_ENVIRONMENT, our_command

OUR_OWN = ("resizeable", "shared", "host-address")
"""Members of a RAMBlock that depend on the host, or that QEMU does not tell."""


@contextmanager
def attached(address: str, **options: Any) -> Iterator[Attached]:
    loop = Loop()
    target = Attached(Client(loop, connect(Address(address)), address), **options)
    try:
        yield target
    finally:
        target.close()
        loop.close()


def asked(target: Attached, command: str, **arguments: Any) -> Any:
    return target.worker.wait(target.run_command(command, arguments))


def said(target: Attached, line: str) -> str:
    return target.worker.wait(target.run_line(line))


def ours(machine: str, release: str, *requests: dict[str, Any]) -> list[Any]:
    """What ramslot itself answers."""
    arch, options = options_of(machine)
    lines = [word for request in requests for word in ("-c", json.dumps(request))]
    done = subprocess.run(
        our_command(arch, [*options, *lines], release), capture_output=True, text=True, env=OUR_ENVIRONMENT, check=True
    )
    return [json.loads(line)["return"] for line in done.stdout.splitlines()]


def without(value: Any, *names: str) -> Any:
    """A value with members of these names left out everywhere."""
    if isinstance(value, dict):
        return {name: without(each, *names) for name, each in value.items() if name not in names}
    return [without(each, *names) for each in value] if isinstance(value, list) else value


def in_order(value: Any) -> Any:
    """Trees and views in an order of their own: that of QEMU's address spaces is another at every start."""
    if isinstance(value, list):
        return sorted(({**view, "address-spaces": by_name(view["address-spaces"])} for view in value), key=str)
    spaces = [{**space, "names": sorted(space["names"])} for space in value["address-spaces"]]
    return {**value, "address-spaces": sorted(spaces, key=str), "regions": sorted(value["regions"], key=str)}


def by_name(spaces: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(spaces, key=lambda space: str(space["name"]))


QUERIES = ("query-mtree", "query-flatviews", "query-ramblocks", "query-numa", "query-map", "query-memslots")


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("machine", MACHINES)
def test_views_are_equal(machine: str, release: str) -> None:
    with running(machine, release) as (address, _), attached(address) as target:
        theirs = {query: asked(target, query) for query in QUERIES}
    own = dict(zip(QUERIES, ours(machine, release, *({"execute": query} for query in QUERIES)), strict=True))
    assert in_order(theirs["query-mtree"]) == in_order(own["query-mtree"])
    assert in_order(theirs["query-flatviews"]) == in_order(own["query-flatviews"])
    assert without(theirs["query-map"], "slot") == without(own["query-map"], "slot")
    table, own_table = theirs["query-memslots"], own["query-memslots"]
    assert table["derived"]
    # Of a size per target, both; which slots log dirty pages, and where the host has them, are QEMU's own matters.
    slots, own_slots = (
        sorted(without(each["slots"], "slot", "hva", "log-dirty"), key=lambda slot: slot["gpa"])
        for each in (table, own_table)
    )
    assert slots == own_slots
    assert table["max-memslot-size"] == own_table["max-memslot-size"]
    for node, own_node in zip(theirs["query-numa"], own["query-numa"], strict=True):
        assert node.items() <= own_node.items()
    blocks, own_blocks = theirs["query-ramblocks"], own["query-ramblocks"]
    for block, own_block in zip(blocks, own_blocks, strict=True):
        assert without(block, *OUR_OWN).items() <= own_block.items(), block["name"]


ADDRESSES = (0, 0xA0000, 0xC0000, 0xE8000, 0x100000, 0x40000000, 0x80000000, 0xFEE00000, 0xFFFF0000, 1 << 32, 1 << 40)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("machine", MACHINES)
def test_why_an_address_is_what_it_is(machine: str, release: str) -> None:
    with running(machine, release) as (address, _), attached(address) as target:
        theirs = [asked(target, "query-address", address=each) for each in ADDRESSES]
    requests: list[dict[str, Any]] = [
        {"execute": "query-address", "arguments": {"address": each}} for each in ADDRESSES
    ]
    for there, here in zip(theirs, ours(machine, release, *requests), strict=True):
        # Which alias before a ROM makes what is behind it read-only is not in QEMU's text.
        assert there.get("readonly-by", here.get("readonly-by")) == here.get("readonly-by")
        known = "host", "slot", "readonly-by"
        assert without(there, *known) == without(here, *known), hex(here["address"])
        if here["path"] and not any("alias" in step for step in here["path"]):
            assert there.get("readonly-by") == here.get("readonly-by")


@pytest.mark.parametrize("release", RELEASES)
def test_lines_are_the_text_of_what_the_query_returns(release: str) -> None:
    with running("pc", release) as (address, process), attached(address, pid=None) as target:
        assert said(target, "info map").count("backend m1") == 1
        assert "is pc.rom + 0x0 (rom)" in said(target, "why 0xc0000")
        text = said(target, "info memslots -v")
        assert text.startswith("derived from QEMU's flat view")
        assert process.pid
        hva = asked(target, "query-memslots")["slots"][0]["hva"]
        told = said(target, "gpa2hva 0").split()[-1]
        assert f"0x{hva:016x}" in text
        assert hva == int(told, 16)
        assert said(target, "info status") == "VM status: paused (prelaunch)\n"
        assert json.loads(said(target, "query-status"))["status"] == "prelaunch"
        assert said(target, "info map --qmp") == '{"execute": "query-map"}\n'


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("machine", MACHINES)
def test_the_same_command_line_makes_the_same(machine: str, release: str) -> None:
    arch, options = options_of(machine)
    line = " ".join((f"qemu-system-{arch}-{release}", *options))
    with running(machine, release) as (address, _), attached(address, command_line=line) as target:
        assert asked(target, "query-command-line-diff")["differences"] == []
        other = asked(target, "query-command-line-diff", **{"command-line": line.replace("-m ", "-m 32M -m ")})
        assert other["differences"] == []  # the last -m counts
        less = f"qemu-system-{arch}-{release} -M {options[1]} -m 512M"
        assert asked(target, "query-command-line-diff", **{"command-line": less})["differences"]


def test_whether_its_memory_fits_elsewhere() -> None:
    with running("pc", "7.2") as (address, _), attached(address) as target:
        arch, options = options_of("pc")
        same = f"info compat qemu-system-{arch}-7.2 {' '.join(options)}"
        assert said(target, same).startswith("pc-i440fx-7.2 (QEMU 7.2)  ->  pc-i440fx-7.2 (QEMU 7.2): yes")
        assert ": no" in said(target, "info compat -i qemu-system-x86_64-7.2 -M pc -m 1G")


def test_memory_of_the_process_is_looked_at() -> None:
    with (
        running("pc", "11.1", "-m", "256M,slots=4,maxmem=4G", "-mem-prealloc") as (address, process),
        attached(address, pid=process.pid) as target,
    ):
        slots = asked(target, "query-memslots", host=True)["slots"]
        ram = next(slot for slot in slots if slot["ramblock"] == "pc.ram")
        assert ram["host"]["present"] == ram["host"]["sampled"] > 0
        assert ram["mapping"]["start"] <= ram["hva"] <= ram["mapping"]["end"]
        found = asked(target, "query-address", address=0x100000)
        assert found["host"]["mapping"]["nodes"] == ram["host"]["nodes"]
        assert "whose mapping has pages on node" in said(target, "why 0x100000")


def test_a_process_that_may_not_be_looked_at() -> None:
    with running("pc", "7.2") as (address, _), attached(address, pid=1 << 30) as target:
        text = said(target, "info memslots -v")
        assert f"the memory of process {1 << 30} cannot be looked at" in text
        assert " ?\n" in text
        assert f"process {1 << 30} cannot be looked at" in said(target, "why 0")


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("machine", ["pc", "q35", "none"])
def test_derived_slots_are_where_kvm_has_its_own(machine: str, release: str) -> None:
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        pytest.skip("no /dev/kvm")
    with running(machine, release, "-accel", "kvm") as (address, _), attached(address) as target:
        if not asked(target, "query-kvm")["enabled"]:
            pytest.skip("this QEMU has no KVM")
        views, table = asked(target, "query-flatviews"), asked(target, "query-memslots")
    memory = next(view for view in views if any(space["name"] == "memory" for space in view["address-spaces"]))
    marked = [(each["start"], each["end"]) for each in memory["ranges"] if each["accelerated"]]
    slots = sorted((slot["gpa"], slot["gpa"] + slot["size"] - 1) for slot in table["slots"])
    assert table["accelerator"] == "kvm"
    assert slots == marked


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_a_guest_whose_firmware_has_run(machine: str, release: str) -> None:
    """The firmware switches areas below 1 MiB to RAM, and some of it to be read only: by which alias is found out."""
    with running(machine, release, "-cont") as (address, _), attached(address) as target:
        deadline = time.monotonic() + 60
        seen = before = None
        while not (seen and seen == before and any("rom): pc.ram" in line or "rom): n0" in line for line in seen)):
            assert time.monotonic() < deadline, "the firmware has not come so far"
            before, seen = seen, said(target, "info mtree -f").splitlines()
            time.sleep(1)
        machine_seen = target.worker.wait(target.views.seen())
        for space in machine_seen.spaces:
            assert space.root.name
            assert space.unexplained == 0, space.name
        found = asked(target, "query-address", address=0xF0000)
        assert found["range"]["readonly"]
        assert found["readonly-by"] == found["path"][1]["name"] == "pam-rom"
        found = asked(target, "query-address", address=0xE8000)
        assert not found["range"]["readonly"]
        assert found["path"][1]["name"] == "pam-ram"
