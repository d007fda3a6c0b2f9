"""Dirty bitmaps against plain sets of page numbers."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ramslot.vm.memory.dirty import DirtyBitmap

PAGES = 150
FIRST = st.integers(0, PAGES + 20)
OPERATIONS = st.lists(
    st.tuples(st.sampled_from(("merge", "take", "bits")), FIRST, st.integers(0, 1 << 70) | st.integers(0, 200)),
    max_size=20,
)


@given(OPERATIONS)
def test_a_bitmap_is_a_set_of_pages(operations: list[tuple[str, int, int]]) -> None:
    bitmap, pages = DirtyBitmap(PAGES), set[int]()
    for name, first, value in operations:
        if name == "merge":
            bitmap.merge(first, value)
            pages |= {page for page in range(first, PAGES) if value >> page - first & 1}
        else:
            count = None if value > 200 else value
            end = PAGES if count is None else first + count
            expected = {page for page in pages if first <= page < end}
            bits = getattr(bitmap, name)(first, count)
            assert bits == sum(1 << page - first for page in expected)
            if name == "take":
                pages -= expected
        assert bitmap.count() == len(pages)
        runs = list(bitmap.runs())
        assert {page for start, length in runs for page in range(start, start + length)} == pages
        assert all(before + length < after for (before, length), (after, _) in pairwise(runs))
