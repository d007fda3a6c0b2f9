"""The statistics that the kernel keeps of a virtual machine and its CPUs: what they are, and what they are now.

Source: "KVM_GET_STATS_FD" in the kernel's Documentation/virt/kvm/api.rst. In which order and words they are told is
the command's matter.
"""

from __future__ import annotations

from struct import calcsize, unpack_from

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host.kvm import KVM, Descriptor
    from . import Accelerator
    from .kvm import KVMMemslotTable

HEADER = "=6I"
"""Flags, bytes of a name, number of descriptors, where the id is, where the descriptors and the values are."""
DESCRIPTOR = "=IhHII"
"""Flags, exponent, number of values, where they are among the values, size of a bucket; the name is behind it."""

TYPES = ("cumulative", "instant", "peak", "linear-histogram", "log2-histogram")
UNITS = (None, "bytes", "seconds", "cycles", "boolean")
BASES = (10, 2)
"""By what the flags say in their bits 0-3, 4-7 and 8-11."""


class Statistic:
    """One thing that is counted: in `unit` times `base` to the power of `exponent`, if it is in a unit."""

    __slots__ = ("base", "bucket_size", "exponent", "name", "type", "unit", "values")

    def __init__(
        self, name: str, type_: str, unit: str | None, base: int, exponent: int, bucket_size: int, values: list[int]
    ) -> None:
        self.name = name
        self.type = type_
        self.unit = unit
        self.base = base
        self.exponent = exponent
        self.bucket_size = bucket_size
        """How much a bucket of a linear histogram covers."""
        self.values = values
        """One, or those of a histogram's buckets, the lowest first."""


def decode(data: bytes) -> list[Statistic]:
    """Return what a file of statistics tells, in its order, less what has a type, unit or base not known here."""
    _, name_size, count, _, descriptors, values = unpack_from(HEADER, data)
    length = calcsize(DESCRIPTOR) + name_size
    found = []
    for start in range(descriptors, descriptors + count * length, length):
        flags, exponent, size, offset, bucket_size = unpack_from(DESCRIPTOR, data, start)
        type_, unit, base = flags & 0xF, flags >> 4 & 0xF, flags >> 8 & 0xF
        if type_ < len(TYPES) and unit < len(UNITS) and base < len(BASES):
            name = data[start + calcsize(DESCRIPTOR) : start + length].partition(b"\0")[0].decode()
            numbers = list(unpack_from(f"={size}Q", data, values + offset))
            found.append(Statistic(name, TYPES[type_], UNITS[unit], BASES[base], exponent, bucket_size, numbers))
    return found


def vm_statistics(accelerator: Accelerator) -> list[Statistic]:
    """Return those of the virtual machine; none without KVM. Raises `VMError`."""
    table = _table_with_stats(accelerator)
    return _read_once(table.vm) if table is not None else []


def vcpu_statistics(accelerator: Accelerator) -> list[Statistic]:
    """Return those of the virtual CPU, which there is from the first guest on. Raises `VMError`."""
    table = _table_with_stats(accelerator)
    if table is None or table.vcpu_stats is None:
        return []
    try:
        return decode(table.vcpu_stats.read())
    except OSError as error:
        raise VMError(f"KVM stats: read failed: {error.strerror}") from None


def vcpu_kinds(accelerator: Accelerator) -> list[Statistic]:
    """Return what is counted of a virtual CPU, whether there is one or not. Raises `VMError`."""
    table = _table_with_stats(accelerator)
    if table is None:
        return []
    return vcpu_statistics(accelerator) if table.vcpu_stats is not None else _kinds_of_another(table.device)


def _kinds_of_another(device: KVM) -> list[Statistic]:
    """What a CPU of another virtual machine tells, for it would stay in ours."""
    vm = device.create_vm()
    try:
        vcpu = vm.create_vcpu(0)
        try:
            return _read_once(vcpu)
        finally:
            vcpu.close()
    except OSError as error:
        raise VMError(f"KVM gave no virtual CPU: {error.strerror}") from None
    finally:
        vm.close()


def _read_once(descriptor: Descriptor) -> list[Statistic]:
    """Open, read and close."""
    try:
        stats = descriptor.open_stats()
    except OSError as error:
        raise VMError(f"KVM stats: ioctl failed: {error.strerror}") from None
    try:
        return decode(stats.read())
    except OSError as error:
        raise VMError(f"KVM stats: read failed: {error.strerror}") from None
    finally:
        stats.close()


def _table_with_stats(accelerator: Accelerator) -> KVMMemslotTable | None:
    """The table whose kernel keeps statistics."""
    if not accelerator.in_kernel:
        return None
    from ..host.kvm import KVM_CAP_BINARY_STATS_FD
    from .kvm import KVMMemslotTable

    assert isinstance(accelerator.slots, KVMMemslotTable)
    return accelerator.slots if accelerator.slots.device.check_extension(KVM_CAP_BINARY_STATS_FD) else None
