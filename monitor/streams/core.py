"""`ramslot stream extract -format elf`: a core file of a machine whose memory is in a stream."""

from __future__ import annotations

from ...vm.compat.comparing import compare
from ...vm.compat.contract import Block, Contract
from ...vm.compat.reasons import why
from ...vm.dump.saved import SavedCore
from ...vm.errors import VMError
from ...vm.streams.contents import deliver
from ...vm.streams.parts import BlockList, PageRun
from ..compat.command_lines import read_command_line
from ..compat.pasted import find_command_line
from .memory import CoreFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...vm.machine import VirtualMachine
    from ...vm.streams.parts import Part
    from ...vm.streams.walk import Walker

DECISIVE = ("machine type", "configuration", "page size", "block")
"""What makes another machine of it; capabilities are not the machine's, and devices are not in a core file."""


class CoreExtraction:
    """Writes the memory of a stream to a core file, where the machine of a command line has it."""

    def __init__(self, path: str, machine: str) -> None:
        """Raises `VMError` for what is no command line."""
        line = find_command_line(machine)
        if line is None:
            raise VMError(f"-machine '{machine}' is no command line of QEMU")
        self._path = path
        self._line = line
        self._core: SavedCore | None = None
        self.file: CoreFile | None = None

    def take(self, part: Part, walker: Walker) -> None:
        """See a part of the stream; raises `VMError` where the machine has not its RAMBlocks."""
        if isinstance(part, BlockList):
            self._core = self._placed(part, walker)
            self.file = CoreFile(self._path, self._core)
            self.file.create()
        elif isinstance(part, PageRun):
            assert self.file is not None, "pages of unknown blocks are refused"
            deliver(part, walker, self.file)

    def _placed(self, told: BlockList, walker: Walker) -> SavedCore:
        """Where the machine has the blocks."""
        lengths = {name: length for name, length, _address in told.blocks}
        cores: list[SavedCore] = []

        def look(vm: VirtualMachine) -> None:
            cores.append(SavedCore(vm, lengths))

        contract = read_command_line(self._line, "the machine", look=look)
        verdict = compare(_saved(told, walker), contract)
        for reason in verdict.reasons:
            if reason.error is not None and reason.subject in DECISIVE:
                raise VMError(f"{reason.text} ({why(reason, verdict)})")
        core = cores[0]
        for name in core.missing:
            if name in contract.lookup:
                raise VMError(f"the machine has a RAMBlock '{name}', and the stream has none of that name and length")
        if not core.parts:
            raise VMError("the machine shows its guest no memory")
        return core

    def to_json(self) -> list[dict[str, Any]]:
        """What is in the file, by the guest's addresses."""
        assert self._core is not None, "it was written"
        return [
            {"address": part.address, "size": part.length, "block": part.block, "offset": part.offset}
            for part in self._core.parts
        ]


def _saved(told: BlockList, walker: Walker) -> Contract:
    """What a stream tells of its machine."""
    configuration = walker.configuration
    assert configuration is not None, "it comes first"
    return Contract(
        origin="the stream",
        blocks=tuple(Block(name, length, length) for name, length, _address in told.blocks),
        machine_type=configuration.machine_type,
        page_size=walker.page_size or None,
        configured=configuration.machine_type is not None,
        told_page_bits=configuration.page_bits,
    )
