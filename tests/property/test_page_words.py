"""Words of pages that are compared many at once: against a look at each."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.vm.migration import format as fmt
from ramslot.vm.migration.page_words import WINDOW_PAGES, PageWords, page_words


def entry(offset: int, dice: Random, page_size: int, *, zeros: bool) -> bytes:
    """A page with its word, now and then one that does not follow."""
    mark = fmt.ZERO if zeros else fmt.PAGE
    wrong = dice.random() < 0.04
    kind = dice.randrange(5) if wrong else 5
    offset += page_size * dice.choice([-1, 1, 1 << 20]) if kind == 0 else 0
    flags = {1: mark, 2: (fmt.PAGE | fmt.ZERO) ^ mark | fmt.CONTINUE, 3: fmt.END_OF_SECTION}.get(
        kind, mark | fmt.CONTINUE
    )
    word = (max(offset, 0) | flags).to_bytes(8)
    return word + (bytes([7 if kind == 4 else 0]) if zeros else dice.randbytes(page_size))


def following(data: bytes, offset: int, page_size: int, *, zeros: bool) -> int:
    mark, size = (fmt.ZERO, 9) if zeros else (fmt.PAGE, 8 + page_size)
    count = 0
    while (offset // page_size + count) % WINDOW_PAGES or not count:
        here = data[count * size : (count + 1) * size]
        expected = (offset + count * page_size | mark | fmt.CONTINUE).to_bytes(8) + (b"\0" if zeros else b"")
        if len(here) < size or not here.startswith(expected):
            break
        count += 1
    return count


@settings(max_examples=300, deadline=None)
@given(st.integers(), st.integers(0, (1 << 36) - 1), st.sampled_from([1024, 4096]), st.booleans())
def test_pages_that_follow_are_counted(seed: int, first: int, page_size: int, zeros: bool) -> None:
    dice = Random(seed)
    words = PageWords(page_size)
    for _ in range(3):
        first += dice.choice([0, 1, 200])
        offset = first * page_size
        count = dice.randrange(300 if zeros else 40)
        data = b"".join(entry(offset + number * page_size, dice, page_size, zeros=zeros) for number in range(count))
        data = data[: len(data) - dice.choice([0, 0, 1, 8, 700])]
        before = dice.randbytes(dice.randrange(20))
        buffer = memoryview(before + data + dice.randbytes(50))
        found = words.following(buffer, len(before), len(before) + len(data), offset, zeros=zeros)
        assert found == following(data, offset, page_size, zeros=zeros)


@given(st.integers(0, 1 << 40), st.integers(0, 600))
def test_words_are_in_the_streams_order(first: int, count: int) -> None:
    expected = b"".join((first * 4096 + 0x28 + number * 4096).to_bytes(8) for number in range(count))
    assert page_words(first * 4096 + 0x28, count, 4096).tobytes() == expected
