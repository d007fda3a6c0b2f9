"""The pytest plugin, in test runs of their own in a folder that knows nothing of us."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from .program import ENVIRONMENT, wait_for

PLUGIN = "ramslot.monitor.testing.plugin"
ROOT = Path(__file__).parent.parent.parent


def run(folder: Path, code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A test run with this plugin and no other."""
    (folder / "test_them.py").write_text(code)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", PLUGIN, "-v", *options],
        cwd=folder,
        env={**ENVIRONMENT, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_pytest_finds_it() -> None:
    with open(ROOT / "pyproject.toml", "rb") as file:
        assert tomllib.load(file)["project"]["entry-points"]["pytest11"] == {"ramslot": PLUGIN}


MY_CLIENT = """
import json
import socket


class MyClientError(Exception):
    pass


class MyClient:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rb")
        self.lines.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        if b"return" not in self.lines.readline():
            raise MyClientError(command)

    def plug_memory(self, name, size):
        self.ask("object-add", **{"qom-type": "memory-backend-ram", "id": name, "size": size})

    def __del__(self):
        self.lines.close()
        self.socket.close()


"""


def test_the_example_of_the_guide(tmp_path: Path) -> None:
    section = (ROOT / "monitor" / "guide" / "testing.md").read_text()
    done = run(tmp_path, MY_CLIENT + section.split("```python")[1].partition("```")[0])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


@pytest.mark.parametrize("begin", ["from ramslot.testing import endpoint\n", "import asyncio"])
def test_the_other_examples_of_the_guide(begin: str) -> None:
    blocks = (ROOT / "monitor" / "guide" / "testing.md").read_text().split("```python\n")
    (example,) = (block.partition("```")[0] for block in blocks if block.startswith(begin))
    done = subprocess.run([sys.executable, "-"], env=ENVIRONMENT, input=example, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_endpoint_to_be_awaited(tmp_path: Path) -> None:
    """In a loop for the test, as plugins for asyncio have it, and in several."""
    done = run(
        tmp_path,
        """
import asyncio

import pytest

from ramslot.testing import CommandError

seen = []

@pytest.mark.ramslot(qemu="7.2", arguments=["-M", "pc", "-m", "1G"])
def test_it(async_qmp_endpoint):
    async def use():
        status, memdevs = await asyncio.gather(async_qmp_endpoint.query_status(), async_qmp_endpoint.query_memdev())
        assert status["running"] and memdevs[0]["size"] == 1 << 30
        with pytest.raises(CommandError):
            await async_qmp_endpoint.object_del(id="nosuch")

    for _ in range(2):
        asyncio.run(use())
    assert async_qmp_endpoint.version.startswith("7.2.")
    seen.append(async_qmp_endpoint)

@pytest.mark.parametrize("async_qmp_endpoint", ["5.2", "11.1"], indirect=True)
def test_versions(async_qmp_endpoint, qmp_endpoint, request):
    assert not seen[0].running
    assert async_qmp_endpoint.version.startswith(request.node.callspec.params["async_qmp_endpoint"])
    assert asyncio.run(async_qmp_endpoint.query_name()) == qmp_endpoint.query_name()
""",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_an_endpoint_for_each_test_as_its_marker_says(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
import json
import socket

import pytest

seen = []

def client(endpoint, command):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(endpoint.socket_path)
        lines = connection.makefile("rb")
        lines.readline()
        for name in ("qmp_capabilities", command):
            connection.sendall(json.dumps({"execute": name}).encode())
            answer = json.loads(lines.readline())
        lines.close()
        return answer

def test_plain(qmp_endpoint):
    assert client(qmp_endpoint, "query-memdev") == {"return": []}
    assert qmp_endpoint.version.startswith("11.1.")
    seen.append(qmp_endpoint)

def test_another(qmp_endpoint):
    assert qmp_endpoint is not seen[0] and not seen[0].running
    qmp_endpoint.fault("error", "query-memdev")
    assert "error" in client(qmp_endpoint, "query-memdev")

@pytest.mark.ramslot(qemu="7.2", arguments=["-M", "pc", "-m", "1G"])
class TestMachine:
    def test_of_the_class(self, qmp_endpoint):
        assert qmp_endpoint.version.startswith("7.2.")
        assert [memdev["id"] for memdev in qmp_endpoint.execute("query-memdev")] == ["pc.ram"]

    @pytest.mark.ramslot(qemu="10.0")
    def test_of_its_own(self, qmp_endpoint):
        assert qmp_endpoint.version.startswith("10.0.")
        assert [memdev["size"] for memdev in qmp_endpoint.execute("query-memdev")] == [1 << 30]

@pytest.mark.parametrize("qmp_endpoint", ["5.2", "11.1"], indirect=True)
def test_versions(qmp_endpoint, request):
    assert qmp_endpoint.version.startswith(request.node.callspec.params["qmp_endpoint"])
""",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


def test_what_is_wrong_is_told_by_the_test(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
import pytest

@pytest.mark.ramslot(arguments=["-M", "nosuch"])
def test_start(qmp_endpoint): pass

@pytest.mark.ramslot("7.2")
def test_marker(qmp_endpoint): pass
""",
    )
    assert done.returncode == 1
    assert 'the endpoint did not start: ramslot: unsupported machine type: "nosuch"' in done.stdout
    assert "the marker ramslot takes arguments=[...], qemu=, program= and record=, by name" in done.stdout
    assert "2 errors" in done.stdout


def test_unused_it_loads_nothing(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
import sys

def test_loaded():
    ours = {name for name in sys.modules if name.partition(".")[0] == "ramslot"}
    assert ours == {"ramslot", "ramslot.monitor", "ramslot.monitor.testing", "ramslot.monitor.testing.plugin"}
    assert "asyncio" not in sys.modules
""",
    )
    assert done.returncode == 0, done.stdout
    assert "ramslot(arguments=(), qemu=None" in run(tmp_path, "", "--markers").stdout


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_test_run_that_dies_leaves_nothing(tmp_path: Path, end: str) -> None:
    done = run(
        tmp_path,
        f"""
import os

def test_dies(qmp_endpoint):
    with open("left", "w") as file:
        print(f"/proc/{{qmp_endpoint.pid}}", os.path.dirname(qmp_endpoint.socket_path), file=file)
    {end}
""",
    )
    assert "passed" not in done.stdout
    process, folder = (tmp_path / "left").read_text().split()
    wait_for(lambda: not os.path.exists(process) and not os.path.exists(folder), "end of the endpoint")
