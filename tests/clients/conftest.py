"""The fixtures `launch` and `terminal`: programs that do not outlive their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .program import Program, opened
from .terminal import Terminal


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start a program in the test's folder; takes the options of `Program`."""
    programs: list[Program] = []

    def start(*options: str, **more: Any) -> Program:
        programs.append(Program(tmp_path, *options, **more))
        return programs[-1]

    yield start
    for program in programs:
        program.kill()
    while opened:
        opened.pop().close()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Start programs on terminals, at the prompt; they are gone at the end."""
    terminals: list[Terminal] = []

    def start(*arguments: str, prompt: bool = True, **environment: str) -> Terminal:
        own = {"XDG_STATE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
        started = Terminal(*(arguments or ("-M", "none")), **own, **environment)
        terminals.append(started)
        if prompt:
            started.until_prompt()
        return started

    yield start
    for started in terminals:
        started.child.close(force=True)
