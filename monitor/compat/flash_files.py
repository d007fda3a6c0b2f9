"""The flash memory of a command line: the options that make it, and whether the files that it is made of are here."""

from __future__ import annotations

import os


class FlashFiles:
    """What has been said of flash memory so far."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        """The options that put something into flash memory, as they were written."""
        self._options: list[tuple[str, str | None]] = []
        self._named: list[str] = []
        self._files: list[str] = []
        self._nodes: dict[str, tuple[str, dict[str, str]]] = {}

    def add_drive(self, name: str, value: str, pairs: dict[str, str]) -> None:
        """An option that is an image in flash memory."""
        self.texts.append(f"-{name} {value}")
        self._options.append((name, value))
        self._files.append(pairs.get("file", pairs.get("file.filename", "")))

    def add_property(self, name: str, node: str) -> None:
        """A property of the machine that names a block device."""
        self.texts.append(f"-machine {name}={node}")
        self._options.append(("machine", f"{name}={node}"))
        self._named.append(node)

    def add_node(self, value: str, pairs: dict[str, str]) -> None:
        """A block device, which may be flash memory or be below one that is."""
        self._nodes[pairs.get("node-name", "")] = value, pairs

    @property
    def are_here(self) -> bool:
        """Whether all that is needed was said, and all files are on this host."""
        named = [pairs["filename"] for _, pairs in self._needed.values() if "filename" in pairs]
        return self._needed.keys() >= set(self._named) and all(os.path.isfile(path) for path in self._files + named)

    @property
    def options(self) -> list[tuple[str, str | None]]:
        """All that makes the flash memory, block devices included."""
        nodes: list[tuple[str, str | None]] = [("blockdev", value) for value, _ in self._needed.values()]
        return self._options + nodes[::-1]

    @property
    def _needed(self) -> dict[str, tuple[str, dict[str, str]]]:
        """The block devices that flash memory is made of, those that stand on others first."""
        found: dict[str, tuple[str, dict[str, str]]] = {}
        wanted = list(self._named)
        while wanted:
            name = wanted.pop()
            if name in self._nodes and name not in found:
                found[name] = self._nodes[name]
                wanted.append(found[name][1].get("file", ""))
        return found
