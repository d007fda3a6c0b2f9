"""The contract of a machine that was saved: what the beginning of a migration stream tells."""

from __future__ import annotations

import os
from dataclasses import replace

from ...vm.compat.contract import Block, Contract, Unchecked
from ...vm.errors import VMError
from ...vm.migration.errors import StreamError
from ...vm.migration.events import Configuration, MappedPages, RAMBlockEntry, RAMEntries, RAMStart
from ...vm.migration.format import MAGIC, RAM_SECTION_ID, SECTION_START
from ...vm.migration.reading import StreamReader
from ...vm.migration.versions import machine_version, sends_switchover_start
from ...vm.releases import find_release

TYPE_CHECKING = False
if TYPE_CHECKING:
    pass

LARGEST_FILE = 1 << 63
MAGIC_BYTES = MAGIC.to_bytes(4)
AT_FIRST = 16
"""Bytes that tell whether there is a configuration: magic, version, and the kind of what follows."""


def is_stream(path: str) -> bool:
    """Whether a file begins as a stream does; `OSError` is for the caller."""
    with open(path, "rb") as file:
        return file.read(4) == MAGIC_BYTES


def read_stream(path: str, version: str | None = None) -> Contract:
    """The contract of the machine that a file was saved of; raises `VMError`.

    A stream tells neither the largest lengths nor the target, so nothing is known of these. Only its beginning is read;
    whether the guest's stop is told behind the pages follows from the machine type, or else from the number of the
    section, by which newer QEMUs are known (measured).
    """
    configuration: Configuration | None = None
    blocks: list[Block] = []
    page_size: int | None = None
    section = RAM_SECTION_ID
    try:
        with open(path, "rb") as file:
            configured = file.read(AT_FIRST)[8:9] != bytes((SECTION_START,))
            file.seek(0)
            reader = StreamReader(None, configuration=configured, footers=configured)
            for event in reader.events(file.readinto):
                if isinstance(event, RAMEntries):
                    break
                if isinstance(event, Configuration):
                    configuration = event
                elif isinstance(event, RAMStart):
                    section = event.section_id
                elif isinstance(event, RAMBlockEntry):
                    blocks.append(Block(event.name, event.length, event.length))
                elif isinstance(event, MappedPages):
                    page_size = event.page_size
                    file.seek(reader.place_behind(event, file.tell()))
                    reader.jump()
    except StreamError as error:
        raise VMError(f"'{path}': {error.lines(find_release(version))[-1]}") from None
    except OSError as error:
        raise VMError(f"Could not read '{path}': {error.strerror}") from None
    found = _contract(path, configuration, blocks, version)
    if page_size is not None:
        found = replace(found, page_size=page_size)
    return replace(found, ram_section=section, sends_switchover_start=_tells_stop(found.machine_type, section))


def _tells_stop(machine_type: str | None, section: int) -> bool:
    if machine_type is None:
        return False
    if machine_version(machine_type) is None:
        return section != RAM_SECTION_ID
    return sends_switchover_start(machine_type, find_release("10.0"))


def _contract(path: str, told: Configuration | None, blocks: list[Block], version: str | None) -> Contract:
    bits = None if told is None else told.page_bits
    uuid = None if told is None or told.uuid is None else told.uuid.hex()
    return Contract(
        origin=os.path.basename(path),
        blocks=tuple(blocks),
        release=None if version is None else find_release(version).name,
        machine_type=None if told is None else told.machine_type,
        page_size=None if bits is None else 1 << bits,
        configured=told is not None,
        told_page_bits=bits,
        capabilities=tuple(told.capabilities or ()) if told is not None else (),
        uuid=uuid,
        own_uuid=uuid,
        notes=("a stream tells names and lengths of blocks, and nothing of what they are",),
        unchecked=() if blocks else (Unchecked("a stream that ends before its list of blocks"),),
    )
