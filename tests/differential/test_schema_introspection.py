"""What is told of commands, events and their types, member by member, against `query-qmp-schema` of real QEMU."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from .contracts import contract_of, real_answers
from .oracle import RELEASES

Entries = dict[str, dict[str, Any]]

OUR_MEMBERS = {"type", "description", "deprecation", "default-ram-size", "in-versions"}
"""Members of QEMU's own answers that QEMU has not: of query-cpus-fast and query-machines."""
OUR_VALUES = {"sim"}
"""Values of QEMU's own enumerations that QEMU has not."""

NOT_TOLD = {
    *(
        "disk",
        "vfio",
        "xbzrle-cache",
        "compression",
        "blocked-reasons",
        "postcopy-blocktime",
        "postcopy-vcpu-blocktime",
    ),
    *("postcopy-latency", "postcopy-latency-dist", "postcopy-vcpu-latency", "postcopy-non-vcpu-latency"),
    *("dirty-limit-throttle-time-per-round", "dirty-limit-ring-full-time", "block-bitmap-mapping"),
}
"""Members that QEMU has and we have not: what disks, devices and ways to migrate tell that are not modelled."""
ALWAYS_EMPTY = {"query-block", "query-blockstats", "query-named-block-nodes"}
"""Commands that list disks: what is told of one is not described, for there is none."""
OTHER_TYPES = {"tls-creds", "tls-hostname", "tls-authz", "addr", "socket-address"}
"""Members of types that our documents have in another form: alternates, and unions within unions."""


def ours_alone(release: str) -> set[str]:
    known = contract_of(release)
    commands = {command.name for command in known.commands().values() if command.since.startswith("ramslot")}
    return commands | {event.name for event in known.events().values() if event.since.startswith("ramslot")}


@cache
def our_schema(release: str) -> Entries:
    return {entry["name"]: entry for entry in contract_of(release).introspect()}


@cache
def real_schema(release: str) -> Entries:
    (answer,) = real_answers(release, [("query-qmp-schema", {})])
    return {entry["name"]: entry for entry in answer["return"]}


def compare(ours: Entries, our_name: str, theirs: Entries, their_name: str, seen: set[tuple[str, str]]) -> None:
    """Assert that two types of two introspections have the same members, order, types, features and optionality."""
    if (our_name, their_name) in seen:
        return
    seen.add((our_name, their_name))
    our, their = ours[our_name], theirs[their_name]
    assert our["meta-type"] == their["meta-type"]
    if our["meta-type"] == "array":
        compare(ours, our["element-type"], theirs, their["element-type"], seen)
    elif our["meta-type"] == "enum":
        compare_enums(our, their)
    elif our["meta-type"] == "alternate":
        for mine, real in zip(our["members"], their["members"], strict=True):
            compare(ours, mine["type"], theirs, real["type"], seen)
    elif our["meta-type"] == "builtin":
        assert our == their
    else:
        compare_objects(ours, our, theirs, their, seen)


def compare_enums(our: dict[str, Any], their: dict[str, Any]) -> None:
    """Of the types of objects there are fewer here."""
    found = [value for value in our["values"] if value not in OUR_VALUES]
    known = [value for value in their["values"] if value in our["values"] or "memory-backend-ram" not in our["values"]]
    assert found == known
    assert ("members" in our) == ("members" in their)
    for member in our.get("members", ()):
        assert member in their["members"] or member["name"] in OUR_VALUES


def compare_objects(
    ours: Entries, our: dict[str, Any], theirs: Entries, their: dict[str, Any], seen: set[tuple[str, str]]
) -> None:
    known = {member["name"] for member in their["members"]}
    our_members = [member for member in our["members"] if member["name"] in known or member["name"] not in OUR_MEMBERS]
    ours_too = {member["name"] for member in our["members"]}
    their_members = [
        member for member in their["members"] if member["name"] in ours_too or member["name"] not in NOT_TOLD
    ]
    assert [member["name"] for member in our_members] == [member["name"] for member in their_members]
    for mine, real in zip(our_members, their_members, strict=True):
        assert {**mine, "type": ""} == {**real, "type": ""}
        if mine["name"] not in OTHER_TYPES:
            compare(ours, mine["type"], theirs, real["type"], seen)
    assert our.get("tag") == their.get("tag")
    their_variants = {variant["case"]: variant["type"] for variant in their.get("variants", ())}
    for variant in our.get("variants", ()):
        compare(ours, variant["type"], theirs, their_variants[variant["case"]], seen)


NAMES = [
    (release, name)
    for release in RELEASES
    for name in sorted({*contract_of(release).commands(), *contract_of(release).events()} - ours_alone(release))
]


@pytest.mark.parametrize(("release", "name"), NAMES)
def test_introspection_equals_that_of_qemu(release: str, name: str) -> None:
    ours, theirs = our_schema(release), real_schema(release)
    for fact in ("allow-oob", "features"):
        assert ours[name].get(fact) == theirs[name].get(fact)
    seen: set[tuple[str, str]] = set()
    for key in {"arg-type", "ret-type"} & set(theirs[name]):
        if name in ALWAYS_EMPTY and key == "ret-type":
            assert ours[ours[name][key]]["meta-type"] == theirs[theirs[name][key]]["meta-type"] == "array"
            continue
        compare(ours, ours[name][key], theirs, theirs[name][key], seen)


@pytest.mark.parametrize("release", RELEASES)
def test_our_own_commands_are_unknown_to_qemu(release: str) -> None:
    assert {"query-memslots", "query-ramblocks"} <= ours_alone(release)
    assert not ours_alone(release) & set(real_schema(release))


@pytest.mark.parametrize("release", RELEASES)
def test_what_another_release_has_is_not_offered(release: str) -> None:
    """Every command of any release that the real one has, and no other."""
    everywhere = {name for other in RELEASES for name in contract_of(other).commands()} - ours_alone(release)
    offered = set(contract_of(release).commands()) - ours_alone(release)
    assert offered == everywhere & set(real_schema(release))
