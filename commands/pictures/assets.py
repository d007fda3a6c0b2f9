"""The style sheets, the script and the frame of pictures, which are files beside this one."""

from __future__ import annotations

import os


def read(name: str) -> str:
    """A file's text."""
    with open(os.path.join(os.path.dirname(__file__), name), encoding="utf-8") as file:
        return file.read()
