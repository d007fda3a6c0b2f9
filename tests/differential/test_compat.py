"""`compat` beside real QEMU: whether a destination takes the memory of a source, and in which words it does not.

What real QEMUs said of some two thousand pairs is recorded (`tests/recorders/compat.py`); all of it is compared each
time. What is beyond memory, the state of devices, is told apart: there `compat` says that QEMU takes the memory.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import pytest

from ramslot.monitor.compat.command_lines import read_command_line
from ramslot.monitor.compat.pasted import find_command_line
from ramslot.vm.compat.comparing import Verdict, compare
from ramslot.vm.compat.contract import Contract

from .compat_sides import GROUPS
from .oracle import RECORDED

OF_MEMORY = re.compile(
    r"Unknown ramblock|Size mismatch|Size too large|Machine type received|Unknown combination|MIG_CMD|Capability |UUID "
    r"|Received |Configuration section|Unknown (savevm )?section type|Illegal RAM|Ack, bad|.*device 'ram'|.*\(ram\)"
)


@cache
def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / "compat.json").read_text())
    return found


@cache
def contract(text: str) -> Contract:
    line = find_command_line(text)
    assert line is not None
    return read_command_line(line, text)


def predicted(source: str, destination: str) -> Verdict:
    return compare(contract(source), contract(destination))


def is_equal(verdict: Verdict, answer: str | list[str]) -> bool:
    """Whether real QEMU did what was foretold."""
    if verdict.refusal is not None and verdict.refusal.is_of_state:
        return is_mismatched_state(verdict.refusal.text or "", answer)
    if verdict.refusal is not None:
        return verdict.refusal.lines(verdict.release) == answer
    return answer == "completed" or not any(OF_MEMORY.match(line) for line in answer)


def is_mismatched_state(text: str, answer: str | list[str]) -> bool:
    """Whether it fails behind a device's state: of what follows that, QEMU takes something for a footer at times."""
    device = text.rpartition(" ")[2]
    return answer[0] == text or answer[0].startswith(f"Mismatched section id in footer for {device} ")


@pytest.mark.parametrize("group", GROUPS)
def test_each_pair_ends_as_real_qemu_does(group: str) -> None:
    told = recorded()[group]
    assert told["sides"] == [side.text for side in GROUPS[group]], "record them anew"
    wrong = []
    count = 0
    for source, row in zip(told["sides"], told["matrix"], strict=True):
        for destination, number in zip(told["sides"], row, strict=True):
            if number < 0:
                continue
            count += 1
            verdict = predicted(source, destination)
            if not is_equal(verdict, told["answers"][number]):
                found = verdict.refusal.lines(verdict.release) if verdict.refusal else "accepted"
                wrong.append(f"{source}\n -> {destination}\n  QEMU: {told['answers'][number]}\n  ours: {found}")
    assert not wrong, f"{len(wrong)} of {count}\n" + "\n".join(wrong[:20])
    assert count >= 40
