"""What the client of a monitor may not do: change anything on one that is read-only, or name any file of the host.

Nothing here limits who starts the program. Which commands only read is declared with each of them (`x-reads-only`);
which arguments name files of the host is the table `NAMED_PATHS`.
"""

from __future__ import annotations

import os

from ..vm.errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias

    from ..schema import Command
    from ..vm.releases import Release

    Arguments: TypeAlias = dict[str, Any]
    Paths: TypeAlias = Callable[[Arguments, Release], Iterator[str]]

_FDSET = "/dev/fdset/"
"""Behind which a client's own descriptors are, and no file."""


class Limits:
    """The limits of one monitor's clients."""

    __slots__ = ("_folders", "_monitor", "_read_only")

    def __init__(self, monitor: str, read_only: bool, folders: tuple[str, ...]) -> None:
        self._monitor = monitor
        self._read_only = read_only
        self._folders = folders
        """Real paths of the folders whose files may be named; with none every file may be."""

    def permits(self, command: Command) -> bool:
        """Whether a command may be used at all."""
        return command.reads_only or not self._read_only

    def check_command(self, command: Command) -> None:
        """Refuse a command that changes something on a monitor that is read-only; raises `VMError`."""
        if not self.permits(command):
            raise VMError(f"monitor '{self._monitor}' is read-only, and {command.name} does more than to read")

    def check_paths(self, name: str, arguments: Arguments, release: Release) -> None:
        """Refuse arguments that name files of the host elsewhere, or run programs; raises `VMError`."""
        if not self._folders or name not in NAMED_PATHS:
            return
        for path in NAMED_PATHS[name](arguments, release):
            if not self._is_inside(path):
                raise VMError(f"'{path}' is in none of the folders that clients may use: {', '.join(self._folders)}")

    def _is_inside(self, path: str) -> bool:
        if path.startswith(_FDSET) and path.removeprefix(_FDSET).isdecimal():
            return True
        try:
            real = os.path.realpath(path)
        except (OSError, ValueError):
            return False
        return any(os.path.commonpath((real, folder)) == folder for folder in self._folders)


def _filename(arguments: Arguments, _release: Release) -> Iterator[str]:
    yield arguments["filename"]


def _of_object(arguments: Arguments, _release: Release) -> Iterator[str]:
    """Of a memory backend or a secret; up to QEMU 5.2 properties are within `props`."""
    for given in (arguments, arguments.get("props") or {}):
        yield from (given[name] for name in ("mem-path", "file") if isinstance(given.get(name), str))


def _of_device(arguments: Arguments, _release: Release) -> Iterator[str]:
    if isinstance(arguments.get("romfile"), str) and arguments["romfile"]:
        yield arguments["romfile"]


def _protocol(arguments: Arguments, _release: Release) -> Iterator[str]:
    kind, _, rest = arguments["protocol"].partition(":")
    if kind == "file":
        yield rest


def _address(arguments: Arguments, release: Release) -> Iterator[str]:
    """Of a migration; what is no address is for the command to refuse."""
    from ..vm.migration.address import address_of_channels, parse_address

    try:
        if arguments.get("uri") is not None:
            address = parse_address(arguments["uri"], release)
        else:
            address = address_of_channels(arguments.get("channels") or [], release)
    except VMError:
        return
    if address.kind == "exec":
        raise VMError("programs (exec:) are not run for the clients of a monitor whose files are limited")
    if address.kind == "file" or (address.kind == "unix" and not address.abstract):
        yield address.path


def _partner(arguments: Arguments, _release: Release) -> Iterator[str]:
    """The file that describes another machine, or the firmware that its command line names."""
    text = arguments["partner"].strip()
    if "\n" not in text and os.sep in text and not any(character.isspace() for character in text):
        yield text
        return
    if os.path.exists(text):
        yield text
    from itertools import pairwise

    words = text.replace("'", " ").replace('"', " ").replace(",", " ").split()
    for before, word in pairwise(words):
        if before in ("-bios", "--bios"):
            yield word
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key in ("file", "filename", "firmware", "pflash0", "pflash1"):
            yield value


NAMED_PATHS: dict[str, Paths] = {
    "object-add": _of_object,
    "device_add": _of_device,
    "what-if-device-add": _of_device,
    "pmemsave": _filename,
    "memsave": _filename,
    "save-map": _filename,
    "migration-devices-load": _filename,
    "dump-guest-memory": _protocol,
    "migrate": _address,
    "migrate-incoming": _address,
    "migrate-recover": _address,
    "query-compat": _partner,
}
"""For each command whose arguments name files of the host, those files."""
