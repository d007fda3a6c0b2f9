"""Dirty bitmaps against plain sets of page numbers."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from ramslot.vm.memory import dirty
from ramslot.vm.memory.dirty import DirtyBitmap

FIRST = st.integers(0, 170)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), FIRST, st.just(0)),
        st.tuples(st.just("merge"), FIRST, st.integers(0, 1 << 70)),
        st.tuples(st.just("merge_run"), FIRST, st.integers(0, 90)),
    ),
    max_size=20,
)


@given(OPERATIONS, st.sampled_from((8, 16, 64, 1 << 15)))
def test_a_bitmap_is_a_set_of_pages(operations: list[tuple[str, int, int]], chunk: int) -> None:
    with patch.object(dirty, "CHUNK", chunk):
        bitmap, pages = DirtyBitmap(), set[int]()
        for name, first, value in operations:
            if name == "set":
                bitmap.set(first)
                pages.add(first)
            else:
                getattr(bitmap, name)(first, value)
                bits = value if name == "merge" else (1 << value) - 1
                pages |= {first + page for page in range(bits.bit_length()) if bits >> page & 1}
            assert bitmap.count() == len(pages)
            runs = list(bitmap.runs())
            assert {page for start, length in runs for page in range(start, start + length)} == pages
            assert all(before + length < after for (before, length), (after, _) in pairwise(runs))
            assert bool(bitmap) == bool(pages)


def test_sparse_pages_of_a_huge_memory_cost_little() -> None:
    bitmap = DirtyBitmap()
    for page in range(0, 3 << 30, 1 << 24):
        bitmap.set(page)
    assert list(bitmap.runs()) == [(page, 1) for page in range(0, 3 << 30, 1 << 24)]
    assert bitmap.count() == 192
