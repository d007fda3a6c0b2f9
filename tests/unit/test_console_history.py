"""The history of the console: whose it is, where it is kept, and that it never is a reason to fail."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from ramslot.monitor.console.history import history_path, open_history
from ramslot.monitor.program import Program

from .console_sessions import UP, start, type_into

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ("start",)


def test_history_is_kept_for_its_owner_only(start: Callable[..., Program], tmp_path: Path) -> None:
    type_into(start(), "info status\r")
    path = history_path()
    assert path == str(tmp_path / "state/ramslot/history")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert list(open_history(path).load_history_strings()) == ["info status"]
    assert type_into(start(), UP + "\r").count("VM status: running") == 1


@pytest.mark.parametrize("base", ["", "relative"])
def test_history_follows_xdg(monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", base)
    monkeypatch.setenv("HOME", "/home/x")
    assert history_path() == "/home/x/.local/state/ramslot/history"


def test_history_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = open_history(str(tmp_path / "file/ramslot/history"))
    history.append_string("stop")
    assert history.get_strings() == ["stop"]


def test_history_goes_on_when_writing_fails_later(tmp_path: Path) -> None:
    history = open_history(str(tmp_path / "ramslot/history"))
    (tmp_path / "ramslot/history").unlink()
    (tmp_path / "ramslot").rmdir()
    history.append_string("stop")
    assert history.get_strings() == ["stop"]
