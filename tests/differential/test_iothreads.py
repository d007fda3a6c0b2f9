"""iothread objects: made, told of, changed, refused and deleted, equal to real QEMU's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .oracle import BOTH, compare

NAMES = (
    "poll-max-ns",
    "poll-grow",
    "poll-shrink",
    "poll-weight",
    "aio-max-batch",
    "thread-pool-min",
    "thread-pool-max",
)
VALUES = (5, 0, 63, 64, -1, 70, 80, 1 << 31, (1 << 63) - 1, 1 << 63, True, "x", None)
POOL_VALUES = (64, 63, 5, -1, 1 << 63, True, "x", None)
"""None that would make a pool that cannot be: QEMU refuses it, and keeps the value all the same."""
POOLS = ({"min": 80}, {"min": 80, "max": 100}, {"min": 80, "max": 8}, {"max": 0}, {"max": 1 << 31}, {"min": 64})


def ask(command: str, **arguments: Any) -> str:
    return json.dumps(
        {"execute": command, "arguments": {name.replace("_", "-"): value for name, value in arguments.items()}}
    )


@pytest.mark.parametrize("release", BOTH)
def test_iothreads(release: str, tmp_path: Path) -> None:
    ids = {"execute": "query-iothreads"}
    questions = [ask("qom-list-properties", typename="iothread"), ask("qom-list", path="/objects/b")]
    for name in NAMES:
        questions.append(ask("qom-get", path="/objects/b", property=name))
        for value in POOL_VALUES if name.startswith("thread-pool") else VALUES:
            questions.append(ask("qom-set", path="/objects/b", property=name, value=value))
            questions.append(ask("qom-get", path="/objects/b", property=name))
    for pool in POOLS:
        given = {f"thread_pool_{key}": value for key, value in pool.items()}
        questions += [
            ask("object-add", qom_type="iothread", id="c", **given),
            json.dumps(ids),
            ask("object-del", id="c"),
        ]
    questions += [
        ask("object-add", qom_type="iothread", id="c", **{name: value}) for name in NAMES for value in (-1, "x", 7)
    ]
    questions += ["info iothreads", "object_del a", ask("object-add", qom_type="iothread", id="b"), json.dumps(ids)]
    questions += [
        ask("object-add", qom_type="iothread", id="d", no=1),
        ask("qom-list", path="/objects"),
        "info iothreads",
    ]
    compare(
        "iothreads",
        "x86_64",
        "-M none -object iothread,id=b -object iothread,id=a,poll-max-ns=1",
        questions,
        tmp_path,
        release=release,
    )


@pytest.mark.parametrize("release", BOTH)
def test_a_balloon_names_one(release: str, tmp_path: Path) -> None:
    path = "/machine/peripheral/b"
    questions = [
        ask("qom-get", path=path, property="iothread"),
        ask("qom-get", path=path, property="free-page-hint"),
        ask("qom-list", path=f"{path}/iothread"),
        ask("device_add", driver="virtio-balloon-pci", id="c", iothread="m"),
        ask("device_add", driver="virtio-balloon-pci", id="c", iothread="absent"),
        ask("device_add", driver="virtio-balloon-pci", id="c", iothread=3),
        "info memory-devices",
    ]
    objects = "-object iothread,id=i -object memory-backend-ram,id=m,size=1M"
    options = f"-M pc {objects} -device virtio-balloon-pci,id=b,iothread=i,free-page-hint=on"
    compare("iothreads", "x86_64", options, questions, tmp_path, release=release)
