"""The CPU models that a QEMU tells of, in all versions and for all targets that are there, but for their features."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from ramslot.vm.boards.targets import targets
from ramslot.vm.releases import find_release

from .oracle import RELEASES, our_command, qemu

LINES = '{"execute": "qmp_capabilities"}{"execute": "query-cpu-definitions"}{"execute": "quit"}'
KINDS = [(release, arch, "none") for release in RELEASES for arch in targets(find_release(release))]
ON_MACHINES = [(release, "x86_64", machine) for release in RELEASES for machine in ("pc", "microvm")]


def told(program: list[str], machine: str) -> dict[str, Any]:
    """The models by name, or the error."""
    run = subprocess.run(
        [*program, "-M", machine, "-display", "none", "-nodefaults", "-S", "-qmp", "stdio"],
        input=LINES, capture_output=True, text=True, timeout=60, check=True, pipesize=1 << 20,
    )  # fmt: skip
    answers = [json.loads(line) for line in run.stdout.splitlines()]
    answer = [answer for answer in answers if "return" in answer or "error" in answer][1]
    if "error" in answer:
        return dict(answer["error"])
    found = answer["return"]
    assert len({model["name"] for model in found}) == len(found)
    return {model["name"]: {**model, "unavailable-features": None} for model in found}


@pytest.mark.parametrize(("release", "arch", "machine"), [*KINDS, *ON_MACHINES])
def test_cpu_models_are_those_of_qemu(release: str, arch: str, machine: str) -> None:
    program = qemu(arch, release)
    if program is None:
        pytest.skip(f"qemu-system-{arch} {release} is not installed")
    assert told(our_command(arch, (), release), machine) == told([program], machine)
