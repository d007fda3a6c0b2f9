"""What QEMU has by name, also where ramslot models nothing of it: options and their keys, properties of
machines, CPU models.

The texts beside this file are recorded from real QEMUs (`tests/recorders`); each name has the releases with it. They
are read when something is refused, a CPU model is named, or there are devices besides memory: a machine without any of
these never needs them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..releases import Release

ANY = "*"
ACCELERATOR_OPTIONS = ("igd-passthru", "kernel-irqchip", "kvm-shadow-mem")
"""Options of accelerators that `-machine` takes, and no machine has."""
ANY_CASE = ("ppc", "ppc64", "ppc64le", "sh4", "sh4eb")


def option(name: str, release: Release) -> bool | None:
    """Whether QEMU's command-line option of that name takes an argument; None if there is none."""
    for row in rows("options"):
        for known, takes_argument, marks in map(parted, row):
            if known == name and covers(marks, release):
                return takes_argument
    return None


def option_group(name: str, release: Release) -> dict[str, str] | None:
    """The keys of a group of options, each with the type of its value as QEMU names it; None if there is none.

    `accel/NAME` and `object/NAME` are the properties of an accelerator and of a type of objects. What decides on
    `-machine` is `machine_property`.
    """
    for known, *keys in rows("option_groups"):
        group, _, marks = known.partition(":")
        if (group if "/" in name else group.partition("/")[0]) == name and covers(marks, release):
            return {key: kind for key, kind, _ in _keys(keys, release)}
    return None


def option_groups(target: str, release: Release) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """All groups of options of a target: name, and of each key its name, its type, and its default or nothing."""
    for known, *keys in rows("option_groups"):
        group, _, marks = known.partition(":")
        kind, _, whose = group.partition("/")
        if (not whose or target in whose.split(",")) and covers(marks, release):
            yield "" if kind == "-" else kind, list(_keys(keys, release))


def machine_kinds() -> dict[str, str]:
    """The types of the properties of machines as `-machine` takes them, which the newest QEMU tells of all."""
    from ..releases import NEWEST, find_release

    newest = find_release(NEWEST)
    return {
        key: kind
        for known, *words in rows("option_groups")
        if known.startswith("machine/") and covers(known.partition(":")[2], newest)
        for key, kind, _ in _keys(words, newest)
    }


def _keys(words: list[str], release: Release) -> Iterator[tuple[str, str, str]]:
    for word in words:
        text, _, marks = word.partition(":")
        if covers(marks, release):
            key, _, kind = text.partition("=")
            kind, _, default = kind.partition("=")
            yield key, kind, default


def object_type(name: str, release: Release) -> bool:
    """Whether QEMU makes objects of that type."""
    return any(
        known == name and covers(marks, release) for row in rows("object_types") for known, _, marks in map(parted, row)
    )


def machine_property(machine_type: str, name: str, release: Release) -> bool:
    """Whether QEMU's machine type has a property of that name, with `-` or `_`."""
    name = name.replace("_", "-")
    if name in ACCELERATOR_OPTIONS:
        return True
    families = (ANY, family_of(machine_type))
    return any(
        parted(word)[0] == name and covers(parted(word)[2], release) and any(each in families for each in where)
        for word, *where in rows("machine_properties")
    )


def cpu_model(target: str, name: str, release: Release) -> bool:
    """Whether QEMU for a target takes a CPU model of that name; so it does where the target's are not recorded.

    Observed: POWER and SuperH do not mind the case, and POWER takes a version register for a name.
    """
    if target in ANY_CASE:
        name = name.lower()
    if target.startswith("ppc") and len(name) == 8 and not set(name) - set("0123456789abcdef"):
        return True
    if target.startswith("sparc"):
        name = name.replace(" ", "-")
    for targets, *models in rows("cpu_models"):
        if target in targets.split(","):
            found = [known for known, _, marks in map(parted, models) if covers(marks, release)]
            return (
                not found or ANY in found or name in ([each.lower() for each in found] if target in ANY_CASE else found)
            )
    return True


def find_row(subject: str, name: str, release: Release) -> list[str] | None:
    """The row that begins with a name, and is of a release; None if there is none."""
    with open(f"{__file__.rpartition('/')[0]}/{subject}.txt", encoding="utf-8") as file:
        text = file.read()
    for mark in (" ", ":", "\n") if name else ():
        start = text.find(f"\n{name}{mark}")
        while start != -1:
            end = text.find("\n", start + 1)
            row = text[start + 1 : end].split()
            known, _, marks = parted(row[0])
            if known == name and covers(marks, release):
                return row
            start = text.find(f"\n{name}{mark}", end)
    return None


def rows(subject: str) -> Iterator[list[str]]:
    """The rows of a recorded text, each as its words."""
    with open(f"{__file__.rpartition('/')[0]}/{subject}.txt", encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                yield line.split()


def parted(word: str) -> tuple[str, bool, str]:
    """Name, whether `=` follows it, and the releases, of `NAME[=][:SINCE-UNTIL]`."""
    known, _, marks = word.partition(":")
    return known.removesuffix("="), known.endswith("="), marks


def covers(marks: str, release: Release) -> bool:
    """Whether a release is within `SINCE-UNTIL`; either may be empty, and all of it."""
    since, _, until = marks.partition("-")
    return release.covers(since or None, until or None)


def family_of(machine_type: str) -> str:
    """A machine type's name without a version at its end."""
    stem, _, version = machine_type.rpartition("-")
    return stem if stem and version[:1].isdigit() and version.replace(".", "").isdigit() else machine_type
