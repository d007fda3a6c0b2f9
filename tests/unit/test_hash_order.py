"""The order of QEMU's lists, as recorded from real QEMU 7.2 and 11.1 (`qom-list /objects`)."""

from __future__ import annotations

import pytest

from ramslot.vm.hash_order import HashOrder

CREATED = {
    "a b": "a b",
    "b a": "a b",
    "x y pc.ram": "x y pc.ram",
    "io0 pc.ram d0 d1 d2 d3 d4": "d4 d2 io0 d0 d3 d1 pc.ram",
}
"""What was created, and how it was listed."""

STEPS = (
    ("+c012 +a-mem3 -c012 +b2 +a02 +y_118 +x-mem12 -b2 -a02 -a-mem3", "y_118 x-mem12"),
    (
        "+x717 +b18 +b73 +a-mem1 +d_117 +c.ram18 +c77 +y02 +x.ram28 -c.ram18",
        "b73 c77 b18 a-mem1 x-mem12 d_117 y02 y_118 x717 x.ram28",
    ),
    (
        "-x-mem12 -c77 -d_117 -b73 +y24 +z710 +x.ram18 +a8 +y1 +c_118",
        "y1 z710 c_118 y24 b18 a-mem1 a8 x.ram18 y02 y_118 x717 x.ram28",
    ),
    (
        "+z.ram9 +y70 +c019 -y_118 -x.ram28 -y02 -y1 -c_118 +c026 +x722",
        "c026 y70 b18 y24 x.ram18 a-mem1 z710 c019 a8 x717 x722 z.ram9",
    ),
    (
        "+c_128 -y24 -a-mem1 -c_128 -c019 +b79 -y70 +x-mem10 +y-mem19 +y14",
        "y-mem19 c026 b18 x.ram18 x-mem10 b79 z710 a8 x717 y14 x722 z.ram9",
    ),
    (
        "+z_125 +d.ram12 -y-mem19 +b6 +a719 -x717 +x11 +a019 -x-mem10 +x715",
        "d.ram12 c026 b18 x.ram18 a019 x11 a719 b79 x715 z710 b6 a8 y14 x722 z.ram9 z_125",
    ),
    (
        "-x715 +d.ram15 -z.ram9 -x722 +d_15 +b-mem11 -b18 +c_127 -b6",
        "d.ram12 c026 x.ram18 b-mem11 a019 x11 a719 b79 d_15 z710 a8 c_127 d.ram15 y14 z_125",
    ),
)
"""`+` adds, `-` removes; then the list, of 7.2."""


@pytest.mark.parametrize("created", CREATED)
def test_created_in_order(created: str) -> None:
    order = HashOrder()
    for name in created.split():
        order.add(name)
    assert " ".join(order) == CREATED[created]


def test_a_history_of_adding_and_removing() -> None:
    order = HashOrder(frugal=True)
    for steps, listed in STEPS:
        for step in steps.split():
            (order.add if step[0] == "+" else order.remove)(step[1:])
        assert " ".join(order) == listed


@pytest.mark.parametrize(
    ("frugal", "listed"), [(False, "c y m1 e A_b compat_monitor0"), (True, "m1 c y A_b compat_monitor0 e")]
)
def test_the_room_of_a_table_that_is_cleaned(frugal: bool, listed: str) -> None:
    order = HashOrder(frugal=frugal)
    for step in ("compat_monitor0", "c", "e", "!z", "A_b", "!b", "!a", "y", "!mem.0", "m1"):
        if step[0] == "!":
            order.add_in_vain(step[1:])
        else:
            order.add(step)
    assert " ".join(order) == listed


def test_every_name_is_there_once() -> None:
    order = HashOrder()
    names = [f"object-{number}" for number in range(1000)]
    for name in names + names[::3]:
        order.add(name)
    for name in names[::2]:
        order.remove(name)
    assert sorted(order) == sorted(names[1::2])
    order.add("Grüße")
    assert "Grüße" in order
