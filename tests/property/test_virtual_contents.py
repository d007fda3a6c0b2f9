"""What is remembered of writes into memory that nobody has, against bytes that somebody has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from ramslot.vm.host.virtual.contents import Contents

SIZE = 1024
PAGE = 64
MASK = (1 << 64) - 1
WORDS = st.integers(0, SIZE // 8 - 1)
VALUES = st.sampled_from([0, 1, MASK]) | st.integers(0, MASK)
STRIDES = st.sampled_from([8, 16, 24, 64])


class Remembers(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.contents = Contents()
        self.model = bytearray(SIZE)

    @rule(
        first=WORDS, count=st.integers(1, SIZE // 8), stride=STRIDES, value=VALUES, step=st.sampled_from([0, 8, MASK])
    )
    def write_words(self, first: int, count: int, stride: int, value: int, step: int) -> None:
        count = min(count, (SIZE - 8 * first - 8) // stride + 1)
        self.contents.write_words(8 * first, count, stride, value, step)
        for number in range(count):
            word = (value + number * step & MASK).to_bytes(8, "little")
            self.model[8 * first + number * stride : 8 * first + number * stride + 8] = word

    @rule(first=WORDS, stride=STRIDES, value=VALUES, pieces=st.lists(st.integers(1, 8), min_size=1, max_size=4))
    def write_in_slices(self, first: int, stride: int, value: int, pieces: list[int]) -> None:
        done = 0
        for count in pieces:
            if 8 * first + (done + count - 1) * stride + 8 > SIZE:
                break
            self.write_words(first + done * stride // 8, count, stride, value + done & MASK, 1)
            done += count

    @rule(offset=st.integers(0, SIZE - 1), data=st.binary(min_size=1, max_size=100))
    def write(self, offset: int, data: bytes) -> None:
        data = data[: SIZE - offset]
        self.contents.write(offset, data)
        self.model[offset : offset + len(data)] = data

    @rule(first=st.integers(0, SIZE // PAGE - 1), count=st.integers(1, 4))
    def discard(self, first: int, count: int) -> None:
        start, end = first * PAGE, min((first + count) * PAGE, SIZE)
        self.contents.discard(start, end)
        self.model[start:end] = bytes(end - start)

    @rule(offset=st.integers(0, SIZE), length=st.integers(0, SIZE))
    def read(self, offset: int, length: int) -> None:
        length = min(length, SIZE - offset)
        assert self.contents.read(offset, length) == self.model[offset : offset + length]

    @rule(first=WORDS, count=st.integers(1, SIZE // 8), stride=STRIDES)
    def sum_words(self, first: int, count: int, stride: int) -> None:
        count = min(count, (SIZE - 8 * first - 8) // stride + 1)
        places = range(8 * first, 8 * first + count * stride, stride)
        expected = sum(int.from_bytes(self.model[place : place + 8], "little") for place in places) & MASK
        assert self.contents.sum_words(8 * first, count, stride) == expected

    @rule(first=st.integers(0, SIZE // PAGE - 1), count=st.integers(1, 8), shift=st.integers(0, 4))
    def copy(self, first: int, count: int, shift: int) -> None:
        start, end = first * PAGE, min((first + count) * PAGE, SIZE)
        copied = Contents()
        copied.copy(self.contents, start - shift * PAGE, end - shift * PAGE, shift * PAGE)
        around = copied.read(start - shift * PAGE - 100, end - start + 200)
        assert around == bytes(100) + self.model[start:end] + bytes(100)


TestRemembers = Remembers.TestCase


@given(st.integers(1, 50), st.integers(1, 5))
def test_a_pass_over_memory_is_one_fact_however_it_is_cut(slice_words: int, passes: int) -> None:
    contents = Contents()
    for number in range(passes):
        done = 0
        while done < 200:
            count = min(slice_words, 200 - done)
            contents.write_words(done * 4096, count, 4096, number, 0)
            done += count
    assert len(contents._facts) == 1
    assert contents.sum_words(0, 200, 4096) == 200 * (passes - 1)
