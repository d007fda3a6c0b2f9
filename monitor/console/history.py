"""The lines that were typed, kept from one session to the next in a file that only its owner can read."""

from __future__ import annotations

import os

from prompt_toolkit.history import FileHistory, History, InMemoryHistory


def history_path() -> str:
    """Where the history is, by the XDG base directory specification."""
    base = os.environ.get("XDG_STATE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.local/state")
    return os.path.join(base, "ramslot", "history")


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
