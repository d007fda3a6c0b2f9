"""What the console tells of the machine unasked: the status bar and the greeting."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ramslot.monitor.console import welcome
from ramslot.monitor.console.status_bar import status_bar
from ramslot.monitor.program import Program

from .console_sessions import start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ("start",)


def bar(program: Program) -> str:
    return "".join(part[1] for part in status_bar(program))


def test_status_bar_tells_of_the_machine(start: Callable[..., Program], tmp_path: Path) -> None:
    path = f"{tmp_path}/qmp"
    program = start("-M", "q35", "-m", "6G", "-S", "-name", "one", "-qmp", f"unix:{path},server=on,wait=off")
    assert bar(program) == " one │ pc-q35-11.1 │ prelaunch │ 6 GiB RAM │ sim: 6/32764 memslots │ 0 clients "
    program.worker.wait(program.run_hmp(program.context, "cont"))
    assert "│ running │" in bar(program)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        program.loop.run_once(1)
        assert bar(program).endswith("│ 1 client ")


def test_status_bar_without_slots(start: Callable[..., Program]) -> None:
    assert "tcg, no memslots" in bar(start("-M", "none", "-accel", "tcg"))


def test_welcome_names_machine_and_help(start: Callable[..., Program]) -> None:
    line = welcome(start("-M", "pc"))
    assert "pc-i440fx-11.1, 128 MiB RAM" in line
    assert "QEMU 11.1" in line
    assert "help" in line
