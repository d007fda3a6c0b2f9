"""Pictures of the map: what is in them, what two of them have different, and which cannot be had."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ramslot.commands import Context
from ramslot.commands.explain import explanation
from ramslot.commands.map import query_map
from ramslot.commands.pictures.axis import axis, bars
from ramslot.commands.pictures.chains import told
from ramslot.commands.pictures.comparison import compare
from ramslot.commands.pictures.document import document, side_of
from ramslot.commands.pictures.page import make_page
from ramslot.commands.pictures.svg import draw
from ramslot.commands.pictures.text import to_text
from ramslot.monitor.dispatch import execute, run_hmp_line
from ramslot.vm.config import Config
from ramslot.vm.devices.virtio_mem_proxy import VirtIOMemProxy
from ramslot.vm.errors import VMError
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.steps import run_now

MIB, GIB = 1 << 20, 1 << 30
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def make() -> Iterator[Callable[..., Context]]:
    """Make machines whose commands can be run; they are closed at the end."""
    machines: list[VirtualMachine] = []

    def start(machine_type: str = "pc", size: int = 6 * GIB, **fields: Any) -> Context:
        config = Config()
        config.machine_type, config.ram_size = machine_type, size
        for name, value in fields.items():
            setattr(config, name, value)
        machines.append(VirtualMachine(config))
        return Context(machines[-1], None)  # type: ignore[arg-type]  # no command here needs the program

    yield start
    for machine in machines:
        machine.close()


def hmp(context: Context, line: str) -> str:
    return run_now(run_hmp_line(context, line))


def save(context: Context, **arguments: str) -> None:
    assert execute(context, "save-map", arguments) == {}


def add_pieces(context: Context, count: int) -> None:
    """Let a guest see so many pieces of its RAM once more, far above it, with nothing between two of them."""
    topology, root = context.vm.topology, context.vm.machine.memory_space.root
    ram = context.vm.machine.memory_space.view.ranges[0].region
    with topology.transaction():
        for number in range(count):
            alias = topology.alias(f"piece{number}", ram, number * 0x10000, 0x8000)
            root.add_subregion((1 << 40) + number * 0x40000, alias)


def classes(tree: ElementTree.Element) -> list[str]:
    return [element.get("class", "") for element in tree.iter()]


def test_the_picture(make: Callable[..., Context], tmp_path: Path) -> None:
    context = make(accelerators=[("sim", {"max-memslot-size": str(256 * MIB)})])
    path = tmp_path / "a map.svg"
    assert hmp(context, f'info map --output "{path}"') == f"saved as {path}\n"
    tree = ElementTree.parse(path).getroot()
    bars = [element for element in tree.iter(f"{SVG}g") if element.find(f"{SVG}title") is not None]
    assert len(bars) == len(query_map(context, {}))
    assert [element.get("class") for element in bars].count("bar ram") == 3
    assert classes(tree).count("slot") == len(context.vm.accelerator.slots)
    texts = "".join(tree.itertext())
    assert "pc.ram @0xc0000000" in texts and "pc-i440fx-11.1, 6 GiB RAM" in texts
    assert "@media screen and (prefers-color-scheme: dark)" in texts


def test_a_picture_tells_why(make: Callable[..., Context], tmp_path: Path) -> None:
    context = make()
    save(context, filename=str(tmp_path / "m.svg"))
    titles = [element.text or "" for element in ElementTree.parse(tmp_path / "m.svg").iter(f"{SVG}title")]
    (title,) = (title for title in titles if title.startswith("0000000100000000-"))
    why = hmp(context, "why 0x100000000").replace(", not allocated yet", "")
    assert title.split("\n", 1)[1] == why.rstrip()


def test_many_slots_are_one_box(make: Callable[..., Context], tmp_path: Path) -> None:
    context = make("none", GIB, accelerators=[("sim", {"max-memslot-size": str(MIB)})])
    save(context, filename=str(tmp_path / "m.svg"))
    tree = ElementTree.parse(tmp_path / "m.svg").getroot()
    assert classes(tree).count("slot") == 1
    assert "1024 slots 0-1023" in "".join(tree.itertext())


def test_a_picture_that_cannot_be_saved(make: Callable[..., Context], tmp_path: Path) -> None:
    context = make("none", MIB)
    (tmp_path / "d.svg").mkdir()
    for name, reason in (
        (f"{tmp_path}/no/m.svg", "No such file or directory"),
        (f"{tmp_path}/d.svg", "Is a directory"),
    ):
        with pytest.raises(VMError, match=f"^cannot write '{name}': {reason}$"):
            save(context, filename=name)
    fifo = str(tmp_path / "fifo.svg")
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(VMError, match=r"it is no regular file$"):
        save(context, filename=fifo)
    os.close(reader)
    with pytest.raises(VMError, match=r"No such device or address$"):
        save(context, filename=fifo)
    with pytest.raises(VMError, match="embedded null"):
        save(context, filename="a\0b.svg")


@pytest.mark.parametrize("name", ["map", "map.png", "map.svg.gz", ".svg", "svg", ""])
def test_another_ending_is_refused(make: Callable[..., Context], tmp_path: Path, name: str) -> None:
    context, path = make("none", MIB), f"{tmp_path}/{name}"
    with pytest.raises(VMError, match=r"^cannot tell the kind of picture from '.*': expects a name that ends with"):
        save(context, filename=path)
    assert os.listdir(tmp_path) == []


def test_the_format_decides_where_it_is_given(make: Callable[..., Context], tmp_path: Path) -> None:
    context = make("none", MIB)
    for name in ("map", "map.svg"):
        save(context, filename=str(tmp_path / name), format="html")
        assert (tmp_path / name).read_text().startswith("<!doctype html>")
    save(context, filename=str(tmp_path / "MAP.SVG"))
    assert (tmp_path / "MAP.SVG").read_text().startswith("<svg")


def data_of(page: str) -> Any:
    """What another program takes out of a page."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_the_page_has_the_answers_in_it(make: Callable[..., Context]) -> None:
    context = make()
    whole = document([side_of(context)])
    found = data_of(make_page(whole))
    assert found == whole
    assert found["sides"][0]["map"] == query_map(context, {})


def test_names_stay_names(make: Callable[..., Context]) -> None:
    context = make("none", GIB)
    topology, root = context.vm.topology, context.vm.machine.memory_space.root
    name = "</script><script>alert(1)</script><!--&amp;\"'"
    with topology.transaction():
        root.add_subregion(8 * GIB, topology.io(name, MIB))
    whole = document([side_of(context)])
    page = make_page(whole)
    assert data_of(page) == whole and name not in page
    assert name in "".join(ElementTree.fromstring(draw(whole)).itertext())


MACHINES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("none", {"machine_options": {"ram-partition": "boot:256M+rest"}}),
    ("pc", {}),
    ("q35", {"accelerators": [("sim", {"max-memslot-size": str(MIB * 256)})]}),
    ("microvm", {}),
    ("isapc", {}),
    ("virt", {"target": "aarch64"}),
    ("pseries", {"target": "ppc64"}),
    ("s390-ccw-virtio", {"target": "s390x"}),
    ("sifive_u", {"target": "riscv64"}),
)


@pytest.mark.parametrize(("machine_type", "fields"), MACHINES, ids=[machine for machine, _ in MACHINES])
def test_what_is_behind_every_address(make: Callable[..., Context], machine_type: str, fields: dict[str, Any]) -> None:
    """What a picture has is what `query-address` answers, wherever one looks, but for pages."""
    context, random = make(machine_type, GIB, **fields), Random(1)
    side = side_of(context)
    places = [piece["start"] for piece in side["pieces"]] + [shown["start"] for shown in side["map"]]
    places += [slot["start"] for shown in side["map"] for slot in shown["slots"]]
    for place in places + [random.randrange(1 << random.randrange(1, 65)) for _ in range(200)]:
        for address in (place - 1, place, place + 1, place + random.randrange(1 << 20)):
            if 0 <= address < 1 << 64:
                answer = execute(context, "query-address", {"address": address})
                answer.get("host", {}).pop("node", None)
                assert told(side, address) == answer


def test_what_a_device_has_plugged_ends_somewhere(make: Callable[..., Context]) -> None:
    context = make("pc", GIB, max_ram_size=8 * GIB)
    vm = context.vm
    run_now(vm.objects.add({"qom-type": "memory-backend-ram", "id": "m", "size": 4 * GIB, "reserve": False}))
    vm.plugging.guest.follow("accept")
    arguments = {"driver": "virtio-mem-pci", "id": "v", "memdev": "m", "requested-size": GIB}
    assert isinstance(vm.plugging.add(arguments, hot=True), VirtIOMemProxy)
    side = side_of(context)
    (device,) = vm.memory_devices
    for address in (device.address, device.address + GIB - 1, device.address + GIB, device.address + 4 * GIB):
        answer = execute(context, "query-address", {"address": address})
        answer.get("host", {}).pop("node", None)
        assert told(side, address) == answer
    assert told(side, device.address + GIB - 1)["device"]["plugged"]
    assert not told(side, device.address + GIB)["device"]["plugged"]


def test_the_page_is_not_known(make: Callable[..., Context]) -> None:
    context = make("none", 64 * MIB, mem_prealloc=True)
    answer = execute(context, "query-address", {"address": 0})
    assert any("on node" in line for line in explanation(answer))
    assert not any("node" in line or "allocated" in line for line in explanation(answer, with_page=False))


def test_the_axis_is_to_scale(make: Callable[..., Context]) -> None:
    ranges = query_map(make("q35", 8 * GIB), {})
    along = axis([ranges])
    low, high = (shown for shown in ranges if shown["kind"] == "ram" and shown["start"] in (1 << 20, 1 << 32))
    heights = [along.top(shown["end"] + 1) - along.top(shown["start"]) for shown in (low, high)]
    assert heights[1] == pytest.approx(3 * heights[0], abs=1)
    for shown in ranges:
        height = along.top(shown["end"] + 1) - along.top(shown["start"])
        assert height == 1 if shown["kind"] == "hole" else height >= 1
    assert along.top(0) == 0 and along.top(1 << 64) == along.height


def test_the_same_address_is_on_the_same_height(make: Callable[..., Context]) -> None:
    maps = [query_map(make(name, size), {}) for name, size in (("pc", 3 * GIB), ("q35", 9 * GIB))]
    along = axis(maps)
    assert {shown["start"] for ranges in maps for shown in ranges} == set(along.starts)
    for ranges in maps:
        drawn = bars(ranges, along, 0.75)
        assert [bar.first for bar in drawn] == list(range(len(ranges)))
        assert [bar.top for bar in drawn] == [along.top(shown["start"]) for shown in ranges]


def test_ten_thousand_ranges(make: Callable[..., Context]) -> None:
    context = make("pc")
    before = len(query_map(context, {}))
    add_pieces(context, 10_000)
    whole = document([side_of(context)])
    assert len(whole["sides"][0]["map"]) == before + 20_000
    assert len(make_page(whole)) < 8 << 20
    picture = draw(whole)
    assert len(picture) < 1 << 20
    tree = ElementTree.fromstring(picture)
    drawn = [element for element in tree.iter(f"{SVG}g") if element.find(f"{SVG}title") is not None]
    assert 100 < len(drawn) < 1000 and float(tree.get("height", "0")) < 20_000
    assert "ranges: pc.ram" in picture


def test_12_tib_in_many_slots(make: Callable[..., Context]) -> None:
    small_slots = [("sim", {"max-memslot-size": str(512 * MIB)})]
    context = make("none", 12 << 40, accelerators=small_slots, host="nodes=8,memory=64T,overcommit=always")
    whole = document([side_of(context)])
    assert len(whole["sides"][0]["map"][0]["slots"]) == 24 * 1024
    assert len(make_page(whole)) < 4 << 20 and len(draw(whole)) < 100_000


# What differs


def differences(before: Context, after: Context) -> list[tuple[str, list[str]]]:
    """The name of what differs, and how."""
    maps = query_map(before, {}), query_map(after, {})
    return [
        (
            maps[0][change.before]["name"] if change.before is not None else maps[1][change.after or 0]["name"],
            change.kinds,
        )
        for change in compare(*maps)
    ]


def test_nothing_differs(make: Callable[..., Context]) -> None:
    assert differences(make(), make()) == []
    whole = document([side_of(make()), side_of(make())])
    assert whole["changes"] == [] and "Nothing differs" in draw(whole)
    assert to_text(whole).splitlines()[2:] == ["  ... 9 alike"]


def test_what_became_of_what(make: Callable[..., Context]) -> None:
    one, other = make("none", GIB), make("none", GIB)
    for context, devices in (
        (one, {"same": (8, MIB), "mover": (9, MIB), "grower": (10, MIB), "old": (11, MIB), "gone": (12, MIB)}),
        (other, {"same": (8, MIB), "mover": (14, MIB), "grower": (10, GIB), "young": (11, MIB), "new": (13, 3 * MIB)}),
    ):
        topology, root = context.vm.topology, context.vm.machine.memory_space.root
        with topology.transaction():
            for name, (address, size) in devices.items():
                root.add_subregion(address * GIB, topology.io(name, size))
    assert differences(one, other) == [
        ("mover", ["moved"]),
        ("grower", ["resized"]),
        ("old", ["name"]),
        ("gone", ["gone"]),
        ("new", ["new"]),
    ]
    whole = document([side_of(one), side_of(other)])
    text = to_text(whole)
    assert "moved from 0x240000000 to 0x380000000" in text and "resized from 1 MiB to 1 GiB" in text
    signs = {line[2:].split()[5]: line[0] for line in text.splitlines()[2:] if "..." not in line}
    assert signs == {"ram": " ", "same": " ", "mover": "~", "grower": "~", "young": "~", "gone": "-", "new": "+"}


def test_other_slots_and_other_backends(make: Callable[..., Context]) -> None:
    whole_slots = make("none", GIB)
    halves = make("none", GIB, accelerators=[("sim", {"max-memslot-size": str(512 * MIB)})])
    assert differences(whole_slots, halves) == [("ram", ["slots"])]
    (change,) = compare(query_map(whole_slots, {}), query_map(halves, {}))
    assert change.texts == ["slot 0 became slots 0, 1"]


def test_room_is_where_the_others_are_not(make: Callable[..., Context]) -> None:
    def plug(size: int, address: int) -> Context:
        context = make("pc", GIB, max_ram_size=8 * GIB, ram_slots=2)
        run_now(context.vm.objects.add({"qom-type": "memory-backend-ram", "id": "m", "size": size, "reserve": False}))
        context.vm.plugging.add({"driver": "pc-dimm", "id": "d", "memdev": "m", "addr": address}, hot=True)
        return context

    assert differences(plug(GIB, 4 * GIB), plug(GIB, 6 * GIB)) == [("m", ["moved"])]
    empty, roomy = (make("pc", GIB, max_ram_size=size * GIB, ram_slots=2) for size in (8, 9))
    assert differences(empty, roomy) == [("", ["resized"])]
    assert differences(make("pc", GIB), roomy) == [("", ["new"])]
    assert "room for memory devices" in to_text(document([side_of(make("pc", GIB)), side_of(roomy)]))


def test_a_renamed_backend_is_one_difference(make: Callable[..., Context]) -> None:
    named = [{"qom-type": "memory-backend-ram", "id": "m", "size": GIB}]
    renamed = make("none", GIB, machine_options={"memory-backend": "m"}, objects=named)
    (change,) = compare(query_map(make("none", GIB), {}), query_map(renamed, {}))
    assert change.texts == ["name ram became m"]


def test_both_pictures_mark_what_differs(make: Callable[..., Context]) -> None:
    whole = document([side_of(make("pc", 6 * GIB)), side_of(make("q35", 8 * GIB))])
    tree = ElementTree.fromstring(draw(whole))
    found = classes(tree)
    assert len(whole["changes"]) == sum(name.startswith("badge ") for name in found)
    assert found.count("tie change") == sum(change["kinds"][0] in ("resized", "moved") for change in whole["changes"])
    assert data_of(make_page(whole))["changes"] == whole["changes"]


def test_machines_of_one_name_are_told_apart(make: Callable[..., Context]) -> None:
    labels = [side["label"] for side in document([side_of(make()), side_of(make(qemu="10.0"))])["sides"]]
    assert labels == ["pc-i440fx-11.1, 6 GiB RAM", "pc-i440fx-10.0, 6 GiB RAM"]
    labels = [side["label"] for side in document([side_of(make()), side_of(make())])["sides"]]
    assert labels == ["pc-i440fx-11.1, 6 GiB RAM (A)", "pc-i440fx-11.1, 6 GiB RAM (B)"]
