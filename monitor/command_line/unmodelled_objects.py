"""Objects of types that QEMU has and nothing here models: checked for their form, there by name, and told."""

from __future__ import annotations

from ...commands.keyval import OptionError
from ...vm.known import option_group
from . import groups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BRINGS_MEMORY = ("memory-backend-",)
MONITORS = ("monitor-hmp", "monitor-qmp")


def take_object(context: groups.Context, arguments: dict[str, Any], *, is_json: bool) -> None:
    """Take an object of such a type, with an id.

    :raise OptionError: QEMU's type has no such property.
    """
    kind = arguments["qom-type"]
    if kind in MONITORS:
        raise OptionError(f"'{kind}' is not modelled (QEMU has it): use -mon")
    if "id" not in arguments:
        raise OptionError("Parameter 'id' is missing")
    known = option_group(f"object/{kind}", context.release)
    for key in sorted(arguments.keys() - {"id", "qom-type"}):
        if known is not None and key.partition(".")[0] not in known:
            if not context.release.covers("7.2"):
                raise OptionError(f"Property '{kind}.{key}' not found")
            raise OptionError(f"Parameter '{key}' is unexpected" if is_json else f"Invalid parameter '{key}'")
    if kind.startswith(BRINGS_MEMORY):
        context.leave_out(f"-object {kind}", arguments["id"])
    else:
        context.set_aside(f"-object {kind}")
    context.settings.config.other_objects[arguments["id"]] = kind
