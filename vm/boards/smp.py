"""CPU topology: what `-smp` comes to on a machine."""

from __future__ import annotations

from ..errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..releases import Release
    from .machine_type import MachineType

UNSIGNED = 0xFFFFFFFF
"""QEMU counts in C's unsigned integers, which wrap, and shows CPUs as signed ones."""
LEVELS = ("drawers", "books", "sockets", "dies", "modules", "clusters", "cores", "threads")
"""From the outermost in."""
COMMON_LEVELS = ("sockets", "cores", "threads")
"""Those that every machine has."""
CHECKED_LEVELS = ("modules", "clusters", "dies", "books", "drawers")
"""The others, in the order in which QEMU looks for what a machine has not."""
ZERO = "CPU topology parameters must be greater than zero"


class CPUSlot:
    """A place for a CPU, or for several that are plugged together: `place` says where in the topology."""

    __slots__ = ("node_id", "place")

    def __init__(self, place: dict[str, int]) -> None:
        self.place = place
        self.node_id: int | None = None
        """The NUMA node it belongs to, if it is known."""

    def __str__(self) -> str:
        order = [f"{level[:-1]}-id" for level in LEVELS]
        return ", ".join(f"{level}: {self.place[level]}" for level in order if level in self.place)


def resolve_topology(
    given: dict[str, int], machine_type: MachineType, release: Release, warnings: list[str]
) -> dict[str, int]:
    """Fill in what `given` leaves open; raises `VMError` with QEMU's text if it cannot be."""
    rules = release.settings("smp")
    if rules.get("old", False):
        from .smp_old import resolve_old_topology

        return resolve_old_topology(given, machine_type)
    default = machine_type.setting("default_cpus")
    if not given and default > 1:
        return {"cpus": default, "maxcpus": default, **dict.fromkeys(reversed(LEVELS), 1)}
    supported = set(machine_type.setting("topology_levels")).difference(rules.get("unknown", ()))
    given = {level: number & UNSIGNED for level, number in given.items()}
    if 0 in given.values():
        if not rules.get("zero warned", False):
            raise VMError(f"Invalid CPU topology: {ZERO}")
        warnings.append(f"warning: Deprecated CPU topology (considered invalid): {ZERO}")
    for level in CHECKED_LEVELS:
        if level not in supported and given.get(level, 0) > 1:
            raise VMError(f"{level}{rules.get('beyond one', ' > 1')} not supported by this machine's CPU topology")
    count = {level: given.get(level, 0) for level in LEVELS}
    cpus, maximum = given.get("cpus", 0), given.get("maxcpus", 0)
    for level in CHECKED_LEVELS:
        count[level] = count[level] or 1
    if cpus or maximum:
        maximum = maximum or cpus
        _fill_from_maximum(count, maximum, prefers_sockets=machine_type.setting("prefers_sockets"))
    else:
        for level in COMMON_LEVELS:
            count[level] = count[level] or 1
    total = _product(count)
    maximum = maximum or total
    cpus = cpus or maximum
    shown = " * ".join(f"{level} ({count[level]})" for level in LEVELS if level in COMMON_LEVELS or level in supported)
    if total != maximum:
        raise VMError(
            "Invalid CPU topology: product of the hierarchy must match maxcpus: " + f"{shown} != maxcpus ({maximum})"
        )
    if maximum < cpus:
        raise VMError(
            "Invalid CPU topology: maxcpus must be equal to or greater than smp: "
            f"{shown} == maxcpus ({maximum}) < smp_cpus ({cpus})"
        )
    if maximum > machine_type.max_cpus:
        raise VMError(
            f"Invalid SMP CPUs {shown_count(maximum)}. The max CPUs supported by machine '{machine_type.name}' is "
            f"{machine_type.max_cpus}"
        )
    return {"cpus": cpus, "maxcpus": maximum, **{level: count[level] for level in reversed(LEVELS)}}


def shown_count(number: int) -> int:
    """An unsigned number of CPUs as QEMU prints it, which is signed."""
    return number if number <= UNSIGNED >> 1 else number - UNSIGNED - 1


def _fill_from_maximum(count: dict[str, int], maximum: int, *, prefers_sockets: bool) -> None:
    """All that is left open is one, but for the preferred level of those, which has the rest."""
    preferred, other = ("sockets", "cores") if prefers_sockets else ("cores", "sockets")
    if count[preferred] == 0:
        count[other] = count[other] or 1
        count["threads"] = count["threads"] or 1
        count[preferred] = maximum // (_product(count, without=preferred) or 1)
    elif count[other] == 0:
        count["threads"] = count["threads"] or 1
        count[other] = maximum // (_product(count, without=other) or 1)
    if count["threads"] == 0:
        count["threads"] = maximum // (_product(count, without="threads") or 1)


def _product(count: dict[str, int], without: str = "") -> int:
    product = 1
    for level in LEVELS:
        if level != without:
            product *= count[level]
    return product & UNSIGNED
