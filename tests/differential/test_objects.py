"""Memory backends added and deleted while the machine lives, rightly and wrongly."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from .oracle import BOTH, compare, finish, our_command, start

pytestmark = pytest.mark.parametrize("release", BOTH)

AFTER_EACH = ["info ramblock", "info memdev", '{"execute": "qom-list", "arguments": {"path": "/objects"}}']
FILES = {"small.img": 65536, "large.img": 16 << 20, "folder/file.img": 4096}

HAND_MADE = """
add ram a 1M; add ram b 1M; add ram c 300k; del b; add ram d 600k; add ram e 900k; del a; add ram f 2M; del c; del d; del e; del f
add ram a 4M; add ram b 64k; add ram c 64k; del b; add ram b 128k; add ram d 64k; del c; del a; add ram x 1M; add ram y 4M
add memfd m 1M; add memfd n 12k,seal=off; add memfd o 8k,share=off; del n; add ram n 1000001; add memfd n 1000001; del n; del m; del o
add file f 64k,mem-path=small.img; add file g 64k,mem-path=large.img,share=on; add file h 1M,mem-path=new.img; del h; add file i 1M,mem-path=new.img; add file j 12k,mem-path=.; del f; del g; del i; del j
add file f 1M,mem-path=large.img,readonly=on,share=on; add file g 4k,mem-path=large.img,align=2M; add file h 64k,mem-path=small.img,pmem=off,discard-data=on; del h; del g; del f
add ram a 1M,prealloc=on; add ram b 1M,prealloc=on,prealloc-threads=3; add ram c 1M,reserve=off; add ram d 1M,merge=off,dump=off,share=on; add ram e 1M,policy=bind,host-nodes.0=0
add ram a 1M,policy=interleave,host-nodes.0=0; add ram b 1M,policy=preferred,host-nodes.0=0; add ram c 1M,policy=default; add ram d 1M,x-use-canonical-path-for-ramblock-id=on; del a; add ram a 2M
add ram d0 1M; add ram d1 1M; add ram d2 1M; add ram d3 1M; add ram d4 1M; add ram d5 1M; add ram d6 1M; add ram d7 1M; add ram d8 1M; del d3; del d7; add ram d3 1M; add ram d9 1M; add ram d10 1M
add ram a 1M; add ram a 2M; del a; del a; add ram a 2M; del zz; del ; add ram ram 1M; del ram; add ram type 1M; del type; add ram pc.ram 1M; del pc.ram
""".strip().splitlines()  # fmt: skip

IDS = [*"abcdexyz", "m0", "m1", "dimm-1", "mem.0", "A_b", "ram", "pc.ram", "longer-identifier-of-a-backend"]

WRONG: list[dict[str, Any]] = [
    {}, {"qom-type": "memory-backend-ram"}, {"id": "m"}, {"qom-type": "memory-backend-ram", "id": "m"},
    *({"qom-type": kind, "id": "m", "size": 4096} for kind in (
        "nonsense", "memory-backend", "", "container", "memory-region", "memory-backend-epx")),
    *({"qom-type": "memory-backend-ram", "id": "m", **more} for more in (
        {"size": 0}, {"size": "1M"}, {"size": None}, {"size": 1.5}, {"size": True}, {"size": 4096, "foo": 1},
        {"size": 4096, "share": 1}, {"size": 4096, "share": "yes"}, {"size": 4096, "policy": "best"},
        {"size": 4096, "policy": "bind"}, {"size": 4096, "policy": "interleave"}, {"size": 4096, "policy": "preferred"},
        {"size": 4096, "host-nodes": [0]}, {"size": 4096, "host-nodes": 0}, {"size": 4096, "host-nodes": [128]},
        {"size": 4096, "host-nodes": [1], "policy": "bind"}, {"size": 4096, "host-nodes": [65536]},
        {"size": 4096, "host-nodes": [-1]}, {"size": 4096, "host-nodes": [0, 0, 1], "policy": "bind"},
        {"size": 4096, "prealloc-threads": 0}, {"size": 4096, "prealloc-threads": 1 << 32},
        {"size": 4096, "prealloc": True, "reserve": False}, {"size": 1 << 62}, {"size": 1 << 47}, {"size": 1 << 63},
        {"size": 1 << 46, "reserve": False}, {"size": 1 << 48, "reserve": False}, {"size": 4096, "mem-path": "x"},
        {"size": 4096, "hugetlb": False})),
    *({"qom-type": "memory-backend-ram", "id": name, "size": 4096} for name in (
        "1", "", "a b", "a/b", "é", "-x", "_x", "a" * 40, "used", "a:b", "a,b", "a\nb")),
    *({"qom-type": "memory-backend-file", "id": "m", **more} for more in (
        {"size": 4096}, {"mem-path": "new.img"}, {"size": 0, "mem-path": "new.img"},
        {"size": 4096, "mem-path": "absent/file"}, {"size": 4096, "mem-path": ""}, {"size": 4096, "mem-path": 3},
        {"size": 1 << 20, "mem-path": "small.img"}, {"size": 1 << 20, "mem-path": "small.img", "prealloc": True},
        {"size": 4096, "mem-path": "small.img", "align": 1000}, {"size": 4096, "mem-path": "small.img", "align": 12288},
        {"size": 4096, "mem-path": "small.img/x"}, {"size": 4096, "mem-path": "/proc/version"},
        {"size": 4096, "mem-path": "/dev/null"}, {"size": 100, "mem-path": "small.img"},
        {"size": 4096, "mem-path": "small.img", "pmem": True},
        {"size": 4096, "mem-path": "small.img", "pmem": True, "share": True},{"size": 4096, "mem-path": "new3.img", "readonly": True},
        {"size": 8192, "mem-path": "small.img", "align": 1 << 64}, {"size": 4096, "mem-path": "/proc/self/mem"})),
    *({"qom-type": "memory-backend-memfd", "id": "m", **more} for more in (
        {}, {"size": 0}, {"size": 1000001}, {"size": 1}, {"size": 4096, "hugetlbsize": 0},
        {"size": 4096, "hugetlb": True, "hugetlbsize": 12345}, {"size": 4096, "hugetlb": True, "hugetlbsize": 4096},
        {"size": 4096, "hugetlbsize": 2 << 20}, {"size": 4096, "seal": None}, {"size": 1 << 63}, {"size": 4096, "align": 1})),
]  # fmt: skip
for _number, _arguments in enumerate(WRONG):
    if _arguments.get("id") == "m":  # QEMU keeps the file of a memfd that it refused for the next one of that id
        _arguments["id"] = f"m{_number}"

CRASHES_QEMU = [
    json.dumps({"execute": "object-add", "arguments": {"qom-type": "memory-backend-ram", "id": "m", "size": size}})
    for size in (-1, (1 << 64) - 1, (1 << 64) - 4095)
] + ["object_add memory-backend-ram,id=m,size=18446744073709551615"]


def steps(sequence: str) -> list[str]:
    """`add TYPE ID SIZE[,PROPERTIES]; del ID` as HMP lines, alternating with QMP where that is possible."""
    lines = []
    for number, step in enumerate(filter(None, (step.strip() for step in sequence.split(";")))):
        verb, _, rest = step.partition(" ")
        if verb == "add":
            kind, name, size = rest.split(" ", 2)
            lines.append(f"object_add memory-backend-{kind},id={name},size={size}")
        elif number % 2:
            lines.append(json.dumps({"execute": "object-del", "arguments": {"id": rest}}))
        else:
            lines.append(f"object_del {rest}")
    return lines


def interleave(lines: list[str]) -> list[str]:
    return [question for line in lines for question in (line, *AFTER_EACH)]


def random_sequence(seed: int, length: int = 60) -> list[str]:
    rng = random.Random(seed)
    sizes = [4096, 65536, 262144, 1 << 20, 3 << 20, rng.randrange(1, 1 << 22), rng.randrange(1, 1 << 20)]
    lines = []
    for _ in range(length):
        name = rng.choice(IDS)
        if rng.random() < 0.4:
            lines.append(json.dumps({"execute": "object-del", "arguments": {"id": name}}))
            continue
        kind = rng.choice(["ram", "ram", "ram", "memfd", "file"])
        arguments: dict[str, Any] = {"qom-type": f"memory-backend-{kind}", "id": name, "size": rng.choice(sizes)}
        if kind == "file":
            arguments["mem-path"] = rng.choice(["large.img", "small.img", ".", "new.img"])
        for flag in ("share", "merge", "dump", "reserve", "prealloc"):
            if rng.random() < 0.15:
                arguments[flag] = rng.random() < 0.5
        lines.append(json.dumps({"execute": "object-add", "arguments": arguments}))
    return lines


@pytest.mark.parametrize("sequence", HAND_MADE, ids=range(len(HAND_MADE)))
@pytest.mark.parametrize("options", ["-M none", "-M none -m 1000001B"])
def test_sequence(release: str, sequence: str, options: str, tmp_path: Path) -> None:
    compare("objects", "x86_64", options, interleave(steps(sequence)), tmp_path, FILES, release=release)


@pytest.mark.parametrize(
    ("arch", "options", "seed"),
    [(arch, options, seed) for arch, options in (
        ("x86_64", "-M none"), ("x86_64", "-M none -m 3M"), ("aarch64", "-M none"), ("alpha", "-M none -m 64M"),
        ("s390x", "-M s390-ccw-virtio"), ("x86_64", "-M pc")) for seed in range(4)],
)  # fmt: skip
def test_random_sequence(release: str, arch: str, options: str, seed: int, tmp_path: Path) -> None:
    compare("objects", arch, options, interleave(random_sequence(seed)), tmp_path, FILES, release=release)


def hmp_text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "" if value is None else str(value)


def as_options(arguments: dict[str, Any]) -> str:
    """The arguments as the value of `-object` or `object_add`."""
    words = []
    for name, value in arguments.items():
        if isinstance(value, list):
            words += [f"{name}.{number}={hmp_text(item)}" for number, item in enumerate(value)]
        else:
            words.append(f"{name}={hmp_text(value).replace(',', ',,')}")
    return ",".join(words)


USED = ["object_add memory-backend-ram,id=used,size=8k"]


def test_wrong_arguments_over_qmp(release: str, tmp_path: Path) -> None:
    requests = [json.dumps({"execute": "object-add", "arguments": arguments}) for arguments in WRONG]
    removals = [json.dumps({"execute": "object-del", "arguments": {"id": f"m{n}"}}) for n in range(len(requests))]
    questions = [line for pair in zip(requests, removals, strict=True) for line in pair]
    compare("objects", "x86_64", "-M none", [*USED, *questions, *AFTER_EACH], tmp_path, FILES, release=release)


def test_wrong_arguments_over_hmp(release: str, tmp_path: Path) -> None:
    # QEMU writes warnings into HMP's text, ours go to stderr whoever asked.
    questions = [
        line
        for number, arguments in enumerate(WRONG)
        if not arguments.get("pmem")
        for line in (f"object_add {as_options(arguments)}", f"object_del m{number}")
    ]
    compare("objects", "x86_64", "-M none", [*USED, *questions, *AFTER_EACH], tmp_path, FILES, release=release)


@pytest.mark.parametrize("arguments", WRONG, ids=range(len(WRONG)))
def test_wrong_arguments_on_the_command_line(release: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    options = f"-M none -object memory-backend-ram,id=used,size=8k -object '{as_options(arguments)}'"
    compare("objects", "x86_64", options, ["info ramblock"], tmp_path, FILES, release=release)


def test_used_and_reserved_backends_cannot_be_deleted(release: str, tmp_path: Path) -> None:
    questions = ["object_del m", '{"execute": "object-del", "arguments": {"id": "m"}}', "object_del n", *AFTER_EACH]
    options = "-M pc,memory-backend=m -object memory-backend-ram,id=m,size=128M -object memory-backend-ram,id=n,size=1M"
    compare("objects", "x86_64", options, questions, tmp_path, release=release)
    compare(
        "objects",
        "x86_64",
        "-M pc",
        ["object_del pc.ram", "object_add memory-backend-ram,id=pc.ram,size=1M"],
        tmp_path,
        release=release,
    )


@pytest.mark.parametrize("question", CRASHES_QEMU)
def test_what_crashes_qemu_is_refused(release: str, question: str, tmp_path: Path) -> None:
    quiet = ["-M", "none", "-display", "none", "-nodefaults", "-S", "-qmp", "stdio"]
    outcome = finish(start(our_command("x86_64", quiet, release), tmp_path), [question, "info memdev"], "ramslot")
    assert outcome.status == 0 and outcome.errors == ""
    assert "error" in outcome.replies[1].lower(), outcome.replies[1]
    assert outcome.replies[2] == "\r\n"
