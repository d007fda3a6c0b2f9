"""Character devices as the object tree shows them, at /chardevs."""

from __future__ import annotations

from ...vm.qom import Property, QOMObject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .device import Chardev


class ChardevObject(QOMObject):
    """A device of which there is nothing more to tell."""

    def __init__(self, device: Chardev) -> None:
        super().__init__()
        self.device = device
        self.type_name = f"chardev-{device.kind}"


class SocketObject(ChardevObject):
    """A device on a socket."""

    properties = (
        Property("connected", "bool", lambda node: node.device.connected),
        Property("addr", "SocketAddress", lambda node: node.device.address),
    )


def describe_in_tree(device: Chardev) -> ChardevObject:
    """Return the object that stands for a device in the tree."""
    return SocketObject(device) if device.kind == "socket" else ChardevObject(device)
