"""For tests of QMP clients: live endpoints that misbehave on demand, recordings, replays.

    from ramslot.testing import endpoint

    with endpoint(["-M", "q35"], qemu="7.2") as vm:
        vm.fault("disconnect", command="object-add")
        ...  # connect the client under test to vm.socket_path
        vm.assert_sent("object-add", id="m")
        assert [block["name"] for block in vm.query_ramblocks()][:1] == ["pc.ram"]

`endpoint` starts a ramslot (or, with `program`, a real QEMU), `attach` stands before a server that is there, `replay`
gives a recorded session again. With pytest the fixture `qmp_endpoint` is the first of these. `answers` has the types of
what commands answer. With asyncio it is `async with async_endpoint(...) as vm` (and `async_attach`, `async_replay`,
`async_qmp_endpoint`): `await vm.query_ramblocks()`, and the loop goes on meanwhile.
"""

from __future__ import annotations

from .monitor.testing import answers
from .monitor.testing.control import CommandError, EndpointError
from .monitor.testing.endpoint import (
    AttachedEndpoint,
    Endpoint,
    MachineEndpoint,
    ReplayEndpoint,
    attach,
    endpoint,
    replay,
)
from .monitor.testing.faults import Fault
from .monitor.testing.recording import RecordingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .monitor.testing.asynchronous import AsyncMachineEndpoint, async_attach, async_endpoint, async_replay

__all__ = (
    "AsyncMachineEndpoint",
    "AttachedEndpoint",
    "CommandError",
    "Endpoint",
    "EndpointError",
    "Fault",
    "MachineEndpoint",
    "RecordingError",
    "ReplayEndpoint",
    "answers",
    "async_attach",
    "async_endpoint",
    "async_replay",
    "attach",
    "endpoint",
    "replay",
)


def __getattr__(name: str) -> object:
    """Import what asyncio needs when it is first asked for: the others do not wait for asyncio."""
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    from .monitor.testing import asynchronous

    return getattr(asynchronous, name)
