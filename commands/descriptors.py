"""Descriptors that clients send along with their requests, kept by name or in sets until something uses them."""

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
    context.vm.descriptors.keep(name, fd)
    return {}


def closefd(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Close one that was kept."""
    fd = context.vm.descriptors.take(arguments["fdname"])
    if fd is None:
        raise VMError(f"File descriptor named '{arguments['fdname']}' not found")
    os.close(fd)
    return {}


def add_fd(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Put the descriptor that came along into a set."""
    number, fd = arguments.get("fdset-id"), context.take_descriptor()
    if fd is None:
        raise VMError("No file descriptor supplied via SCM_RIGHTS")
    if number is not None and number < 0:
        os.close(fd)
        raise VMError("Parameter 'fdset-id' expects a non-negative value")
    number = context.vm.descriptors.add(fd, number, arguments.get("opaque"))
    return {"fdset-id": number, "fd": fd}


def remove_fd(context: Context, arguments: Arguments) -> dict[str, Any]:
    """Take one out of a set, or all of them."""
    vm = context.vm
    at_once = vm.release.covers("9.0") or vm.run_state.running  # older QEMUs wait until the guest runs
    vm.descriptors.remove(arguments["fdset-id"], arguments.get("fd"), at_once=at_once)
    return {}


def query_fdsets(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """All sets with what is in them."""
    return [
        {
            "fdset-id": number,
            "fds": [{"fd": fd} | ({} if opaque is None else {"opaque": opaque}) for fd, opaque in found.items()],
        }
        for number, found in context.vm.descriptors.sets()
    ]


HMP = (
    HMPCommand(
        "getfd",
        lambda _vm, words: ("getfd", {"fdname": words["name"]}),
        help="receive a file descriptor via SCM rights and assign it a name",
        syntax="getfd name",
        parameters=(Word("name"),),
        preconfig=True,
        example="getfd stream",
    ),
    HMPCommand(
        "closefd",
        lambda _vm, words: ("closefd", {"fdname": words["name"]}),
        help="close a file descriptor previously passed via SCM rights",
        syntax="closefd name",
        parameters=(Word("name", "descriptor-name"),),
        preconfig=True,
        example="closefd stream",
    ),
)
