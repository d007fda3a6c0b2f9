"""Why two sides differ: what people changed between them, told from the names, sizes and roles of the blocks."""

from __future__ import annotations

from ..known import family_of
from ..sizes import size_to_str
from .contract import Block, Contract

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .comparing import Reason, Verdict

BY_PATH = "/objects/"
"""How blocks of backends are called by machine types up to 3.1, where those of newer ones have the id alone."""
NOT_CHECKED = "the state of devices, which QEMU reads after the memory"
"""What is beyond memory."""


def why(reason: Reason, verdict: Verdict) -> str:
    """Why it is so, in a sentence without an end."""
    source, destination = verdict.source, verdict.destination
    if reason.subject == "machine type":
        return _why_machine(source, destination)
    if reason.subject == "block":
        block, there = source.lookup[reason.block], destination.lookup.get(reason.block)
        return _why_unknown(block, source, destination) if there is None else _why_size(block, there, verdict)
    if reason.subject == "memory map":
        block, there = source.lookup[reason.block], destination.lookup[reason.block]
        return (
            f"{_place(block)} at the source is {_place(there)} at the destination; QEMU does not notice, the guest does"
        )
    if reason.subject == "configuration":
        return "streams of machine types up to 2.3 do not tell the machine type, those of newer ones do"
    if reason.subject == "page size":
        return _why_pages(source, destination)
    if reason.subject == "command":
        release = f"QEMU {destination.release}" if destination.release else "the destination"
        return f"{_name(source)} tells when the guest is stopped, since QEMU 10.0, which {release} does not know"
    if reason.subject == "target":
        return f"{source.target} and {destination.target}: CPUs of 64 bits have more state"
    if reason.subject == "memory slots":
        return (
            f"there are {source.ram_slots} slots for memory and {destination.ram_slots} (-m slots=), each with its "
            "part in that device's state"
        )
    if reason.subject == "capability":
        return "both sides must have it set alike (migrate-set-capabilities)"
    return "each side was given a UUID, and the source tells its own (validate-uuid)"


def _name(contract: Contract) -> str:
    return contract.machine_type or "the source"


def _why_machine(source: Contract, destination: Contract) -> str:
    here, there = source.machine_type or "", destination.machine_type or ""
    if there.startswith(here):
        return f"'{here}' is the beginning of '{there}', with which QEMU is content; these are other machines"
    if family_of(here) != family_of(there):
        return "these are other machines"
    if source.release != destination.release:
        return (
            f"another version of the same machine; an alias such as '{_alias(here)}' is another one in each QEMU "
            f"({source.release}: {here}, {destination.release}: {there})"
        )
    return "another version of the same machine"


def _alias(name: str) -> str:
    return {"pc-i440fx": "pc", "pc-q35": "q35"}.get(family_of(name), family_of(name))


def _why_unknown(block: Block, source: Contract, destination: Contract) -> str:
    other = block.name.removeprefix(BY_PATH) if block.name.startswith(BY_PATH) else BY_PATH + block.name
    if other in destination.lookup:
        return (
            "the names are canonical on one side only: machine types up to 3.1 call memory of a file or memfd by its "
            f"path (x-use-canonical-path-for-ramblock-id), and there it is {other}"
        )
    if block.role == "device":
        return f"it is the memory of a device (backend '{block.owner}') that the destination has not"
    if block.role in ("ram", "node", "part"):
        return f"the source's RAM is {_form(source)}, the destination's is {_form(destination)}"
    if block.role == "board":
        place, _, name = block.name.rpartition("/")
        if place and not place.startswith("/"):
            elsewhere = sorted(each for each in destination.lookup if each.endswith(f"/{name}"))
            where = f"; there it is {' and '.join(elsewhere)}" if elsewhere else ""
            return f"a device at {place} brings it, and none at that place of the destination does{where}"
        return "it is memory of the board, which the destination's board, or that version of QEMU, has not"
    return "the destination has no memory of that name"


def _form(contract: Contract) -> str:
    """What the RAM of a machine is made of."""
    nodes = [block.name for block in contract.blocks if block.role == "node"]
    if nodes:
        return f"in the backends of {len(nodes)} NUMA nodes ({', '.join(nodes)})"
    parts = [block.name for block in contract.blocks if block.role == "part"]
    if parts:
        return f"in parts ({', '.join(parts)})"
    ram = next((block for block in contract.blocks if block.role == "ram"), None)
    if ram is None:
        return "not known"
    own = ram.owner == contract.default_ram_id
    return f"'{ram.name}', the board's own name for it" if own else f"the backend '{ram.owner}'"


def _why_size(block: Block, there: Block, verdict: Verdict) -> str:
    sizes = f"{size_to_str(block.used_length)} and {size_to_str(there.used_length)}"
    if block.role == "ram":
        return f"the machines have {sizes} of RAM"
    if block.role in ("node", "device"):
        return f"the backend '{block.owner or block.name}' has {sizes}"
    if block.role == "board" and not there.resizeable:
        if verdict.source.release != verdict.destination.release:
            return f"firmware or a ROM of {sizes}: another file, or another QEMU's"
        return f"firmware or a ROM of {sizes}: another file"
    return f"{sizes}, and it can be {size_to_str(there.max_length)} at most" if there.resizeable else sizes


def _why_pages(source: Contract, destination: Contract) -> str:
    here, there = source.page_size, destination.page_size
    if here is None or there is None:
        return "the targets have pages of other sizes"
    text = f"pages of {here} B ({source.target}) and of {there} B ({destination.target})"
    if here > there:
        return f"{text}: of each page only the first part would arrive, which QEMU notices only where it is not zeros"
    return text


def _place(block: Block) -> str:
    places = block.places or ()
    if not places:
        return "nowhere"
    return " and ".join(f"{address:#x}-{address + length - 1:#x} (@{offset:#x})" for address, offset, length in places)


def remarks(verdict: Verdict) -> list[str]:
    """What differs and keeps nothing from working."""
    found = []
    here, there = verdict.source.target, verdict.destination.target
    if None not in (here, there) and here != there and verdict.compatible:
        found.append(f"the targets are {here} and {there}: the state of CPUs, if there are any, is another one")
    for difference in verdict.differences:
        mine, other = difference.source, difference.destination
        if difference.what == ("extra",) and other is not None:
            found.append(f"{other.name}: only the destination has it, which QEMU accepts; it stays as it was made")
        elif mine is not None and other is not None:
            found += _remarks_on(mine, other, difference.what)
    return found


def _remarks_on(here: Block, there: Block, what: tuple[str, ...]) -> list[str]:
    found = []
    if "page size" in what:
        sizes = f"{size_to_str(here.page_size or 0)} and {size_to_str(there.page_size or 0)}"
        found.append(f"{here.name}: host pages of {sizes}, which only postcopy minds")
    if "sharing" in what:
        sides = ("shared", "private") if here.shared else ("private", "shared")
        found.append(f"{here.name}: {sides[0]} here, {sides[1]} there, which only x-ignore-shared minds")
    if "size" in what and there.resizeable and here.used_length <= there.max_length:
        sizes = f"{size_to_str(here.used_length)} and {size_to_str(there.used_length)}"
        found.append(f"{here.name}: {sizes}; the destination's becomes as long as the source's")
    if "order" in what:
        found.append(f"{here.name}: at another place in the list, which QEMU does not mind")
    return found
