"""What the console offers while one types, and what was probably meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from ramslot.commands import hmp_commands
from ramslot.monitor.console.completer import ConsoleCompleter
from ramslot.monitor.console.qmp_completion import qmp_candidates
from ramslot.monitor.console.suggestions import did_you_mean
from ramslot.monitor.program import Program
from ramslot.schema import contract

from .console_sessions import RELEASE, start

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("start",)


def completions(program: Program, text: str) -> dict[str, str]:
    """Complete texts after completion, with their meanings."""
    found = ConsoleCompleter(program).get_completions(Document(text), CompleteEvent())
    return {text[: len(text) + word.start_position] + word.text: word.display_meta_text for word in found}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "stop"),
        ("inf", "info "),
        ("info mem", "info memslots "),
        ("info mtree -", "info mtree -f"),
        ("help in", "help info"),
        ("object_add memory-backend-m", "object_add memory-backend-memfd"),
        ("object_add memory-backend-ram,si", "object_add memory-backend-ram,size="),
        ("object_add memory-backend-ram,policy=", "object_add memory-backend-ram,policy=bind"),
        ("object_add memory-backend-ram,id=a,share=o", "object_add memory-backend-ram,id=a,share=on"),
        ("object_del r", "object_del ram"),
        ("qom-get /obj", "qom-get /objects/"),
        ("qom-get /objects/ram si", "qom-get /objects/ram size"),
        ("info status --", "info status --qmp"),
        ("device_add pc-", "device_add pc-dimm"),
        ("device_add pc-dimm,mem", "device_add pc-dimm,memdev="),
        ("device_add pc-dimm,", "device_add pc-dimm,id="),
        ("device_add virtio-mem-pci,req", "device_add virtio-mem-pci,requested-size="),
        ("device_add virtio-mem-pci,prealloc=o", "device_add virtio-mem-pci,prealloc=on"),
        ("guest_policy de", "guest_policy delay"),
        ("what_if dev", "what_if device_add"),
        ("what_if device_add nvdimm,lab", "what_if device_add nvdimm,label-size="),
        ("guest_policy ac", "guest_policy accept"),
        ('{"', '{"execute'),
        ('{"execute": "query-mem', '{"execute": "query-memdev'),
        ("{'execute': 'sto", "{'execute': 'stop"),
        ('{"execute": "qom-get", "arguments": {"pa', '{"execute": "qom-get", "arguments": {"path'),
        (
            '{"execute": "object-add", "arguments": {"qom-type": "memory-backend-fi',
            '{"execute": "object-add", "arguments": {"qom-type": "memory-backend-file',
        ),
        (
            '{"execute": "object-add", "arguments": {"qom-type": "memory-backend-file", "mem',
            '{"execute": "object-add", "arguments": {"qom-type": "memory-backend-file", "mem-path',
        ),
    ],
)
def test_completion(start: Callable[..., Program], text: str, expected: str) -> None:
    assert expected in completions(start(), text)


def test_devices_are_completed(start: Callable[..., Program]) -> None:
    backends = ["-object", "memory-backend-ram,id=used,size=2M", "-object", "memory-backend-ram,id=free,size=2M"]
    memory = ["-M", "pc", "-m", "64M,slots=2,maxmem=1G"]
    program = start(*memory, *backends, "-device", "pc-dimm,memdev=used,id=plugged")
    assert set(completions(program, "device_add pc-dimm,memdev=")) == {"device_add pc-dimm,memdev=free"}
    assert set(completions(program, "device_del ")) == {"device_del plugged"}


@pytest.mark.parametrize(
    "text", ["nonsense ", "info nonsense ", "stop ", "object_add x,", '{"execute": "x", "arguments": {"', "{}", "{[1"]
)
def test_nothing_can_be_completed(start: Callable[..., Program], text: str) -> None:
    assert completions(start(), text) == {}


def test_completion_shows_help_in_one_line(start: Callable[..., Program]) -> None:
    meanings = completions(start(), "")
    assert meanings["stop"] == hmp_commands(RELEASE)["stop"].help
    assert all("\n" not in meaning and len(meaning) <= 60 for meaning in meanings.values())


def test_what_must_be_given_is_offered_first(start: Callable[..., Program]) -> None:
    assert list(completions(start(), "object_add memory-backend-ram,"))[:2] == [
        "object_add memory-backend-ram,id=",
        "object_add memory-backend-ram,size=",
    ]


def test_completion_learns_from_the_machine(start: Callable[..., Program]) -> None:
    program = start()
    assert "object_del fresh" not in completions(program, "object_del ")
    program.worker.wait(program.run_hmp(program.context, "object_add memory-backend-ram,id=fresh,size=1M"))
    assert completions(program, "object_del ")["object_del fresh"] == "memory-backend-ram"
    program.worker.wait(program.run_hmp(program.context, "object_del fresh"))
    assert "object_del fresh" not in completions(program, "object_del ")


def test_given_arguments_are_not_offered_again() -> None:
    _start, found = qmp_candidates(contract(RELEASE.number), '{"execute": "qom-get", "arguments": {"path": "/", "')
    assert [word for word, _meaning in found] == ["property"]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("mtree", "did you mean 'info mtree'?"),
        ("object-add x", "did you mean 'object_add'?"),
        ("info ramblok", "did you mean 'info ramblock'?"),
        ("query-uuid", 'a QMP command: {"execute": "query-uuid"}'),
        ("exit", "'quit' ends the program"),
        ("xyzzy", None),
        ("stop now", None),
    ],
)
def test_mistyped_commands_are_recognised(line: str, hint: str | None) -> None:
    assert did_you_mean(RELEASE, line) == hint
