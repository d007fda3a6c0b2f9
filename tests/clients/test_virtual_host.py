"""The virtual host from the command line: `host export`, `-host`, `-overcommit`, `info host`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .program import ENVIRONMENT, Program, QMPError

RAMSLOT = [sys.executable, "-m", "ramslot"]


def run(*arguments: str, **options: Any) -> tuple[int, str, str]:
    done = subprocess.run([*RAMSLOT, *arguments], env=ENVIRONMENT, capture_output=True, text=True, **options)
    return done.returncode, done.stdout, done.stderr


def test_what_is_exported_is_a_host(tmp_path: Path) -> None:
    status, exported, text = run("host", "export")
    assert (status, text) == (0, "")
    (tmp_path / "host.json").write_text(exported)
    for spelling in ("-host", "--host"):
        status, again, text = run("host", "export", spelling, str(tmp_path / "host.json"))
        assert (status, again, text) == (0, exported, "")
        status, shown, text = run(spelling, "host.json", "-M", "none", "-c", "info host", cwd=tmp_path)
        assert (status, text) == (0, "")
        assert len([line for line in shown.splitlines() if " available" in line]) == len(json.loads(exported)["nodes"])


def test_the_short_form_can_be_written_out() -> None:
    status, exported, _ = run("host", "export", "-host", "nodes=2,memory=2T,hugepages-1G=64")
    described = json.loads(exported)
    assert status == 0
    assert [node["available"] for node in described["nodes"]] == ["1984G", "1984G"]
    assert described["nodes"][1]["huge-pages"] == {"1G": {"total": 64, "free": 64}}


@pytest.mark.parametrize("words", [["-help"], ["--help"], ["-h"], ["export", "--help"]])
def test_help(words: list[str]) -> None:
    status, text, errors = run("host", *words)
    assert (status, errors) == (0, "")
    assert text.startswith("usage: ramslot host export")


def test_no_command_is_told_the_usage() -> None:
    status, text, errors = run("host")
    assert (status, text) == (1, "")
    assert errors.startswith("usage: ramslot host export")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["host", "import"], "ramslot: host import: expects export; see 'ramslot host -help'"),
        (["host", "export", "x"], "ramslot: host export x: expects export; see 'ramslot host -help'"),
        (["host", "export", "-host"], "ramslot: host export -host: expects export; see 'ramslot host -help'"),
        (["host", "export", "-host", "a=b"], "ramslot: -host a=b: 'a' is not known; there are nodes, "),
        (["-host", "absent.json"], "ramslot: -host absent.json: cannot read the description of a host: No such file"),
        (["-host", "nodes=2"], "ramslot: -host nodes=2: memory= is missing: how much each node has"),
        (["-host", "memory=1G,memlock=1M", "-M", "none", "-m", "2M", "-overcommit", "mem-lock=on"], "ramslot: mlockall: Cannot allocate memory\nramslot: locking memory failed\n"),
    ],
)  # fmt: skip
def test_mistakes(arguments: list[str], text: str, tmp_path: Path) -> None:
    status, output, errors = run(*arguments, cwd=tmp_path)
    assert (status, output) == (1, "")
    assert errors.startswith(text)
    assert "Traceback" not in errors


def test_production_on_a_laptop(launch: Callable[..., Program]) -> None:
    """Plugging by QMP, with replies that keep to the schema, until the pool of one node is empty."""
    program = launch("-host", "nodes=4,memory=1T,hugepages-1G=3")
    client = program.client()
    bound: dict[str, Any] = {"qom_type": "memory-backend-memfd", "size": 2 << 30, "hugetlb": True}
    bound |= {"hugetlbsize": 1 << 30, "policy": "bind", "host_nodes": [2], "prealloc": True}
    client.call("object-add", id="a", **bound)
    with pytest.raises(QMPError, match=r"^qemu_prealloc_mem: preallocating memory failed: Bad address$"):
        client.call("object-add", id="b", **bound)
    told = client.call("query-host")
    assert [node["huge-pages"][0]["free"] for node in told["nodes"]] == [3, 3, 1, 3]
    assert told["users"][0]["resident"] == [{"node": 2, "size": 2 << 30}]
    client.call("object-del", id="a")
    whole = {"page-size": 1 << 30, "total": 12, "free": 12, "reserved": 0}
    assert client.call("query-host")["huge-pages"] == [whole]
    client.call("quit")
    assert program.end()[0] == 0


def test_locking_is_refused_here_in_qemus_words(tmp_path: Path) -> None:
    """Without the capability and with a low limit, this machine says what real QEMU says."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed")
    options = ["-M", "none", "-m", "64M", "-overcommit", "mem-lock=on", "-display", "none"]
    limited = ["sh", "-c", 'ulimit -l 64 && exec setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock "$@"', "sh"]
    tried = subprocess.run([*limited, "true"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"capabilities cannot be dropped here: {tried.stderr.strip()}")
    done = subprocess.run([*limited, *RAMSLOT, *options], env=ENVIRONMENT, capture_output=True, text=True, input="")
    text = "ramslot: mlockall: Cannot allocate memory\nramslot: locking memory failed\n"
    hint = "hint: 64 MiB of locked memory are needed, the limit is 64 KiB (ulimit -l)\n"
    assert (done.returncode, done.stderr) == (1, text + hint)
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is not None:
        real = subprocess.run([*limited, qemu, *options, "-nodefaults"], capture_output=True, text=True, input="")
        assert (real.returncode, real.stderr.replace("qemu-system-x86_64:", "ramslot:")) == (1, text)
