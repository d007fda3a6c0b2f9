"""The contract against real QEMU, by release: what is refused and in which words, what is answered, what is introspected."""

from __future__ import annotations

import json
import random
import re
import subprocess
import tempfile
from functools import cache
from typing import Any, Literal

import pytest

from ramslot.schema import ArgumentError, Contract, contract
from ramslot.vm.releases import VERSIONS

from .oracle import RELEASES, qemu

TYPED = [name for name in RELEASES if name != "5.2"]
"""The releases in which the arguments of object-add have types; in 5.2 each property is looked at as it is set."""

CONTRACT_TEXT = re.compile(r"Parameters? '.*' (is|are|expects|does) |Invalid parameter|.*, expected: ")

Flavour = Literal["cli", "hmp"]
Request = tuple[str, dict[str, Any]]
Entries = dict[str, dict[str, Any]]

RAM: dict[str, Any] = {"qom-type": "memory-backend-ram", "id": "m", "size": 4096}
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


def program_of(release: str, arch: str = "x86_64") -> str:
    program = qemu(arch, release)
    if program is None:
        pytest.skip(f"QEMU {release} is not installed")
    return program


def contract_of(release: str) -> Contract:
    return contract(VERSIONS[release][:2])


def installed_fully(release: str, request: Request) -> bool:
    """Newer QEMUs abort where a type's module is missing, as it is in those that are beside the system's."""
    return request[0] != "qom-list-types" or release in ("5.2", "7.2")


def of_release(requests: list[Request], release: str) -> list[Request]:
    """Those requests whose arguments the release looks at."""
    return requests if release in TYPED else [request for request in requests if request[0] != "object-add"]


def real_answers(
    release: str, requests: list[Request], machine: str = "none", arch: str = "x86_64"
) -> list[dict[str, Any]]:
    """Ask real QEMU and return its answers, each under `return` or `error`."""
    program = program_of(release, arch)
    lines = [json.dumps({"execute": command, "arguments": arguments}) for command, arguments in requests]
    with tempfile.TemporaryDirectory() as folder:  # for the files that a mem-path makes
        run = subprocess.run(
            [program, "-M", machine, "-display", "none", "-nodefaults", "-S", "-qmp", "stdio"],
            input="\n".join(['{"execute": "qmp_capabilities"}', *lines, '{"execute": "quit"}']),
            capture_output=True, text=True, timeout=60, check=True, cwd=folder,
            pipesize=1 << 20,  # what does not fit into the pipe QEMU throws away when it quits
        )  # fmt: skip
    values = [json.loads(line) for line in run.stdout.splitlines()]
    answers = [value for value in values if "return" in value or "error" in value]
    assert len(answers) == len(requests) + 2
    return answers[1:-1]


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


OBJECT_TEXTS = [
    "memory-backend-ram", "memory-backend-ram,size=1M", "id=m", "foo,id=m", "memory-backend-ram,id=m",
    "memory-backend-ram,id=m,foo=1", "memory-backend-file,id=m,size=1M",
    "memory-backend-file,id=m,mem-path=/nonexistent/x", "memory-backend-memfd,id=m",
    "qom-type=memory-backend-ram,id=m,size=1M",
    *[f"memory-backend-ram,id=m,size={size}" for size in ("", "1X", "-1M", "x", "4k", "1M", "4KB")],
    "memory-backend-ram,id=m,size.foo=1", "memory-backend-ram,id.x=1,size=4k", "qom-type.x=1,id=m",
    "memory-backend-ram,id=m,size=x,size=4k", "memory-backend-ram,id=m,size=4k,size=x",
    *[
        f"memory-backend-ram,id=m,size=4k,{more}"
        for more in (
            "share=on", "share=yes", "share=true", "share=y", "share=off", "share=no", "share=false", "share=n",
            "share=1", "share=ON", "share=", "share.x=on", "share.0=on", "policy.x=1", "foo=1", "foo=1,bar=2",
            "zz=1,aa=2,mm=3", "mem-path=/x", "mem-path=1,seal=on,foo=3", "dump=x,merge=x", "merge=x,dump=x",
            "foo=1,size=x", "foo.x=1", "host-nodes=0", "host-nodes=0,policy=bind", "host-nodes=0-0,policy=bind",
            "host-nodes=0-3,policy=bind", "host-nodes=3-0", "host-nodes=0,host-nodes=1,policy=bind",
            "host-nodes.0=0,policy=bind", "host-nodes.0=x", "host-nodes.0=70000", "host-nodes.0=-1",
            "host-nodes.0=0x0,policy=bind", "host-nodes.0=1.0", "host-nodes.0=", "host-nodes.0=0,host-nodes.1=z",
            "host-nodes.x=0", "host-nodes.0.x=0", "host-nodes.0.0=0", "host-nodes.0=18446744073709551615",
            "host-nodes.0=18446744073709551616", "host-nodes=x", "host-nodes=70000", "host-nodes=-1",
            "host-nodes=0x0-0x0,policy=bind", "host-nodes=0-", "host-nodes=", "host-nodes=0-x", "host-nodes=0-65536",
            "host-nodes=1.0", "host-nodes=18446744073709551615", "host-nodes=18446744073709551616", "host-nodes=0:0",
            "host-nodes=0- 0,policy=bind", "host-nodes=0--0", "host-nodes=-0", "host-nodes=0-+0,policy=bind",
            "host-nodes=08-9", "host-nodes=0x-1", "prealloc-threads=-0", "prealloc-threads=- 1", "prealloc-threads=+-1",
            "prealloc-threads=0X1f", "prealloc-threads=00",
            "host-nodes=18446744073709551615-18446744073709551616", "host-nodes=010,host-nodes=2-1",
            "policy=x", "policy=", "policy=default", f"prealloc-threads={'9' * 5000}", f"host-nodes.0={'9' * 5000}",
            f"prealloc-threads={'0' * 5000}2", f"host-nodes={'9' * 5000}",
            "policy=Bind,host-nodes=0", "prealloc-threads=x", "prealloc-threads=-1", "prealloc-threads=4294967296",
            "prealloc-threads=1k", "prealloc-threads=0x2", "prealloc-threads=010", "prealloc-threads=09",
            "prealloc-threads=1.0", "prealloc-threads=", "prealloc-threads= 2", "prealloc-threads=2 ",
            "prealloc-threads=+2", "prealloc-threads=2-3", "prealloc-threads=99999999999999999999",
            "prealloc-threads=18446744073709551615", "prealloc-threads=-18446744073709551615",
            "prealloc-threads=-18446744073709551616", "prealloc-threads=0x", "prealloc-threads=0b1",
            "prealloc-threads=1_0", "prealloc-threads=2,prealloc-threads=x", "prealloc-threads=x,prealloc-threads=2",
            "prealloc=x", "reserve=x", "x-use-canonical-path-for-ramblock-id=x", "qom-type=memory-backend-memfd",
        )
    ],
    *[
        f"memory-backend-memfd,id=m,size=4k,{more}"
        for more in ("hugetlb=x", "hugetlbsize=x", "hugetlbsize=-1", "seal=maybe", "seal=off", "align=1")
    ],
    *[
        f"memory-backend-file,id=m,mem-path=/nonexistent/x,size=4k,{more}"
        for more in ("align=x", "align.x=3", "pmem=x", "readonly=x", "discard-data=x", "readonly=on,discard-data=on")
    ],
]  # fmt: skip


def parse_size(text: str) -> int:
    number = re.fullmatch(r"(0x[0-9a-f]+|\d+)([kM]?)", text)
    if not number:
        raise ValueError(text)
    return int(number[1], 0) << {"": 0, "k": 10, "M": 20}[number[2]]


def split_options(text: str) -> dict[str, Any]:
    """Split as an option of the command line: flat keys, all values of a repeated one."""
    pairs: dict[str, list[str]] = {}
    for word in text.split(","):
        key, equals, value = word.partition("=")
        key, value = (key, value) if equals else ("qom-type", key)
        pairs.setdefault(key, []).append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in pairs.items()}


def split_keyval(text: str) -> dict[str, Any]:
    """Split as a line of the human monitor: dotted keys make a tree, the last value of a key wins."""
    tree: dict[str, Any] = {}
    for word in text.split(","):
        key, equals, value = word.partition("=")
        *path, last = key.split(".") if equals else ["qom-type"]
        inner = tree
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value if equals else key
    return {key: with_lists(value) for key, value in tree.items()}


def with_lists(tree: Any) -> Any:
    if isinstance(tree, str):
        return tree
    if all(key.isdecimal() for key in tree):
        return [with_lists(tree[key]) for key in sorted(tree, key=int)]
    return {key: with_lists(value) for key, value in tree.items()}


def read(release: str, pairs: dict[str, Any], flavour: Flavour) -> dict[str, Any] | str:
    """Return our arguments, or our text."""
    try:
        return contract_of(release).from_keyval("object-add", pairs, flavour, parse_size)
    except ArgumentError as error:
        return str(error)


def matches(ours: dict[str, Any] | str, real: str, memdev: dict[str, Any]) -> bool:
    """Tell whether both refused in the same words, or both took the same values."""
    if isinstance(ours, str) or CONTRACT_TEXT.match(real):
        return ours == real
    return all(memdev.get(key, value) == value for key, value in ours.items() if not real)


@pytest.mark.parametrize("release", TYPED)
@pytest.mark.parametrize("text", OBJECT_TEXTS, ids=lambda text: text[:100])
def test_option_object(text: str, release: str) -> None:
    run = subprocess.run(
        [program_of(release), "-M", "none", "-display", "none", "-nodefaults", "-S", "-qmp", "stdio", "-object", text],
        input='{"execute": "qmp_capabilities"} {"execute": "query-memdev"} {"execute": "quit"}',
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    real = run.stderr.removeprefix("qemu-system-x86_64: ").removeprefix(f"-object {text}: ").rstrip("\n")
    memdev = {} if run.returncode else json.loads(run.stdout.splitlines()[2])["return"][0]
    assert matches(read(release, split_options(text), "cli"), real, memdev), real


@pytest.mark.parametrize("release", TYPED)
def test_monitor_object_add(release: str) -> None:
    requests: list[Request] = []
    for text in OBJECT_TEXTS:
        requests += [("human-monitor-command", {"command-line": f"object_add {text}"}), ("query-memdev", {}),
                     ("object-del", {"id": "m"})]  # fmt: skip
    answers = real_answers(release, requests)
    wrong = []
    for text, hmp, memdevs in zip(OBJECT_TEXTS, answers[::3], answers[1::3], strict=True):
        real = hmp["return"].removeprefix("Error: ").rstrip()
        ours = read(release, split_keyval(text), "hmp")
        if not matches(ours, real, next(iter(memdevs["return"]), {})):
            wrong.append((text, real, ours))
    assert not wrong


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
