"""The groups of options of each version and target, as `query-command-line-options` tells them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .oracle import QUIET, RELEASES, finish, our_command, qemu, start

ASK = '{"execute": "query-command-line-options", "arguments": {%s}}'


def sorted_groups(reply: str) -> list[Any]:
    """QEMU's order of groups is that of its tables, its order of a machine's keys none; its sentences are not told."""
    found: list[dict[str, Any]] = json.loads(reply)["return"]
    for group in found:
        for key in group["parameters"]:
            key.pop("help", None)
        if group["option"] == "machine":
            group["parameters"].sort(key=lambda key: str(key["name"]))
    return sorted(found, key=lambda group: str(group["option"]))


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("arch", ["x86_64", "aarch64", "s390x", "ppc64", "riscv64"])
def test_all_groups(arch: str, release: str, tmp_path: Any) -> None:
    program = qemu(arch, release)
    if program is None:
        pytest.skip("this QEMU is not installed")
    questions = [ASK % "", ASK % '"option": "msg"', ASK % '"option": "nonesuch"']
    options = ["-M", "none", *QUIET]
    theirs = finish(start([program, *options], tmp_path / "theirs"), questions, f"qemu-system-{arch}").replies
    ours = finish(start(our_command(arch, options, release), tmp_path / "ours"), questions, "ramslot").replies
    for place in (1, 2):
        assert sorted_groups(ours[place]) == sorted_groups(theirs[place])
    assert len(sorted_groups(ours[1])) > 30
    assert ours[3] == theirs[3]
