"""CPU topology as QEMU up to 5.2 had it: sockets, on a PC with dies, cores and threads, and more may be left out."""

from __future__ import annotations

from ..errors import VMError
from .smp import LEVELS, UNSIGNED, shown_count

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .machine_type import MachineType


def resolve_old_topology(given: dict[str, int], machine_type: MachineType) -> dict[str, int]:
    """Fill in what `given` leaves open; raises `VMError` with QEMU's text if it cannot be."""
    default = machine_type.setting("default_cpus")
    if not given and default > 1:
        given = {"cpus": default}
    has_dies = "dies" in machine_type.setting("topology_levels")
    levels = ("sockets", "dies", "cores", "threads") if has_dies else ("sockets", "cores", "threads")
    given = {level: number & UNSIGNED for level, number in given.items()}
    count = {level: given.get(level, 0) for level in levels}
    if has_dies:
        count["dies"] = count["dies"] or 1
    cpus = given.get("cpus", 0)
    if not cpus or not count["sockets"]:
        count["cores"], count["threads"] = count["cores"] or 1, count["threads"] or 1
        if not cpus:
            count["sockets"] = count["sockets"] or 1
            cpus = _product(count)
        else:
            count["sockets"] = given.get("maxcpus", cpus) // _product(count, without="sockets")
    elif not count["cores"]:
        count["threads"] = count["threads"] or 1
        count["cores"] = cpus // _product(count, without="cores") or 1
    elif not count["threads"]:
        count["threads"] = cpus // _product(count, without="threads") or 1
    elif _product(count) < cpus:
        raise VMError(f"cpu topology: {_shown(count)} < smp_cpus ({cpus})")
    maximum = given.get("maxcpus", cpus)
    if maximum < cpus:
        raise VMError("maxcpus must be equal to or greater than smp")
    if _product(count) != maximum:
        deprecated = " deprecated" if has_dies else ""
        raise VMError(f"Invalid CPU topology{deprecated}: {_shown(count)} != maxcpus ({maximum})")
    if maximum > machine_type.max_cpus:
        raise VMError(
            f"Invalid SMP CPUs {shown_count(maximum)}. The max CPUs supported by machine '{machine_type.name}' is "
            f"{machine_type.max_cpus}"
        )
    return {"cpus": cpus, "maxcpus": maximum, **dict.fromkeys(reversed(LEVELS), 1), **count}


def _shown(count: dict[str, int]) -> str:
    return " * ".join(f"{level} ({number})" for level, number in count.items())


def _product(count: dict[str, int], without: str = "") -> int:
    product = 1
    for level, number in count.items():
        if level != without:
            product *= number
    return product & UNSIGNED
