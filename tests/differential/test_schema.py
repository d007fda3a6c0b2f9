"""The contract against real QEMU, by release: which arguments are refused and in which words, and what is answered."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ramslot.schema import ArgumentError

from .contracts import CONTRACT_TEXT, RAM, TYPED, Request, contract_of, installed_fully, real_answers
from .oracle import RELEASES

FILE: dict[str, Any] = {"qom-type": "memory-backend-file", "id": "m", "size": 4096, "mem-path": "/nonexistent/file"}
MEMFD: dict[str, Any] = {"qom-type": "memory-backend-memfd", "id": "m", "size": 4096}
LINE: dict[str, Any] = {"command-line": "info name"}


def with_each(command: str, arguments: dict[str, Any], member: str, values: list[Any]) -> list[Request]:
    """Return a request for each value that the member may have."""
    return [(command, {**arguments, member: value}) for value in values]


# Never size=-1: real QEMU aborts. Never many prealloc-threads together with prealloc: it would start them.
REFUSED: list[Request] = [
    *(("query-status", {"a": 1}), ("query-status", {"b": 1, "a": 1}), ("query-status", {"": 3}), ("stop", {"x": {}})),
    *(("query-memdev", {"id": "m"}), ("system_reset", {"hard": True}), ("query-target", {"é": None})),
    *[
        ("qom-get", arguments)
        for arguments in (
            {}, {"path": 1}, {"path": "/"}, {"property": "a"}, {"path": "/", "property": 3}, {"zz": 1},
            {"path": None, "property": 3}, {"path": 1, "property": 2, "x": 3}, {"path": ["x"], "property": "a"},
            {"path": {"x": 1}, "property": "a"}, {"path": True, "property": "a"}, {"path": 1.5, "property": "a"},
            {"zz": 1, "path": "/objects", "property": "type"}, {"Path": "/", "path": "/", "property": "type"},
            {"zz": 1, "aa": 2, "mm": [1], "path": "/objects", "property": "type"},
            {"q1": 1, "path": "/", "q3": 2, "property": "type", "q2": 3, "x": 4},
        )
    ],
    *[("qom-set", arguments) for arguments in ({"value": 1}, {"path": "/", "property": "a"}, {"path": 1, "value": 2})],
    *[
        ("qom-list-types", arguments)
        for arguments in (
            {"abstract": 1}, {"abstract": "on"}, {"abstract": None}, {"implements": None},
            {"abstract": 3, "implements": 3}, {"abstract": True, "extra": 3},
        )
    ],
    *(("qom-list", {}), ("qom-list", {"path": 3}), ("qom-list-properties", {}), ("qom-list-properties", {"type": "x"})),
    *with_each("human-monitor-command", LINE, "cpu-index", [1.0, "0", 2**63, 2**64, -(2**63) - 1, True, None, [], {}]),
    *(("human-monitor-command", {}), ("human-monitor-command", {"cpu-index": "0"})),
    *(("object-del", {}), ("object-del", {"id": 1}), ("object-del", {"id": "m", "force": True})),
    *with_each("qmp_capabilities", {}, "enable", [["x"], "oob", [1], [None], ["oob", "x"], None, {}]),
    *[
        ("object-add", arguments)
        for arguments in (
            {}, {"id": "m"}, {"qom-type": "x"}, {"qom-type": 1}, {"qom-type": None, "id": 1}, {"qom-type": "", "id": 1},
            {"qom-type": ["memory-backend-ram"], "id": "m"}, {"qom-type": "memory-backend-RAM", "id": 1},
            {"qom-type": "memory-backend-ram"}, {"qom-type": "memory-backend-ram", "id": "m"},
            {"qom-type": "memory-backend-ram", "id": 1}, {"qom-type": "memory-backend-file", "id": "m", "size": 4096},
            {"qom-type": "memory-backend-ram", "size": "x"}, {"qom-type": "memory-backend-ram", "id": "m", "foo": 1},
        )
    ],
    *with_each("object-add", RAM, "size", ["1M", 1.0, 1.5, -1.0, 1e300, None, True, 2**64, [], {}, ""]),
    *with_each("object-add", RAM, "dump", [1, 0, "on", None, [], {}]),
    *with_each("object-add", RAM, "host-nodes", [1, "0", None, {}, ["a"], [0, "a"], [[0]], [65536], [-1], [1.0]]),
    *with_each("object-add", RAM, "host-nodes", [[0, None], [0, 70000], [True], [2**64], [2**63], [{}]]),
    *with_each("object-add", RAM, "host-nodes", [["a", 70000], [70000, "a"]]),
    *with_each("object-add", RAM, "policy", ["x", 1, None, "", "Bind", [], "bind "]),
    *with_each("object-add", RAM, "prealloc-threads", [-1, 2**32, 1.0, "1", 2**64, 2**63, None]),
    *with_each("object-add", RAM, "prealloc-threads", [-(2**63), -(2**63) - 1]),
    *[
        ("object-add", {**RAM, **extra})
        for extra in (
            {"foo": 1}, {"foo": 1, "bar": 2}, {"mem-path": "/x"}, {"seal": True}, {"a.b": 3}, {"size": "1", "foo": 1},
            {"dump": 1, "merge": 1}, {"merge": 1, "policy": "zz"}, {"size": "x", "share": "x"},
            {"host-nodes": ["x"], "dump": 1}, {"host-nodes": ["x"], "merge": 1}, {"reserve": 1, "foo": 2},
            {"x-use-canonical-path-for-ramblock-id": 1}, {"prealloc": "on", "size": None}, {"seal": 1, "hugetlb": 1},
        )
    ],
    *[
        ("object-add", {**FILE, **change})
        for change in (
            {"mem-path": 1}, {"mem-path": None}, {"align": "x"}, {"align": 1.0, "size": "x"}, {"pmem": 0},
            {"readonly": "off"}, {"discard-data": None}, {"seal": True}, {"mem-path": 3, "align": 2.5},
        )
    ],
    *[
        ("object-add", {**MEMFD, **change})
        for change in ({"hugetlb": 1}, {"hugetlbsize": "x"}, {"hugetlbsize": 2.0}, {"seal": "x"}, {"mem-path": "/x"})
    ],
]  # fmt: skip

ACCEPTED: list[Request] = [
    ("query-status", {}),
    ("qom-get", {"path": "/objects", "property": "type"}),
    ("qom-get", {"path": "", "property": ""}),
    ("qom-set", {"path": "/", "property": "a", "value": None}),
    ("qom-list-types", {"implements": "memory-backend", "abstract": False}),
    ("qom-list", {"path": "/objects"}),
    ("human-monitor-command", LINE),
    ("human-monitor-command", {**LINE, "cpu-index": -(2**63)}),
    ("qmp_capabilities", {"enable": []}),
    ("object-del", {"id": "no such thing"}),
    ("object-add", RAM),
    ("object-add", {**RAM, "size": -4096}),
    ("object-add", {**RAM, "size": 0}),
    ("object-add", {**RAM, "host-nodes": []}),
    ("object-add", {**RAM, "host-nodes": [65535], "policy": "bind"}),
    ("object-add", {**RAM, "prealloc-threads": 2**32 - 1}),
    ("object-add", {**RAM, "merge": False, "dump": False, "share": True, "reserve": False, "prealloc": False}),
    ("object-add", FILE),
    ("object-add", {**FILE, "align": -5, "pmem": False, "readonly": True, "discard-data": True}),
    ("object-add", {**MEMFD, "hugetlb": False, "seal": False}),
    ("object-add", {**MEMFD, "hugetlb": True, "hugetlbsize": -1}),
]


def of_release(requests: list[Request], release: str) -> list[Request]:
    """Those requests whose arguments the release looks at."""
    return requests if release in TYPED else [request for request in requests if request[0] != "object-add"]


def real_texts(release: str, requests: list[Request]) -> list[str]:
    """Return QEMU's error text, or "", for each request; an object that was made goes before the next is."""
    deletion: Request = ("object-del", {"id": "m"})
    pairs = [pair for request in requests for pair in (request, deletion)]
    return [answer.get("error", {}).get("desc", "") for answer in real_answers(release, pairs)[::2]]


def our_text(release: str, command: str, arguments: dict[str, Any]) -> str:
    try:
        contract_of(release).check(command, arguments)
    except ArgumentError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("release", RELEASES)
def test_refused_arguments_have_the_same_text(release: str) -> None:
    requests = of_release(REFUSED, release)
    assert len(requests) > 40
    wrong = []
    for (command, arguments), real in zip(requests, real_texts(release, requests), strict=True):
        ours = our_text(release, command, arguments)
        if not ours or real != ours:
            wrong.append((command, arguments, real, ours))
    assert not wrong


@pytest.mark.parametrize("release", RELEASES)
def test_accepted_arguments_are_accepted(release: str) -> None:
    requests = [request for request in of_release(ACCEPTED, release) if installed_fully(release, request)]
    for (command, arguments), real in zip(requests, real_texts(release, requests), strict=True):
        assert our_text(release, command, arguments) == ""
        assert not CONTRACT_TEXT.match(real) or "CPU number" in real, (command, arguments)


def random_arguments(dice: random.Random) -> dict[str, Any]:
    """Make `object-add` arguments with a few mistakes, none of which would make QEMU abort or allocate much."""
    pool: list[Any] = [
        None, True, 0, 1, 2, 4096, 1.0, 65536, 2**32, -4096, 2**64, "on", "bind", "default", "x", [], [0], ["x"],
        [70000], {}, {"a": 1},
    ]  # fmt: skip
    good: dict[str, Any] = {
        "qom-type": dice.choice(["memory-backend-ram", "memory-backend-memfd", "memory-backend-file"]), "id": "m",
        "size": 4096, "dump": True, "merge": False, "policy": "default", "share": True, "host-nodes": [],
        "prealloc-threads": 1, "reserve": True, "seal": False, "hugetlb": False, "readonly": True, "align": 4096,
        "mem-path": "/nonexistent/file",
    }  # fmt: skip
    names = dice.sample(sorted(good), dice.randint(1, 4))
    arguments = {name: good[name] for name in ["qom-type", "id", "size", *names] if dice.random() < 0.95}
    for name in dice.sample([*good, "foo", "bar", "baz", "a.b"], dice.randint(0, 3)):
        arguments[name] = dice.choice(pool)
    return dict(dice.sample(sorted(arguments.items(), key=str), len(arguments)))


@pytest.mark.parametrize("release", TYPED)
def test_random_arguments_have_the_same_text(release: str) -> None:
    dice = random.Random(7)
    requests: list[Request] = [("object-add", random_arguments(dice)) for _ in range(1500)]
    # A larger object with several undeclared members: which one QEMU names is modelled up to seven (see `visiting`).
    requests = [request for request in requests if len(request[1]) < 8]
    refused = 0
    for (command, arguments), real in zip(requests, real_texts(release, requests), strict=True):
        ours = our_text(release, command, arguments)
        refused += bool(ours)
        if ours or CONTRACT_TEXT.match(real):
            assert real == ours, arguments
    assert refused > 500


QUESTIONS: list[Request] = [
    ("query-status", {}), ("query-version", {}), ("query-name", {}), ("query-uuid", {}), ("query-kvm", {}),
    ("query-target", {}), ("query-memdev", {}), ("query-memory-size-summary", {}), ("query-machines", {}),
    ("query-cpus-fast", {}), ("query-commands", {}), ("query-qmp-schema", {}), ("qom-list", {"path": "/machine"}),
    ("qom-list-types", {"abstract": True}), ("qom-list-properties", {"typename": "memory-backend-file"}),
    ("qom-get", {"path": "/machine", "property": "type"}), ("human-monitor-command", {"command-line": "info mtree"}),
    ("object-add", RAM), ("query-memdev", {}), ("object-del", {"id": "m"}), ("stop", {}),
    ("query-command-line-options", {}), ("query-tpm-models", {}), ("query-tpm-types", {}), ("system_powerdown", {}),
]  # fmt: skip


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(("target", "machine"), [("x86_64", "none"), ("x86_64", "pc"), ("s390x", "s390-ccw-virtio")])
def test_real_answers_fulfil_the_contract(target: str, machine: str, release: str) -> None:
    known = contract_of(release)
    questions = [request for request in QUESTIONS if installed_fully(release, request)]
    for (command, _), answer in zip(questions, real_answers(release, questions, machine, target), strict=True):
        known.check_result(command, answer["return"])
