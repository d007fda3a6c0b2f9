"""What may be run out of band, and what is said of the rest: asked of real QEMU and of ramslot over their sockets."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .oracle import QUIET, RELEASES, our_command, qemu, start

QUESTIONS = (
    {"exec-oob": "migrate-pause"},
    {"exec-oob": "migrate-pause", "id": 1, "arguments": {"a": 1}},
    {"exec-oob": "migrate-recover", "id": "x"},
    {"exec-oob": "migrate-recover", "id": 1, "arguments": {"uri": "tcp:1:2"}},
    {"exec-oob": "query-status", "id": 2},
    {"exec-oob": "query-status", "id": 2, "arguments": {"a": 1}},
    {"exec-oob": "query-no", "id": [None]},
    {"exec-oob": "qmp_capabilities"},
    {"execute": "migrate-pause", "id": 3},
)


def answers(command: list[str], folder: Path, enable: list[str]) -> list[Any]:
    """One question at a time: a QEMU whose queue was full once may not answer any more."""
    process = start(command, folder)
    assert process.stdin
    assert process.stdout
    found = []
    try:
        process.stdout.readline()
        for question in ({"execute": "qmp_capabilities", "arguments": {"enable": enable}}, *QUESTIONS):
            process.stdin.write(json.dumps(question).encode())
            process.stdin.flush()
            found.append(json.loads(process.stdout.readline()))
    finally:
        process.kill()
        process.communicate()
    return found


@pytest.mark.parametrize("enable", [["oob"], []], ids=["oob", "in-band"])
@pytest.mark.parametrize("options", [(), ("-preconfig",)], ids=["machine", "preconfig"])
@pytest.mark.parametrize("release", RELEASES)
def test_out_of_band_answers(release: str, options: tuple[str, ...], enable: list[str], tmp_path: Path) -> None:
    program = qemu("x86_64", release)
    if program is None:
        pytest.skip(f"no qemu-system-x86_64 {release} is installed")
    arguments = ["-M", "none", *QUIET, *options]
    real = answers([program, *arguments], tmp_path, enable)
    assert answers(our_command("x86_64", arguments, release), tmp_path, enable) == real


def test_the_same_commands_allow_it(tmp_path: Path) -> None:
    for release in RELEASES:
        program = qemu("x86_64", release)
        if program is None:
            continue
        arguments = ["-M", "none", *QUIET]
        real, ours = (
            {command["name"]: "allow-oob" in command for command in commands(run)}
            for run in ([program, *arguments], our_command("x86_64", arguments, release))
        )
        assert {name: allowed for name, allowed in ours.items() if name in real} == {
            name: allowed for name, allowed in real.items() if name in ours
        }, release


def commands(command: list[str]) -> list[dict[str, Any]]:
    questions = '{"execute": "qmp_capabilities"}{"execute": "query-qmp-schema"}{"execute": "quit"}'
    output = subprocess.run(command, input=questions, capture_output=True, text=True, check=True).stdout
    [schema] = [json.loads(line)["return"] for line in output.splitlines() if line.startswith('{"return": [')]
    return [entry for entry in schema if entry["meta-type"] == "command"]
