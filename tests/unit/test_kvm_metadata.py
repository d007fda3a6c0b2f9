"""What KVM would allocate for a slot is looked at before the kernel kills somebody for it."""

from __future__ import annotations

from typing import Any

import pytest

from ramslot.vm.accel import kvm as accel_kvm
from ramslot.vm.accel.memslots import Memslot
from ramslot.vm.errors import VMError
from ramslot.vm.host import kvm

TIB = 1 << 40


class PlainDevice:
    """A KVM that takes everything."""

    def __init__(self) -> None:
        self.slots: list[int] = []

    def check_extension(self, _capability: int) -> int:
        return 1

    def set_user_memory_region(self, slot: int, *_rest: Any) -> None:
        self.slots.append(slot)


class SmallHost:
    page_size = 4096
    available_memory = 4 << 30


class Block:
    class host:  # noqa: N801 - stands for an attribute
        address = 0


def table(device: Any) -> accel_kvm.KVMMemslotTable:
    return accel_kvm.KVMMemslotTable(SmallHost(), device, device, 8 * TIB, 100)  # type: ignore[arg-type]  # a stand-in


def slot(size: int) -> Memslot:
    return Memslot(0, 0, 0, size, Block(), 0, False, False)  # type: ignore[arg-type]  # a stand-in


def test_a_slot_beyond_the_hosts_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kvm, "uses_shadow_paging", lambda: True)
    device = PlainDevice()
    with pytest.raises(VMError, match=r"KVM needs 20 GiB of host memory .* 4 GiB are available") as caught:
        table(device).put(slot(8 * TIB))
    assert caught.value.hint is not None
    assert device.slots == []


@pytest.mark.parametrize(("shadow", "size"), [(True, TIB), (False, 8 * TIB)])
def test_other_slots_go_to_the_kernel(monkeypatch: pytest.MonkeyPatch, shadow: bool, size: int) -> None:
    monkeypatch.setattr(kvm, "uses_shadow_paging", lambda: shadow)
    device = PlainDevice()
    table(device).put(slot(size))
    assert device.slots == [0]
