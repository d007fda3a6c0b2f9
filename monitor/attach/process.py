"""A QEMU found by its process: the QMP monitors that its command line names, and that line itself."""

from __future__ import annotations

import os
import re

from ...vm.errors import VMError
from .addresses import Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read_command_line(pid: int) -> list[str]:
    """The words that a process was started with; raises `VMError`."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            data = file.read()
    except OSError as error:
        reason = "there is no such process" if isinstance(error, FileNotFoundError) else error.strerror
        raise VMError(f"process {pid}: {reason}") from None
    if not data:
        raise VMError(f"process {pid} tells no command line")
    return [word.decode("utf-8", "surrogateescape") for word in data.removesuffix(b"\0").split(b"\0")]


def find_address(pid: int) -> Address:
    """The first QMP socket of a process that can be connected to; raises `VMError`, which tells why there is none."""
    try:
        folder = os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        folder = ""
    found = choose_address(read_command_line(pid), f"process {pid}", folder)
    inside = f"/proc/{pid}/root{found.path}"
    if found.path is not None and not os.path.exists(found.path) and os.path.exists(inside):
        return Address(f"unix:{inside.replace(',', ',,')}")  # in a container, whose files are elsewhere
    return found


def choose_address(words: list[str], name: str, folder: str = "") -> Address:
    """The first QMP socket of a command line that can be connected to; a relative path is in `folder`."""
    reasons = []
    for option, device in qmp_devices(words):
        found = _address(device, folder)
        if isinstance(found, Address):
            return found
        reasons.append(f"{option}: {found}")
    if not reasons:
        raise VMError(f"{name} was started without a QMP monitor (-qmp, or -mon with mode=control)")
    raise VMError(f"{name} has no QMP monitor that can be connected to: {'; '.join(reasons)}")


def qmp_devices(words: list[str]) -> list[tuple[str, dict[str, str]]]:
    """The character devices of QMP monitors: the option, and what it says with `backend` for the kind."""
    chardevs: dict[str, dict[str, str]] = {}
    found: list[tuple[str, dict[str, str] | str]] = []
    for number, word in enumerate(words[:-1]):
        name, value = re.sub(r"^--?", "", word), words[number + 1]
        if not word.startswith("-"):
            continue
        if name in ("qmp", "qmp-pretty"):
            found.append((f"{word} {value}", _short_form(value)))
        elif name == "chardev":
            told = _members(value, "backend")
            chardevs[told.get("id", "")] = told
        elif name == "mon":
            told = _members(value, "chardev")
            if told.get("mode") == "control":
                found.append((f"{word} {value}", told.get("chardev", "")))
    return [
        (option, chardevs.get(device, {"missing": device}) if isinstance(device, str) else device)
        for option, device in found
    ]


def _members(text: str, first: str) -> dict[str, str]:
    """A list of `name=value`, the first of which may be without its name, or JSON."""
    if text.startswith("{"):
        return _flat(text)
    told: dict[str, str] = {}
    for number, part in enumerate(re.split(r"(?<!,),(?!,)", text)):
        name, equals, value = part.replace(",,", ",").partition("=")
        if not equals and number == 0:
            name, value = first, name
        told[name] = value if equals or number == 0 else "on"
    return told


def _flat(text: str) -> dict[str, str]:
    import json

    try:
        value: Any = json.loads(text)
    except ValueError:
        return {}
    return {name: str(each) for name, each in value.items()} if isinstance(value, dict) else {}


def _short_form(text: str) -> dict[str, str]:
    """A device as `-qmp` has it: `unix:PATH,server=on`, `tcp:HOST:PORT`, `stdio`, `chardev:ID` and the like."""
    kind, colon, rest = text.partition(":")
    if not colon:
        return {"backend": kind.partition(",")[0]}
    if kind == "chardev":
        return {"missing": rest}
    told = _members(rest, "place")
    place = told.pop("place", "")
    if kind == "unix":
        return {"backend": "socket", "path": place, **told}
    if kind in ("tcp", "telnet"):
        host, _, port = place.rpartition(":")
        return {"backend": "socket", "host": host, "port": port, **told}
    return {"backend": kind, "path": place, **told}


def _address(device: dict[str, str], folder: str) -> Address | str:
    """Where a device can be connected to, or why it cannot."""
    if "missing" in device:
        return f"there is no character device '{device['missing']}'"
    backend = device.get("backend", "")
    if backend != "socket":
        return f"it is on a character device '{backend}', and no socket"
    if "fd" in device:
        return (
            f"its socket was handed down as descriptor {device['fd']}, by whoever started this QEMU and has the other "
            "end or the name; give its address, or ask there (libvirt: virsh qemu-monitor-command)"
        )
    if device.get("server", "off") not in ("on", "yes", "true", "True"):
        return "it is connected to somebody, and does not listen (server=off)"
    if device.get("telnet") in ("on", "true", "True") or device.get("websocket") in ("on", "true", "True"):
        return "it speaks telnet or websocket"
    if "path" in device:
        path = device["path"]
        if device.get("abstract") in ("on", "true", "True"):
            path = f"\0{path}"
        return Address(f"unix:{os.path.join(folder, path).replace(',', ',,')}")
    host = device.get("host", "")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return Address(f"tcp:{host}:{device.get('port', '')}")
