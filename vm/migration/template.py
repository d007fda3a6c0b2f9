"""Takes the state of devices out of a saved stream: a template for machines that have none of their own."""

from __future__ import annotations

from ..errors import VMError
from .address import Address
from .connecting import open_source
from .errors import StreamError
from .events import Configuration, Devices, LivePart, MappedPages
from .reading import StreamReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..steps import Cancellation
    from .state import Migration


def read_devices(migration: Migration, path: str, cancellation: Cancellation) -> tuple[bytes, list[LivePart]]:
    """The devices in the stream that a file holds, which must be of an equal machine; raises `VMError`."""
    channel = open_source(Address("file", path))
    configured = migration.has_footers
    reader = StreamReader(migration.vm.page_size, configuration=configured, footers=configured)
    devices = b""
    live: list[LivePart] = []
    try:
        for event in reader.events(lambda room: channel.receive_into(room, cancellation)):
            cancellation.check()
            if isinstance(event, MappedPages):
                channel.position = reader.place_behind(event, channel.position)
                reader.jump()
            elif isinstance(event, Configuration) and event.machine_type != migration.machine_name:
                raise VMError(
                    f"'{path}' is of machine type '{event.machine_type}' and this is '{migration.machine_name}'"
                )
            elif isinstance(event, LivePart):
                live.append(event)
            elif isinstance(event, Devices):
                devices = event.data
    except StreamError as error:
        raise VMError(f"'{path}': {error.lines(migration.vm.release)[-1]}") from None
    except OSError as error:
        raise VMError(f"Could not read '{path}': {error.strerror}") from None
    finally:
        channel.close()
    return devices, live
