"""What the kernel allocates for a memslot, by its own account, beside what `cost` says."""

from __future__ import annotations

import os

import pytest

from ramslot.vm.accel.cost import SlotCost
from ramslot.vm.host import kvm
from ramslot.vm.host.linux import LinuxHost

GIB = 1 << 30


def allocated() -> int:
    """Bytes that the kernel has allocated page by page."""
    with open("/proc/meminfo") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmallocUsed:"))


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the rules are those of x86")
@pytest.mark.skipif(not os.access("/dev/kvm", os.R_OK | os.W_OK), reason="no /dev/kvm")
@pytest.mark.parametrize("log_dirty", [False, True])
def test_the_kernel_allocates_what_is_said(log_dirty: bool) -> None:
    host = LinuxHost()
    cost = SlotCost()
    # Large enough to stand out against what others allocate meanwhile.
    size = (32 if kvm.uses_shadow_paging() else 1024) * GIB
    cost.add(0, size, log_dirty=log_dirty, x86=True, shadow=kvm.uses_shadow_paging())
    # Others allocate meanwhile: one undisturbed time is enough.
    found = [growth(host, size, log_dirty) for _ in range(10)]
    assert any(one == pytest.approx(cost.total, rel=0.02, abs=2 << 20) for one in found), (found, cost.total)


def growth(host: LinuxHost, size: int, log_dirty: bool) -> int:
    """What a slot of so many bytes makes the kernel allocate."""
    memory = host.map_anonymous(size, reserve=False)
    device = kvm.KVM(host)
    machine = device.create_vm()
    try:
        before = allocated()
        flags = kvm.KVM_MEM_LOG_DIRTY_PAGES if log_dirty else 0
        machine.set_user_memory_region(0, flags, 0, size, memory.address)
        return allocated() - before
    finally:
        machine.close()
        device.close()
        memory.close()
