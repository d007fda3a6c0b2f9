"""The kernel's statistics beside real QEMU's: names, order, kinds and filters; and what is refused, in which words.

The values are those of two virtual machines: that they are numbers is compared.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from .oracle import QUIET, RELEASES, compare, finish, our_command, qemu, start

LINES = (
    """
info stats|info stats vm|info stats vm *|info stats vm * kvm|info stats vm nonesuch|info stats vm nonesuch kvm
info stats vm pages_4k,,pages_2m|info stats vm ,|info stats vm ""|info stats vm *,pages_4k|info stats vm pages_4k kvm
info stats vm pages_4k kvm x|info stats vm * cryptodev|info stats vm pages_4k zz|info stats zz|info stats zz * zz|info stats v
info stats cryptodev|info stats cryptodev * kvm|info stats VM|info stats vm pages_4k, pages_2m|help info stats
""".strip()
    .replace("\n", "|")
    .split("|")
)
NAMES = [["pages_2m"], ["pages_4k", "pages_1g", "pages_4k"], ["nonesuch"], ["nonesuch", "pages_2m"], [], [1], 1]
FILTERS: list[dict[str, Any]] = [
    {}, {"target": "x"}, {"target": 1}, {"target": "vm", "x": 1}, {"target": "vm", "vcpus": ["a"]},
    {"target": "zz", "vcpus": 1}, {"target": "vcpu", "vcpus": 1}, {"target": "vcpu", "vcpus": [1]},
    {"target": "vcpu", "vcpus": ["/machine/x"]}, {"target": "vcpu", "vcpus": []}, {"target": "vcpu", "providers": []},
    {"target": "cryptodev"}, {"target": "vm"}, {"target": "vm", "providers": []}, {"target": "vm", "providers": 1},
    {"target": "vm", "providers": [{}]}, {"target": "vm", "providers": [{"provider": "zz"}]},
    {"target": "vm", "providers": [{"provider": "cryptodev"}]}, {"target": "vm", "providers": [{"provider": "kvm"}] * 2},
    {"target": "vm", "providers": [{"provider": "kvm", "x": 1}]},
    *({"target": "vm", "providers": [{"provider": "kvm", "names": names}]} for names in NAMES),
    {"target": "vm", "providers": [{"provider": "kvm", "names": names} for names in NAMES[:4]]},
]  # fmt: skip
SCHEMAS: list[dict[str, Any]] = [{}, {"provider": "kvm"}, {"provider": "zz"}, {"provider": "cryptodev"}, {"x": 1}]
REQUESTS = [
    *(json.dumps({"execute": "query-stats", "arguments": each}) for each in FILTERS),
    *(json.dumps({"execute": "query-stats-schemas", "arguments": each}) for each in SCHEMAS),
]

CPU_FILTERS: list[dict[str, Any]] = [
    {}, {"vcpus": []}, {"vcpus": ["/machine/unattached/device[0]", "x"]}, {"vcpus": ["x"]},
    {"providers": [{"provider": "kvm", "names": ["exits", "guest_mode", "halt_wait_hist"]}]},
    {"providers": [{"provider": "kvm", "names": ["exits"]}, {"provider": "kvm", "names": ["pf_taken"]}]},
]  # fmt: skip
OF_A_CPU = [
    *("info stats vcpu", "info stats vcpu exits,guest_mode", "info stats vcpu exits kvm", "info stats vcpu nonesuch"),
    *("info stats vcpu halt_wait_ns,halt_poll_fail_hist kvm", "info stats vcpu * kvm"),
    *(json.dumps({"execute": "query-stats", "arguments": {"target": "vcpu", **each}}) for each in CPU_FILTERS),
]
RUN_A_GUEST = [
    '{"execute": "cont"}',
    '{"execute": "guest-run", "arguments": {"length": 4096, "passes": 1, "wait": true}}',
]
"""Ours has a CPU in the kernel from the first guest on."""

with_kvm = pytest.mark.skipif(not os.access("/dev/kvm", os.R_OK | os.W_OK), reason="no /dev/kvm")
having_stats = pytest.mark.parametrize("release", [release for release in RELEASES if release != "5.2"])


def without_values(reply: str) -> str:
    """A reply with the numbers of values all the same."""
    reply = re.sub(r'("value": \[?|, (?=\d)|\): |\[\d+\]=)\d+', r"\1N", reply)
    return re.sub(r"(\[\d+\]=)N", r"\1N", reply)


def answers(release: str, options: list[str], questions: list[str], folder: Path, before: list[str]) -> list[list[str]]:
    """What QEMU and ramslot answer, ours after it was asked other things before."""
    program = qemu("x86_64", release)
    if program is None:
        pytest.skip(f"QEMU {release} is not installed")
    theirs = finish(start([program, *options, *QUIET], folder / "theirs"), questions, "qemu-system-x86_64")
    ours = finish(
        start(our_command("x86_64", [*options, *QUIET], release), folder / "ours"), before + questions, "ramslot"
    )
    assert theirs.status == ours.status == 0
    found = ours.replies[:1] + ours.replies[1 + len(before) :]
    return [[without_values(reply) for reply in replies[1 : 1 + len(questions)]] for replies in (theirs.replies, found)]


@with_kvm
@having_stats
@pytest.mark.parametrize("machine", ["pc", "none"])
def test_of_the_machine(machine: str, release: str, tmp_path: Path) -> None:
    theirs, ours = answers(release, ["-M", machine, "-accel", "kvm"], [*LINES, *REQUESTS], tmp_path, [])
    assert any("pages_4k (instant): N" in reply for reply in theirs)
    for question, real, found in zip([*LINES, *REQUESTS], theirs, ours, strict=True):
        assert found == real, question


@with_kvm
@having_stats
def test_of_a_cpu(release: str, tmp_path: Path) -> None:
    theirs, ours = answers(release, ["-M", "pc", "-accel", "kvm"], OF_A_CPU, tmp_path, RUN_A_GUEST)
    assert any("exits (cumulative): N" in reply for reply in theirs)
    for question, real, found in zip(OF_A_CPU, theirs, ours, strict=True):
        assert found == real, question


@pytest.mark.parametrize("release", RELEASES)
def test_without_kvm(release: str, tmp_path: Path) -> None:
    compare("stats", "x86_64", "-M pc -accel tcg", [*LINES, *OF_A_CPU, *REQUESTS], tmp_path, release=release)
