"""Why KVM refuses a slot, told from the table alone."""

from __future__ import annotations

import errno

import pytest

from ramslot.vm.accel.memslots import Memslot
from ramslot.vm.accel.refusal import broken_rule

MIB = 1 << 20


class Block:
    name = "m"

    class host:  # noqa: N801 - stands for an attribute
        address = 1 << 40


def slot(number: int, gpa: int, size: int, offset: int = 0, *, readonly: bool = False, as_id: int = 0) -> Memslot:
    return Memslot(number, as_id, gpa, size, BLOCK, offset, readonly, False)  # type: ignore[arg-type]  # a stand-in


BLOCK = Block()
HELD = [slot(0, 0, MIB), slot(1, 2 * MIB, MIB, readonly=True), slot(7, 8 * MIB, MIB, as_id=1)]


def explain(number: int | None, wanted: Memslot, size: int | None = None, hva: int = 1 << 40) -> str | None:
    return broken_rule(number, wanted, wanted.size if size is None else size, hva, HELD, 4096, 100)


@pytest.mark.parametrize(
    ("number", "wanted", "text"),
    [
        (errno.EEXIST, slot(2, MIB // 2, MIB), "it overlaps slot 0 (0x0-0xfffff)"),
        (errno.EEXIST, slot(2, 2 * MIB + 4096, 4096), "it overlaps slot 1 (0x200000-0x2fffff)"),
        (errno.EEXIST, slot(2, 8 * MIB, MIB), "it overlaps a slot that is not in the table"),
        (errno.EEXIST, slot(2, 8 * MIB, MIB, as_id=1), "it overlaps slot 7 (0x800000-0x8fffff)"),
        (errno.EINVAL, slot(2, 4 * MIB + 1, MIB), "gpa 0x400001 is not a multiple of the page size 0x1000"),
        (errno.EINVAL, slot(2, 4 * MIB, MIB + 5), "size 0x100005 is not a multiple of the page size 0x1000"),
        (errno.EINVAL, slot(100, 4 * MIB, MIB), "slot 100 is beyond the last, 99"),
        (errno.EINVAL, slot(2, (1 << 64) - MIB, 2 * MIB), "it ends beyond the last address"),
        (errno.EINVAL, slot(0, 0, 2 * MIB), "slot 0 exists (0x0-0xfffff) and cannot change its size 0x100000"),
        (
            errno.EINVAL,
            slot(0, 0, MIB, readonly=True),
            "slot 0 exists (0x0-0xfffff) and cannot change its protection against writes",
        ),
        (errno.EINVAL, slot(0, 0, MIB, 4096), "slot 0 exists (0x0-0xfffff) and cannot change its host memory"),
        (errno.EINVAL, slot(2, 4 * MIB, MIB), None),
        (errno.ENOMEM, slot(2, 4 * MIB, MIB), "the host has no memory to keep account of it"),
        (errno.EPERM, slot(2, 4 * MIB, MIB), None),
        (None, slot(2, 4 * MIB, MIB), None),
    ],
)
def test_rules(number: int | None, wanted: Memslot, text: str | None) -> None:
    assert explain(number, wanted) == text


def test_memory_that_is_not_at_a_page() -> None:
    assert explain(errno.EINVAL, slot(2, 4 * MIB, MIB), hva=5) == "hva 0x5 is not a multiple of the page size 0x1000"


def test_a_slot_that_is_deleted_without_being_there() -> None:
    assert explain(errno.EINVAL, slot(2, 4 * MIB, MIB), size=0) == "there is no such slot"
