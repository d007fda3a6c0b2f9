"""What two versions make of the same command line, and which version in between changed what.

The way from one side to the other is gone in steps, first through the releases of QEMU with the machine type as it is,
then through the versions of the machine type; what differs between two steps is a change of the later one. Versions
that refuse the command line end the way with what they say.
"""

from __future__ import annotations

from ..vm.errors import VMError
from .facets import SUBJECTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .facets import Facets

    Look = Callable[["Step"], Facets]


class Step:
    """One version on the way: a release of QEMU, and the full name of a machine type."""

    __slots__ = ("machine", "release")

    def __init__(self, release: str, machine: str) -> None:
        self.release = release
        self.machine = machine

    def __str__(self) -> str:
        return f"QEMU {self.release}, {self.machine}"


class Change:
    """One key that two neighbours have differently; None is a side that has it not."""

    __slots__ = ("after", "before", "cause", "key", "subject")

    def __init__(self, subject: str, key: str, before: str | None, after: str | None, cause: str) -> None:
        self.subject = subject
        self.key = key
        self.before = before
        self.after = after
        self.cause = cause
        """The version that brought it."""

    def to_json(self) -> dict[str, str | None]:
        """All of it, by the names of the attributes."""
        return {name: getattr(self, name) for name in ("subject", "key", "before", "after", "cause")}


def way(start: Step, end: Step, releases: list[str], machines: list[str]) -> list[Step]:
    """The steps from one side to the other, both among them.

    `releases` and `machines` are names in order of age, those of one family, in either direction; where the two
    machine types are of no common family the last step is straight.
    """
    steps = [Step(release, start.machine) for release in _between(releases, start.release, end.release)]
    return steps + [Step(end.release, machine) for machine in _between(machines, start.machine, end.machine)[1:]]


def _between(names: list[str], first: str, last: str) -> list[str]:
    if first == last:
        return [first]
    if first not in names or last not in names:
        return [first, last]
    one, other = names.index(first), names.index(last)
    return names[one : other + 1] if one < other else names[other : one + 1][::-1]


def changes(steps: list[Step], look: Look) -> tuple[list[Change], list[str]]:
    """All changes on the way, in the order of the subjects and then of the steps, and what steps in between refused.

    `look` gives a step's facts. Raises `VMError`, naming the step, if one of the two ends refuses.
    """
    found: list[Change] = []
    refused: list[str] = []
    previous: tuple[Step, Facets] | None = None
    for step in steps:
        try:
            facts = look(step)
        except VMError as error:
            if step in (steps[0], steps[-1]):
                raise VMError(f"{step}: {error}") from None
            refused.append(f"{step}: {error}")
            continue
        if previous is not None:
            found += _differences(previous[1], facts, _cause(previous[0], step))
        previous = step, facts
    return sorted(found, key=lambda change: SUBJECTS.index(change.subject)), refused


def _cause(before: Step, after: Step) -> str:
    """What brings a change: the newer of two neighbours, whichever the direction is."""
    if before.machine == after.machine:
        return f"QEMU {max(before.release, after.release, key=age)}"
    if before.machine.rpartition("-")[0] != after.machine.rpartition("-")[0]:
        return "another machine type"
    return max(before.machine, after.machine, key=age)


def age(name: str) -> tuple[int, ...]:
    """Numbers of the version that a name ends with, by which they sort; a name without one is the oldest."""
    numbers = name.rpartition("-")[2].split(".")
    return tuple(int(number) for number in numbers) if all(number.isdigit() for number in numbers) else ()


def _differences(before: Facets, after: Facets, cause: str) -> list[Change]:
    found = []
    for subject in SUBJECTS:
        old, new = before[subject], after[subject]
        for key in dict.fromkeys((*old, *new)):
            if old.get(key) != new.get(key):
                found.append(Change(subject, key, old.get(key), new.get(key), cause))
    return found


def to_text(changes: list[Change]) -> str:
    """For people: by subject and cause, `-` what went, `+` what came, `~` what became another."""
    lines: list[str] = []
    place: tuple[str, str] | None = None
    for change in changes:
        if (change.subject, change.cause) != place:
            if place is None or place[0] != change.subject:
                lines.append(change.subject)
            place = change.subject, change.cause
            lines.append(f"  {change.cause}:")
        if change.before is None:
            lines.append(f"    + {change.key}: {change.after}")
        elif change.after is None:
            lines.append(f"    - {change.key}: {change.before}")
        else:
            lines.append(f"    ~ {change.key}: {change.before} -> {change.after}")
    return "".join(f"{line}\n" for line in lines)
