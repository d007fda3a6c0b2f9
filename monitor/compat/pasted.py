"""Finds QEMU's command line in text as people have it: a shell's, a log's of libvirt or Proxmox, options alone."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

PROGRAM = re.compile(r"^(?:ramslot|kvm|qemu-kvm|qemu-system-[A-Za-z0-9_]+)(?:-v?\d+(?:\.\d+)+)?$")
VERSION_IN_PATH = re.compile(r"(?:^|[/-])v?(\d+\.\d+)(?:\.\d+)*(?=[/-]|$)")
VERSION_IN_LOG = re.compile(r"qemu version: (\d+\.\d+)")
FAILED = re.compile(r"command '(.*)' failed(?:: .*)?$", re.DOTALL)
"""How Proxmox tells of a command that did not work: quotes within it stand as they were."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A program and its options, as words."""

    program: str
    words: tuple[str, ...]
    version: str | None
    """Of QEMU, where the path of the program or the log tells: major and minor number."""

    @property
    def architecture(self) -> str | None:
        """As in `qemu-system-ARCH`; None where the name does not tell."""
        name = re.sub(r"-v?\d+(?:\.\d+)+$", "", self.program.rpartition("/")[2])
        found = name.removeprefix("qemu-system-")
        return found if found != name else None


def find_command_line(text: str) -> CommandLine | None:
    """The last command line in a text; None if there is none. Options without a program are one, too."""
    found = None
    version = None
    for line in _logical_lines(text):
        told = VERSION_IN_LOG.search(line)
        version = told[1] if told is not None else version
        found = _in_line(line, version) or found
    return found


def _logical_lines(text: str) -> list[str]:
    """Lines, those that a backslash continues as one."""
    return re.sub(r"\\\r?\n", " ", text).splitlines()


def _in_line(line: str, version: str | None) -> CommandLine | None:
    failed = FAILED.search(line)
    words = _words(failed[1] if failed is not None else line)
    for number, word in enumerate(words):
        if PROGRAM.match(word.rpartition("/")[2]) and (number + 1 == len(words) or words[number + 1].startswith("-")):
            told = VERSION_IN_PATH.search(word)
            return CommandLine(word, tuple(words[number + 1 :]), told[1] if told is not None else version)
    if words and re.match(r"--?[A-Za-z]", words[0]):
        return CommandLine("ramslot", tuple(words), version)
    return None


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:  # a quote that is not closed: a line of a log that is about something else
        return []
