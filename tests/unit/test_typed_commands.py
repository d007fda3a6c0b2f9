"""The typed methods are those of the contract, and ask what they say."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from ramslot.monitor.testing.async_commands import AsyncCommands
from ramslot.monitor.testing.commands import Commands
from ramslot.schema import contract
from ramslot.vm.releases import find_release

from ..recorders.typed_commands import all_members, generated

CONTRACT = contract(find_release(None).number)


class Asked(Commands):
    """Notes what it is asked."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        self.heard.append((command, arguments))


class AskedAsync(AsyncCommands):
    """The same for awaiting."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    async def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:
        self.heard.append((command, arguments))
        return "answer"


def test_the_generated_files_are_fresh() -> None:
    for path, text in generated().items():
        assert path.read_text() == text, "run python -m ramslot.tests.recorders.typed_commands"


@pytest.mark.parametrize("name", [name for name in CONTRACT.commands() if name != "qmp_capabilities"])
def test_each_method_asks_its_command(name: str) -> None:
    asked = Asked()
    members = all_members(CONTRACT.types.arguments(CONTRACT.command(name)))
    method = getattr(asked, name.replace("-", "_"))
    method(**{member.replace("-", "_"): number for number, member in enumerate(members)})
    assert asked.heard == [(name, {member: number for number, member in enumerate(members)})]


@pytest.mark.parametrize("name", [name for name in vars(Commands) if not name.startswith("_")])
def test_each_coroutine_method_is_the_twin_of_a_method(name: str) -> None:
    asked, awaited = Asked(), AskedAsync()
    own, twin = getattr(asked, name), getattr(awaited, name)
    assert inspect.iscoroutinefunction(twin)
    assert inspect.signature(twin) == inspect.signature(own)
    if name != "execute":
        parameters = inspect.signature(own).parameters
        given = {each: number for number, each in enumerate(parameters) if each != "more"}
        own(**given)
        assert asyncio.run(twin(**given)) == (None if inspect.signature(own).return_annotation == "None" else "answer")
        assert awaited.heard == asked.heard


def test_what_is_not_given_is_not_sent_and_a_devices_own_properties_are() -> None:
    asked = Asked()
    asked.object_add(qom_type="memory-backend-ram", id="m", size=4096)
    asked.device_add(driver="pc-dimm", id="d", memdev="m", unplugged_memory=1)
    assert asked.heard == [
        ("object-add", {"qom-type": "memory-backend-ram", "id": "m", "size": 4096}),
        ("device_add", {"driver": "pc-dimm", "id": "d", "memdev": "m", "unplugged-memory": 1}),
    ]
