"""Descriptors that clients send along with their requests, kept by name until something uses them."""

from __future__ import annotations

import os

from ..vm.errors import VMError
from .hmp import HMPCommand, Word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import Arguments, Context


def getfd(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Keep the descriptor that came along."""
    name, fd = arguments["fdname"], context.take_descriptor()
    if fd is None:
        raise VMError("No file descriptor supplied via SCM_RIGHTS")
    if name[:1].isdigit():
        os.close(fd)
        raise VMError("Parameter 'fdname' expects a name not starting with a digit")
    kept = context.vm.migration.descriptors
    if name in kept:
        os.close(kept[name])
    kept[name] = fd
    return {}


def closefd(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Close one that was kept."""
    fd = context.vm.migration.descriptors.pop(arguments["fdname"], None)
    if fd is None:
        raise VMError(f"File descriptor named '{arguments['fdname']}' not found")
    os.close(fd)
    return {}


HMP = (
    HMPCommand(
        "getfd",
        lambda _vm, words: ("getfd", {"fdname": words["name"]}),
        help="receive a file descriptor via SCM rights and assign it a name",
        syntax="getfd name",
        parameters=(Word("name"),),
        preconfig=True,
    ),
    HMPCommand(
        "closefd",
        lambda _vm, words: ("closefd", {"fdname": words["name"]}),
        help="close a file descriptor previously passed via SCM rights",
        syntax="closefd name",
        parameters=(Word("name", "descriptor-name"),),
        preconfig=True,
    ),
)
