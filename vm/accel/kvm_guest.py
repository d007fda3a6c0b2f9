"""A guest in KVM: the few instructions it executes, the page tables it sees memory through, the CPU that does it.

The CPU is in long mode, so that one payload reaches memory below and above 4 GiB. It sees guest-physical memory through
a window of 1 GiB, which is moved between slices, at linear address 0; its own code is at `CODE_ADDRESS`. Code and page
tables are in a slot of their own, with the highest number there is, at an address that nothing else uses; it exists
only while a guest runs and is no guest memory for anybody else.
"""

from __future__ import annotations

import errno
import os
from struct import pack

from ..errors import VMError
from ..host import kvm_vcpu
from ..host.kvm import KVM_CAP_BINARY_STATS_FD
from ..host.kvm_vcpu import CPUID, KVMVCPU, DirtyRing
from .guest import LONGEST_SLICE, HostPageMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import Host, HostMemory
    from ..memory.address_space import AddressSpace
    from .guest_job import GuestJob
    from .kvm import KVMMemslotTable

PAGE = 4096
WINDOW = 1 << 30
"""Bytes of guest-physical memory that one page directory shows."""
NO_WINDOW = -WINDOW
LARGE_PAGE = 2 << 20
CODE_ADDRESS = 256 * WINDOW
"""Linear address of the private slot."""
PML4, POINTERS, WINDOW_DIRECTORY, CODE_DIRECTORY, CODE, PRIVATE_SIZE = range(0, 6 * PAGE, PAGE)
"""Where the pages of the private slot are in it."""
PRESENT, LARGE = 0x3, 0x83
"""A page table entry that is present and may be written; one of a large page."""
HIGHEST_BITS = 46
"""The private slot is below this many address bits, which all page tables of hosts reach."""

_NEW_WINDOW = "410f22d8"  # mov cr3, r8: forget translations of the window's old place
_NEXT = "4801f7"  # add rdi, rsi
_COUNT = "48ffc9"  # dec rcx
PAYLOADS = {
    #        mov [rdi], rax; ...; jnz to the first; hlt
    "write": _NEW_WINDOW + "488907" + _NEXT + _COUNT + "75f5" + "f4",
    #        mov [rdi], rdx; ...; add rdx, rsi; ...; jnz; hlt
    "pattern": _NEW_WINDOW + "488917" + _NEXT + "4801f2" + _COUNT + "75f2" + "f4",
    #        add rax, [rdi]; ...; jnz; hlt
    "read": _NEW_WINDOW + "480307" + _NEXT + _COUNT + "75f5" + "f4",
}
"""Machine code by mode. rdi: linear address, rsi: stride, rcx: count; rax: value, or sum; rdx: value of a pattern."""
PAYLOAD_SPACE = 64

MOST_EXITS = 128
"""Accesses that nothing answers in one slice: each takes long."""

FAILURES = {
    kvm_vcpu.EXIT_SHUTDOWN: "the CPU shut down (triple fault)",
    kvm_vcpu.EXIT_FAIL_ENTRY: "the CPU could not be entered",
    kvm_vcpu.EXIT_INTERNAL_ERROR: "KVM cannot execute the guest's code",
}


class KVMProcessor:
    """A virtual CPU that touches memory. Raises `VMError` where KVM's guests cannot execute its code."""

    def __init__(self, host: Host, table: KVMMemslotTable, space: AddressSpace) -> None:
        if not kvm_vcpu.supported():
            raise VMError("a guest in KVM needs an x86_64 host; use -accel sim")
        self._table = table
        self._space = space
        self._host = host
        self._private: HostMemory | None = None
        self._gpa = 0
        self._window = NO_WINDOW
        self._cpuid = CPUID(table.device)
        self.address_bits = self._cpuid.address_bits
        self._vcpu = KVMVCPU(table.device, table.vm, 0)
        self._most = LONGEST_SLICE
        """Accesses in one go."""
        try:
            self._vcpu.set_cpuid(self._cpuid)
            if table.ring_entries:
                # A KVM that emulates the guest's code may look whether the ring is full only now and then.
                self._most = table.ring_entries // 2
                table.rings.append(DirtyRing(self._vcpu, table.ring_entries, host.page_size))
            if table.device.check_extension(KVM_CAP_BINARY_STATS_FD):
                # To open them while the CPU runs would wait for it, and it for a page that we may have to bring.
                table.vcpu_stats = self._vcpu.open_stats()
        except OSError:
            self._vcpu.close()
            raise

    def begin(self) -> None:
        """Put code and page tables into a slot of their own, and the CPU into long mode; raises `VMError`."""
        self._gpa = self._free_address()
        self._window = NO_WINDOW
        try:
            memory = self._host.map_anonymous(PRIVATE_SIZE)
        except OSError as error:
            raise VMError(f"the guest's code has no memory: {error.strerror}") from None
        try:
            self._fill(memory)
            self._table.add_private(self._gpa, PRIVATE_SIZE, memory.address)
            self._private = memory
            self._vcpu.enter_long_mode(self._gpa + PML4)
        except BaseException as error:
            self.end()
            memory.close()
            if isinstance(error, OSError):
                raise VMError(f"the guest's CPU could not be set up: {error.strerror}") from None
            raise

    def end(self) -> None:
        """Delete that slot."""
        if self._private is not None:
            self._table.remove_private()
            self._private.close()
            self._private = None

    def run(self, job: GuestJob, gpa: int, count: int) -> int:
        """Accesses up to the end of the window."""
        private_end = self._gpa + PRIVATE_SIZE
        if self._gpa <= gpa < private_end:  # which is no memory for what the guest is to do
            count = min(count, -(-(private_end - gpa) // job.stride))
            for number in range(count):
                job.note_exit(gpa + number * job.stride)
            return count
        if gpa < self._gpa:
            count = min(count, -(-(self._gpa - gpa) // job.stride))
        window = gpa // LARGE_PAGE * LARGE_PAGE
        if not 0 <= gpa - self._window < WINDOW:
            self._move_window(window)
        linear = gpa - self._window
        count = min(count, -(-(WINDOW - linear) // job.stride), self._most)
        code = CODE_ADDRESS + CODE + PAYLOAD_SPACE * list(PAYLOADS).index(job.mode)
        first = job.sum if job.mode == "read" else job.value
        try:
            self._vcpu.set_registers(
                rip=code, rdi=linear, rsi=job.stride, rcx=count, rax=first, rdx=job.value + gpa & (1 << 64) - 1,
                r8=self._gpa + PML4,
            )  # fmt: skip
            count = self._run_to_halt(job, count)
            if self._table.rings:
                self._table.empty_rings()
            if job.mode == "read":
                job.sum = self._vcpu.register("rax")
        except OSError as error:
            if error.errno == errno.EFAULT:  # a kernel that lets the guest's page fault fail says so
                self._miss(self._window + self._vcpu.register("rdi"), error)
            raise VMError(f"the guest's CPU stopped near gpa {gpa:#x}: {error.strerror}") from None
        return count

    def close(self) -> None:
        """Give back the CPU, which stays in the VM; the slot goes with that."""
        if self._private is not None:
            self._private.close()
            self._private = None
        if self._table.vcpu_stats is not None:
            self._table.vcpu_stats.close()
            self._table.vcpu_stats = None
        self._vcpu.close()

    def _run_to_halt(self, job: GuestJob, count: int) -> int:
        """Make `count` accesses, or fewer if many are answered by nothing; returns how many were made."""
        exits = 0
        while (reason := self._vcpu.run()) != kvm_vcpu.EXIT_HLT:
            if reason == kvm_vcpu.EXIT_MMIO:
                gpa, _, writes = self._vcpu.mmio
                self._check_page(gpa, writes)
                job.note_exit(gpa)
                if not writes:
                    self._vcpu.answer_mmio()
                exits += 1
                if exits == MOST_EXITS:
                    self._vcpu.finish_access()
                    return count - self._vcpu.register("rcx") + 1  # this access is made, and not counted down yet
            elif reason == kvm_vcpu.EXIT_DIRTY_RING_FULL:
                self._table.empty_rings()
            elif reason != kvm_vcpu.EXIT_INTR:
                raise VMError(FAILURES.get(reason, f"KVM gave the unexpected exit reason {reason}"))
        return count

    def _check_page(self, gpa: int, writes: bool) -> None:
        """Raise `HostPageMissing` if a slot should have answered: a KVM may treat memory it cannot get as registers."""
        memslot = self._table.find(0, gpa)
        if memslot is not None and not (writes and memslot.readonly):
            self._vcpu.finish_access()
            self._miss(gpa, OSError(errno.EFAULT, os.strerror(errno.EFAULT)))

    def _miss(self, gpa: int, error: OSError) -> None:
        memslot = self._table.find(0, gpa)
        if memslot is not None:
            raise HostPageMissing(memslot, memslot.offset + gpa - memslot.gpa, error)

    def _fill(self, memory: HostMemory) -> None:
        """Page tables and code; the window is filled when it is first moved."""

        def entries(offset: int, *values: int) -> None:
            memory.write(offset, pack(f"<{len(values)}Q", *values))

        entries(PML4, self._gpa + POINTERS | PRESENT)
        entries(POINTERS, self._gpa + WINDOW_DIRECTORY | PRESENT)
        entries(POINTERS + 8 * (CODE_ADDRESS // WINDOW), self._gpa + CODE_DIRECTORY | PRESENT)
        entries(CODE_DIRECTORY, self._gpa | LARGE)
        for number, payload in enumerate(PAYLOADS.values()):
            memory.write(CODE + PAYLOAD_SPACE * number, bytes.fromhex(payload))

    def _move_window(self, gpa: int) -> None:
        assert self._private is not None
        addresses = range(gpa | LARGE, gpa + WINDOW | LARGE, LARGE_PAGE)
        self._private.write(WINDOW_DIRECTORY, pack("<512Q", *addresses))
        self._window = gpa

    def _free_address(self) -> int:
        """The highest place for the private slot where nothing is shown."""
        gpa = (1 << min(self.address_bits, HIGHEST_BITS)) - LARGE_PAGE
        for shown in reversed(self._space.view.ranges):
            if shown.end <= gpa:
                break
            if shown.start < gpa + LARGE_PAGE:
                gpa = (shown.start - LARGE_PAGE) // LARGE_PAGE * LARGE_PAGE
        if gpa < 0:
            raise VMError("no address is free for the guest's code")
        return gpa
