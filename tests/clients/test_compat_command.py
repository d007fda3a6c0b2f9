"""`ramslot compat` as people and scripts run it: exit statuses, output, fleets, shards in processes of their own."""

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


def run(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ramslot", "compat", *words],
        capture_output=True,
        text=True,
        env=OUR_ENVIRONMENT,
        cwd=folder,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ([f"{PC} -m 1G", f"{PC} -m 1G"], 0),
        ([f"{PC} -m 1G", f"{PC} -m 2G"], 1),
        ([f"{PC} -m 1G", f"{PC} -m 1G,slots=2,maxmem=8G", "-both"], 1),
        ([f"{PC} -m 1G", f"{PC} -m 1G -rtc base=utc", "-both"], 0),
        ([f"{PC} -m 1G", f"{PC} -m 1G -device VGA"], 0),
        ([f"{PC} -m 1G -device VGA", f"{PC} -m 1G"], 1),
        ([f"{PC} -m 1G", f"{PC} -m 1G -device vfio-pci,host=01:00.0"], 0),
        ([f"{PC} -m 1G", f"{PC} -m 1G -device vfio-pci,host=01:00.0", "--strict"], 1),
        (["-M q35 -nodefaults", "-M q35 -nodefaults", "-from-qemu", "7.2", "-to-qemu", "11.1"], 1),
        ([f"{PC} -m 1G"], 2),
        ([f"{PC} -m 1G", "nonsense"], 2),
        ([f"{PC} -m 1G", f"{PC} -m 1G", "-nosuch"], 2),
        ([f"{PC} -m 1G", f"{PC} -m 1G", "-to-qemu"], 2),
        ([f"{PC} -m 1G", f"{PC} -m 1G", "-to-qemu", "x"], 2),
        (["-matrix", "/nonexistent/file"], 2),
        (["-help"], 0),
        ([], 2),
    ],
)
def test_exit_status(words: list[str], status: int) -> None:
    done = run(*words)
    assert done.returncode == status, done
    assert "Traceback" not in done.stderr
    assert (done.stderr == "") == (status < 2)


def test_json() -> None:
    done = run(f"{PC} -m 1G", f"{PC} -m 2G", "-json", "-both")
    told = json.loads(done.stdout)
    assert told["compatible"] is False
    assert told["reasons"][0]["error"] == "Size mismatch: pc.ram: 0x40000000 != 0x80000000: Invalid argument"
    assert told["fix"]["changes"] == ["-m 1G"]
    assert told["back"]["fix"]["changes"] == ["-m 2G"]


FLEET = f"""
# names, and sides
web,{PC} -m 1G
db\t{PC} -m 2G
"odd one, without a name" is no side
"""


def fleet(folder: Path, count: int) -> Path:
    path = folder / "fleet"
    sizes = [f"host{number},{PC} -m {1 + number % 5}G,slots=2,maxmem=64G" for number in range(count)]
    path.write_text("\n".join(["# a fleet", *sizes]) + "\n")
    return path


def test_a_fleet(tmp_path: Path) -> None:
    path = fleet(tmp_path, 10)
    done = run("-matrix", str(path), "-output", str(tmp_path / "map.svg"))
    assert done.returncode == 1
    assert "     10  fits" in done.stdout
    assert "     80  another size" in done.stdout
    root = ElementTree.parse(tmp_path / "map.svg").getroot()
    assert len(root.findall(".//{*}rect")) == 90 + 2
    path.write_text(FLEET)
    done = run("-matrix", str(path))
    assert done.returncode == 2
    assert "2: 'odd one, without a name is no side' is no command line" in done.stderr.replace('"', "")


def test_a_fleet_of_files_beside_it(tmp_path: Path) -> None:
    (tmp_path / "log").write_text(f"A=1 {PC} -m 1G -rtc base=utc\n")
    (tmp_path / "fleet.csv").write_text(f'a,log\nb,"{PC} -m 1G -rtc base=utc,clock=host"\n')
    done = run("-matrix", "fleet.csv", "-json", folder=tmp_path)
    assert done.returncode == 0, done
    told = json.loads(done.stdout)
    assert [side["name"] for side in told["sides"]] == ["a", "b"]
    assert [pair["kind"] for pair in told["pairs"]] == ["yes", "yes"]


def test_processes_share_a_fleet(tmp_path: Path) -> None:
    """Each process knows the file and its number; what they find together is what one finds."""
    path = fleet(tmp_path, 12)
    command = [sys.executable, "-m", "ramslot", "compat", "-matrix", str(path), "-json"]
    shards = [
        subprocess.Popen([*command, "-shard", f"{number}/4"], stdout=subprocess.PIPE, env=OUR_ENVIRONMENT)
        for number in range(1, 5)
    ]
    found = [json.loads(process.communicate(timeout=60)[0])["pairs"] for process in shards]
    whole = json.loads(run("-matrix", str(path), "-json").stdout)["pairs"]
    assert [len(pairs) for pairs in found] == [33, 33, 33, 33]
    assert sorted((pair for pairs in found for pair in pairs), key=lambda pair: (pair["from"], pair["to"])) == whole
    assert run("-matrix", str(path), "-shard", "5/4").returncode == 2


def test_nothing_of_a_hostile_file_ends_in_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (
        b"",
        b"\0",
        b"QEVM\0\0\0\3",
        b"<" * 1000,
        b"{" * 100_000,
        b"qemu-system-x86_64 -m " + b"9" * 500,
        os.urandom(4096),
    ):
        path.write_bytes(data)
        done = run(str(path), f"{PC} -m 1G")
        assert done.returncode in (1, 2), (data[:20], done)
        assert "Traceback" not in done.stderr
