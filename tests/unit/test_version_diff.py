"""What differs between two versions, and which version in between is said to have changed it."""

from __future__ import annotations

import json
import os
from typing import TypeAlias

import pytest

from ramslot.commands.facets import SUBJECTS
from ramslot.commands.version_diff import Step, age, changes, to_text, way
from ramslot.monitor.versions_command import run_versions_command
from ramslot.vm.errors import VMError

Facets: TypeAlias = dict[str, dict[str, str]]
MACHINES = ["pc-2.9", "pc-2.10", "pc-2.11"]
RELEASES = ["5.2", "7.2", "10.0"]


def facts(**map_lines: str) -> Facets:
    return {subject: map_lines if subject == "map" else {} for subject in SUBJECTS}


def test_the_way_goes_through_the_releases_first() -> None:
    steps = way(Step("5.2", "pc-2.9"), Step("10.0", "pc-2.11"), RELEASES, MACHINES)
    assert [(step.release, step.machine) for step in steps] == [
        ("5.2", "pc-2.9"), ("7.2", "pc-2.9"), ("10.0", "pc-2.9"), ("10.0", "pc-2.10"), ("10.0", "pc-2.11"),
    ]  # fmt: skip


def test_it_can_be_gone_backwards() -> None:
    steps = way(Step("7.2", "pc-2.11"), Step("7.2", "pc-2.9"), RELEASES, MACHINES)
    assert [step.machine for step in steps] == ["pc-2.11", "pc-2.10", "pc-2.9"]


def test_strangers_are_one_step_apart() -> None:
    steps = way(Step("7.2", "pc-2.11"), Step("7.2", "virt"), RELEASES, [])
    assert [step.machine for step in steps] == ["pc-2.11", "virt"]


@pytest.mark.parametrize("backwards", [False, True])
def test_the_newer_of_two_neighbours_is_the_cause(backwards: bool) -> None:
    looks = {"pc-2.9": facts(a="1"), "pc-2.10": facts(a="2", b="x"), "pc-2.11": facts(a="2", b="x")}
    steps = way(Step("7.2", "pc-2.9"), Step("7.2", "pc-2.11"), RELEASES, MACHINES)
    found, refused = changes(steps[::-1] if backwards else steps, lambda step: looks[step.machine])
    assert not refused
    one, two = ("2", "1") if backwards else ("1", "2")
    assert [(change.key, change.before, change.after) for change in found] == [
        ("a", one, two),
        ("b", "x", None) if backwards else ("b", None, "x"),
    ]
    assert {change.cause for change in found} == {"pc-2.10"}


def test_what_changes_and_changes_back_is_told_twice() -> None:
    looks = {"pc-2.9": facts(a="1"), "pc-2.10": facts(a="2"), "pc-2.11": facts(a="1")}
    found, _ = changes(
        way(Step("7.2", "pc-2.9"), Step("7.2", "pc-2.11"), RELEASES, MACHINES), lambda s: looks[s.machine]
    )
    assert to_text(found) == "map\n  pc-2.10:\n    ~ a: 1 -> 2\n  pc-2.11:\n    ~ a: 2 -> 1\n"


def test_a_step_that_refuses_is_passed_over_and_an_end_is_not() -> None:
    def look(step: Step) -> Facets:
        if step.machine == "pc-2.10":
            raise VMError("too small")
        return facts()

    steps = way(Step("7.2", "pc-2.9"), Step("7.2", "pc-2.11"), RELEASES, MACHINES)
    assert changes(steps, look) == ([], ["QEMU 7.2, pc-2.10: too small"])
    with pytest.raises(VMError, match=r"pc-2\.10: too small"):
        changes(steps[1:], look)


def test_age_is_that_of_the_version_in_the_name() -> None:
    assert sorted(["pc-2.10", "isapc", "pc-2.9", "pc-10.0"], key=age) == ["isapc", "pc-2.9", "pc-2.10", "pc-10.0"]


# The command


def test_machine_versions(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["-qemu", "7.2", "-m", "6G,slots=2,maxmem=8G"]
    assert run_versions_command("ramslot", ["diff", "pc-i440fx-2.2", "pc-i440fx-2.3", *options]) == 1
    assert "\nblocks\n  pc-i440fx-2.3:\n    + /rom@etc/acpi/rsdp: 0x1000 at" in capsys.readouterr().out


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_versions_command("ramslot", ["diff", "virt-3.1", "virt-4.0", "--json", "-m", "1G"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["from"].endswith("virt-3.1") and answer["to"].endswith("virt-4.0")
    keys = {(change["key"], change["before"], change["after"], change["cause"]) for change in answer["changes"]}
    assert ("memory-backend-file.x-use-canonical-path-for-ramblock-id", "on", "off", "virt-4.0") in keys


def test_nothing_differs(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_versions_command("ramslot", ["diff", "7.2", "7.2", "-M", "none", "-m", "1G"]) == 0
    assert capsys.readouterr().out.endswith("nothing differs\n")


def test_nothing_is_made_on_this_host(tmp_path: object) -> None:
    before = len(os.listdir("/proc/self/fd"))
    backend = f"memory-backend-file,id=m,mem-path={tmp_path}/ram,size=16T,share=on,prealloc=off"
    words = ["diff", "7.2", "7.2", "-M", "none,memory-backend=m", "-m", "16T", "-object", backend]
    assert run_versions_command("ramslot", words) == 0
    assert os.listdir(str(tmp_path)) == []
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["what"], "versions what: expects list or diff A B"),
        (["diff", "7.2"], "versions diff: expects list or diff A B"),
        (["diff", "7.2", "9.9"], "versions diff: QEMU 9.9 is none that ramslot can be"),
        (["diff", "7.2", "nopc"], "versions diff: unsupported machine type"),
        (["diff", "pc", "q35", "-m", "1X"], "-m 1X: Parameter 'size' expects"),
        (["diff", "pc", "q35", "-help"], None),
    ],
)
def test_mistakes(words: list[str], text: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    status = run_versions_command("ramslot", words)
    captured = capsys.readouterr()
    assert status == (0 if text is None else 2)
    assert captured.err.startswith(f"ramslot: {text}") if text else captured.out.startswith("usage: ramslot versions")


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_versions_command("ramslot", ["list"]) == 0
    assert "7.2    QEMU 7.2." in capsys.readouterr().out


def test_the_newest_version_with_a_machine_type_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_versions_command("ramslot", ["diff", "pc-i440fx-2.2", "pc-i440fx-5.2", "-m", "1G"]) == 1
    assert capsys.readouterr().out.startswith("QEMU 7.2, pc-i440fx-2.2  ->  QEMU 11.1, pc-i440fx-5.2")


def test_gaps_between_devices_are_no_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_versions_command("ramslot", ["diff", "7.2", "11.1", "-M", "pc-i440fx-7.2", "-m", "1G"]) == 1
    told = capsys.readouterr().out
    assert "piix3-reset-control @0x0 (i/o) -> piix-reset-control @0x0 (i/o)" in told
    assert "(container)" not in told
