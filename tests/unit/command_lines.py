"""A line read as the program's arguments, or the messages of its refusal."""

import shlex

import pytest

from ramslot.monitor.command_line.options import parse
from ramslot.monitor.command_line.settings import CommandLineError, Settings


def read(line: str, program: str = "ramslot") -> Settings:
    return parse([program, *shlex.split(line)])


def refusal(line: str) -> list[str]:
    with pytest.raises(CommandLineError) as caught:
        read(line)
    return caught.value.messages
