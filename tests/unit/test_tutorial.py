"""The tutorial says what is so of the live machine, whichever that is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from ramslot.monitor.command_line.options import parse
from ramslot.monitor.lines.session import LineSession
from ramslot.monitor.lines.tutorial import OVER, USAGE, read_steps
from ramslot.monitor.own_machine import OwnMachine
from ramslot.monitor.program import Program
from ramslot.vm.boards import machine_types
from ramslot.vm.boards.targets import targets
from ramslot.vm.releases import find_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOST = ("-host", "nodes=1,memory=1T", "-accel", "sim")
STEPS = range(1, len(read_steps()) + 1)


@pytest.fixture
def tutor() -> Iterator[Callable[..., Callable[[str], str]]]:
    """Make a machine and return what runs lines on it."""
    programs: list[Program] = []

    def start(*arguments: str) -> Callable[[str], str]:
        program = Program(parse(["ramslot", *arguments]))
        programs.append(program)
        program.start_machine()
        session = LineSession(OwnMachine(program))
        return lambda line: program.worker.wait(session.run(line)).text

    yield start
    for program in programs:
        program.close()


def test_there_and_back(tutor: Callable[..., Callable[[str], str]]) -> None:
    run = tutor("-M", "none")
    seen = [run("tutorial")] + [run("tutorial next") for _ in STEPS[1:]]
    assert [text.split("/")[0] for text in seen] == [str(number) for number in STEPS]
    assert run("tutorial back") == seen[-2]
    assert run("tutorial") == seen[-2]
    run("tutorial next")
    assert run("tutorial next") == OVER
    assert run("tutorial back") == seen[0]
    assert run("tutorial back") == seen[0]
    assert run("tutorial 3") == seen[2]
    assert run("tutorial quit") == ""
    assert run("tutorial") == seen[0]
    for word in ("nonsense", "0", "-1", "next back"):
        assert run(f"tutorial {word}") == USAGE


def test_it_tells_the_machine_s_own_numbers(tutor: Callable[..., Callable[[str], str]]) -> None:
    run = tutor(*HOST, "-M", "pc", "-m", "6G,slots=2,maxmem=8G")
    text = "".join(run(f"tutorial {number}") for number in STEPS)
    assert "it ends at 0xc0000000 and goes on at 0x100000000." in text
    assert "room for 2 GiB more, in 2 slots" in text
    assert "6 are in use by 'sim'" in text
    for line in re.findall(r"^  (object_add.*|device_add.*|diff tutorial)$", text, re.MULTILINE):
        told = run(line)
    assert "+++ info memslots (now)" in told
    assert "room for 1 GiB more, in 1 slots" in run("tutorial 8")
    assert "it ends at 0x80000000 and goes on" in tutor(*HOST, "-M", "q35", "-m", "4G")("tutorial 3")
    assert "All RAM is in one part, from 0x40000000 to 0xc0000000." in tutor(
        *HOST, "-target", "aarch64", "-M", "virt", "-m", "2G"
    )("tutorial 3")
    old = tutor(*HOST, "-qemu", "7.2", "-M", "pc-i440fx-3.1")
    assert 'of version 3.1, so it calls them "/objects/ID"' in old("tutorial 6")
    assert "A machine without RAM" in tutor("-M", "none")("tutorial")
    assert "'tcg' keeps none" in tutor(*HOST[:2], "-M", "pc", "-accel", "tcg")("tutorial 7")


@pytest.mark.parametrize("version", ("7.2", "11.1"))
@pytest.mark.parametrize("target", targets(find_release("7.2")))
def test_every_machine_type_has_all_steps(
    tutor: Callable[..., Callable[[str], str]], target: str, version: str
) -> None:
    release = find_release(version)
    known = targets(release)
    if target not in known:
        pytest.skip(f"QEMU {version} has no such target")
    newest = {re.sub(r"-[0-9.]+$", "", each.name): each.name for each in machine_types(known[target], release)}
    for name in newest.values():
        run = tutor(*HOST, "-qemu", version, "-target", target, "-M", name)
        for number in STEPS:
            text = run(f"tutorial {number}")
            assert text.startswith(f"{number}/{len(STEPS)}  ")
            assert not re.search(r"\{\w+\}", text)


def test_before_the_machine_is_made(tutor: Callable[..., Callable[[str], str]]) -> None:
    run = tutor("-M", "pc", "-preconfig")
    for number in STEPS:
        assert run(f"tutorial {number}").startswith(f"{number}/{len(STEPS)}  ")
