"""The options that QEMU has and nothing here models: checked for name and form, kept from the machine, told.

What memory does not depend on is set aside; what it depends on is told apart. Files, sockets and devices that such
options name are not looked at. The names and keys are recorded from real QEMUs (`vm/known`); what is not recorded, of
which value there are few, is in the tables here.
"""

from __future__ import annotations

from ...commands.keyval import OptionError, parse_keyval
from ...vm.known import covers, option, option_group, parted, rows
from . import groups, unmodelled_values
from .option import Option
from .settings import Answered, Question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...vm.releases import Release
    from .device_options import DeviceOptions
    from .parser import Parser

    Handler = Callable[[Parser, str], None]

GROUPS = {
    "acpitable": ("acpi", None),
    "action": ("action", None),
    "boot": ("boot-opts", "order"),
    "drive": ("drive", None),
    "fsdev": ("fsdev", "fsdriver"),
    "fw_cfg": ("fw_cfg", "name"),
    "icount": ("icount", "shift"),
    "iscsi": ("iscsi", None),
    "msg": ("msg", None),
    "option-rom": ("option-rom", "romfile"),
    "plugin": ("plugin", "file"),
    "realtime": ("realtime", None),
    "rtc": ("rtc", None),
    "run-with": ("run-with", None),
    "sandbox": ("sandbox", "enable"),
    "semihosting-config": ("semihosting-config", "target"),
    "smbios": ("smbios", None),
    "spice": ("spice", None),
    "tpmdev": ("tpmdev", "type"),
    "trace": ("trace", "enable"),
    "virtfs": ("virtfs", "fsdriver"),
    "vnc": ("vnc", "vnc"),
}
"""Options that are a group of keys, each with the group's name and the key that its first value needs not."""
ANY_KEY = ("drive",)
"""Of these groups any key is taken where the option is read."""
WITHOUT_ID = {"acpitable": None, "action": None, "rtc": "7.2", "icount": "7.2"}
"""Options that take no id, and since which QEMU."""
SUGAR = {
    "kernel": ("kernel", None),
    "initrd": ("initrd", None),
    "append": ("append", None),
    "dtb": ("dtb", None),
    "shim": ("shim", None),
    "no-acpi": ("acpi", "off"),
    "no-hpet": ("hpet", "off"),
    "no-fd-bootchk": ("fd-bootchk", "off"),
    "usb": ("usb", "on"),
}
"""Options that set a property of the machine, and to what if they take no value."""
BRINGS_BLOCKS = {
    "acpitable": "/rom@etc/acpi/tables",
    "loadvm": "",
    "mtdblock": "",
    "xen-attach": "",
    "xen-domid": "",
}
"""Options that may bring RAMBlocks, change what others bring, or fill them."""
GLOBAL_BLOCKS = ("mch", "q35-pcihost", "i440FX-pcihost", "memory-backend-")
"""Types whose defaults decide on memory, besides devices that have some."""
OF_DISTRIBUTIONS = ("id",)
"""Options with a value that QEMUs of distributions have: `-id` is Proxmox VE's."""
REFUSED = ("dump-vmstate", "writeconfig")
"""Options that ask for an answer which cannot be given."""


def find_unmodelled(name: str, release: Release) -> Option | None:
    """The option of that name, if QEMU has it."""
    takes_value = True if name in OF_DISTRIBUTIONS else option(name, release)
    if takes_value is None:
        return None
    handler = HANDLERS.get(name)
    if handler is None:
        if name in SUGAR:
            handler = _sugar(name)
        elif name in GROUPS:
            handler = _group(name)
        else:
            handler = _plain(name)
    return Option(name, "value" if takes_value else "", "", handler)


def put_aside(context: groups.Context, name: str) -> None:
    """Tell of an option, as memory depends on it or not."""
    if name in BRINGS_BLOCKS:
        context.leave_out(f"-{name}", BRINGS_BLOCKS[name])
    else:
        context.set_aside(f"-{name}")


def recorded_group(name: str, release: Release, implied: str | None = None, has_ids: bool = True) -> groups.OptionGroup:
    """A group of options with the keys that QEMU tells of it; any key where it tells none."""
    kinds = {"boolean": "bool"}
    types = {key: kinds.get(kind, kind) for key, kind in (option_group(name, release) or {}).items()}
    return groups.OptionGroup(name, implied, has_ids, types)


def _plain(name: str) -> Handler:
    def take(parser: Parser, value: str) -> None:
        if name in REFUSED:
            raise OptionError("this option is not modelled (QEMU has it)")
        if value and groups.is_help(value):
            raise OptionError("help is not available: this option is not modelled (QEMU has it)")
        put_aside(parser.context, name)

    return take


def _group(name: str) -> Handler:
    group_name, implied = GROUPS[name]
    check = unmodelled_values.CHECKS.get(name)

    def take(parser: Parser, value: str) -> None:
        context = parser.context
        has_ids = name not in WITHOUT_ID or not context.release.covers(WITHOUT_ID[name])
        group = recorded_group(group_name, context.release, implied, has_ids)
        if name in ANY_KEY:
            group.types = {}
        pairs = {key: values[-1] for key, values in context.read(group, value).items()}
        put_aside(context, name)
        if check is not None:
            parser.check_later(check[0], lambda: check[1](context, pairs))

    return take


def _sugar(name: str) -> Handler:
    key, fixed = SUGAR[name]

    def take(parser: Parser, value: str) -> None:
        parser.machine.properties[key] = value if fixed is None else fixed
        parser.machine.spelled[key] = f"-{name}"

    return take


def _take_boot(parser: Parser, value: str) -> None:
    """Since QEMU 7.2 the machine has it as a property with parts."""
    context = parser.context
    if context.release.settings("options").get("flat properties", False):
        group = recorded_group("boot-opts", context.release, "order")
        pairs = {key: values[-1] for key, values in context.read(group, value).items() if key != "id"}
        wants_help = False
    else:
        pairs, wants_help = parse_keyval(value, "order")
    if wants_help:
        keys = sorted((option_group("boot-opts", context.release) or {}).items())
        lines = ["boot-opts options:", *(f"  {key}=<{unmodelled_values.SHORT[kind]}>" for key, kind in keys)]
        raise Answered(Question("text", text="\n".join(lines)))
    parser.machine.structure("boot").update(pairs)
    parser.machine.spelled["boot"] = "-boot"


def _take_drive(parser: Parser, value: str) -> None:
    """A drive; the ids of those that are not modelled are claimed all the same."""
    context = parser.context
    pairs = {
        key: values[-1] for key, values in context.read(groups.OptionGroup("drive", None, True, {}), value).items()
    }
    kind = pairs.get("if")
    if kind == "pflash":
        parser.flash.drives.append((context.where, pairs))
    else:
        context.set_aside("-drive")
        if "id" in pairs:
            parser.flash.nodes[pairs["id"]] = context.where, pairs

    def check() -> None:
        if kind is not None and kind not in unmodelled_values.INTERFACES:
            raise OptionError(f"unsupported bus type '{kind}'")

    parser.check_later(unmodelled_values.DRIVES, check)


def _take_blockdev(parser: Parser, value: str) -> None:
    context = parser.context
    given = _structured(value, "driver", context.release)
    context.set_aside("-blockdev")
    if "driver" not in given:
        raise OptionError("Parameter 'driver' is missing")
    name = given.get("node-name")
    is_second = name in parser.flash.nodes
    if name is not None:
        parser.flash.nodes[name] = context.where, given

    def check() -> None:
        if name is None:
            raise OptionError("'node-name' must be specified for the root node")
        if is_second:
            text = context.release.text("second node", "Duplicate nodes with node-name='{}'")
            raise OptionError(text.format(name))

    parser.check_later(unmodelled_values.BLOCKDEVS, check)


def _take_audiodev(parser: Parser, value: str) -> None:
    given = _structured(value, "driver", parser.context.release)
    parser.context.set_aside("-audiodev")
    unmodelled_values.check_audio_driver(parser.context.release, given)
    if "id" not in given:
        raise OptionError("Parameter 'id' is missing")


def _take_pflash(parser: Parser, value: str) -> None:
    parser.flash.drives.append((parser.context.where, {"if": "pflash", "file": value}))


def _structured(value: str, implied: str, release: Release) -> dict[str, Any]:
    """What an option says as pairs with parts, or as JSON."""
    if value.startswith("{"):
        from .object_options import json_object

        return json_object(value, release)
    pairs, wants_help = parse_keyval(value, implied)
    if wants_help or groups.is_help(pairs.get(implied, "")):
        raise OptionError("help is not available: this option is not modelled (QEMU has it)")
    return dict(pairs)


def _take_audio(parser: Parser, value: str) -> None:
    if value == "none" and not parser.context.release.covers("10.0"):
        raise OptionError("Parameter 'model' is missing")
    pairs, _ = parse_keyval(value, "driver")
    unmodelled_values.check_audio_driver(parser.context.release, pairs)
    if value != "none":
        parser.context.set_aside("-audio")


def _port(name: str) -> Handler:
    """A serial or parallel port on a character device."""

    def take(parser: Parser, value: str) -> None:
        if value not in ("none", "null"):
            parser.context.set_aside(f"-{name}")
        parser.devices.ports.append((parser.context.where, name, value))

    return take


def check_ports(devices: DeviceOptions) -> None:
    """Find out whether the ports' character devices could be had; none is opened.

    :raise OptionError: one could not.
    """
    context = devices.context
    chardevs = context.settings.chardevs
    has_stdio = any(device.options.get("backend") == "stdio" for device in chardevs.values())
    for where, kind, text in devices.ports:
        context.where = where
        spelled = text.removeprefix("mon:")
        failure = f"could not connect {kind} device to character backend '{text}'"
        if text.startswith("chardev:"):
            if text[8:] not in chardevs and text[8:] not in devices.unopened:
                raise OptionError(failure)
        elif spelled == "stdio":
            if has_stdio:
                context.warn("cannot use stdio by multiple character devices")
                raise OptionError(failure)
            has_stdio = True
        elif text != "none" and not _is_spelling(spelled):
            context.warn(f"'{text}' is not a valid char driver")
            raise OptionError(failure)
    context.where = ""


def _is_spelling(text: str) -> bool:
    return text.startswith("/") or text.partition(":")[0].partition(",")[0] in unmodelled_values.PORT_SPELLINGS


def _take_watchdog_action(parser: Parser, value: str) -> None:
    if value not in unmodelled_values.ACTIONS["watchdog"]:
        if parser.context.release.covers("7.2"):
            raise OptionError(f"Parameter 'watchdog' does not accept value '{value}'")
        raise OptionError("unknown -watchdog-action parameter")
    parser.context.set_aside("-watchdog-action")


def _take_global(parser: Parser, value: str) -> None:
    """A default of a device's property, `DRIVER.PROPERTY=VALUE` or as pairs."""
    context = parser.context
    head, equals, _ = value.partition("=")
    driver, dot, key = head.partition(".")
    if not (equals and dot and driver and key):
        pairs = context.read(recorded_group("global", context.release), value)
        driver, key = (pairs.get(name, [""])[-1] for name in ("driver", "property"))
        if context.release.covers("7.2") and not pairs.keys() >= {"driver", "property", "value"}:
            raise OptionError("options 'driver', 'property', and 'value' are required")
    if decides_on_memory(driver, context.release):
        context.leave_out(f"-global {driver}.{key}", "")
    else:
        context.set_aside("-global")


def decides_on_memory(type_name: str, release: Release) -> bool:
    """Whether a default of a type's property may be one of memory."""
    if type_name.startswith(GLOBAL_BLOCKS):
        return True
    for known, *blocks in rows("device_blocks"):
        name, _, marks = parted(known)
        if name == type_name and covers(marks, release):
            return bool(blocks)
    return False


HANDLERS: dict[str, Handler] = {
    "audio": _take_audio,
    "audiodev": _take_audiodev,
    "blockdev": _take_blockdev,
    "boot": _take_boot,
    "drive": _take_drive,
    "global": _take_global,
    "parallel": _port("parallel"),
    "pflash": _take_pflash,
    "serial": _port("serial"),
    "watchdog-action": _take_watchdog_action,
}
