"""The object tree: listed, read and written through QMP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .oracle import BOTH, REFERENCE, compare

pytestmark = pytest.mark.parametrize("release", BOTH)

RAM = "-object memory-backend-ram,id=m,size=1M"
BACKENDS = (
    f"{RAM} -object memory-backend-memfd,id=n,size=2M,seal=off "
    "-object memory-backend-file,id=f,size=64k,mem-path=small.img,share=on,align=4k"
)
FILES = {"small.img": 65536}
PROPERTIES = {
    "m": ("type", "merge", "dump", "prealloc", "prealloc-threads", "size", "host-nodes", "policy", "share", "reserve",
          "x-use-canonical-path-for-ramblock-id"),
    "n": ("type", "hugetlb", "hugetlbsize", "seal", "size", "share"),
    "f": ("type", "mem-path", "align", "readonly", "pmem", "discard-data", "size", "share"),
}  # fmt: skip
VALUES: tuple[object, ...] = (
    True,
    False,
    0,
    1,
    -1,
    4096,
    1 << 20,
    "on",
    "bind",
    "default",
    "preferred",
    "",
    [],
    [0],
    [1],
    {},
    None,
    1.5,
    1 << 32,
)
PATHS = (
    "", "/", "//", "/objects", "objects", "/objects/", "objects/m", "/objects/m", "m", "/m", "/machine", "machine", "unattached",
    "/machine/unattached", "/machine/peripheral", "/machine/peripheral-anon", "/absent", "/objects/absent", "absent", "/Objects",
    "/machine/unattached/sysbus", "/machine/unattached/system[0]", "/machine/unattached/io[0]", "system[0]", "/objects/m/type",
    "/objects/m/m[0]", "peripheral", "/chardevs", "/backend", "type", "/machine/unattached/device[0]", "device[0]",
)  # fmt: skip


def ask(command: str, **arguments: object) -> str:
    return json.dumps(
        {"execute": command, "arguments": {name.replace("_", "-"): arguments[name] for name in arguments}}
    )


@pytest.mark.parametrize(
    ("arch", "machine"),
    [("x86_64", "none"), ("x86_64", "none -m 8M"), ("s390x", "s390-ccw-virtio"), ("aarch64", "none"), ("x86_64", "pc")],
)
def test_paths(release: str, arch: str, machine: str, tmp_path: Path) -> None:
    paths = [path for path in PATHS if machine != "pc" or "device" not in path]
    listed = [path for path in paths if machine.startswith("none") or not path.startswith(("/machine/un", "un"))]
    questions = [ask("qom-list", path=path) for path in listed]
    questions += [ask("qom-get", path=path, property="type") for path in paths]
    compare("qom", arch, f"-M {machine} {BACKENDS}", questions, tmp_path, FILES, release=release)


@pytest.mark.parametrize("name", PROPERTIES)
@pytest.mark.parametrize("used", [False, True])
def test_backend_properties_read_and_written(release: str, name: str, used: bool, tmp_path: Path) -> None:
    path = f"/objects/{name}"
    questions = [ask("qom-get", path=path, property=wanted) for wanted in (*PROPERTIES[name], "absent", "")]
    for wanted in (*PROPERTIES[name], "absent"):
        for value in VALUES:
            questions.append(ask("qom-set", path=path, property=wanted, value=value))
            questions.append(ask("qom-get", path=path, property=wanted))
    machine = f"-M none,memory-backend={name}" if used else "-M none"
    compare("qom", "x86_64", f"{machine} {BACKENDS}", [*questions, "info memdev"], tmp_path, FILES, release=release)


@pytest.mark.parametrize(
    ("arch", "machine"), [("x86_64", "none"), ("x86_64", "pc"), ("x86_64", "q35"), ("s390x", "s390-ccw-virtio")]
)
def test_machine_properties(release: str, arch: str, machine: str, tmp_path: Path) -> None:
    wanted = (
        "type", "memory-backend", "mem-merge", "dump-guest-core", "memory", "smp", "absent", "max-ram-below-4g", "hpet",
        "vmport", "i8042", "pit", "firmware",
    )  # fmt: skip
    questions = [ask("qom-get", path="/machine", property=name) for name in wanted]
    questions += [ask("qom-set", path="/machine", property=name, value=1) for name in ("absent", "type", "mem-merge")]
    questions += [
        ask("qom-set", path="/machine", property="mem-merge", value=False),
        ask("qom-get", path="/machine", property="mem-merge"),
    ]
    questions += [ask("qom-list", path="/machine")]
    compare("qom", arch, f"-M {machine}", questions, tmp_path, release=release)


def test_types(release: str, tmp_path: Path) -> None:
    names = ("memory-backend-ram", "memory-backend-file", "memory-backend-memfd", "memory-backend", "container",
             "memory-region", "object", "absent", "")  # fmt: skip
    questions = [ask("qom-list-properties", typename=name) for name in names]
    if (
        release == REFERENCE
    ):  # newer QEMUs load all their modules for it, and die of those of another QEMU on the machine
        questions += [ask("qom-list-types", implements="memory-backend", abstract=flag) for flag in (False, True)]
        questions += [ask("qom-list-types", implements="absent"), ask("qom-list-types", implements="memory-backend")]
    compare("qom", "x86_64", "-M none", questions, tmp_path, release=release)


@pytest.mark.parametrize(
    ("arch", "machine"), [("x86_64", "none"), ("s390x", "s390-ccw-virtio"), ("x86_64", "none -m 8M")]
)
def test_tree(release: str, arch: str, machine: str, tmp_path: Path) -> None:
    lines = [f"info qom-tree {path}".rstrip() for path in PATHS]
    compare("qom", arch, f"-M {machine} {BACKENDS}", lines, tmp_path, FILES, release=release)
