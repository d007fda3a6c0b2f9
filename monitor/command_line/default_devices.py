"""The options that say which VGA and NICs a board has, and how networks are connected: -vga, -nic, -net, -netdev.

A NIC's place and its RAMBlocks are modelled; networks are not, and are set aside.
"""

from __future__ import annotations

from ...commands.keyval import OptionError, parse_opts
from . import groups
from .settings import Answered, Question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .parser import Parser

VGAS = {
    "none": "no graphic card",
    "std": "standard VGA",
    "cirrus": "Cirrus VGA",
    "vmware": "VMWare SVGA",
    "xenfb": "Xen paravirtualized framebuffer",
    "qxl": "QXL VGA",
    "virtio": "Virtio VGA",
    "tcx": "TCX framebuffer",
    "cg3": "CG3 framebuffer",
}
NETWORKS = frozenset(
    {
        *("user", "tap", "l2tpv3", "socket", "stream", "dgram", "vde", "bridge", "hubport", "netmap", "vhost-user"),
        *("vhost-vdpa", "passt", "af-xdp", "vmnet-host", "vmnet-shared", "vmnet-bridged"),
    }
)
"""What a NIC can be connected with."""
OF_NIC = ("mac",)
"""What a NIC is given of `-nic` besides its model."""


def take_vga(parser: Parser, value: str) -> None:
    """Take `-vga`."""
    model = value.partition(",")[0]
    if groups.is_help(model):
        raise Answered(Question("text", text="\n".join(f"{name:<20} {text}" for name, text in VGAS.items())))
    if model not in VGAS:
        parser.context.where = ""
        raise OptionError(f"unknown vga type: {model}")
    parser.config.vga = model


def take_nic(parser: Parser, value: str) -> None:
    """Take `-nic`: a NIC with its network, or `none`."""
    given = _pairs(value)
    if _network(parser, given, ("none",)) == "none":
        parser.config.nics = parser.config.nics or []
        return
    parser.context.set_aside("-nic")
    _add_nic(parser, given)


def take_net(parser: Parser, value: str) -> None:
    """Take `-net`: a NIC, a network, or `none`."""
    given = _pairs(value)
    kind = _network(parser, given, ("none", "nic"))
    parser.config.nics = parser.config.nics or []
    if kind != "none":
        parser.context.set_aside("-net")
    if kind == "nic":
        _add_nic(parser, given)


def take_netdev(parser: Parser, value: str) -> None:
    """Take `-netdev`: a network that a device names."""
    given = _json(parser, value) if value.startswith("{") else _pairs(value)
    if "id" not in given:
        raise OptionError("Parameter 'id' is missing")
    _network(parser, given, ())
    parser.context.claim("netdev", str(given["id"]))
    parser.config.nics = parser.config.nics or []
    parser.context.set_aside("-netdev")


def _pairs(value: str) -> dict[str, Any]:
    return {key: "on" if text is None else text for key, text in parse_opts(value, "type")}


def _json(parser: Parser, value: str) -> dict[str, Any]:
    from .object_options import json_object

    return json_object(value, parser.context.release)


def _network(parser: Parser, given: dict[str, Any], others: tuple[str, ...]) -> str:
    kind = str(given.get("type", ""))
    if not kind:
        raise OptionError("Parameter 'type' is missing")
    if groups.is_help(kind):
        raise Answered(Question("text", text="\n".join(sorted(NETWORKS))))
    if kind not in NETWORKS and kind not in others:
        if not parser.context.release.covers("7.2"):
            parser.context.where = ""
            raise OptionError(f"Invalid parameter '{kind}'")
        raise OptionError(f"Parameter 'type' does not accept value '{kind}'")
    return kind


def _add_nic(parser: Parser, given: dict[str, Any]) -> None:
    from ...vm.devices.values import OptionText

    model = str(given.get("model", ""))
    options = {name: OptionText(given[name]) for name in OF_NIC if name in given and model}
    parser.config.nics = [*(parser.config.nics or []), (model, options)]
