"""The memslot table in a real KVM: every slot of the table is registered with the kernel."""

from __future__ import annotations

from ..errors import VMError
from ..host import kvm
from ..sizes import size_to_str
from .memslots import Memslot, MemslotTable, refusal, slot_limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import Host


SHADOW_BYTES_PER_PAGE = 10
"""What KVM allocates for each page of a memslot when it shadows page tables: a reverse map and a write-track count."""

LARGE_METADATA = 64 << 20
"""Bytes of it that are worth a look at what the host has."""


class KVMMemslotTable(MemslotTable):
    """A table whose slots are the kernel's."""

    def __init__(self, host: Host, device: kvm.KVM, vm: kvm.KVMVM, max_size: int, max_slots: int) -> None:
        super().__init__(host.page_size, max_size, max_slots)
        self._host = host
        self._device = device
        self._vm = vm
        self._readonly_works = bool(device.check_extension(kvm.KVM_CAP_READONLY_MEM))

    def put(self, memslot: Memslot) -> None:
        """Register a slot, or change its flags."""
        self._check_metadata(memslot)
        flags = kvm.KVM_MEM_LOG_DIRTY_PAGES if memslot.log_dirty else 0
        if memslot.readonly and self._readonly_works:
            flags |= kvm.KVM_MEM_READONLY
        self._set(memslot, flags, memslot.size)

    def _check_metadata(self, memslot: Memslot) -> None:
        """Refuse a slot for which the kernel would have to allocate more than there is; it would kill processes
        first."""
        needed = memslot.size // self.page_size * SHADOW_BYTES_PER_PAGE
        if needed < LARGE_METADATA or not kvm.uses_shadow_paging():
            return
        available = self._host.available_memory
        if needed > available:
            raise VMError(
                f"KVM needs {size_to_str(needed)} of host memory to keep account of the {size_to_str(memslot.size)} at "
                f"gpa {memslot.gpa:#x} (it has no EPT or NPT here), and {size_to_str(available)} are available",
                hint="-accel sim keeps the same table without a kernel",
            )

    def take(self, memslot: Memslot) -> None:
        """Delete a slot: one of size zero, as the kernel's documentation has it."""
        self._set(memslot, 0, 0)

    def close(self) -> None:
        """Close the virtual machine, which drops its slots, and the device."""
        super().close()
        self._vm.close()
        self._device.close()

    def _set(self, memslot: Memslot, flags: int, size: int) -> None:
        try:
            self._vm.set_user_memory_region(memslot.slot, flags, memslot.gpa, size, memslot.hva, memslot.as_id)
        except OSError as error:
            raise refusal(memslot, flags, size, error.strerror or str(error)) from None


def open_kvm_table(host: Host, max_size: int, max_slots: int | None) -> KVMMemslotTable:
    """Open KVM and make an empty virtual machine in it; raises `VMError` if that fails, with nothing left open."""
    device = kvm.KVM(host)
    try:
        limit = slot_limit(max_slots, device.check_extension(kvm.KVM_CAP_NR_MEMSLOTS) or 32)
        vm = device.create_vm()
    except BaseException:
        device.close()
        raise
    return KVMMemslotTable(host, device, vm, max_size, limit)
