"""What is in a stream: its configuration, RAMBlocks, pages and devices; and what is wrong with it."""

from __future__ import annotations

from ..migration import devices as codec
from ..migration import format as fmt
from .errors import BrokenStreamError
from .parts import BlockList, Configuration, DeviceBytes, PageRun, Section
from .seen import SeenPages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .parts import Part
    from .walk import Walker

MOST_DEVICE_BYTES = 256 << 20
"""More than this is no state of devices."""
KINDS = {fmt.PAGE: "normal", fmt.ZERO: "zero", fmt.XBZRLE: "xbzrle", fmt.COMPRESSED_PAGE: "compressed"}


class BlockSummary:
    """A RAMBlock, how many pages of it were sent in which way, and how many there are of each kind in the end."""

    __slots__ = ("address", "length", "name", "seen", "sent")

    def __init__(self, name: str, length: int, address: int | None) -> None:
        self.name = name
        self.length = length
        self.address = address
        self.sent = dict.fromkeys(KINDS.values(), 0)
        self.seen = SeenPages()

    def to_json(self, page_size: int) -> dict[str, Any]:
        """The block as programs are told of it."""
        pages = -(-self.length // page_size)
        sent = sum(self.sent.values())
        found = {"name": self.name, "size": self.length, "pages": pages, "zero-pages": self.seen.zero}
        found["missing-pages"] = pages - self.seen.count
        found["sent-again"] = sent - self.seen.count
        if self.address is not None:
            found["address"] = self.address
        return {**found, "sent": {kind: count for kind, count in self.sent.items() if count}}


class Summary:
    """Takes the parts of one stream, and tells what it had."""

    def __init__(self) -> None:
        self.configuration = Configuration(None)
        self.blocks: dict[str, BlockSummary] = {}
        self.commands: list[str] = []
        self.live: dict[str, int] = {}
        """How many sections there were, by name, of what is sent while the guest runs."""
        self.devices = bytearray()

    def take(self, part: Part, walker: Walker) -> None:
        """Count a part; raises `BrokenStreamError`."""
        if isinstance(part, PageRun):
            block = self.blocks[part.block]
            block.sent[KINDS[part.kind]] += part.count
            is_zero = part.kind == fmt.ZERO and not part.fill
            if part.is_mapped:
                block.seen.add_new(part.count, is_zero=is_zero)
            else:
                block.seen.add(part.offset // walker.page_size, part.count, is_zero=is_zero)
        elif isinstance(part, DeviceBytes):
            if len(self.devices) + part.end - part.at > MOST_DEVICE_BYTES:
                raise BrokenStreamError("too much follows the memory to be the state of devices")
            self.devices += walker.buffer[part.at : part.end]
        elif isinstance(part, Section):
            if part.kind == fmt.COMMAND:
                self.commands.append(part.name)
            else:
                self.live[part.name] = self.live.get(part.name, 0) + 1
        elif isinstance(part, BlockList):
            self.blocks = {name: BlockSummary(name, length, address) for name, length, address in part.blocks}
        else:
            self.configuration = part

    def sections(self) -> list[codec.DeviceSection]:
        """The sections of devices; none where the stream does not describe them."""
        return codec.sections(bytes(self.devices), footers=self.configuration.machine_type is not None)

    def problems(self) -> list[str]:
        """What is wrong at the end of a stream, whose parts were all right."""
        data = bytes(self.devices)
        if codec.description(data) is None:
            return _undescribed(data)
        footers = self.configuration.machine_type is not None
        sections = self.sections()
        if not sections:
            return ["the sections of devices are not those that the stream describes"]
        found = []
        at = 0
        for section in sections:
            if section.start != at:
                found.append(f"{section.start - at} bytes before the section '{section.name}' are of none")
            if footers and data[section.end - 5 : section.end] != codec.HEADER.pack(fmt.FOOTER, section.section_id):
                found.append(f"the section '{section.name}' does not end where the next begins")
            at = section.end
        return found

    def to_json(self, walker: Walker) -> dict[str, Any]:
        """All of it as programs are told of it."""
        told = self.configuration
        size = walker.page_size or 4096
        blocks = [block.to_json(size) for block in self.blocks.values()]
        run_state = codec.run_state_in(bytes(self.devices), footers=told.machine_type is not None)
        return {
            "machine-type": told.machine_type,
            "page-size": size,
            "capabilities": told.capabilities,
            "uuid": None if told.uuid is None else _uuid(told.uuid),
            "commands": self.commands,
            "run-state": run_state,
            "size": walker.position,
            "ram": {
                "size": sum(block.length for block in self.blocks.values()),
                **{
                    key: sum(block[key] for block in blocks)
                    for key in ("pages", "zero-pages", "missing-pages", "sent-again")
                },
            },
            "blocks": blocks,
            "live-sections": [{"name": name, "count": count} for name, count in self.live.items()],
            "device-bytes": len(self.devices),
            "devices": [
                {
                    "name": section.name,
                    "instance": section.instance,
                    "version": section.version,
                    "size": section.end - section.start,
                }
                for section in self.sections()
            ],
        }


def _undescribed(data: bytes) -> list[str]:
    """What is wrong where no description of devices is the last of all; old machine types have none."""
    start = data.rfind(codec.DESCRIPTION_START)
    length = int.from_bytes(data[start + 2 : start + 6])
    left = len(data) - start - 6 - length
    if start >= 0 and left > 0 and data[start + 6 : start + 7] == b"{" and data[-left - 1 : -left] == b"}":
        return [f"{left} bytes follow the description of devices"]
    return [] if data.endswith(bytes((fmt.END_OF_STREAM,))) else ["the state of devices does not end"]


def _uuid(data: bytes) -> str:
    text = data.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
