"""Compares two contracts as QEMU's destination would: in its order, with its words; and tells what it would not notice.

The order is that of the stream: configuration, RAMBlocks as the source lists them, pages, then the end of the copy.
What is not in it is no failure to QEMU: blocks that only the destination has, pages of the host of another size,
sharing. Memory that lies elsewhere in the guest's address space is no failure to it either, and breaks the guest.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..known import family_of
from ..migration import format as fmt
from ..migration import refusals
from ..migration.errors import StreamError
from ..migration.settings import TOLD
from ..releases import find_release
from .contract import Block, Contract

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..releases import Release

WITHOUT_COMPRESSED_PAGES = "9.1"
"""The first QEMU to which such pages are unknown flags like any others."""


X86 = {"i386", "x86_64"}
SLOTS_IN = {
    "pc-i440fx": "0000:00:01.3/piix4_pm",
    "pc-q35": "0000:00:1f.0/ICH9LPC",
    "microvm": "acpi-ged",
}
"""The device whose state has a part for each slot for memory, by machines without their version; others have none."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that keeps the memory from fitting. `error` is what QEMU fails with; None where it notices nothing."""

    subject: str
    """machine type, configuration, page size, capability, uuid, block, command, target, memory slots, or memory map."""
    block: str = ""
    error: StreamError | None = None

    @property
    def is_of_state(self) -> bool:
        """Whether it comes up only behind the memory, in the state of a device."""
        return self.subject in ("target", "memory slots")

    @property
    def text(self) -> str | None:
        """QEMU's own text for it: what is wrong, without the lines and words around that."""
        return None if self.error is None else self.error.text

    def lines(self, release: Release) -> list[str]:
        """All that QEMU says on stderr, each line behind the program's name; of devices' state what is known of it."""
        if self.error is None:
            return []
        return [self.error.text] if self.is_of_state else self.error.lines(release)


@dataclass(frozen=True, slots=True)
class Difference:
    """A RAMBlock that is not alike on both sides, or is on one side only."""

    name: str
    what: tuple[str, ...]
    """Of size, largest size, page size, sharing, order, place, missing (at the destination), extra (there); or not
    checked, where the other side may have it."""
    source: Block | None
    destination: Block | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would become of a migration from one side to the other."""

    source: Contract
    destination: Contract
    reasons: tuple[Reason, ...]
    """The first that QEMU fails with is what it would say; each other one comes up once those before are mended."""
    differences: tuple[Difference, ...]

    @property
    def accepted(self) -> bool:
        """Whether QEMU's destination takes the memory."""
        return all(reason.error is None for reason in self.reasons)

    @property
    def compatible(self) -> bool:
        """Whether it takes it and the guest finds it where it was."""
        return not self.reasons

    @property
    def certain(self) -> bool:
        """Whether all RAMBlocks of both sides are known or are the same, or those that are known decide it anyway."""
        here, there = self.source, self.destination
        if not (here.exact and there.exact):
            return False
        if not self.accepted:
            return True
        return not (here.unchecked or there.unchecked) or _surroundings(here) == _surroundings(there)

    @property
    def release(self) -> Release:
        """The QEMU whose words the errors are in."""
        return find_release(self.destination.release)

    @property
    def refusal(self) -> Reason | None:
        """What QEMU would fail with."""
        return next((reason for reason in self.reasons if reason.error is not None), None)


def _surroundings(contract: Contract) -> tuple[object, ...] | None:
    """What decides on blocks that are not checked; None where that is not all known."""
    if contract.release is None:
        return None
    return contract.release, contract.machine_type, contract.surroundings, contract.unchecked


def compare(source: Contract, destination: Contract) -> Verdict:
    """What becomes of a migration from `source` to `destination`."""
    reasons = (
        *_configuration(source, destination),
        *_blocks(source, destination),
        *_pages(source, destination),
        *_commands(source, destination),
        *_state(source, destination),
        *_map(source, destination),
    )
    return Verdict(source, destination, reasons, tuple(_differences(source, destination)))


# In the order of the stream


def _configuration(source: Contract, destination: Contract) -> Iterator[Reason]:
    if source.configured != destination.configured:
        kind = fmt.CONFIGURATION if source.configured else fmt.SECTION_START
        refused = refusals.unknown_section_type if source.configured else refusals.no_configuration
        yield Reason("configuration", error=refused(kind))
    elif source.configured:
        told, own = source.machine_type or "", destination.machine_type
        if refusals.is_other_machine(told, own):
            yield Reason("machine type", error=refusals.other_machine(told, own))
        elif told != own:
            yield Reason("machine type")
    if not (source.configured and destination.configured):
        return
    if destination.page_size is not None and destination.least_page_size is not None:
        told_bits = source.told_page_bits or _bits(destination.least_page_size)
        if told_bits != _bits(destination.page_size):
            yield Reason("page size", error=refusals.other_page_bits(told_bits, _bits(destination.page_size)))
    for name in TOLD:
        is_on = name in destination.capabilities
        if is_on != (name in source.capabilities):
            yield Reason("capability", error=refusals.other_capability(name, is_on))
    if source.uuid and destination.own_uuid and source.uuid != destination.own_uuid:
        error = refusals.other_uuid(bytes.fromhex(source.uuid), bytes.fromhex(destination.own_uuid))
        yield Reason("uuid", error=error)


def _bits(size: int) -> int:
    return size.bit_length() - 1


def _blocks(source: Contract, destination: Contract) -> Iterator[Reason]:
    own = destination.lookup
    for block in source.blocks:
        there = own.get(block.name)
        if there is None and destination.may_have(block.name):
            continue
        if there is None:
            error = refusals.unknown_block(block.name)
        elif block.used_length == there.used_length:
            continue
        else:
            misfit = refusals.misfit(block.name, block.used_length, there)
            if misfit is None:
                continue
            error = misfit
        yield Reason("block", block.name, error.of_section(*_section_start()))


def _section_start() -> tuple[str, str]:
    failed, newer = refusals.section_start(fmt.RAM, fmt.RAM_VERSION)
    return failed, f"{newer}-22"


def _pages(source: Contract, destination: Contract) -> Iterator[Reason]:
    """A page of the stream is as long as the target's, and nobody compares that.

    To a destination with longer pages the address of the second page looks like flags. The text is that for a page of
    zeros, as memory is that no guest has touched.
    """
    here, there = source.page_size, destination.page_size
    if here is None or there is None or here == there:
        return
    if here > there:
        yield Reason("page size")
        return
    first = next((block for block in source.blocks if block.used_length > here), None)
    if first is None:
        return
    flags = here | fmt.ZERO | fmt.CONTINUE
    error = refusals.unknown_flags(flags)
    if flags & fmt.COMPRESSED_PAGE and not find_release(destination.release).covers(WITHOUT_COMPRESSED_PAGES):
        error = refusals.compressed_page()
    failed, newer = refusals.section_part(fmt.RAM, source.ram_section, fmt.RAM_VERSION)
    yield Reason("page size", error=error.of_section(failed, f"{newer}-22"))


def _commands(source: Contract, destination: Contract) -> Iterator[Reason]:
    known = destination.last_command
    if source.sends_switchover_start and known is not None and known < fmt.SWITCHOVER_START:
        yield Reason("command", error=refusals.unknown_command(fmt.SWITCHOVER_START, 0))


def _state(source: Contract, destination: Contract) -> Iterator[Reason]:
    """What is known to make the state of devices longer or shorter, which QEMU notices by a footer that is not there.

    CPUs of 64 bits have more registers. Slots for memory are in the state of the device that tells the guest of them.
    """
    targets = {source.target, destination.target}
    if targets == X86 and source.machine_type == destination.machine_type != "none":
        yield Reason("target", error=refusals.missing_footer("cpu", 0) if destination.configured else None)
    keeper = SLOTS_IN.get(family_of(destination.machine_type or ""))
    if keeper is None or None in (source.ram_slots, destination.ram_slots):
        return
    if source.ram_slots != destination.ram_slots:
        yield Reason("memory slots", error=refusals.missing_footer(keeper, 0) if destination.configured else None)


def _map(source: Contract, destination: Contract) -> Iterator[Reason]:
    """Memory that would lie elsewhere, which QEMU does not notice."""
    for block in source.blocks:
        there = destination.lookup.get(block.name)
        if there is not None and _has_moved(block, there):
            yield Reason("memory map", block.name)


def _has_moved(here: Block, there: Block) -> bool:
    known = here.places is not None and there.places is not None
    return known and here.used_length == there.used_length and here.places != there.places


# By block


def _differences(source: Contract, destination: Contract) -> Iterator[Difference]:
    common = [block.name for block in source.blocks if block.name in destination.lookup]
    order = [block.name for block in destination.blocks if block.name in source.lookup]
    displaced = {name for name, other in zip(common, order, strict=True) if name != other}
    for block in source.blocks:
        there = destination.lookup.get(block.name)
        absent = "not checked" if destination.may_have(block.name) else "missing"
        what = (absent,) if there is None else tuple(_what(block, there, block.name in displaced))
        if what:
            yield Difference(block.name, what, block, there)
    for block in destination.blocks:
        if block.name not in source.lookup:
            yield Difference(block.name, ("not checked" if source.may_have(block.name) else "extra",), None, block)


def _what(here: Block, there: Block, displaced: bool) -> Iterator[str]:
    if here.used_length != there.used_length:
        yield "size"
    if here.max_length != there.max_length and (here.resizeable or there.resizeable):
        yield "largest size"
    if None not in (here.page_size, there.page_size) and here.page_size != there.page_size:
        yield "page size"
    if None not in (here.shared, there.shared) and here.shared != there.shared:
        yield "sharing"
    if _has_moved(here, there):
        yield "place"
    if displaced:
        yield "order"
