"""The lexers of what QEMU prints, as plugins of pygments."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import entry_points

import pytest
from pygments.lexers import get_lexer_by_name
from pygments.styles import get_style_by_name
from pygments.token import Text, Whitespace

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
    DECLARED: dict[str, str] = tomllib.load(file)["project"]["entry-points"]["pygments.lexers"]

TEXTS = {
    "qemu-hmp": "info mtree -f\n",
    "qemu-mtree": "  0000000000000000-ffffffffffffffff (prio 0, i/o): system\n",
    "qemu-qmp": '{"execute": "stop"}\n',
    "qemu-ramblock": "  pc.ram    4 KiB  0x0000000000000000 0x0000000008000000 0x0000000008000000\n",
}


@pytest.mark.parametrize("alias", DECLARED)
def test_each_is_there_under_its_name(alias: str) -> None:
    module, _, name = DECLARED[alias].partition(":")
    assert getattr(import_module(module), name).aliases == [alias]


@pytest.mark.parametrize("alias", TEXTS)
def test_every_style_has_colours_for_it(alias: str) -> None:
    module, _, name = DECLARED[alias].partition(":")
    lexer = getattr(import_module(module), name)()
    style = get_style_by_name("default")
    tokens = [token for _, token, value in lexer.get_tokens_unprocessed(TEXTS[alias]) if value.strip()]
    standard = [token for token in tokens if token not in (Text, Whitespace)]
    coloured = 0
    for token in standard:
        while not style.styles_token(token):
            token = token.parent
        coloured += bool(style.style_for_token(token)["color"])
    assert coloured


def test_pygmentize_knows_them() -> None:
    if "qemu-mtree" not in entry_points(group="pygments.lexers").names:
        pytest.skip("installed before there were these entry points")
    assert type(get_lexer_by_name("qemu-mtree")).__name__ == "MemoryTreeLexer"
    command = [sys.executable, "-m", "pygments", "-l", "qemu-mtree", "-f", "terminal"]
    done = subprocess.run(command, input=TEXTS["qemu-mtree"], capture_output=True, text=True, check=True)
    assert "\x1b[" in done.stdout and "system" in done.stdout
