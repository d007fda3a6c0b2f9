"""The smallest change to the destination's command line that makes memory fit: found by trying.

For what QEMU would fail with first, changes are proposed and each is built and compared; one that helps stays, and what
comes up next is mended in turn. In the end each change is left out once, and stays out where all fits without it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...vm.compat.comparing import Reason, Verdict, compare
from ...vm.compat.contract import Block, Contract
from ...vm.compat.reasons import BY_PATH
from ...vm.errors import VMError
from ...vm.sizes import option_size
from .option_words import OptionWords

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    Change: TypeAlias = Callable[[OptionWords], OptionWords]
    Proposals: TypeAlias = Iterator[tuple[str, Change]]

MOST_STEPS = 16
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Fix:
    """What to change, each as people say it, and the words that come of it; these were built and fit."""

    changes: tuple[str, ...]
    words: tuple[str, ...]


def find_fix(verdict: Verdict, build: Callable[[tuple[str, ...]], Contract]) -> Fix | None:
    """A change that makes the destination fit; None if none was found. `build` makes a contract of words, or raises
    `VMError`."""
    if verdict.compatible or not verdict.destination.words:
        return None
    program, *words = verdict.destination.words
    start = OptionWords.of(tuple(words))

    def attempt(changes: list[tuple[str, Change]]) -> Verdict | None:
        options = start
        try:
            for _text, change in changes:
                options = change(options)
            return compare(verdict.source, build((program, *options.words)))
        except (VMError, StopIteration, KeyError, ValueError):
            return None

    chosen: list[tuple[str, Change]] = []
    present = verdict
    for _ in range(MOST_STEPS):
        if present.compatible:
            return _smallest(chosen, attempt)
        found = _step(present, chosen, attempt)
        if found is None:
            return None
        chosen, present = found
    return None


def _step(
    present: Verdict, chosen: list[tuple[str, Change]], attempt: Callable[[list[tuple[str, Change]]], Verdict | None]
) -> tuple[list[tuple[str, Change]], Verdict] | None:
    """One more change, for the first reason that can be mended."""
    known = {(reason.subject, reason.block) for reason in present.reasons}
    for reason in present.reasons:
        for proposal in _proposals(reason, present):
            tried = attempt([*chosen, proposal])
            if tried is None:
                continue
            left = {(each.subject, each.block) for each in tried.reasons}
            is_needed = reason.subject == "machine type"  # whatever else comes of it
            if (reason.subject, reason.block) not in left and (is_needed or len(left - known) <= 1):
                return [*chosen, proposal], tried
    return None


def _smallest(
    chosen: list[tuple[str, Change]], attempt: Callable[[list[tuple[str, Change]]], Verdict | None]
) -> Fix | None:
    for each in list(chosen):
        fewer = [other for other in chosen if other is not each]
        tried = attempt(fewer)
        if tried is not None and tried.compatible:
            chosen = fewer
    tried = attempt(chosen)
    if tried is None or not tried.compatible:
        return None
    return Fix(tuple(text for text, _change in chosen), tried.destination.words)


def _proposals(reason: Reason, verdict: Verdict) -> Proposals:
    source, destination = verdict.source, verdict.destination
    if reason.subject == "machine type" and source.machine_type is not None:
        name = source.machine_type
        yield f"-machine {name}", lambda options: options.set_once("machine", type=name)
    elif reason.subject == "uuid" and source.uuid is not None:
        digits = source.uuid
        uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        yield (
            f"-uuid {uuid}",
            lambda options: options.without(*(at for at, _ in options.found("uuid"))).add("uuid", uuid),
        )
    elif reason.subject == "block":
        block, there = source.lookup[reason.block], destination.lookup.get(reason.block)
        yield from _for_unknown(block, source, destination) if there is None else _for_size(block, there)
    elif reason.subject == "memory slots" and source.max_ram_size is not None:
        slots, most = str(source.ram_slots), option_size(source.max_ram_size)
        if source.ram_slots:
            text = f"-m slots={slots},maxmem={most}"
            yield text, lambda options: options.set_once("m", slots=slots, maxmem=most)
        else:
            yield "-m without slots", lambda options: options.set_once("m", slots=None, maxmem=None)
    elif reason.subject == "memory map":
        yield from _for_place(source.lookup[reason.block], destination.lookup[reason.block], source)


# Blocks that the destination has not


def _for_unknown(block: Block, source: Contract, destination: Contract) -> Proposals:
    owner = block.owner or block.name.removeprefix(BY_PATH)
    other = owner if block.name.startswith(BY_PATH) else BY_PATH + block.name
    if other in destination.lookup:
        switch = "on" if block.name.startswith(BY_PATH) else "off"
        text = f"x-use-canonical-path-for-ramblock-id={switch} for '{owner}'"
        yield text, lambda options: _set_backend(options, owner, x_use_canonical_path_for_ramblock_id=switch)
    for there in destination.blocks:
        fits = there.role == block.role or not block.role
        if there.owner and there.name not in source.lookup and fits and there.used_length == block.used_length:
            yield f"id={owner} instead of id={there.owner}", _renaming(there.owner, owner)
    for there in destination.blocks:
        if block.role == "device" == there.role and there.owner and there.name not in source.lookup:
            yield f"id={owner} instead of id={there.owner}", _renaming(there.owner, owner)
    ram = next((each for each in destination.blocks if each.role == "ram"), None)
    if block.role in ("ram", "") and ram is not None:
        yield f"id={owner} instead of id={ram.owner}", _renaming(ram.owner, owner)
        size = option_size(block.used_length)
        yield (
            f"-machine memory-backend={owner} -object memory-backend-ram,id={owner},size={size}",
            lambda options: _with_ram(options, owner, size),
        )
    if block.role == "ram":
        yield (
            "no -numa nodes with memory of their own",
            lambda options: _without_nodes(options, owner, block, destination),
        )
    if block.role == "node":
        yield _as_text(source), lambda options: _with_nodes(options, source)
    if block.role in ("device", ""):
        yield from _for_device(block, owner, source)


def _renaming(old: str, new: str) -> Change:
    def change(options: OptionWords) -> OptionWords:
        if options.backend(old) is None or options.backend(new) is not None:
            raise KeyError(old)
        return options.renamed(old, new)

    return change


def _set_backend(options: OptionWords, name: str, **pairs: str | None) -> OptionWords:
    found = options.backend(name)
    if found is None:
        raise KeyError(name)
    return options.with_pairs(found[0], **{key.replace("_", "-"): text for key, text in pairs.items()})


def _with_ram(options: OptionWords, owner: str, size: str) -> OptionWords:
    if options.backend(owner) is None:
        options = options.add("object", f"memory-backend-ram,id={owner},size={size}")
    return options.set_once("machine", **{"memory-backend": owner}).set_once("m", size=size)


def _without_nodes(options: OptionWords, owner: str, block: Block, destination: Contract) -> OptionWords:
    used = {each.owner for each in destination.blocks if each.role == "node"}
    gone = [place for place, _pairs in options.found("numa")]
    gone += [place for place, pairs in options.found("object") if pairs.get("id") in used]
    options = options.without(*gone).set_once("m", size=option_size(block.used_length))
    return options if owner == destination.default_ram_id else _with_ram(options, owner, option_size(block.used_length))


def _nodes(source: Contract) -> list[Block]:
    """The source's nodes' memory, by its address."""
    nodes = [block for block in source.blocks if block.role == "node"]
    return sorted(nodes, key=lambda block: block.places[0][0] if block.places else 0)


def _object(block: Block) -> str:
    return f"memory-backend-ram,id={block.owner},size={option_size(block.used_length)}"


def _as_text(source: Contract) -> str:
    return " ".join(f"-object {_object(block)} -numa node,memdev={block.owner}" for block in _nodes(source))


def _with_nodes(options: OptionWords, source: Contract) -> OptionWords:
    nodes = _nodes(source)
    ram = options.found("machine")[-1][1].get("memory-backend") if options.found("machine") else None
    gone = [place for place, pairs in options.found("numa") if pairs.get("type") == "node"]
    gone += [place for place, pairs in options.found("object") if ram is not None and pairs.get("id") == ram]
    options = options.without(*gone)
    if ram is not None:
        options = options.set_once("machine", **{"memory-backend": None})
    for block in nodes:
        if options.backend(block.owner) is None:
            options = options.add("object", _object(block))
        options = options.add("numa", f"node,memdev={block.owner}")
    return options.set_once("m", size=option_size(sum(block.used_length for block in nodes)))


def _for_device(block: Block, owner: str, source: Contract) -> Proposals:
    size = option_size(block.used_length)
    address = f",addr={block.places[0][0]:#x}" if block.places else ""
    slots = max(source.ram_slots or 0, 1)
    text = f"-object memory-backend-ram,id={owner},size={size} -device pc-dimm,memdev={owner}{address}"

    def change(options: OptionWords) -> OptionWords:
        if options.backend(owner) is None:
            options = options.add("object", f"memory-backend-ram,id={owner},size={size}")
        return options.add("device", f"pc-dimm,memdev={owner}{address}")

    yield text, change
    most = option_size(GIB * -(-sum(each.used_length for each in source.blocks) // GIB + 1))
    yield (
        f"-m slots={slots},maxmem={most} {text}",
        lambda options: change(options.set_once("m", slots=str(slots), maxmem=most)),
    )


# Blocks of another size, or at another place


def _for_size(block: Block, there: Block) -> Proposals:
    size = option_size(block.used_length)
    if there.role == "ram":
        yield f"-m {size}", lambda options: _with_size(options, there.owner, size)
    elif there.owner:
        yield f"size={size} for '{there.owner}'", lambda options: _set_backend(options, there.owner, size=size)
        yield (
            f"size={size} for '{there.owner}', and so -m",
            lambda options: _with_total(options, there.owner, block.used_length - there.used_length, size),
        )


def _with_size(options: OptionWords, owner: str, size: str) -> OptionWords:
    if options.backend(owner) is not None:
        options = _set_backend(options, owner, size=size)
        return options.set_once("m", size=size) if options.found("m") else options
    return options.set_once("m", size=size)


def _with_total(options: OptionWords, owner: str, more: int, size: str) -> OptionWords:
    from ...vm.sizes import parse_size

    text = options.found("m")[-1][1].get("size", "128M")
    total = parse_size(text if not text[-1:].isdigit() else f"{text}M") + more
    return _set_backend(options, owner, size=size).set_once("m", size=option_size(total))


def _for_place(block: Block, there: Block, source: Contract) -> Proposals:
    if there.role == "node":
        order = [each.owner for each in _nodes(source)]
        yield f"-numa nodes with memdev={', '.join(order)} in this order", lambda options: _reordered(options, order)
    elif there.role == "device" and block.places:
        address = f"{block.places[0][0]:#x}"
        yield f"addr={address} for the device of '{there.owner}'", lambda options: _moved(options, there.owner, address)
    elif block.places:
        first = block.places[0]
        limit = option_size(first[0] + first[2])
        yield (
            f"-machine max-ram-below-4g={limit}",
            lambda options: options.set_once("machine", **{"max-ram-below-4g": limit}),
        )
        yield (
            "-machine without max-ram-below-4g",
            lambda options: options.set_once("machine", **{"max-ram-below-4g": None}),
        )


def _reordered(options: OptionWords, order: list[str]) -> OptionWords:
    places = [place for place, pairs in options.found("numa") if pairs.get("memdev")]
    for place, name in zip(places, order, strict=True):
        options = options.with_pairs(place, memdev=name)
    return options


def _moved(options: OptionWords, owner: str, address: str) -> OptionWords:
    place = next(place for place, pairs in options.found("device") if pairs.get("memdev") == owner)
    return options.with_pairs(place, addr=address)
