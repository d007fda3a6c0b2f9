"""KVM: the device and the virtual machines made of it, each method one ioctl of the kernel's documented API.

Which slots there should be is not decided here: the accelerator keeps the table and this hands it to the kernel.
Imported only when a user asks for `-accel kvm`.
"""

from __future__ import annotations

import errno
import os

from ..errors import VMError
from .libc import check, ffi, ioctl, lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import Host

KVM_CAP_USER_MEMORY: int = lib.KVM_CAP_USER_MEMORY
KVM_CAP_NR_MEMSLOTS: int = lib.KVM_CAP_NR_MEMSLOTS
KVM_CAP_SYNC_MMU: int = lib.KVM_CAP_SYNC_MMU
KVM_CAP_READONLY_MEM: int = lib.KVM_CAP_READONLY_MEM
KVM_CAP_X86_SMM: int = lib.KVM_CAP_X86_SMM
KVM_CAP_MULTI_ADDRESS_SPACE: int = lib.KVM_CAP_MULTI_ADDRESS_SPACE

KVM_CAP_USER_MEMORY2: int = lib.KVM_CAP_USER_MEMORY2
KVM_CAP_DIRTY_LOG_RING: int = lib.KVM_CAP_DIRTY_LOG_RING
KVM_CAP_BINARY_STATS_FD: int = lib.KVM_CAP_BINARY_STATS_FD
KVM_CAP_DIRTY_LOG_RING_ACQ_REL: int = lib.KVM_CAP_DIRTY_LOG_RING_ACQ_REL

KVM_MEM_LOG_DIRTY_PAGES: int = lib.KVM_MEM_LOG_DIRTY_PAGES
KVM_MEM_READONLY: int = lib.KVM_MEM_READONLY

STATS_PIECE = 1 << 16
"""Bytes to read of statistics at once."""


def uses_shadow_paging() -> bool:
    """Whether KVM walks the guest's page tables in software here, for want of a second level in hardware (EPT, NPT).

    It then keeps an entry for every page of a memslot.
    """
    if os.uname().machine != "x86_64":
        return False
    for parameter in ("kvm_intel/parameters/ept", "kvm_amd/parameters/npt"):
        try:
            with open(f"/sys/module/{parameter}") as file:
                return file.read().strip() not in ("Y", "1")
        except OSError:
            continue
    return True


class KVMError(VMError):
    """KVM cannot be used. QEMU prints `reason` on a line of its own, without its name, and then the text."""

    def __init__(self, reason: str, number: int) -> None:
        super().__init__(f"failed to initialize kvm: {os.strerror(number)}")
        self.reason = reason
        self.errno = number


class Descriptor:
    """A file descriptor of KVM's. What holds further ones closes them itself."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def check_extension(self, capability: int) -> int:
        """Return what KVM says of a `KVM_CAP_*`: 0 when it is absent, otherwise 1 or a limit."""
        return ioctl(self.fd, "KVM_CHECK_EXTENSION", capability)

    def open_stats(self) -> KVMStats:
        """Open the statistics of a virtual machine or CPU; one of a running CPU is waited for till it leaves KVM_RUN.

        Raises OSError, ENOTTY where the kernel has none (before Linux 5.14).
        """
        return KVMStats(ioctl(self.fd, "KVM_GET_STATS_FD"))

    def close(self) -> None:
        """Close it; a second time does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class KVMStats(Descriptor):
    """The open statistics of a virtual machine or CPU, which it keeps alive until they are closed."""

    __slots__ = ()

    def read(self) -> bytes:
        """Return the whole file: a header, descriptors, and the values as they are now. Raises OSError."""
        found = b""
        while piece := os.pread(self.fd, STATS_PIECE, len(found)):
            found += piece
        return found


class KVM(Descriptor):
    """The open device. Raises `KVMError` when it cannot be opened or speaks another version of the API."""

    __slots__ = ()

    def __init__(self, host: Host) -> None:
        try:
            super().__init__(os.open(host.kvm_device, os.O_RDWR))
        except OSError as error:
            number = error.errno or errno.ENODEV
            raise KVMError(f"Could not access KVM kernel module: {os.strerror(number)}", number) from error
        try:
            self._check_version()
        except KVMError:
            self.close()
            raise

    def _check_version(self) -> None:
        try:
            version = self.api_version()
        except OSError as error:
            raise KVMError("kvm version too old", error.errno or errno.EINVAL) from error
        if version != lib.KVM_API_VERSION:
            age = "too old" if version < lib.KVM_API_VERSION else "not supported"
            raise KVMError(f"kvm version {age}", errno.EINVAL)

    def api_version(self) -> int:
        """Return the version of the API, which has been 12 ever since Linux 2.6.22."""
        return ioctl(self.fd, "KVM_GET_API_VERSION")

    def create_vm(self, kind: int = 0) -> KVMVM:
        """Create a virtual machine without memory; the meaning of `kind` is the architecture's. Raises `KVMError`."""
        while True:
            try:
                return KVMVM(ioctl(self.fd, "KVM_CREATE_VM", kind))
            except OSError as error:
                number = error.errno or errno.EINVAL
                if number != errno.EINTR:
                    text = f"ioctl(KVM_CREATE_VM) failed: {number} {os.strerror(number)}"
                    raise KVMError(text, number) from error


class KVMVM(Descriptor):
    """One virtual machine in the kernel. Closing it drops its slots; the memory behind them must live till then."""

    __slots__ = ("_number", "_region", "_request")

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        # The newer request takes a longer struct that begins with the older one.
        self._region = ffi.new("struct kvm_userspace_memory_region2 *")
        newer = self.check_extension(KVM_CAP_USER_MEMORY2)
        self._request = "KVM_SET_USER_MEMORY_REGION2" if newer else "KVM_SET_USER_MEMORY_REGION"
        self._number: int = getattr(lib, self._request)

    def set_user_memory_region(self, slot: int, flags: int, gpa: int, size: int, hva: int, as_id: int = 0) -> None:
        """Register `size` bytes at `hva` as guest-physical memory at `gpa`, all page-aligned; size 0 deletes the slot.

        Raises OSError: EEXIST when it overlaps another slot of the address space, EINVAL for a slot, flag or alignment
        that KVM does not take, or a change of size of a slot that exists.
        """
        region = self._region
        region.slot = as_id << 16 | slot
        region.flags = flags
        region.guest_phys_addr = gpa
        region.memory_size = size
        region.userspace_addr = hva
        if lib.ioctl(self.fd, self._number, region):
            check(-1, "ioctl", self.fd, self._request, fields(region))

    def enable_dirty_ring(self, size: int) -> None:
        """Log written pages in a ring of `size` bytes for each CPU that is made from now on, instead of in bitmaps.

        Raises OSError, EINVAL for a size that KVM does not take.
        """
        if self.check_extension(KVM_CAP_DIRTY_LOG_RING_ACQ_REL):
            capability = KVM_CAP_DIRTY_LOG_RING_ACQ_REL
        else:
            capability = KVM_CAP_DIRTY_LOG_RING
        request = ffi.new("struct kvm_enable_cap *", {"cap": capability, "args": [size]})
        ioctl(self.fd, "KVM_ENABLE_CAP", request)

    def reset_dirty_rings(self) -> int:
        """Watch the pages that were taken out of the rings anew, and return how many there were."""
        return ioctl(self.fd, "KVM_RESET_DIRTY_RINGS")

    def create_vcpu(self, number: int) -> Descriptor:
        """Create a virtual CPU that is not to run; see `kvm_vcpu` for one that is. Raises OSError."""
        return Descriptor(ioctl(self.fd, "KVM_CREATE_VCPU", number))

    def get_dirty_log(self, slot: int, as_id: int, size: int, page_size: int) -> bytes:
        """Return and clear the dirty bitmap of a slot of `size` bytes that logs: a bit per page, lowest first.

        It is as long as the kernel's, whole 64-bit words. Raises OSError, ENOENT when the slot is absent or does not
        log.
        """
        pages = -(-size // page_size)
        bitmap = ffi.new("char[]", -(-pages // 64) * 8)
        log = ffi.new("struct kvm_dirty_log *", {"slot": as_id << 16 | slot, "dirty_bitmap": bitmap})
        ioctl(self.fd, "KVM_GET_DIRTY_LOG", log, fields(log))
        return bytes(ffi.buffer(bitmap))


def fields(struct: Any) -> str:
    """Show a struct in an error's note."""
    values = {name: getattr(struct, name) for name in dir(struct) if "pad" not in name}
    return "{" + ", ".join(f"{name}={int(ffi.cast('uint64_t', value)):#x}" for name, value in values.items()) + "}"
