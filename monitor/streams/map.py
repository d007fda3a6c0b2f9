"""Which RAMBlocks become which, as it is said (`-map`) or found out (`-fit`), for `stream remap` and `proxy`."""

from __future__ import annotations

import sys

from ...vm.errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...vm.streams.remap import Map
    from .words import Words


def read_map(said: Words) -> Map:
    """What a command line says of it; raises `VMError`."""
    destination, source = said.value("-fit"), said.value("-from")
    if destination is None:
        from ...vm.streams.block_map import BlockMap

        if "-map" not in said:
            raise VMError("-map has to say what becomes of which RAMBlock, or -fit what they are to fit")
        if source is not None:
            raise VMError("-from is for -fit")
        return BlockMap(said.options["-map"])
    if "-map" in said:
        raise VMError("-map says what -fit is to find out")
    from ...vm.compat.fitting import Fit
    from ..compat.sides import read_side

    return Fit(read_side(destination), None if source is None else read_side(source), _tell)


def _tell(maps: list[str]) -> None:
    """Say what was found, as a person could have said it."""
    from shlex import quote

    print(" ".join(f"-map {quote(text)}" for text in maps) or "all RAMBlocks fit as they are", file=sys.stderr)
