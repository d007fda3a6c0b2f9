"""The user's files, by the XDG base directory specification: the lines that were typed, kept from one session to the
next for their owner alone, and the lines that are run at the start."""

from __future__ import annotations

import os

from prompt_toolkit.history import FileHistory, History, InMemoryHistory


def history_path() -> str:
    """Where the history is."""
    return _path("XDG_STATE_HOME", "~/.local/state", "history")


def startup_path() -> str:
    """Where the lines are that the console runs at its start."""
    return _path("XDG_CONFIG_HOME", "~/.config", "startup")


def _path(variable: str, default: str, name: str) -> str:
    base = os.environ.get(variable, "")
    if not os.path.isabs(base):
        base = os.path.expanduser(default)
    return os.path.join(base, "ramslot", name)


def open_history(path: str) -> History:
    """The history in a file, made with mode 0600; one that is forgotten at the end if that cannot be written."""
    home = os.path.expanduser("~")
    try:
        if path.startswith(home) and not os.path.isdir(home):
            return InMemoryHistory()
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
    except OSError:
        return InMemoryHistory()
    return _PatientHistory(path)


class _PatientHistory(FileHistory):
    """Goes on in memory when the file can no longer be written."""

    def store_string(self, string: str) -> None:
        try:
            super().store_string(string)
        except OSError:
            pass
