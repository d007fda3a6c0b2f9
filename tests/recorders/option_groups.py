"""Writes `vm/known/option_groups.txt` anew: the keys of real QEMUs' options, with the types of their values.

Run as `python -m ramslot.tests.recorders.option_groups`, with a QEMU of every release beside it (see
`tests/differential/oracle.py`). What `query-command-line-options` answers, without its sentences.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from ramslot.tests.differential.oracle import RELEASES
from ramslot.tests.recorders.names import ask, marked, object_types, programs
from ramslot.vm import known

FILE = Path(str(known.__file__)).parent / "option_groups.txt"
HEAD = (
    "# GROUP[:SINCE-UNTIL], then KEY=TYPE[=DEFAULT][:SINCE-UNTIL] of each key; a key that is listed twice comes twice.\n"
    "# GROUP/TARGET,...: a group that only these have; accel/NAME, cpu/NAME and object/NAME: the properties of a type.\n"
)
ACCELERATORS = ("kvm", "tcg")
X86 = ("i386", "x86_64")
OURS = ("memory-backend-", "thread-context")
"""How the types of objects begin whose properties are in the contract."""


def groups(program: str, target: str) -> dict[str, list[str]]:
    """The keys of each group, as words of a row."""
    types = {f"accel/{name}": f"{name}-accel" for name in ACCELERATORS}
    if target in X86:
        types |= {"cpu/x86": f"qemu64-{target}-cpu", "cpu/x86/max": f"max-{target}-cpu"}
    types |= {f"object/{name}": name for name in sorted(object_types(program)) if not name.startswith(OURS)}
    asked: list[tuple[str, dict[str, object]]] = [
        ("qom-list-properties", {"typename": name}) for name in types.values()
    ]
    options, *listed = ask(program, ("query-command-line-options", {}), *asked)
    found: dict[str, list[str]] = defaultdict(list)
    for each in options:
        group = f"machine/{target}" if each["option"] == "machine" else each["option"] or "-"
        found[group] = [
            f"{key['name']}={key['type']}" + (f"={key['default']}" if "default" in key else "")
            for key in each["parameters"]
        ]
    for name, properties in zip(types, listed, strict=True):
        if properties is not None:
            told = [each for each in properties if each["name"] != "type" and ":" not in each["type"]]
            found[name] = [f"{each['name']}={each['type']}" for each in told]
    # What the largest model has besides is a row of its own.
    found["cpu/x86/max"] = [word for word in found["cpu/x86/max"] if word not in found["cpu/x86"]]
    return {name: words for name, words in found.items() if words or not name.startswith("cpu/")}


def rows() -> Iterable[str]:
    """Targets whose keys of -machine are the same share a row."""
    releases: dict[str, set[str]] = defaultdict(set)
    keys: dict[str, dict[tuple[str, int], set[str]]] = defaultdict(lambda: defaultdict(set))
    orders: dict[str, list[tuple[str, int]]] = defaultdict(list)
    places: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    everywhere: dict[str, list[str]] = defaultdict(list)
    for release, target, program in programs():
        everywhere[release].append(target)
        for group, words in groups(program, target).items():
            releases[group].add(release)
            places[group][release].append(target)
            found = [(word, words[:position].count(word)) for position, word in enumerate(words)]
            for key in found:
                keys[group][key].add(release)
            merge(orders[group], found)
        print(release, target, file=sys.stderr)
    lines: dict[str, list[str]] = defaultdict(list)
    for group, its_releases in sorted(releases.items()):
        there = [release for release in RELEASES if release in its_releases]
        order = sorted(orders[group]) if "/" in group else orders[group]
        words = [mark for key in order for mark in marked(key[0], keys[group][key], there)]
        whose: dict[str, set[str]] = defaultdict(set)
        for release in there:
            is_everywhere = "/" in group or places[group][release] == everywhere[release]
            whose["" if is_everywhere else "/" + ",".join(places[group][release])].add(release)
        for targets, of_releases in whose.items():
            for name in marked(group + targets, of_releases, RELEASES):
                lines[" ".join((name.partition("/")[2].partition(":")[2], *words))].append(name)
    for line, names in lines.items():
        for name in names if not names[0].startswith("machine/") else [shared(names)]:
            yield " ".join((name, *line.split(" ")[1:])).rstrip()


def merge(order: list[tuple[str, int]], found: list[tuple[str, int]]) -> None:
    """Add to an order what is new in another, each behind what it is behind there."""
    place = 0
    for key in found:
        if key in order:
            place = order.index(key) + 1
        else:
            order.insert(place, key)
            place += 1


def shared(names: list[str]) -> str:
    """One name for the machines of several targets."""
    targets = ",".join(name.removeprefix("machine/").partition(":")[0] for name in names)
    return f"machine/{targets}" + "".join(names[0].partition(":")[1:])


if __name__ == "__main__":
    FILE.write_text(HEAD + "".join(f"{row}\n" for row in rows()))
