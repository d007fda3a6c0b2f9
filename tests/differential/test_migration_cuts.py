"""Streams that are cut among the states of devices: refused in QEMU's words, and no migration that is complete."""

from __future__ import annotations

from pathlib import Path
from random import Random
from struct import pack

import pytest

from ramslot.vm.migration.device_cuts import device_cut
from ramslot.vm.migration.devices import DESCRIPTION_START, description_start, end_of_devices, own_devices, sections
from ramslot.vm.migration.events import Devices
from ramslot.vm.migration.reading import StreamReader
from ramslot.vm.releases import find_release

from .oracle import RELEASES, our_command, qemu
from .partners import partner
from .saved_streams import FAMILIES, one_block, saved
from .test_migration import RAM, said

HEAD = RAM + b"\3\0\0\0\2" + pack(">Q", 0x10) + b"\x7e\0\0\0\2"
"""A stream of a machine without a board, up to where its devices begin."""


def cuts(data: bytes) -> dict[str, int]:
    """Places in the states of the two devices of such a machine where they are not there wholly."""
    timer, state = sections(data)
    end = data.index(DESCRIPTION_START, state.content + 104)
    return {
        **{f"{count} bytes": count for count in (0, 1, 5, 9)},
        "no content": timer.content,
        "behind a field": timer.content + 8,
        "before the last field's end": timer.content + 23,
        "before the footer": state.start - 5,
        "in the footer": state.start - 3,
        "before the second": state.start,
        "in its head": state.start + 3,
        "in a field": state.content + 2,
        "in another field": state.content + 40,
        "before its footer": end - 5,
        "before the mark of the end": end,
    }


@pytest.mark.parametrize("release", RELEASES)
def test_what_is_cut_in_a_device_is_told_the_same(release: str, tmp_path: Path) -> None:
    program = qemu("x86_64", release)
    if program is None:
        pytest.skip(f"there is no QEMU {release}")
    data = own_devices("none", find_release(release), 4096, "running")
    wrong = {}
    for name, place in cuts(data).items():
        path = tmp_path / "stream"
        path.write_bytes(HEAD + data[:place])
        theirs, mine = said([program], path), said(our_command("x86_64", [], release), path)
        if theirs != mine or not theirs[0]:
            wrong[name] = theirs, mine
    assert not wrong


def devices_in(data: bytes) -> bytes:
    reader = StreamReader(4096)
    reader.feed(data)
    reader.end()
    while (event := reader.next_event()) is not None:
        if isinstance(event, Devices):
            return event.data
    raise AssertionError("it has none")


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("family", ["pc", "q35", "virt", "s390x"])
def test_what_a_board_says_is_complete_up_to_its_end_alone(family: str, release: str, tmp_path: Path) -> None:
    arch, machine = FAMILIES[family]
    with partner("real", release, [*machine, *one_block(tmp_path)], tmp_path, arch) as source:
        saved(source, tmp_path / "stream")
    data = devices_in((tmp_path / "stream").read_bytes())
    own = find_release(release)
    assert end_of_devices(data)
    assert device_cut(data, own) is None
    end = description_start(data)
    assert end is not None
    dice = Random(release)
    for place in [0, 3, end, *(dice.randrange(end) for _ in range(60))]:
        assert device_cut(data[:place], own) is not None, place
    for place in [
        end + 1,
        end + 2,
        end + 4,
        end + 6,
        end + 7,
        *(dice.randrange(end + 7, len(data)) for _ in range(20)),
    ]:
        assert device_cut(data[:place], own) is None, place
