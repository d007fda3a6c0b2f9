"""Files of the kernel's statistics, laid out in every way that their documentation allows, and read."""

from __future__ import annotations

from struct import pack
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from ramslot.vm.accel.kvm_stats import decode

U64 = st.integers(0, 2**64 - 1)
TYPES = {0: "cumulative", 1: "instant", 2: "peak", 3: "linear-histogram", 4: "log2-histogram"}
UNITS = {0: None, 1: "bytes", 2: "seconds", 3: "cycles", 4: "boolean"}
BASES = {0: 10, 1: 2}


class Counted(NamedTuple):
    """A statistic as the kernel describes it."""

    name: str
    type: int
    unit: int
    base: int
    exponent: int
    bucket_size: int
    values: list[int]


COUNTED = st.builds(
    Counted,
    st.text("abcdefghij_0123", min_size=1, max_size=15),
    st.integers(0, 5),
    st.integers(0, 5),
    st.integers(0, 2),
    st.integers(-(2**15), 2**15 - 1),
    st.integers(0, 2**32 - 1),
    st.lists(U64, min_size=1, max_size=5),
)


def file_of(counted: list[Counted], name_size: int, gaps: list[bytes], values_first: bool) -> bytes:
    """Lay out a file: a header, an id, and in either order descriptors and values, with gaps between all of them."""
    numbers, places = gaps[0], []
    for each in counted:
        places.append(len(numbers))
        numbers += pack(f"={len(each.values)}Q", *each.values)
    length = len(counted) * (16 + name_size)
    id_offset = 24 + len(gaps[1])
    first = id_offset + name_size + len(gaps[2])
    second = first + (len(numbers) if values_first else length)
    descriptors_at, values_at = (second, first) if values_first else (first, second)
    descriptors = b""
    for each, place in zip(counted, places, strict=True):
        flags = each.type | each.unit << 4 | each.base << 8
        descriptors += pack("=IhHII", flags, each.exponent, len(each.values), place, each.bucket_size)
        descriptors += each.name.encode().ljust(name_size, b"\0")
    parts = (numbers, descriptors) if values_first else (descriptors, numbers)
    header = pack("=6I", 0, name_size, len(counted), id_offset, descriptors_at, values_at)
    return header + gaps[1] + b"kvm-1".ljust(name_size, b"\0") + gaps[2] + b"".join(parts)


@given(
    st.lists(COUNTED, max_size=6),
    st.sampled_from([16, 48]),
    st.lists(st.binary(max_size=9), min_size=3, max_size=3),
    st.booleans(),
)
def test_what_is_described_is_read(
    counted: list[Counted], name_size: int, gaps: list[bytes], values_first: bool
) -> None:
    read = [
        (each.name, each.type, each.unit, each.base, each.exponent, each.bucket_size, each.values)
        for each in decode(file_of(counted, name_size, gaps, values_first))
    ]
    assert read == [
        (each.name, TYPES[each.type], UNITS[each.unit], BASES[each.base], *each[4:])
        for each in counted
        if each.type in TYPES and each.unit in UNITS and each.base in BASES
    ]
