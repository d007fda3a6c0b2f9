"""Writes `vm/known/*.txt` anew: the names of options, machine properties and CPU models that real QEMUs have.

Run as `python -m ramslot.tests.recorders.names [SUBJECT...]`, with a QEMU of every release beside it (see `tests/differential/oracle.py`).
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ramslot.tests.differential.oracle import RELEASES, qemu
from ramslot.vm import known
from ramslot.vm.boards.targets import targets
from ramslot.vm.known import family_of
from ramslot.vm.releases import find_release

FOLDER = Path(str(known.__file__)).parent
HEADS = {
    "options": "# NAME[=][:SINCE-UNTIL], = for an option that takes an argument.",
    "machine_properties": "# NAME[:SINCE-UNTIL], then the machine types without their versions, * for all.",
    "object_types": "# NAME[:SINCE-UNTIL]",
    "cpu_models": "# Targets, then NAME[:SINCE-UNTIL] of each CPU model.",
    "cpu_definitions": "# Targets, end[:SINCE-] of the types' names with * for the target, then NAME[=TYPE][>ALIAS][~FLAGS][:SINCE-UNTIL] of each CPU model;\n"
    "# flags: s static, m safe to migrate, n not safe to migrate, d deprecated.",
}


def output(program: str, *arguments: str) -> str:
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=60).stdout


def tried(program: str, *options: str) -> str:
    """What is said of options at the start."""
    command = [program, "-display", "none", "-S", *options]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            return process.communicate(timeout=2)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            return process.communicate()[1]


def ask(program: str, *requests: tuple[str, dict[str, object]]) -> list[Any]:
    """What QMP commands return; None where they fail, or the program does (listing types loads modules)."""
    answers: list[Any] = []
    while len(answers) < len(requests):
        command = [program, "-M", "none", "-display", "none", "-S", "-qmp", "stdio"]
        process = subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdin is not None and process.stdout is not None
        reader = io.BufferedReader(process.stdout)  # type: ignore[type-var]
        reader.readline()
        for name, arguments in (("qmp_capabilities", {}), *requests[len(answers) :]):
            try:
                process.stdin.write(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
                line = reader.readline()
            except BrokenPipeError:
                line = b""
            if name != "qmp_capabilities":
                answers.append(json.loads(line).get("return") if line else None)
            if not line:
                break
        process.kill()
        process.wait()
    return answers


def option_names(program: str) -> Iterable[str]:
    """The options in the help, those that want an argument with `=`."""
    names = set()
    for line in output(program, "-help").splitlines():
        match = re.match(r"-([\w-]+)((?:(?: or |/)-[\w-]+)*)", line)
        if match is not None:
            names |= {match[1], *re.findall(r"-([\w-]+)", match[2])}
    for name in names:
        yield f"{name}=" if "requires an argument" in tried(program, "-M", "nosuch", f"-{name}") else name


def property_names(program: str) -> dict[str, set[str]]:
    """Of all machine types: what the help lists, and what only an instance has."""
    machines = [line.split()[0] for line in output(program, "-machine", "help").splitlines()[1:]]
    asked: list[tuple[str, dict[str, object]]] = [
        ("qom-list-properties", {"typename": f"{name}-machine"}) for name in machines
    ]
    listed = ask(program, *asked)
    found = {}
    for machine, properties in zip(machines, listed, strict=True):
        text = output(program, "-machine", f"{machine},help")
        names = re.findall(rf"^(?: +|{re.escape(machine)}\.)([A-Za-z0-9._-]+)=", text, re.MULTILINE)
        told = [each["name"] for each in properties or () if not each["type"].startswith("child<")]
        found[machine] = {name.replace("_", "-") for name in (*names, *told)} - {"type"}
    return found


def models(program: str) -> set[str]:
    types = ask(program, ("qom-list-types", {"implements": "cpu", "abstract": False}))[0] or []
    names = {re.sub(r"-[a-z0-9_]+-cpu$", "", each["name"]) for each in types}
    names |= {each["name"] for each in ask(program, ("query-cpu-definitions", {}))[0] or []}
    # The help has them in the second column where the first is the architecture's name.
    if not names:
        for line in output(program, "-cpu", "help").splitlines():
            match = re.match(r"\s+([\w.+-]+)(?:\s|$)", line)
            if match is not None:
                names.add(match[1])
    # Some are in no list.
    for name, found in (("max", "max"), ("nosuch", known.ANY)):
        if "unable to find CPU model" not in tried(program, "-M", "none", "-cpu", name):
            names.add(found)
    return names


def object_types(program: str) -> set[str]:
    """The types that `-object` makes."""
    return set(output(program, "-object", "help").split()) - {"List", "of", "user", "creatable", "objects:"}


def marked(name: str, releases: set[str], all_releases: Iterable[str]) -> Iterable[str]:
    """The name with the releases that have it; twice where it went and came back."""
    asked = list(all_releases)
    while releases:
        first = next(release for release in asked if release in releases)
        run = []
        for release in asked[asked.index(first) :]:
            if release not in releases:
                break
            run.append(release)
        releases = releases - set(run)
        since = "" if run[0] == asked[0] else run[0]
        until = "" if run[-1] == asked[-1] else run[-1]
        yield name + (f":{since}-{until}" if since or until else "")


def main(subjects: list[str]) -> None:
    for subject in subjects or list(WRITERS):
        write(subject, WRITERS[subject]())


def programs() -> Iterable[tuple[str, str, str]]:
    """Release, target and program of every QEMU that is there."""
    for release in RELEASES:
        for target in targets(find_release(release)):
            program = qemu(target, release)
            if program is not None and not target.endswith("-microvm"):
                yield release, target, program


def name_rows(names: Callable[[str], Iterable[str]]) -> Iterable[str]:
    found: dict[str, set[str]] = defaultdict(set)
    for release, _, program in programs():
        for name in names(program):
            found[name].add(release)
    return (" ".join(marked(name, releases, RELEASES)) for name, releases in sorted(found.items()))


def property_rows() -> Iterable[str]:
    """What all machine types of a release have is a row for all; the rest are rows by the releases with it."""
    properties: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    families: dict[str, set[str]] = defaultdict(set)
    for release, _, program in programs():
        for machine, names in property_names(program).items():
            families[release].add(family_of(machine))
            for name in names:
                properties[name][family_of(machine)].add(release)
    for name, found in sorted(properties.items()):
        everywhere = {release for release in RELEASES if all(release in found[family] for family in families[release])}
        yield from (f"{word} {known.ANY}" for word in marked(name, everywhere, RELEASES))
        rows: dict[str, list[str]] = defaultdict(list)
        for family, releases in found.items():
            # A machine type that a release has not says nothing of it.
            there = [release for release in RELEASES if family in families[release] and release not in everywhere]
            for word in marked(name, releases - everywhere, there):
                rows[word].append(family)
        yield from (f"{word} {' '.join(sorted(where))}" for word, where in sorted(rows.items()))


def cpu_rows() -> Iterable[str]:
    cpus: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    asked: dict[str, list[str]] = defaultdict(list)
    for release, target, program in programs():
        asked[target].append(release)
        for model in models(program):
            cpus[target][model].add(release)
    rows: dict[str, list[str]] = defaultdict(list)
    for target, found in cpus.items():
        words = [word for name, releases in sorted(found.items()) for word in marked(name, releases, asked[target])]
        rows[" ".join(words)].append(target)
    return (f"{','.join(targets)} {models_text}" for models_text, targets in rows.items())


def definition_word(found: dict[str, Any], ending: str) -> str:
    """What is told of a model, but for its features."""
    name, stem = found["name"], found["typename"].removesuffix(ending)
    flags = "s" * found["static"] + "d" * found["deprecated"]
    if "migration-safe" in found:
        flags += "m" if found["migration-safe"] else "n"
    word = name if stem == name else f"{name}={stem}"
    word += f">{found['alias-of']}" if "alias-of" in found else ""
    return f"{word}~{flags}" if flags else word


def definition_rows() -> Iterable[str]:
    cpus: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    asked: dict[str, list[str]] = defaultdict(list)
    endings: dict[str, str] = {}
    for release, target, program in programs():
        definitions = ask(program, ("query-cpu-definitions", {}))[0]
        if definitions is None:
            continue
        asked[target].append(release)
        endings[target] = "-" + "-".join(definitions[0]["typename"].rsplit("-", 2)[1:])
        for found in definitions:
            cpus[target][definition_word(found, endings[target])].add(release)
    rows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for target, words in cpus.items():
        text = " ".join(
            word for name, releases in sorted(words.items()) for word in marked(name, releases, asked[target])
        )
        since = asked[target][0]
        ending = "-*-cpu" if endings[target] in ("-i386-cpu", "-x86_64-cpu") else endings[target]
        ending += "" if since == RELEASES[0] else f":{since}-"
        rows[ending, text].append(target)
    return (f"{','.join(targets)} {ending} {text}" for (ending, text), targets in rows.items())


WRITERS: dict[str, Callable[[], Iterable[str]]] = {
    "options": lambda: name_rows(option_names),
    "object_types": lambda: name_rows(object_types),
    "machine_properties": property_rows,
    "cpu_models": cpu_rows,
    "cpu_definitions": definition_rows,
}


def write(subject: str, rows: Iterable[str]) -> None:
    (FOLDER / f"{subject}.txt").write_text("\n".join([HEADS[subject], *rows]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
