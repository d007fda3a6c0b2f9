"""Which RAMBlocks become which: the language of `--map`, and its arithmetic.

`SOURCE=PIECE,PIECE...` says what a RAMBlock of the source becomes; a piece is `NAME[@START][+LENGTH]`: the bytes of the
source's block from START on (else from where the piece before ends), LENGTH of them (else up to the next piece, or to
the end), go to the block NAME. What several pieces give to one block comes in it one behind the other, as they are
said. So `pc.ram=ram0@0+1G,ram1@1G` splits, `s390.ram=ram` with `s390.ram.1=ram` joins, `ram0=ram1` renames. Blocks that
are not mentioned stay as they are.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from ..errors import VMError
from ..sizes import exact_size, parse_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST_NAME = 255
SIZE = r"(?:0[xX][0-9a-fA-F]+|[0-9]+)[bBkKmMgGtTpPeE]?"
PIECE = re.compile(rf"(?P<name>.+?)(?:@(?P<start>{SIZE}))?(?:\+(?P<length>{SIZE}))?", re.DOTALL)


class Said:
    """A piece as it was said; None for what was left out."""

    __slots__ = ("length", "name", "start")

    def __init__(self, name: str, start: int | None, length: int | None) -> None:
        self.name = name
        self.start = start
        self.length = length


class Piece:
    """Bytes `[start, end)` of a source's block, which begin at `target` in the block `name`."""

    __slots__ = ("end", "name", "start", "target")

    def __init__(self, start: int, end: int, name: str, target: int) -> None:
        self.start = start
        self.end = end
        self.name = name
        self.target = target


class BlockMap:
    """What was said in all maps. Raises `VMError` for what is no map, or says one block twice."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._said: dict[str, list[Said]] = {}
        for text in texts:
            source, pieces = _parse(text)
            if source in self._said:
                raise VMError(f"--map says twice what becomes of '{source}'")
            self._said[source] = pieces

    def layout(self, blocks: Sequence[tuple[str, int]], page_size: int) -> Layout:
        """What becomes of a source's blocks; raises `VMError` where these do not fit what was said."""
        known = dict(blocks)
        for source in self._said:
            if source not in known:
                raise VMError(f"there is no RAMBlock '{source}'; there are: {', '.join(known)}")
        pieces: dict[str, list[Piece]] = {}
        # Said order decides about the places in a block that several go to.
        used: dict[str, int] = {}
        for source, said in self._said.items():
            pieces[source] = _place(source, said, known[source], used, page_size)
        for name, length in blocks:
            if name in self._said:
                continue
            if name in used:
                raise VMError(f"'{name}' is a RAMBlock that stays, and something else is to become '{name}'")
            pieces[name] = [Piece(0, length, name, 0)]
            used[name] = length
        return Layout({name: pieces[name] for name, _length in blocks}, used)


class Layout:
    """Where every byte of a source's blocks goes, and the blocks that this makes, in the order of the source's."""

    __slots__ = ("_starts", "blocks", "pieces")

    def __init__(self, pieces: dict[str, list[Piece]], used: dict[str, int]) -> None:
        self.pieces = pieces
        """By the source's block, in the order of its bytes; every byte is in one."""
        order = dict.fromkeys(piece.name for block in pieces.values() for piece in block)
        self.blocks = [(name, used[name]) for name in order]
        self._starts = {name: [piece.start for piece in block] for name, block in pieces.items()}

    def piece(self, block: str, offset: int) -> Piece:
        """The piece that a byte of a block is in."""
        return self.pieces[block][bisect_right(self._starts[block], offset) - 1]


def _parse(text: str) -> tuple[str, list[Said]]:
    source, equals, rest = text.partition("=")
    if not equals or not source or not rest:
        raise VMError(f"--map '{text}': expects SOURCE=NAME[@START][+LENGTH][,...]")
    pieces = []
    for part in rest.split(","):
        found = PIECE.fullmatch(part)
        if found is None:
            raise VMError(f"--map '{text}': a piece has no name")
        start, length = found["start"], found["length"]
        name = found["name"]
        if len(name.encode("utf-8", "surrogateescape")) > LONGEST_NAME:
            raise VMError(f"--map '{text}': a RAMBlock's name has at most {LONGEST_NAME} bytes")
        try:
            sizes = [None if size is None else parse_size(size) for size in (start, length)]
        except ValueError:
            raise VMError(f"--map '{text}': '{part}' has a size that is none") from None
        pieces.append(Said(name, *sizes))
    return source, pieces


def _place(source: str, said: list[Said], size: int, used: dict[str, int], page_size: int) -> list[Piece]:
    """The pieces of one block, all of it covered once; `used` is how much of each target there is already."""
    pieces: list[Piece] = []
    at = 0
    for number, piece in enumerate(said):
        start = at if piece.start is None else piece.start
        if start != at:
            wrong = "leaves out bytes before" if start > at else "has bytes twice at"
            raise VMError(f"--map of '{source}' {wrong} {start:#x} ('{piece.name}')")
        following = said[number + 1].start if number + 1 < len(said) else size
        if piece.length is None and following is None:
            raise VMError(f"--map of '{source}' does not say where '{piece.name}' ends")
        end = following if piece.length is None else start + piece.length
        assert end is not None, "one of them is told"
        if not start < end <= size:
            text = f"--map of '{source}', which has {exact_size(size)}, takes {start:#x} to {end:#x} for '{piece.name}'"
            raise VMError(text)
        target = used.get(piece.name, 0)
        if (start | end | target) % page_size and (start, end, target) != (0, size, 0):
            raise VMError(f"--map of '{source}' divides pages of {page_size} bytes at '{piece.name}'")
        pieces.append(Piece(start, end, piece.name, target))
        used[piece.name] = target + end - start
        at = end
    if at != size:
        raise VMError(f"--map of '{source}', which has {exact_size(size)}, says nothing of what is from {at:#x} on")
    return pieces
