"""Maps of real QEMUs that run, beside those that ramslot makes of the same command lines; and what such a map tells."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from ramslot.commands.pictures.chains import told

from .attached import MACHINES, RELEASES, options_of, running
from .oracle import OUR_ENVIRONMENT
from .test_attach_views import asked, attached


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ramslot", "map", *words],
        capture_output=True,
        text=True,
        env=OUR_ENVIRONMENT,
        timeout=60,
    )


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("machine", MACHINES)
def test_the_map_is_that_of_the_command_line(machine: str, release: str) -> None:
    arch, options = options_of(machine)
    line = f"qemu-system-{arch}-{release} {shlex.join(options)}"
    with running(machine, release) as (address, _process):
        done = run(address, line)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert re.fullmatch(r"  \.\.\. \d+ alike", done.stdout.splitlines()[-1])


@pytest.mark.parametrize("machine", ["pc", "virtio-mem", "s390x"])
def test_another_machine_is_told_from_it(machine: str) -> None:
    arch, options = options_of(machine)
    with running(machine, "7.2") as (address, _process):
        done = run(address, f"qemu-system-{arch}-7.2 {shlex.join(options)} -m 768M,maxmem=4G,slots=2")
    assert done.returncode == 1
    assert "resized from" in done.stdout


@pytest.mark.parametrize("machine", ["pc", "virtio-mem", "pseries"])
def test_a_page_tells_what_the_attached_console_tells(machine: str, tmp_path: Path) -> None:
    random = Random(3)
    with running(machine, "7.2") as (address, _process), attached(address) as target:
        assert asked(target, "save-map", filename=str(tmp_path / "map.html")) == {}
        text = (tmp_path / "map.html").read_text()
        (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
        side = json.loads(data)["sides"][0]
        starts = [piece["start"] for piece in side["pieces"]]
        for place in [*starts, *(random.randrange(1 << random.randrange(1, 65)) for _ in range(10))]:
            answer = asked(target, "query-address", address=place)
            answer.get("host", {}).pop("asked", None)
            assert told(side, place) == answer


def test_where_nobody_is() -> None:
    done = run("unix:/nosuch/qmp")
    assert done.returncode == 2 and "there is no such socket" in done.stderr
