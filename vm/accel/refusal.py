"""Why KVM refuses a slot: the rule that it breaks, and the other slot, found in what was asked and what is held.

The rules are those of KVM_SET_USER_MEMORY_REGION in the kernel's API documentation. No system calls here.
"""

from __future__ import annotations

import errno

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .memslots import Memslot


def refusal(memslot: Memslot, flags: int, size: int, error: OSError, rule: str | None) -> VMError:
    """What is said when a kernel refuses a slot; `rule` explains it, if anything does."""
    return VMError(
        f"kvm_set_user_memory_region: slot {memslot.slot} of address space {memslot.as_id}, "
        f"gpa {memslot.gpa:#x}, size {size:#x}, hva {memslot.hva:#x}, flags {flags:#x}: {error.strerror}"
        + (f" ({rule})" if rule is not None else "")
    )


def broken_rule(
    number: int | None, wanted: Memslot, size: int, hva: int, held: Iterable[Memslot], page_size: int, limit: int
) -> str | None:
    """Say which rule an errno stands for; None if none can be told.

    `wanted` was to have `size` bytes (0 deletes it) at `hva`; `limit` is how many slots KVM has.
    """
    others = [slot for slot in held if slot.as_id == wanted.as_id]
    same = next((slot for slot in others if slot.slot == wanted.slot), None)
    if number == errno.EEXIST:
        other = next((slot for slot in others if slot is not same and _overlap(slot, wanted.gpa, size)), None)
        if other is None:
            return "it overlaps a slot that is not in the table"
        return f"it overlaps slot {other.slot} ({_span(other.gpa, other.size)})"
    if number == errno.ENOMEM:
        return "the host has no memory to keep account of it"
    if number != errno.EINVAL:
        return None
    for name, value in (("gpa", wanted.gpa), ("size", size), ("hva", hva)):
        if value % page_size:
            return f"{name} {value:#x} is not a multiple of the page size {page_size:#x}"
    if wanted.slot >= limit:
        return f"slot {wanted.slot} is beyond the last, {limit - 1}"
    if not size:
        return None if same is not None else "there is no such slot"
    if wanted.gpa + size > 1 << 64:
        return "it ends beyond the last address"
    if same is not None and not same.same_memory(wanted):
        return _change(same, wanted, size)
    return None


def _change(same: Memslot, wanted: Memslot, size: int) -> str:
    """What is to change of a slot that exists, which only its address and its logging may."""
    if same.size != size:
        what = f"size {same.size:#x}"
    elif same.readonly != wanted.readonly:
        what = "protection against writes"
    else:
        what = "host memory"
    return f"slot {same.slot} exists ({_span(same.gpa, same.size)}) and cannot change its {what}"


def _overlap(slot: Memslot, gpa: int, size: int) -> bool:
    return slot.gpa < gpa + size and gpa < slot.gpa + slot.size


def _span(gpa: int, size: int) -> str:
    return f"{gpa:#x}-{gpa + size - 1:#x}"
