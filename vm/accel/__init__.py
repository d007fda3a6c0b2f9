"""Accelerators: who holds the memslot table.

`memslots` keeps the table under the kernel's rules; `kvm` puts every slot into a real KVM as well. `sim` needs no
kernel. What a guest does to the memory is in `guest`, and who does it in `kvm_guest` and `sim_guest`.
"""

from __future__ import annotations

from ..errors import VMError
from .memslots import MemslotTable, slot_limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import Host
    from ..memory.address_space import AddressSpace
    from .guest import Processor

MAX_SLOTS = 32764
"""What KVM offers (KVM_CAP_NR_MEMSLOTS) on x86 and s390x."""
LARGEST_MEMSLOT = {"s390x": 4 << 40}
"""Largest memslot by target where it is not `LARGEST_MEMSLOT_PAGES`; s390x: 4 TiB."""
LARGEST_MEMSLOT_PAGES = (1 << 31) - 1
"""Largest memslot of KVM in pages (KVM_MEM_MAX_NR_PAGES)."""
HUGE_PAGE = 2 << 20


class Accelerator:
    """What runs the guest, as far as memory is concerned: a name and the table of memslots.

    `in_kernel` says that a kernel holds the slots, `follows` that there are slots at all (an emulator has none).
    """

    __slots__ = ("follows", "in_kernel", "name", "slots")

    def __init__(self, name: str, slots: MemslotTable, *, in_kernel: bool, follows: bool = True) -> None:
        self.name = name
        self.slots = slots
        self.in_kernel = in_kernel
        self.follows = follows

    @property
    def shadow_paging(self) -> bool:
        """Whether KVM keeps an entry for every page of a slot; a simulated one is of a host that does not."""
        if not self.in_kernel:
            return False
        from ..host.kvm import uses_shadow_paging

        return uses_shadow_paging()

    def close(self) -> None:
        """Give back what the kernel holds for the slots."""
        self.slots.close()


def default_max_memslot_size(target: str, page_size: int) -> int:
    """Size in bytes of the largest memslot for a target: KVM's limit, rounded down to huge pages."""
    limit = LARGEST_MEMSLOT.get(target)
    if limit is None:
        limit = LARGEST_MEMSLOT_PAGES * page_size // HUGE_PAGE * HUGE_PAGE
    return limit


def open_accelerator(
    name: str,
    host: Host,
    target: str,
    max_memslot_size: int | None,
    max_memslots: int | None,
    dirty_ring_size: int = 0,
) -> Accelerator:
    """The accelerator `name` (`kvm`, or `sim`); limits of None are the accelerator's own.

    `dirty_ring_size` is the number of places in a CPU's dirty ring, 0 for bitmaps; only `kvm` has rings. Raises
    `VMError` if it cannot be used here.
    """
    limits = host.memslot_limits
    largest = default_max_memslot_size(target, host.page_size)
    if limits.max_size is not None:
        largest = min(largest, limits.max_size)
    size = largest if max_memslot_size is None else max_memslot_size
    if size < host.page_size or size % host.page_size:
        least = "at least" if not size else "a multiple of"
        raise VMError(f"max-memslot-size {size:#x} must be {least} page size {host.page_size:#x}")
    if size > largest:
        raise VMError(f"max-memslot-size {size:#x} is more than the accelerator's {largest:#x}")
    if name == "kvm":
        from .kvm import open_kvm_table

        return Accelerator("kvm", open_kvm_table(host, size, max_memslots, dirty_ring_size), in_kernel=True)
    from .sim import SimMemslotTable

    slots = slot_limit(max_memslots, min(MAX_SLOTS, limits.max_slots or MAX_SLOTS))
    return Accelerator("sim", SimMemslotTable(host.page_size, size, slots, limits.phys_bits), in_kernel=False)


def emulator(name: str, host: Host) -> Accelerator:
    """An accelerator that has no slots."""
    return Accelerator(name, MemslotTable(host.page_size, 0, 0), in_kernel=False, follows=False)


def choose_accelerator(
    wanted: list[tuple[str, dict[str, str]]], host: Host, target: str, warnings: list[str], *, has_kvm: bool
) -> Accelerator:
    """The first of the accelerators that can be used; the simulated one if none is wanted. `has_kvm` says whether the
    target's QEMU has KVM.

    Raises `VMError` of the last; why the others cannot be used goes to `warnings`.
    """
    wanted = wanted or [("sim", {})]
    if host.described and has_kvm:
        wanted = [_simulated(name, options, warnings) for name, options in wanted]
    for position, (name, options) in enumerate(wanted):
        try:
            return _try_accelerator(name, options, host, target, has_kvm)
        except VMError as error:
            if position + 1 == len(wanted):
                raise
            reason = getattr(error, "reason", None)
            warnings += [reason] if reason else []
            warnings += [f"-accel {name}: {error}", f"falling back to {wanted[position + 1][0]}"]
    raise AssertionError("unreachable")


def _simulated(name: str, options: dict[str, str], warnings: list[str]) -> tuple[str, dict[str, str]]:
    """KVM as it is on a host that is only described."""
    if name != "kvm":
        return name, options
    warnings.append("a virtual host has no kernel: kvm is taken as sim")
    return "sim", {key: value for key, value in options.items() if key != "dirty-ring-size"}


def _try_accelerator(name: str, options: dict[str, str], host: Host, target: str, has_kvm: bool) -> Accelerator:
    if name in ("tcg", "qtest"):
        return emulator(name, host)
    if name == "kvm" and not has_kvm:
        raise VMError("invalid accelerator kvm")
    size, count = options.get("max-memslot-size"), options.get("max-memslots")
    return open_accelerator(
        name,
        host,
        target,
        int(size) if size is not None else None,
        int(count) if count is not None else None,
        int(options.get("dirty-ring-size", 0)),
    )


def make_processor(host: Host, accelerator: Accelerator, space: AddressSpace) -> Processor:
    """What executes guests with this accelerator; raises `VMError` where nothing can."""
    if not accelerator.in_kernel:
        from .sim import SimMemslotTable
        from .sim_guest import SimProcessor

        assert isinstance(accelerator.slots, SimMemslotTable)
        return SimProcessor(accelerator.slots)
    from .kvm import KVMMemslotTable
    from .kvm_guest import KVMProcessor

    assert isinstance(accelerator.slots, KVMMemslotTable)
    try:
        return KVMProcessor(host, accelerator.slots, space)
    except OSError as error:
        raise VMError(f"KVM gave no virtual CPU: {error.strerror}") from None
