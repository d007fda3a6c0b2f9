"""Many machines with many: each pair's outcome, and which kinds of outcomes there are."""

from __future__ import annotations

from dataclasses import dataclass

from .comparing import compare
from .contract import Contract

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KINDS = ("yes", "unchecked", "moved", "machine type", "missing", "size", "other")
"""What becomes of a pair: it fits; it fits of what was checked; QEMU accepts it and the guest's memory lies elsewhere;
the machine types differ; the destination has not a block, or one of another length; something else."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one pair, by the places of its sides."""

    source: int
    destination: int
    kind: str
    error: str | None = None
    """QEMU's own text for what it would fail with."""

    @property
    def compatible(self) -> bool:
        """Whether it fits, of what was checked."""
        return self.kind in ("yes", "unchecked")


def shard_of(count: int, shard: tuple[int, int]) -> range:
    """The sources that one of several processes takes: every N-th, from the I-th on, I beginning with 1."""
    number, processes = shard
    return range(number - 1, count, processes)


def outcomes(sides: Sequence[Contract], sources: Sequence[int]) -> Iterator[Outcome]:
    """What becomes of each of some sources at each other side. Nothing is kept from pair to pair."""
    for source in sources:
        for destination in range(len(sides)):
            if destination != source:
                yield outcome(sides, source, destination)


def outcome(sides: Sequence[Contract], source: int, destination: int) -> Outcome:
    """What becomes of one pair."""
    verdict = compare(sides[source], sides[destination])
    refusal = verdict.refusal
    if refusal is None:
        kind = ("yes" if verdict.certain else "unchecked") if verdict.compatible else "moved"
        return Outcome(source, destination, kind)
    kind = "other"
    if refusal.subject == "machine type":
        kind = "machine type"
    elif refusal.subject == "block":
        kind = "size" if refusal.block in sides[destination].lookup else "missing"
    return Outcome(source, destination, kind, refusal.text)
