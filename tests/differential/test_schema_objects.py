"""Objects written as options and as lines of the human monitor: refused in the same words, or taken with these values."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any, Literal

import pytest

from ramslot.schema import ArgumentError

from .contracts import CONTRACT_TEXT, TYPED, Request, contract_of, program_of, real_answers

Flavour = Literal["cli", "hmp"]

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
