"""Objects of types that QEMU has and nothing here models: checked for their form, there by name, and told."""

from __future__ import annotations

from ...commands.keyval import OptionError
from ...vm.known import option_group
from . import groups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .device_options import DeviceOptions

BRINGS_MEMORY = ("memory-backend-",)
MONITORS = {"monitor-hmp": "readline", "monitor-qmp": "control"}
"""Objects that are what -mon makes, and its modes."""


def take_object(context: groups.Context, arguments: dict[str, Any], *, is_json: bool) -> None:
    """Take an object of such a type, with an id.

    :raise OptionError: QEMU's type has no such property.
    """
    kind = arguments["qom-type"]
    _check_keys(context, kind, arguments, is_json)
    if kind.startswith(BRINGS_MEMORY):
        context.leave_out(f"-object {kind}", arguments["id"])
    else:
        context.set_aside(f"-object {kind}")
    context.settings.config.other_objects[arguments["id"]] = kind


def take_monitor(devices: DeviceOptions, arguments: dict[str, Any]) -> None:
    """Take a monitor, which opens as one that -mon makes.

    :raise OptionError: QEMU's type has no such property.
    """
    kind = arguments["qom-type"]
    _check_keys(devices.context, kind, arguments, is_json=False)
    monitor = {key: arguments[key] for key in ("id", "chardev") if key in arguments} | {"mode": MONITORS[kind]}
    if arguments.get("pretty") in ("on", "yes", "true", "y", True):
        monitor["pretty"] = "on"
    devices.monitors.append((devices.context.where, monitor))
    devices.context.settings.default_monitor = False


def _check_keys(context: groups.Context, kind: str, arguments: dict[str, Any], is_json: bool) -> None:
    if "id" not in arguments:
        raise OptionError("Parameter 'id' is missing")
    known = option_group(f"object/{kind}", context.release)
    for key in sorted(arguments.keys() - {"id", "qom-type"}):
        if known is not None and key.partition(".")[0] not in known:
            if not context.release.covers("7.2"):
                raise OptionError(f"Property '{kind}.{key}' not found")
            raise OptionError(f"Parameter '{key}' is unexpected" if is_json else f"Invalid parameter '{key}'")
