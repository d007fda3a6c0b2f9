"""One virtual CPU of KVM on x86_64, each method an ioctl or two, and the ring into which it logs the pages it writes.

What the CPU is to execute is not decided here. Imported only when a guest is to run.
"""

from __future__ import annotations

import os

from .kvm import KVM, KVMVM, Descriptor
from .libc import ffi, ioctl, lib, mmap, munmap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

EXIT_HLT: int = lib.KVM_EXIT_HLT
EXIT_MMIO: int = lib.KVM_EXIT_MMIO
EXIT_SHUTDOWN: int = lib.KVM_EXIT_SHUTDOWN
EXIT_FAIL_ENTRY: int = lib.KVM_EXIT_FAIL_ENTRY
EXIT_INTR: int = lib.KVM_EXIT_INTR
EXIT_INTERNAL_ERROR: int = lib.KVM_EXIT_INTERNAL_ERROR
EXIT_DIRTY_RING_FULL: int = lib.KVM_EXIT_DIRTY_RING_FULL

CPUID_ADDRESS_SIZES = 0x80000008
CODE_SEGMENT, DATA_SEGMENT = 11, 3
"""Types of segments: accessed code that may be read, accessed data that may be written."""
CR0 = 1 << 31 | 1 << 16 | 1 << 5 | 1 << 1 | 1
"""Paging, write protection also for the supervisor, native FPU errors, monitor coprocessor, protection."""
CR4_PAE = 1 << 5
EFER_LONG_MODE = 1 << 8 | 1 << 10
"""Enabled and active."""
MAX_CPUID_ENTRIES = 256
GFN_BYTES = 16


class CPUID:
    """What a processor says of itself, as KVM takes it; the entries are not to be looked at outside."""

    __slots__ = ("address_bits", "table")

    def __init__(self, device: KVM) -> None:
        """Ask KVM what it supports here. Raises OSError."""
        entry = ffi.sizeof("struct kvm_cpuid_entry2")
        self.table = ffi.new("char[]", 8 + MAX_CPUID_ENTRIES * entry)
        ffi.cast("uint32_t *", self.table)[0] = MAX_CPUID_ENTRIES
        ioctl(device.fd, "KVM_GET_SUPPORTED_CPUID", self.table)
        count = ffi.cast("uint32_t *", self.table)[0]
        entries = ffi.cast("struct kvm_cpuid_entry2 *", self.table + 8)
        self.address_bits = 36
        """How wide a guest-physical address is."""
        for number in range(count):
            if entries[number].function == CPUID_ADDRESS_SIZES:
                self.address_bits = entries[number].eax & 0xFF


class KVMVCPU(Descriptor):
    """A virtual CPU. It stays in its VM even after `close`, which gives back its descriptor and mappings."""

    __slots__ = ("_run", "_run_address", "_run_size")

    def __init__(self, device: KVM, vm: KVMVM, number: int) -> None:
        super().__init__(ioctl(vm.fd, "KVM_CREATE_VCPU", number))
        try:
            self._run_size = ioctl(device.fd, "KVM_GET_VCPU_MMAP_SIZE")
            self._run_address = mmap(0, self._run_size, lib.PROT_READ | lib.PROT_WRITE, lib.MAP_SHARED, self.fd)
        except OSError:
            super().close()
            raise
        self._run = ffi.cast("struct kvm_run *", self._run_address)

    def set_cpuid(self, cpuid: CPUID) -> None:
        """Say what the CPU can do. Raises OSError."""
        ioctl(self.fd, "KVM_SET_CPUID2", cpuid.table)

    def enter_long_mode(self, page_tables: int) -> None:
        """Let the CPU be in 64-bit mode, as a supervisor without interrupts; the top of its page tables is at that gpa.

        Raises OSError.
        """
        special = ffi.new("struct kvm_sregs *")
        ioctl(self.fd, "KVM_GET_SREGS", special)
        for name in ("cs", "ds", "es", "fs", "gs", "ss"):
            code = name == "cs"
            segment = getattr(special, name)
            segment.base, segment.limit, segment.selector = 0, 0xFFFFFFFF, 8 if code else 16
            segment.type = CODE_SEGMENT if code else DATA_SEGMENT
            segment.present, segment.dpl, segment.s, segment.g, segment.unusable = 1, 0, 1, 1, 0
            segment.l, segment.db = (1, 0) if code else (0, 1)
        special.cr0, special.cr3, special.cr4, special.efer = CR0, page_tables, CR4_PAE, EFER_LONG_MODE
        ioctl(self.fd, "KVM_SET_SREGS", special)

    def set_registers(self, **values: int) -> None:
        """Set all general registers; those that are not named are 0. Raises OSError."""
        ioctl(self.fd, "KVM_SET_REGS", ffi.new("struct kvm_regs *", {"rflags": 2, **values}))

    def register(self, name: str) -> int:
        """Return one general register. Raises OSError."""
        registers = ffi.new("struct kvm_regs *")
        ioctl(self.fd, "KVM_GET_REGS", registers)
        return int(getattr(registers, name))

    def run(self) -> int:
        """Run the CPU until it leaves for a reason, a `KVM_EXIT_*`, which is returned. Other threads run meanwhile.

        Raises OSError, EFAULT when memory of a slot cannot be had.
        """
        try:
            ioctl(self.fd, "KVM_RUN")
        except InterruptedError:
            return EXIT_INTR
        return int(self._run.exit_reason)

    @property
    def mmio(self) -> tuple[int, int, bool]:
        """Address, length and direction (whether it writes) of the access that has no memory, after EXIT_MMIO."""
        access = self._run.mmio
        return int(access.phys_addr), int(access.len), bool(access.is_write)

    def answer_mmio(self) -> None:
        """Let the read that has no memory find zeros."""
        ffi.memmove(self._run.mmio.data, bytes(8), 8)

    def finish_access(self) -> None:
        """Complete the access that EXIT_MMIO told of, and execute nothing further. Raises OSError."""
        self._run.immediate_exit = 1
        try:
            self.run()
        finally:
            self._run.immediate_exit = 0

    def close(self) -> None:
        """Unmap and close; a second time does nothing."""
        if self.fd >= 0:
            munmap(self._run_address, self._run_size)
        super().close()


class DirtyRing:
    """The pages that one CPU has written, as KVM tells them: a ring of `entries` places, in memory shared with it."""

    __slots__ = ("_address", "_entries", "_gfns", "_next")

    def __init__(self, vcpu: KVMVCPU, entries: int, page_size: int) -> None:
        self._entries = entries
        self._next = 0
        protection, offset = lib.PROT_READ | lib.PROT_WRITE, lib.KVM_DIRTY_LOG_PAGE_OFFSET * page_size
        self._address = mmap(0, entries * GFN_BYTES, protection, lib.MAP_SHARED, vcpu.fd, offset)
        self._gfns = ffi.cast("struct kvm_dirty_gfn *", self._address)

    def harvest(self) -> Iterator[tuple[int, int, int]]:
        """Take out what is in the ring: address-space id, slot and number of the page within the slot.

        The CPU must not run meanwhile. `KVMVM.reset_dirty_rings` gives the places back to the kernel afterwards.
        """
        while True:
            gfn = self._gfns[self._next % self._entries]
            if not gfn.flags & lib.KVM_DIRTY_GFN_F_DIRTY:
                return
            slot, page = gfn.slot, gfn.offset
            gfn.flags = lib.KVM_DIRTY_GFN_F_RESET
            self._next += 1
            yield slot >> 16, slot & 0xFFFF, page

    def close(self) -> None:
        """Unmap it."""
        munmap(self._address, self._entries * GFN_BYTES)


def supported() -> bool:
    """Whether a guest can run here: its code is that of x86_64."""
    return os.uname().machine == "x86_64"
