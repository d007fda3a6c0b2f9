"""A client that others wrote, in another language: `qemu-qmp` of npm, unchanged.

`npm install --prefix FOLDER qemu-qmp`, then `NODE_PATH=FOLDER/node_modules pytest ...`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .program import PATIENCE, Program, wait_for

Launch = Callable[..., Program]
NODE = shutil.which("node")

CONVERSATION = """
const QMP = require('qemu-qmp');
const said = [];
const tell = (name) => (error, value) => said.push([name, error ? error.message : value]);
const qmp = new QMP();
qmp.connect(process.argv[1], (error) => {
  if (error) throw error;
  tell('greeting')(null, [qmp.version.qemu.major, qmp.version.package, qmp.capabilities]);
  qmp.on('resume', (name) => tell('event')(null, name));
  qmp.execute('query-status', tell('status'));
  qmp.execute('object-add', {'qom-type': 'memory-backend-ram', id: 'm', size: 1 << 20}, tell('added'));
  qmp.execute('query-memdev', (error, found) => tell('memdev')(error, found.map((each) => [each.id, each.size])));
  qmp.execute('object-del', {id: 'nobody'}, tell('refused'));
  qmp.execute('query-qmp-schema', (error, found) => tell('schema')(error, found.length > 100));
  qmp.execute('cont', tell('cont'));
  qmp.execute('query-status', (error, found) => { tell('status')(error, found); qmp.end(); });
});
qmp.on('close', () => console.log(JSON.stringify(said)));
"""


def node(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(NODE), "--no-deprecation", *words], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


pytestmark = [
    pytest.mark.skipif(NODE is None, reason="there is no node"),
    pytest.mark.skipif(
        NODE is not None and node("-e", "require.resolve('qemu-qmp')").returncode != 0,
        reason="node does not find the package qemu-qmp (NODE_PATH)",
    ),
]


def test_a_conversation(launch: Launch, tmp_path: Path) -> None:
    program = launch()
    program.client().close()  # it listens
    done = node("-e", CONVERSATION, str(tmp_path / "qmp.sock"))
    assert (done.returncode, done.stderr) == (0, "")
    said: list[list[Any]] = json.loads(done.stdout)
    [name, (major, package, capabilities)] = said[0]
    assert (name, capabilities, package.startswith("ramslot ")) == ("greeting", ["oob"], True)
    assert major >= 5
    answers = dict(said[1:-1])
    assert said[1][0] == "status"
    assert said[1][1]["status"] == "prelaunch"
    assert answers["added"] == {}
    assert answers["memdev"] == [["m", 1 << 20]]
    assert answers["refused"] == "object 'nobody' not found"
    assert answers["schema"] is True
    assert answers["event"] == "RESUME"
    assert answers["cont"] == {}
    assert said[-1][1]["status"] == "running"


def test_one_client_after_another(launch: Launch, tmp_path: Path) -> None:
    program = launch()
    program.client().close()
    descriptors = program.descriptors()
    for _ in range(5):
        assert node("-e", CONVERSATION.replace("'nobody'", "'m'"), str(tmp_path / "qmp.sock")).returncode == 0
    wait_for(lambda: program.descriptors() <= descriptors or None, "end of connections")
    assert program.client().call("query-memdev") == []
