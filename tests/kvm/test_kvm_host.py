"""Real slots in /dev/kvm, one ioctl at a time."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

import pytest

from ramslot.vm.host import HostMemory
from ramslot.vm.host.kvm import (
    KVM,
    KVM_CAP_MULTI_ADDRESS_SPACE,
    KVM_CAP_NR_MEMSLOTS,
    KVM_CAP_READONLY_MEM,
    KVM_CAP_SYNC_MMU,
    KVM_CAP_USER_MEMORY,
    KVM_MEM_LOG_DIRTY_PAGES,
    KVM_MEM_READONLY,
    KVMVM,
    KVMError,
)
from ramslot.vm.host.linux import LinuxHost

MIB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")

try:
    KVM(LinuxHost()).close()
except KVMError as error:
    pytestmark = pytest.mark.skip(reason=error.reason)


@pytest.fixture
def kvm() -> Iterator[KVM]:
    before = os.listdir("/proc/self/fd")
    kvm = KVM(LinuxHost())
    yield kvm
    kvm.close()
    assert os.listdir("/proc/self/fd") == before


@pytest.fixture
def vm(kvm: KVM) -> Iterator[KVMVM]:
    vm = kvm.create_vm()
    yield vm
    vm.close()


@pytest.fixture
def memory() -> Iterator[HostMemory]:
    memory = LinuxHost().map_anonymous(16 * MIB)
    yield memory
    memory.close()


def refusal(vm: KVMVM, slot: int, flags: int, gpa: int, size: int, hva: int, as_id: int = 0) -> int | None:
    with pytest.raises(OSError) as caught:
        vm.set_user_memory_region(slot, flags, gpa, size, hva, as_id)
    assert caught.value.strerror == os.strerror(caught.value.errno or 0)
    return caught.value.errno


def test_device(kvm: KVM) -> None:
    assert kvm.api_version() == 12
    assert kvm.check_extension(KVM_CAP_USER_MEMORY) == 1
    assert kvm.check_extension(KVM_CAP_NR_MEMSLOTS) >= 32
    assert kvm.check_extension(KVM_CAP_SYNC_MMU) == 1
    assert kvm.check_extension(1 << 30) == 0


def test_descriptors_are_not_inherited_and_close_once(kvm: KVM) -> None:
    vm = kvm.create_vm()
    assert not os.get_inheritable(kvm.fd)
    assert not os.get_inheritable(vm.fd)
    vm.close()
    vm.close()
    assert vm.fd == -1


def test_unknown_kind_of_machine_is_refused(kvm: KVM) -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(KVMError) as caught:
        kvm.create_vm(1 << 20)
    assert caught.value.reason == "ioctl(KVM_CREATE_VM) failed: 22 Invalid argument"
    assert str(caught.value) == "failed to initialize kvm: Invalid argument"
    assert os.listdir("/proc/self/fd") == before


def test_slots(vm: KVMVM, memory: HostMemory) -> None:
    hva = memory.address
    vm.set_user_memory_region(0, 0, 0, 4 * MIB, hva)
    vm.set_user_memory_region(1, 0, 4 * MIB, 4 * MIB, hva + 4 * MIB)
    assert refusal(vm, 2, 0, 6 * MIB, 4 * MIB, hva + 8 * MIB) == errno.EEXIST
    assert refusal(vm, 2, 0, 0, PAGE, hva + 8 * MIB) == errno.EEXIST
    vm.set_user_memory_region(1, 0, 0, 0, 0)
    vm.set_user_memory_region(2, 0, 6 * MIB, 4 * MIB, hva + 8 * MIB)
    assert refusal(vm, 2, 0, 6 * MIB, 2 * MIB, hva + 8 * MIB) == errno.EINVAL
    vm.set_user_memory_region(2, 0, 32 * MIB, 4 * MIB, hva + 8 * MIB)
    vm.set_user_memory_region(3, 0, 6 * MIB, 4 * MIB, hva)


def test_the_older_request_does_the_same(vm: KVMVM, memory: HostMemory) -> None:
    vm._request, vm._number = "KVM_SET_USER_MEMORY_REGION", 0x4020AE46
    test_slots(vm, memory)


def test_two_slots_may_show_the_same_memory(vm: KVMVM, memory: HostMemory) -> None:
    vm.set_user_memory_region(0, 0, 0, MIB, memory.address)
    vm.set_user_memory_region(1, 0, MIB, MIB, memory.address)


def test_readonly_slot(kvm: KVM, vm: KVMVM, memory: HostMemory) -> None:
    if not kvm.check_extension(KVM_CAP_READONLY_MEM):
        pytest.skip("this KVM has no read-only memory")
    vm.set_user_memory_region(0, KVM_MEM_READONLY, 0, MIB, memory.address)
    assert refusal(vm, 0, 0, 0, MIB, memory.address) == errno.EINVAL
    vm.set_user_memory_region(0, 0, 0, 0, 0)
    vm.set_user_memory_region(0, 0, 0, MIB, memory.address)


@pytest.mark.parametrize(
    ("flags", "gpa", "size", "hva"), [(0, 1, MIB, 0), (0, 0, MIB + 1, 0), (0, 0, MIB, 1), (1 << 20, 0, MIB, 0)]
)
def test_bad_slots_are_refused(vm: KVMVM, memory: HostMemory, flags: int, gpa: int, size: int, hva: int) -> None:
    assert refusal(vm, 0, flags, gpa, size, memory.address + hva) == errno.EINVAL


def test_limits(kvm: KVM, vm: KVMVM, memory: HostMemory) -> None:
    slots = kvm.check_extension(KVM_CAP_NR_MEMSLOTS)
    vm.set_user_memory_region(slots - 1, 0, 0, MIB, memory.address)
    assert refusal(vm, 0xFFFF, 0, MIB, MIB, memory.address) == errno.EINVAL
    spaces = max(vm.check_extension(KVM_CAP_MULTI_ADDRESS_SPACE), 1)
    assert refusal(vm, 0, 0, 0, MIB, memory.address, as_id=spaces) == errno.EINVAL


def test_error_names_the_slot(vm: KVMVM, memory: HostMemory) -> None:
    with pytest.raises(OSError) as caught:
        vm.set_user_memory_region(5, 0, 0x1001, MIB, memory.address, as_id=0)
    (note,) = caught.value.__notes__
    assert note.startswith(f"ioctl({vm.fd:#x}, KVM_SET_USER_MEMORY_REGION")
    for field in ("slot=0x5", "guest_phys_addr=0x1001", "memory_size=0x100000", f"userspace_addr={memory.address:#x}"):
        assert field in note


@pytest.mark.parametrize("size", [PAGE, 64 * PAGE, 65 * PAGE, 16 * MIB])
def test_dirty_log_of_untouched_memory_is_empty(vm: KVMVM, memory: HostMemory, size: int) -> None:
    vm.set_user_memory_region(0, KVM_MEM_LOG_DIRTY_PAGES, 0, size, memory.address)
    memory.write(0, b"\1")  # only what the guest writes is logged
    assert vm.get_dirty_log(0, 0, size, PAGE) == bytes(-(-size // (64 * PAGE)) * 8)


def test_dirty_log_needs_a_slot_that_logs(vm: KVMVM, memory: HostMemory) -> None:
    vm.set_user_memory_region(0, 0, 0, MIB, memory.address)
    for slot in (0, 1):
        with pytest.raises(FileNotFoundError):
            vm.get_dirty_log(slot, 0, MIB, PAGE)
    vm.set_user_memory_region(0, KVM_MEM_LOG_DIRTY_PAGES, 0, MIB, memory.address)
    assert not any(vm.get_dirty_log(0, 0, MIB, PAGE))
