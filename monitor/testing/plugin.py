"""The pytest plugin: its fixtures, and the marker `ramslot`. Light: the rest is loaded by tests that want it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .asynchronous import AsyncMachineEndpoint
    from .endpoint import MachineEndpoint

MARKER = """ramslot(arguments=(), qemu=None, program=None, record=None): what the fixture qmp_endpoint (or \
async_qmp_endpoint) starts: QEMU's command line, the version of QEMU that it is, a real QEMU instead, a file to record \
the session in"""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def qmp_endpoint(request: pytest.FixtureRequest) -> Iterator[MachineEndpoint]:
    """A live QMP endpoint of this test's own: a machine as the marker `ramslot` says, or `-M none`.

    Markers further out (class, module) say what nearer ones do not. As an indirect parameter it takes the version.
    """
    from .endpoint import MachineEndpoint

    with MachineEndpoint(**_options(request)) as started:
        yield started


@pytest.fixture
def async_qmp_endpoint(request: pytest.FixtureRequest) -> Iterator[AsyncMachineEndpoint]:
    """`qmp_endpoint` for tests that await its commands, in whatever loop they have: no plugin for asyncio is needed."""
    from .asynchronous import AsyncMachineEndpoint

    with AsyncMachineEndpoint(**_options(request)) as started:
        yield started


def _options(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the test's markers and parameter say."""
    options: dict[str, Any] = {"arguments": ("-M", "none")}
    for marker in reversed(list(request.node.iter_markers("ramslot"))):
        if marker.args:
            raise pytest.UsageError("the marker ramslot takes arguments=[...], qemu=, program= and record=, by name")
        options |= marker.kwargs
    if hasattr(request, "param"):
        options["qemu"] = request.param
    return options
