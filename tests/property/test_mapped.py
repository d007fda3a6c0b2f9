"""The bitmap of pages at fixed places of a file, against one page after the other."""

from __future__ import annotations

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramslot.vm.migration import mapped

PAGE = 4096


@given(st.integers(1, 700), st.lists(st.tuples(st.integers(0, 700), st.integers(0, 700), st.booleans()), max_size=8))
def test_what_is_marked_is_told(count: int, marks: list[tuple[int, int, bool]]) -> None:
    bitmap, model = bytearray(mapped.bitmap_bytes(count * PAGE, PAGE)), [False] * count
    assert len(bitmap) % 8 == 0
    for one, other, there in marks:
        first, end = min(one, other, count), min(max(one, other), count)
        mapped.mark(bitmap, first, end, there=there)
        model[first:end] = [there] * (end - first)
    assert [bool(bitmap[page // 8] >> page % 8 & 1) for page in range(count)] == model
    assert not any(bitmap[page // 8] >> page % 8 & 1 for page in range(count, len(bitmap) * 8))
    told = list(mapped.runs(bitmap, count))
    assert [there for first, end, there in told for _ in range(first, end)] == model
    assert all(one[1] == other[0] and one[2] != other[2] for one, other in itertools.pairwise(told))


def test_runs_go_on_over_all_parts_of_a_large_bitmap(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = Random(7)
    monkeypatch.setattr(mapped, "CHUNK", 8)
    for _ in range(200):
        count = dice.randint(1, 500)
        bitmap, model = bytearray(mapped.bitmap_bytes(count * PAGE, PAGE)), [False] * count
        for _ in range(dice.randint(0, 6)):
            first = dice.randrange(count)
            end = dice.randint(first, count)
            mapped.mark(bitmap, first, end, there=True)
            model[first:end] = [True] * (end - first)
        told = list(mapped.runs(bitmap, count))
        assert [there for first, end, there in told for _ in range(first, end)] == model
        assert all(one[2] != other[2] for one, other in itertools.pairwise(told))
