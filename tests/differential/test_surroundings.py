"""What clients ask of a machine's surroundings before they care for its memory: options, disks, the power button."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .oracle import BOTH, RELEASES, compare, our_command, qemu

QUIET = ("-display", "none", "-nodefaults", "-S", "-qmp", "stdio")
MORE_HERE = {"machine": {"ram-partition", "hmat", "device-memory-region-size", "nvdimm"}}
"""Machine properties that QEMU does not tell of here; the first is ours alone, the others are told with the types."""
FEWER_HERE = ("machine", "chardev")
"""Options of which not all keys are obeyed, and so not told."""


def asked(program: list[str], question: str) -> Any:
    lines = f'{{"execute": "qmp_capabilities"}}{{"execute": "{question}"}}{{"execute": "quit"}}'
    run = subprocess.run(
        [*program, "-M", "none", *QUIET], input=lines, capture_output=True, text=True, timeout=60, check=True,
        pipesize=1 << 20,
    )  # fmt: skip
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    return [answer["return"] for answer in answers if "return" in answer][1]


def keys(options: list[dict[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    return {option["option"]: [(key["name"], key["type"]) for key in option["parameters"]] for option in options}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("arch", ["x86_64", "s390x"])
def test_options_have_the_keys_that_qemu_tells(arch: str, release: str) -> None:
    program = qemu(arch, release)
    if program is None:
        pytest.skip(f"QEMU {release} is not installed")
    theirs = keys(asked([program], "query-command-line-options"))
    ours = keys(asked(our_command(arch, (), release), "query-command-line-options"))
    assert len(ours) == 12
    for option, found in ours.items():
        if option in FEWER_HERE:
            told = [key for key in found if key[0] not in MORE_HERE.get(option, ())]
            assert len(told) > 3
            assert set(told) <= set(theirs[option]), option
        else:
            assert found == theirs[option], option


QUESTIONS = (
    '{"execute": "query-command-line-options", "arguments": {"option": "memory"}}',
    '{"execute": "query-command-line-options", "arguments": {"option": "absent"}}',
    '{"execute": "query-command-line-options", "arguments": {"option": "smp-opts"}}',
    '{"execute": "query-iothreads"}',
    '{"execute": "query-block"}',
    '{"execute": "query-blockstats"}',
    '{"execute": "query-blockstats", "arguments": {"query-nodes": true}}',
    '{"execute": "query-blockstats", "arguments": {"query-nodes": 1}}',
    '{"execute": "query-named-block-nodes", "arguments": {"flat": true}}',
    '{"execute": "system_powerdown"}',
    '{"execute": "query-status"}',
    "system_powerdown",
    "info iothreads",
    "help system_powerdown",
    "help info iothreads",
)


@pytest.mark.parametrize("release", BOTH)
@pytest.mark.parametrize("machine", ["none", "pc", "pc -preconfig"])
def test_what_is_not_there(machine: str, release: str, tmp_path: Path) -> None:
    questions = [*QUESTIONS[:10], '{"execute": "x-exit-preconfig"}', *QUESTIONS[10:]]
    compare("surroundings", "x86_64", f"-M {machine}", questions, tmp_path, release=release)
