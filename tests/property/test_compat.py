"""Comparisons against a plain model of a destination, and what must hold of any two sides."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from ramslot.monitor.compat.sides import read_text
from ramslot.vm.compat.comparing import compare
from ramslot.vm.compat.contract import Block, Contract
from ramslot.vm.compat.fleet import Outcome, outcomes, shard_of
from ramslot.vm.compat.reasons import remarks, why
from ramslot.vm.errors import VMError

NAMES = st.sampled_from(["pc.ram", "m", "/objects/m", "pc.bios", "d0", "d1"])
SIZES = st.sampled_from([1 << 20, 2 << 20, 3 << 20])


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    used, most = draw(SIZES), draw(SIZES)
    resizeable = draw(st.booleans())
    most = max(used, most) if resizeable else used
    places = draw(st.none() | st.just(()) | st.tuples(st.tuples(SIZES, st.just(0), st.just(used))))
    role = draw(st.sampled_from(["ram", "node", "device", "board", ""]))
    return Block(draw(NAMES), used, most, resizeable, 4096, draw(st.booleans()), role, "x", places)


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    found = draw(st.lists(blocks(), max_size=5, unique_by=lambda block: block.name))
    release = draw(st.sampled_from(["5.2", "7.2", "10.0", "11.1"]))
    return Contract(
        "side",
        tuple(found),
        release,
        "x86_64",
        draw(st.sampled_from(["pc-i440fx-7.2", "pc-i440fx-2.3", "pc", "none"])),
        draw(st.sampled_from([1024, 4096])),
        draw(st.sampled_from([1024, 4096])),
        draw(st.booleans()),
        draw(st.none() | st.sampled_from([10, 12])),
        draw(st.sampled_from([(), ("x-ignore-shared",)])),
        last_command=10 if release in ("5.2", "7.2") else 11,
        sends_switchover_start=draw(st.booleans()),
    )


def ends(source: Contract, destination: Contract) -> str | None:
    """What a destination stops with, told by reading as it does: the beginning of the text; None if it takes all."""
    if source.configured and not destination.configured:
        return "Unknown savevm section type"
    if destination.configured and not source.configured:
        return "Configuration section missing"
    if source.configured:
        if (source.machine_type or "") != (destination.machine_type or "")[: len(source.machine_type or "")]:
            return "Machine type received"
        assert destination.page_size is not None and destination.least_page_size is not None
        bits = source.told_page_bits or destination.least_page_size.bit_length() - 1
        if 1 << bits != destination.page_size:
            return "Received TARGET_PAGE_BITS"
        if source.capabilities != destination.capabilities:
            return "Capability x-ignore-shared"
    own = {block.name: block for block in destination.blocks}
    for block in source.blocks:
        if block.name not in own:
            return f'Unknown ramblock "{block.name}"'
        there = own[block.name]
        if block.used_length != there.used_length:
            if not there.resizeable:
                return f"Size mismatch: {block.name}"
            if block.used_length > there.max_length:
                return f"Size too large: {block.name}"
    assert source.page_size is not None and destination.page_size is not None
    if source.page_size < destination.page_size and source.blocks:
        return "Unknown combination of migration flags"
    if source.sends_switchover_start and destination.last_command == 10:
        return "MIG_CMD"
    return None


@given(contracts(), contracts())
def test_the_first_error_is_what_a_destination_stops_with(source: Contract, destination: Contract) -> None:
    verdict = compare(source, destination)
    expected = ends(source, destination)
    assert verdict.accepted == (expected is None)
    if expected is not None:
        assert verdict.refusal is not None and verdict.refusal.text is not None
        assert verdict.refusal.text.startswith(expected)
        assert verdict.refusal.lines(verdict.release)[-1].startswith("load of migration failed: ")
    for reason in verdict.reasons:
        assert why(reason, verdict)
    assert isinstance(remarks(verdict), list)


@given(contracts())
def test_a_machine_fits_into_itself_unless_its_pages_do_not(contract: Contract) -> None:
    verdict = compare(contract, contract)
    assert not verdict.differences
    assert {reason.subject for reason in verdict.reasons} <= {"page size", "command"}


@given(contracts(), contracts())
def test_each_block_is_told_once_and_both_ways(source: Contract, destination: Contract) -> None:
    there, back = compare(source, destination), compare(destination, source)
    names = [difference.name for difference in there.differences]
    assert len(names) == len(set(names))
    assert set(names) == {difference.name for difference in back.differences}
    swapped = {"missing": "extra", "extra": "missing"}
    for difference in there.differences:
        (other,) = (each for each in back.differences if each.name == difference.name)
        assert {swapped.get(what, what) for what in difference.what} == set(other.what)


@given(contracts())
def test_contracts_go_through_json(contract: Contract) -> None:
    import json

    assert Contract.from_json(json.loads(json.dumps(contract.to_json()))) == contract


@given(st.lists(contracts(), min_size=2, max_size=6), st.integers(1, 5))
def test_shards_are_the_whole(sides: list[Contract], processes: int) -> None:
    whole = list(outcomes(sides, range(len(sides))))
    parts: list[Outcome] = []
    for number in range(1, processes + 1):
        parts += outcomes(sides, shard_of(len(sides), (number, processes)))
    assert sorted(parts, key=lambda each: (each.source, each.destination)) == whole
    for each in whole:
        assert each.compatible == compare(sides[each.source], sides[each.destination]).compatible


LINE = (
    "A=1 qemu-system-x86_64-7.2 -nodefaults -name 'a,b=c' -M pc,usb=off -m 1G,slots=2,maxmem=4G -smp 2 -rtc base=utc "
    '-object {"qom-type":"memory-backend-ram","id":"d","size":33554432} -device pc-dimm,memdev=d -bios x -device VGA'
)
XML = (
    "<domain><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='pc'>hvm</type></os><cpu><numa>"
    "<cell id='0' cpus='0' memory='64' unit='MiB'/></numa></cpu><devices><memory model='dimm'><target>"
    "<size unit='MiB'>32</size></target></memory></devices></domain>"
)
WORDS = st.sampled_from(
    [
        *(
            "-m",
            "-bios",
            "-M",
            "'",
            '"',
            "\\\n",
            "{",
            "=",
            ",",
            "help",
            "-device",
            "9" * 30,
            "-1",
            "<",
            "unit='x'",
            "\0",
            "é",
        )
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([LINE, XML]), st.lists(st.tuples(st.integers(0, 400), WORDS | st.text(max_size=4)), max_size=4))
def test_no_text_is_more_than_a_mistake(text: str, insertions: list[tuple[int, str]]) -> None:
    for position, word in insertions:
        text = text[:position] + word + text[position:]
    try:
        found = read_text(text, "text")
    except VMError as error:
        assert str(error)
    else:
        assert compare(found, found).compatible
