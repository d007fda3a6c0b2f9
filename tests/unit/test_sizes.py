import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramslot.vm.errors import VMError
from ramslot.vm.releases import find_release
from ramslot.vm.sizes import (
    BadSizeError,
    SizeError,
    SizeRangeError,
    check_ram_limits,
    parse_integer,
    parse_size,
    round_ram_size,
    size_to_str,
)

# What `qom-get /objects/a size` said in QEMU 7.2 after `-object memory-backend-ram,id=a,size=TEXT`.
MEASURED = {
    "1": 1,
    "1b": 1,
    "1.00B": 1,
    "3.b": 3,
    "010": 10,
    "+5": 5,
    " +5": 5,
    "\t7": 7,
    "0x10": 16,
    "0X1f": 31,
    "0x10e": 270,
    "+0x5": 5,
    "0xffk": 261120,
    "1.k": 1024,
    "1K": 1024,
    "1m": 1 << 20,
    "1G": 1 << 30,
    "1t": 1 << 40,
    "1P": 1 << 50,
    "15E": 15 << 60,
    "1.5k": 1536,
    "1.1k": 1126,
    "1.0001k": 1024,
    "1.00048828125k": 1025,
    "1.00146484375k": 1026,
    "1.99999k": 2048,
    "1.99999999999999999999k": 1024,
    "1048576.99999999999k": 1073742848,
    "1.3M": 1363149,
    "1.7G": 1825361101,
    "1.123456789012345678G": 1206302542,
    "1.1T": 1209462790554,
    "0.000000001T": 1100,
    "1.0000000000005T": 1099511627777,
}

BAD = """-1|- 1|1.5|0.1B|1.5e3k|1e3|.5k|1.-5k|1.+5k|1..5k|1.0.0|1.0x|1kB|1KiB|1kk|1 k|1_0|0x|0xG|00x5|0x1.0|0b1|nan|inf
++5|+ 5|1. 5k|x|k|٣|1٣|18446744073709551616k|18446744073709551616.0|18446744073709551616B""".replace("\n", "|").split(
    "|"
)


@pytest.mark.parametrize(("text", "size"), MEASURED.items())
def test_texts_mean_the_bytes_that_qemu_reads(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", " ", *BAD])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(BadSizeError):
        parse_size(text)


@pytest.mark.parametrize("text", ["18446744073709551616", "16E", "16384P", "18446744073709551615k"])
def test_what_is_too_large(text: str) -> None:
    with pytest.raises(SizeRangeError):
        parse_size(text)


def test_a_default_suffix_counts_only_where_none_is_given() -> None:
    assert parse_size("2", "M") == 2 << 20
    assert parse_size("1.5", "M") == 3 << 19
    assert parse_size("2B", "M") == 2
    with pytest.raises(SizeRangeError):
        parse_size("17592186044416", "M")


def test_a_hexadecimal_number_of_units_is_deprecated() -> None:
    warnings: list[str] = []
    parse_size("0x10", warn=warnings.append)
    parse_size("0x10B", warn=warnings.append)
    parse_size("10k", warn=warnings.append)
    assert not warnings
    parse_size("0x10k", warn=warnings.append)
    assert warnings == ["warning: Using a multiplier suffix on hex numbers is deprecated: 0x10k"]


@given(st.integers(0, (1 << 64) - 1), st.sampled_from("BKMGTPEbkmgtpe"))
def test_whole_numbers_are_exact(number: int, suffix: str) -> None:
    size = number << (10 * "BKMGTPE".index(suffix.upper()))
    if size < 1 << 64:
        assert parse_size(f"{number}{suffix}") == size
    else:
        with pytest.raises(SizeRangeError):
            parse_size(f"{number}{suffix}")


@given(st.text())
def test_any_text_is_a_size_or_a_size_error(text: str) -> None:
    try:
        assert 0 <= parse_size(text) < 1 << 64
    except SizeError:
        pass


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("010", 8), ("0x10", 16), (" -1", -1), ("+7", 7), ("18446744073709551616", 1 << 64)]
)
def test_integers_are_spelled_as_in_c(text: str, number: int) -> None:
    assert parse_integer(text) == number


@pytest.mark.parametrize("text", ["", " ", "-", "08", "0x", "1_0", "1k", "1.5", "1 ", "0b1", "٣"])
def test_what_is_no_integer(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_integer(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.977 KiB"),
        (8192, "8 KiB"),
        (999 << 20, "999 MiB"),
        (1000 << 20, "0.977 GiB"),
        (1536 << 20, "1.5 GiB"),
        (2047 << 20, "2 GiB"),
        (1 << 60, "1 EiB"),
        ((1 << 64) - 1, "16 EiB"),
    ],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert size_to_str(size) == text


@given(st.integers(0, (1 << 64) - 1))
def test_ram_is_rounded_up_to_8_kib(size: int) -> None:
    rounded = round_ram_size(size)
    assert rounded % 8192 == 0
    assert 0 <= rounded - size < 8192


@pytest.mark.parametrize(
    ("ram_size", "max_ram_size", "slots"),
    [(0, None, None), (1, None, 0), (1, 1, None), (1, 1, 0), (1, 2, None), (1, 2, 5)],
)
def test_limits_that_fit(ram_size: int, max_ram_size: int | None, slots: int | None) -> None:
    check_ram_limits(ram_size, max_ram_size, slots, find_release(None))


@pytest.mark.parametrize(
    ("ram_size", "max_ram_size", "slots", "text"),
    [
        (1, None, 1, "slots specified but no max-size"),
        (2, 1, 1, r"invalid value of maxmem: .* \(0x1\) must be at least the initial memory size \(0x2\)"),
        (16, 16, 1, r"invalid value of maxmem: memory slots .* \(0x10\) is equal to the initial .* \(0x10\)"),
    ],
)
def test_limits_that_do_not_fit(ram_size: int, max_ram_size: int | None, slots: int, text: str) -> None:
    with pytest.raises(VMError, match=text):
        check_ram_limits(ram_size, max_ram_size, slots, find_release(None))
