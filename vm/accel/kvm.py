"""The memslot table in a real KVM: every slot of the table is registered with the kernel."""

from __future__ import annotations

import errno

from ..errors import VMError
from ..host import kvm
from ..sizes import size_to_str
from .memslots import Memslot, MemslotTable, slot_limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..host import Host
    from ..host.kvm_vcpu import DirtyRing

SHADOW_BYTES_PER_PAGE = 10
"""What KVM allocates for each page of a memslot when it shadows page tables: a reverse map and a write-track count."""

GFN_BYTES = 16
"""Bytes of a place in a dirty ring."""
LEAST_RING = 1024
"""What QEMU suggests as the least number of places."""

LARGE_METADATA = 64 << 20
"""Bytes of it that are worth a look at what the host has."""


class KVMMemslotTable(MemslotTable):
    """A table whose slots are the kernel's. Written pages are told by bitmaps or, with `ring_entries`, by rings."""

    def __init__(
        self, host: Host, device: kvm.KVM, vm: kvm.KVMVM, max_size: int, max_slots: int, ring_entries: int = 0
    ) -> None:
        super().__init__(host.page_size, max_size, max_slots)
        self._host = host
        self.device = device
        self.vm = vm
        self.ring_entries = ring_entries
        self.rings: list[DirtyRing] = []
        """One for each virtual CPU."""
        self.ring_pages = 0
        """How many pages the rings told of so far."""
        self.vcpu_stats: kvm.KVMStats | None = None
        """Of the first virtual CPU, once there is one."""
        self._harvest: set[tuple[int, int, int]] = set()
        """What was taken out of the rings and not yet told: address space, slot, page."""
        self._private: tuple[int, int, int] | None = None
        """Number, gpa and size of the slot that a running guest has for itself."""
        self._own_limit = max_slots
        self.has_smm = bool(vm.check_extension(kvm.KVM_CAP_X86_SMM)) and (
            vm.check_extension(kvm.KVM_CAP_MULTI_ADDRESS_SPACE) > 1
        )
        self._kernel_limit = device.check_extension(kvm.KVM_CAP_NR_MEMSLOTS) or 32
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

    # What the guest writes

    def collect(self, memslot: Memslot) -> Iterable[tuple[int, int]]:
        """Take the kernel's bitmap of a slot; with rings there is none."""
        if self.ring_entries:
            return ()
        try:
            bitmap = self.vm.get_dirty_log(memslot.slot, memslot.as_id, memslot.size, self.page_size)
        except OSError as error:
            raise VMError(f"kvm_get_dirty_log: slot {memslot.slot}: {error.strerror}") from None
        return ((0, int.from_bytes(bitmap, "little")),)

    def sync(self, memslots: Iterable[Memslot]) -> None:
        """Tell `on_dirty` what the logs hold; rings are emptied whatever slots are named. No guest may run."""
        if not self.ring_entries:
            super().sync(memslots)
            return
        self.empty_rings()
        if self._harvest:
            by_number = {(memslot.as_id, memslot.slot): memslot for memslot in self}
            for as_id, slot, page in self._harvest:
                memslot = by_number.get((as_id, slot))
                if memslot is not None:
                    self.on_dirty(memslot.block, memslot.offset // self.page_size + page, 1)
            self._harvest.clear()

    def empty_rings(self) -> None:
        """Take everything out of the rings, to be told later. On the guest's thread when a ring is full."""
        for ring in self.rings:
            found = list(ring.harvest())
            if found:
                self.ring_pages += len(found)
                self._harvest.update(found)
                self.vm.reset_dirty_rings()

    # The running guest's own slot

    def add_private(self, gpa: int, size: int, hva: int) -> None:
        """Register the slot of a guest's own code, with the highest number; raises `VMError`."""
        number = self._kernel_limit - 1
        if self.max_slots > number and self.max_slots - self.free > number:
            raise VMError("no memslot is free for the guest's code")
        try:
            self.vm.set_user_memory_region(number, 0, gpa, size, hva)
        except OSError as error:
            raise VMError(f"kvm_set_user_memory_region: the guest's code at {gpa:#x}: {error.strerror}") from None
        self._private = number, gpa, size
        self.max_slots = min(self.max_slots, number)

    def remove_private(self) -> None:
        """Delete that slot."""
        if self._private is not None:
            number, gpa, _ = self._private
            self.vm.set_user_memory_region(number, 0, gpa, 0, 0)
            self._private = None
            self.max_slots = self._own_limit

    def close(self) -> None:
        """Close the virtual machine, which drops its slots, and the device."""
        super().close()
        for ring in self.rings:
            ring.close()
        self.rings.clear()
        self.vm.close()
        self.device.close()

    def _set(self, memslot: Memslot, flags: int, size: int) -> None:
        try:
            self.vm.set_user_memory_region(memslot.slot, flags, memslot.gpa, size, memslot.hva, memslot.as_id)
        except OSError as error:
            from .refusal import refusal

            raise refusal(memslot, flags, size, error, self._explained(memslot, size, error.errno)) from None

    def _explained(self, memslot: Memslot, size: int, number: int | None) -> str | None:
        """Which rule KVM's refusal stands for, if that can be told."""
        from .refusal import broken_rule

        if self._private is not None and number == errno.EEXIST:
            _, gpa, length = self._private
            if gpa < memslot.gpa + size and memslot.gpa < gpa + length:
                return f"the running guest's own code is at {gpa:#x}; stop the guest first"
        return broken_rule(number, memslot, size, memslot.hva, self, self.page_size, self._kernel_limit)


def open_kvm_table(host: Host, max_size: int, max_slots: int | None, ring_entries: int = 0) -> KVMMemslotTable:
    """Open KVM and make an empty virtual machine in it; raises `VMError` if that fails, with nothing left open."""
    device = kvm.KVM(host)
    vm = None
    try:
        limit = slot_limit(max_slots, device.check_extension(kvm.KVM_CAP_NR_MEMSLOTS) or 32)
        vm = device.create_vm()
        if ring_entries:
            _enable_ring(vm, ring_entries)
        return KVMMemslotTable(host, device, vm, max_size, limit, ring_entries)
    except BaseException:
        if vm is not None:
            vm.close()
        device.close()
        raise


def _enable_ring(vm: kvm.KVMVM, entries: int) -> None:
    """Have rings of that many places, with QEMU's refusals."""
    most = vm.check_extension(kvm.KVM_CAP_DIRTY_LOG_RING_ACQ_REL) or vm.check_extension(kvm.KVM_CAP_DIRTY_LOG_RING)
    if entries * GFN_BYTES > most:
        raise VMError(
            f"KVM dirty ring size {entries} too big (maximum is {most // GFN_BYTES}).  Please use a smaller value."
        )
    try:
        vm.enable_dirty_ring(entries * GFN_BYTES)
    except OSError as error:
        raise VMError(
            f"Enabling of KVM dirty ring failed: {error.strerror}. Suggested minimum value is {LEAST_RING}."
        ) from None
