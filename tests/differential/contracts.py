"""The contract of a release, and what real QEMU of that release answers on a monitor."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from typing import Any

import pytest

from ramslot.schema import Contract, contract
from ramslot.vm.releases import VERSIONS

from .oracle import RELEASES, qemu

TYPED = [name for name in RELEASES if name != "5.2"]
"""The releases in which the arguments of object-add have types; in 5.2 each property is looked at as it is set."""

CONTRACT_TEXT = re.compile(r"Parameters? '.*' (is|are|expects|does) |Invalid parameter|.*, expected: ")
Request = tuple[str, dict[str, Any]]

RAM: dict[str, Any] = {"qom-type": "memory-backend-ram", "id": "m", "size": 4096}


def program_of(release: str, arch: str = "x86_64") -> str:
    program = qemu(arch, release)
    if program is None:
        pytest.skip(f"QEMU {release} is not installed")
    return program


def contract_of(release: str) -> Contract:
    return contract(VERSIONS[release][:2])


def installed_fully(release: str, request: Request) -> bool:
    """Newer QEMUs abort where a type's module is missing, as it is in those that are beside the system's."""
    return request[0] != "qom-list-types" or release in ("5.2", "7.2")


def real_answers(
    release: str, requests: list[Request], machine: str = "none", arch: str = "x86_64"
) -> list[dict[str, Any]]:
    """Ask real QEMU and return its answers, each under `return` or `error`."""
    program = program_of(release, arch)
    lines = [json.dumps({"execute": command, "arguments": arguments}) for command, arguments in requests]
    with tempfile.TemporaryDirectory() as folder:  # for the files that a mem-path makes
        run = subprocess.run(
            [program, "-M", machine, "-display", "none", "-nodefaults", "-S", "-qmp", "stdio"],
            input="\n".join(['{"execute": "qmp_capabilities"}', *lines, '{"execute": "quit"}']),
            capture_output=True, text=True, timeout=60, check=True, cwd=folder,
            pipesize=1 << 20,  # what does not fit into the pipe QEMU throws away when it quits
        )  # fmt: skip
    values = [json.loads(line) for line in run.stdout.splitlines()]
    answers = [value for value in values if "return" in value or "error" in value]
    assert len(answers) == len(requests) + 2
    return answers[1:-1]
