"""What clients ask of a machine's surroundings before they care for its memory: options, disks, the power button."""

from __future__ import annotations

from pathlib import Path

import pytest

from .oracle import BOTH, compare

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
