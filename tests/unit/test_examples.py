"""Every command has an example, and every example is run on a live machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ramslot.commands import hmp_commands
from ramslot.monitor.command_line.options import parse
from ramslot.monitor.dispatch import HMPLineError
from ramslot.monitor.lines.commands import COMMANDS
from ramslot.monitor.lines.session import LineSession
from ramslot.monitor.own_machine import OwnMachine
from ramslot.monitor.program import Program
from ramslot.monitor.scripts.runner import ScriptRunner
from ramslot.vm.releases import VERSIONS, find_release

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = (
    *("-M", "q35", "-m", "2G,slots=4,maxmem=8G", "-accel", "sim", "-device", "virtio-balloon-pci"),
    *("-object", "memory-backend-ram,id=m,size=1G", "-object", "memory-backend-ram,id=m0,size=1G"),
    *("-device", "pc-dimm,id=dimm0,memdev=m0", "-chardev", "null,id=null0"),
)
PRECONFIG = ("-M", "q35", "-m", "1G", "-preconfig", "-object", "memory-backend-ram,id=m,size=1G")
OTHER_MACHINES = {
    "set_numa_node": PRECONFIG,
    "exit_preconfig": PRECONFIG,
    "migrate_incoming": ("-M", "none", "-incoming", "defer"),
}
BEFORE = {
    "diff": ("mark start",),
    "dirty_log_clear": ("dirty_log_start",),
    "dirty_log_stop": ("dirty_log_start",),
    "echo": ("set x 1G",),
    "unalias": ("alias im info mtree",),
}
"""What is done before, so that the example has something to show."""
REFUSED = {
    "closefd": "not found",
    "dump_cancel": "no dump is being written",
    "getfd": "No file descriptor supplied via SCM_RIGHTS",
    "migrate_continue": "Migration not in expected state",
    "migrate_devices": "Could not open 'saved'",
    "migrate_pause": "only supported during postcopy-active",
    "migrate_recover": "only be run when postcopy is paused",
    "migrate_start_postcopy": "Enable postcopy with migrate_set_capability",
    "prealloc_cancel": "no memory is being preallocated for object 'm'",
    "watch": "is for the console",
}
"""What wants a state that no line alone brings about, and says so; or wants a file that another line makes."""


def run(arguments: tuple[str, ...], lines: tuple[str, ...]) -> str:
    """What the last of `lines` prints on a machine of its own."""
    program = Program(parse(["ramslot", *arguments]))
    try:
        program.open_monitors()
        program.start_machine()
        session = LineSession(OwnMachine(program))
        text = ""
        for line in lines:
            text = program.worker.wait(session.run(line)).text
        return text
    finally:
        program.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_every_example_of_a_command_runs(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, command in hmp_commands(find_release(version)).items():
        if name == command.name:
            folder = tmp_path / name  # where nothing is of another that still goes on
            folder.mkdir()
            monkeypatch.chdir(folder)
            check(name, command.example, ("-qemu", version))


def check(name: str, example: str, more: tuple[str, ...] = ()) -> None:
    """Run an example, which succeeds, or is refused as told."""
    assert example.startswith(name)
    arguments = (*more, *OTHER_MACHINES.get(name, MACHINE))
    lines = (*BEFORE.get(name, ()), example)
    if name in REFUSED:
        with pytest.raises(HMPLineError, match=REFUSED[name]):
            run(arguments, lines)
    else:
        run(arguments, lines)


def test_every_example_of_the_prompt_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plan.hmp").write_text("info status\n")
    for name, command in COMMANDS.items():
        if name not in ("include", "source"):
            check(name, command.example)
    program = Program(parse(["ramslot", *MACHINE]))
    program.start_machine()
    runner = ScriptRunner(OwnMachine(program), keep_going=False)
    runner.run(("example", COMMANDS[name].example) for name in ("include", "source"))
    assert not runner.failed
    program.close()


def test_what_takes_parameters_shows_one() -> None:
    for version in VERSIONS:
        for command in hmp_commands(find_release(version)).values():
            assert not command.parameters or command.example != command.name, command.name
