"""The object tree: paths, links, names, typed properties, and errors in QEMU's words."""

from __future__ import annotations

import tracemalloc

import pytest

from ramslot.vm.errors import VMError
from ramslot.vm.memory.address_space import MemoryTopology
from ramslot.vm.object_tree import ObjectTree
from ramslot.vm.qom import (
    Container,
    Device,
    MemoryRegionObject,
    Property,
    QOMObject,
    take_bool,
    take_enum,
    take_int,
    take_str,
)


class Lamp(QOMObject):
    """An object with properties of its own."""

    type_name = "lamp"

    def __init__(self) -> None:
        super().__init__()
        self.lit = False
        self.friend: QOMObject | None = None

    def _set_lit(self, value: object) -> None:
        self.lit = take_bool("lit", value)

    properties = (
        Property("lit", "bool", lambda lamp: lamp.lit, _set_lit, "Whether it shines"),
        Property("friend", "link<lamp>", lambda lamp: lamp.friend.path if lamp.friend else ""),
    )


@pytest.fixture
def tree() -> ObjectTree:
    """`/objects` with two lamps, each of which has a `bulb`, and `/machine` with one more."""
    tree = ObjectTree()
    for name in ("left", "right"):
        tree.objects.add_child(name, Lamp()).add_child("bulb", Device("bulb"))
    tree.root.add_child("machine", Container()).add_child("lamp", Lamp())
    return tree


def test_paths(tree: ObjectTree) -> None:
    left = tree.resolve("/objects/left")
    assert (left.path, left.name, left.parent) == ("/objects/left", "left", tree.objects)
    assert tree.root.path == "/"
    assert tree.resolve("/") is tree.root
    assert tree.resolve("/objects//left/") is left
    assert tree.resolve("left") is left
    assert tree.resolve("left/bulb").path == "/objects/left/bulb"


@pytest.mark.parametrize(
    ("path", "text", "qmp_class"),
    [
        ("/objects/middle", "Device '/objects/middle' not found", "DeviceNotFound"),
        ("/left", "Device '/left' not found", "DeviceNotFound"),
        ("lit", "Device 'lit' not found", "DeviceNotFound"),
        ("bulb", "Path 'bulb' is ambiguous", "GenericError"),
        ("", "Path '' is ambiguous", "GenericError"),
    ],
)
def test_paths_that_lead_nowhere(tree: ObjectTree, path: str, text: str, qmp_class: str) -> None:
    with pytest.raises(VMError) as caught:
        tree.resolve(path)
    assert (str(caught.value), caught.value.qmp_class) == (text, qmp_class)


def test_links_are_ways_too(tree: ObjectTree) -> None:
    left, right = tree.resolve("left"), tree.resolve("right")
    assert isinstance(left, Lamp)
    with pytest.raises(VMError, match=r"^Device '/objects/left/friend' not found$"):
        tree.resolve("/objects/left/friend")
    left.friend = right
    assert tree.resolve("/objects/left/friend") is right
    assert tree.resolve("left/friend/bulb").path == "/objects/right/bulb"


def test_names_are_unique(tree: ObjectTree) -> None:
    for name in ("left", "type"):
        with pytest.raises(
            VMError, match=rf"^attempt to add duplicate property '{name}' to object \(type 'container'\)$"
        ):
            tree.objects.add_child(name, Lamp())
    tree.objects.remove_child("left")
    assert tree.objects.add_child("left", Lamp()).path == "/objects/left"


def test_numbered_names() -> None:
    node = Container()
    assert [node.add_child("device[*]", Device("x")).name for _ in range(3)] == ["device[0]", "device[1]", "device[2]"]
    node.remove_child("device[1]")
    assert node.add_child("device[*]", Device("x")).name == "device[1]"


def test_properties_are_read_and_written(tree: ObjectTree) -> None:
    lamp = tree.resolve("left")
    assert lamp.get("lit") is False
    lamp.set("lit", True)
    assert lamp.get("lit") is True
    assert (lamp.get("type"), lamp.get("bulb"), lamp.get("friend")) == ("lamp", "/objects/left/bulb", "")
    assert lamp.set_task("lit", False) is None
    assert lamp.get("lit") is False


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("lit", "on", "Invalid parameter type for 'lit', expected: boolean"),
        ("shade", 1, "Property 'lamp.shade' not found"),
        ("type", "lamp", "Property 'lamp.type' is not writable"),
        ("friend", "/objects/right", "Property 'lamp.friend' is not writable"),
        ("bulb", "x", "Property 'lamp.bulb' is not writable"),
    ],
)
def test_properties_that_cannot_be_set(tree: ObjectTree, name: str, value: object, text: str) -> None:
    with pytest.raises(VMError) as caught:
        tree.resolve("left").set(name, value)
    assert str(caught.value) == text


def test_a_property_that_is_not_there(tree: ObjectTree) -> None:
    with pytest.raises(VMError, match=r"^Property 'lamp\.shade' not found$"):
        tree.resolve("left").get("shade")


def test_properties_and_children_are_listed(tree: ObjectTree) -> None:
    listed = tree.resolve("left").list_properties()
    assert listed[0] == ("type", "string"), "the oldest ancestor first"
    assert set(listed[1:]) == {("lit", "bool"), ("friend", "link<lamp>"), ("bulb", "child<bulb>")}


def test_children_are_listed_in_qemus_order() -> None:
    tree = ObjectTree()
    for name in ("pc.ram", "d0", "d1", "d2", "d3", "d4"):
        tree.objects.add_child(name, Device("x"))
    assert [child.name for child in tree.objects.listed_children()] == ["d4", "d2", "d0", "d3", "d1", "pc.ram"]
    assert list(tree.objects.children) == ["pc.ram", "d0", "d1", "d2", "d3", "d4"], "as they were made"


def test_regions_appear_below_their_owner() -> None:
    """Names get QEMU's escapes, and a number always."""
    topology, tree = MemoryTopology(), ObjectTree()
    owner = tree.root.add_child("machine", Container())
    outer = owner.own_region(topology.container("/rom@etc/acpi[0]\\", 0x1000))
    inner = owner.own_region(topology.io("io", 16))
    owner.own_region(topology.io("io", 16))
    outer.add_subregion(0x100, inner, -1)
    assert list(owner.children) == ["\\x2from@etc\\x2facpi\\x5b0\\x5d\\x5c[0]", "io[0]", "io[1]"]
    shown = tree.resolve("/machine/io[0]")
    assert isinstance(shown, MemoryRegionObject)
    values = [shown.get(name) for name in ("type", "addr", "size", "priority", "container")]
    outer_path = "/machine/\\x2from@etc\\x2facpi\\x5b0\\x5d\\x5c[0]"
    assert values == ["memory-region", 0x100, 16, 0xFFFFFFFF, outer_path]
    assert tree.resolve("/machine/io[0]/container").path == outer_path
    assert tree.resolve("/machine/io[1]").get("container") == ""
    assert MemoryRegionObject(topology.container("all")).get("size") == (1 << 64) - 1


@pytest.mark.parametrize("path", ["io[0]", "container"])
def test_regions_are_found_by_their_names_alone(path: str) -> None:
    """Also those that came after objects were looked for, of which nobody has asked the owner's children."""
    topology, tree = MemoryTopology(), ObjectTree()
    owner = tree.root.add_child("machine", Container())
    assert tree.resolve("machine") is owner
    outer = owner.own_region(topology.container("io", 0x1000))
    outer.add_subregion(0, owner.own_region(topology.io("inner", 16)))
    found = tree.resolve(path)
    assert isinstance(found, MemoryRegionObject)
    assert found.path == "/machine/io[0]"


def test_nothing_is_kept_of_names_that_are_gone() -> None:
    tree = ObjectTree()

    def come_and_go(numbers: range) -> int:
        for number in numbers:
            tree.objects.add_child(f"m{number}", Device("x"))
            assert tree.resolve(f"m{number}").name == f"m{number}"
            tree.objects.remove_child(f"m{number}")
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = come_and_go(range(1000))
        assert come_and_go(range(1000, 3000)) - before < 2000 * 8
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "bits", "outcome"),
    [
        (7, 64, 7),
        (-1, 64, (1 << 64) - 1),
        (-(1 << 63), 64, 1 << 63),
        (-(1 << 63) - 1, 64, "Parameter 'n' expects uint"),
        (1 << 64, 64, "Parameter 'n' expects uint"),
        (1 << 32, 32, "Parameter 'n' expects uint"),
        (-1, 32, "Parameter 'n' expects uint"),
        (True, 32, "Parameter 'n' expects uint64"),
        (1.5, 32, "Parameter 'n' expects uint64"),
        ("7", 32, "Parameter 'n' expects uint64"),
    ],
)
def test_integers_from_outside(value: object, bits: int, outcome: int | str) -> None:
    if isinstance(outcome, int):
        assert take_int("n", value, "uint", bits) == outcome
        return
    with pytest.raises(VMError) as caught:
        take_int("n", value, "uint", bits)
    assert str(caught.value) == outcome


def test_other_values_from_outside() -> None:
    assert take_bool("b", True) is True
    assert take_str("s", "") == ""
    assert take_enum("e", "on", ("on", "off")) == "on"
    with pytest.raises(VMError, match=r"^Invalid parameter type for 'b', expected: boolean$"):
        take_bool("b", 1)
    with pytest.raises(VMError, match=r"^Invalid parameter type for 's', expected: string$"):
        take_str("s", None)
    with pytest.raises(VMError, match=r"^Parameter 'e' does not accept value 'auto'$"):
        take_enum("e", "auto", ("on", "off"))
