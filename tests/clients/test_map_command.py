"""`ramslot map` as people and scripts run it: exit statuses, text, files, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ..differential.oracle import OUR_ENVIRONMENT

PC = "qemu-system-x86_64-7.2 -nodefaults -M pc"
DOMAIN = """
<domain type='kvm'>
  <name>d</name><memory unit='GiB'>2</memory><vcpu>2</vcpu>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices>
</domain>
"""


def run(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ramslot", "map", *words],
        capture_output=True,
        text=True,
        env=OUR_ENVIRONMENT,
        cwd=folder,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([f"{PC} -m 1G"], 0),
        ([f"{PC} -m 1G", f"{PC} -m 1G"], 0),
        ([f"{PC} -m 1G", f"{PC} -m 2G"], 1),
        (["-M pc -m 1G -nodefaults", "-M pc -m 1G -nodefaults", "-qemu", "5.2", "-to-qemu", "11.1"], 1),
        (["-h"], 0),
        ([], 2),
        ([f"{PC} -m 1G"] * 3, 2),
        (["nonsense"], 2),
        ([f"{PC} -M nosuch"], 2),
        ([f"{PC} -m 1G", "--nosuch"], 2),
        ([f"{PC} -m 1G", "-o"], 2),
        ([f"{PC} -m 1G", "-o", "/nosuch/m.svg"], 2),
        ([f"{PC} -m 1G", "-o", "m.png"], 2),
        (["unix:/nosuch"], 2),
        (["/dev"], 2),
    ],
)
def test_exit_statuses(words: list[str], status: int) -> None:
    done = run(*words)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    assert (done.stdout == "") == (status == 2)


def test_one_machine_is_drawn_as_in_the_console() -> None:
    drawn = subprocess.run(
        [sys.executable, "-m", "ramslot", "-qemu", "7.2", "-nodefaults", "-M", "pc", "-m", "3G", "-c", "info map"],
        capture_output=True,
        text=True,
        env=OUR_ENVIRONMENT,
        check=True,
    )
    assert run(f"{PC} -m 3G").stdout == drawn.stdout


def test_pictures_of_both_kinds(tmp_path: Path) -> None:
    sides = [f"{PC} -m 4G", "qemu-system-x86_64-11.1 -nodefaults -M q35 -m 4G"]
    for words in (sides[:1], sides):
        for name in ("map.svg", "map.html"):
            done = run(*words, "-output", name, folder=tmp_path)
            assert (done.stdout, done.stderr) == ("", "")
            assert done.returncode == (1 if len(words) == 2 else 0)
        texts = "".join(ElementTree.parse(tmp_path / "map.svg").getroot().itertext())
        assert "pc-i440fx-7.2, 4 GiB RAM" in texts
        assert ("pc-q35-11.1, 4 GiB RAM" in texts) == (len(words) == 2)
    assert sorted(os.listdir(tmp_path)) == ["map.html", "map.svg"]


def test_json_is_what_a_page_has(tmp_path: Path) -> None:
    told = json.loads(run(f"{PC} -m 1G", f"{PC} -m 2G", "-json").stdout)
    assert [side["qemu"] for side in told["sides"]] == ["7.2", "7.2"]
    assert [change["texts"] for change in told["changes"]] == [["resized from 0.999 GiB to 2 GiB"]]


def test_machines_in_files(tmp_path: Path) -> None:
    (tmp_path / "d.xml").write_text(DOMAIN)
    (tmp_path / "d.log").write_text(
        "2026-01-01 starting up\nLC_ALL=C /usr/bin/qemu-system-x86_64 \\\n-M pc-q35-7.2 -m 4G \\\n-nodefaults\n"
    )
    done = run("d.xml", "d.log", folder=tmp_path)
    assert done.returncode == 1
    assert "- pc-q35-7.2, 2 GiB RAM" in done.stdout and "+ pc-q35-7.2, 4 GiB RAM" in done.stdout


def test_what_the_map_does_not_have_is_told() -> None:
    done = run("qemu-system-x86_64-7.2 -M pc -m 1G -bios /nosuch/bios.bin")
    assert "not in the map, for nothing is known of it: -bios /nosuch/bios.bin, which is not here" in done.stderr
    assert "pc.ram" in done.stdout


def test_what_describes_no_machine_is_told_as_that(tmp_path: Path) -> None:
    (tmp_path / "contract.json").write_text("{}")
    side = "contract.json"
    assert f"'{side}' is no command line of QEMU, no monitor, and no file with" in run(side, folder=tmp_path).stderr


def test_a_refused_ending_makes_no_machine(tmp_path: Path) -> None:
    done = run(f"{PC} -m 1G", "-o", "map.txt", folder=tmp_path)
    assert done.stderr == (
        "ramslot: map: cannot tell the kind of picture from 'map.txt': expects a name that ends with .svg or .html\n"
    ).replace("ramslot:", f"{done.stderr.partition(':')[0]}:")
    assert os.listdir(tmp_path) == []
