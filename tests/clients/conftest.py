"""The fixture `launch`: programs that do not outlive their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .program import Program, opened


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
