"""What values the options take that nothing here models, as far as QEMU says no to others and the mistake is likely."""

from __future__ import annotations

from ...commands.keyval import OptionError
from ...vm.errors import VMError
from ...vm.qom import parse_switch
from ...vm.sizes import parse_integer
from . import groups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...vm.releases import Release

    Check = Callable[[groups.Context, dict[str, str]], None]

PORT_SPELLINGS = (
    "null", "pty", "msmouse", "wctablet", "braille", "testdev", "vc", "file", "pipe", "tcp", "telnet", "tn3270",
    "websocket", "unix", "udp", "chardev",
)  # fmt: skip
"""How the short spelling of a character device may begin, besides a device's path and stdio."""
INTERFACES = ("none", "ide", "scsi", "floppy", "pflash", "mtd", "sd", "virtio", "xen")
"""What drives are on."""
ACTIONS = {
    "reboot": ("reset", "shutdown"),
    "shutdown": ("poweroff", "pause"),
    "panic": ("pause", "shutdown", "exit-failure", "none"),
    "watchdog": ("reset", "shutdown", "poweroff", "pause", "debug", "none", "inject-nmi"),
}
"""What QEMU does when something happens, in the order in which it looks."""
SANDBOX = {
    "obsolete": ("allow", "deny"),
    "elevateprivileges": ("allow", "deny", "children"),
    "spawn": ("allow", "deny"),
    "resourcecontrol": ("allow", "deny"),
}
AUDIO_DRIVERS = (
    "none", "alsa", "coreaudio", "dbus", "dsound", "jack", "oss", "pa", "pipewire", "sdl", "sndio", "spice", "wav",
)  # fmt: skip
CLOCKS = {"clock": ("host", "rt", "vm"), "driftfix": ("slew", "none")}
BAD_DATE = "invalid datetime format\nvalid formats: '2006-06-17T16:01:21' or '2006-06-17'"
BOOT_KINDS = {
    "order": "string", "once": "string", "menu": "boolean", "splash": "string", "splash-time": "integer",
    "reboot-timeout": "integer", "strict": "boolean",
}  # fmt: skip
"""Members of the machine's property `boot` in the order in which QEMU looks at them."""
BOOT_DEVICES = "abcdefghijklmnop"
LONGEST_BOOT_TIME = 0xFFFF
SHORT = {"string": "str", "boolean": "bool (on/off)", "number": "num", "size": "size"}
"""The types of values as the help of a group tells them."""


def check_rtc(context: groups.Context, pairs: dict[str, str]) -> None:
    """`-rtc`: its date, and two choices."""
    context.where = ""
    base = pairs.get("base", "utc")
    if base not in ("utc", "localtime") and not _is_date(base):
        raise OptionError(BAD_DATE)
    for key, values in CLOCKS.items():
        if pairs.get(key, values[0]) not in values:
            raise OptionError(f"invalid option value '{pairs[key]}'")


def _is_date(text: str) -> bool:
    from datetime import datetime

    for form in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"):
        try:
            datetime.strptime(text, form)
        except ValueError:
            continue
        return True
    return False


def check_sandbox(_context: groups.Context, pairs: dict[str, str]) -> None:
    """`-sandbox`: what is allowed in it."""
    if pairs.get("enable") != "on":
        return
    for key, values in SANDBOX.items():
        if pairs.get(key, values[0]) not in values:
            raise OptionError(f"invalid argument for {key}")


def check_action(_context: groups.Context, pairs: dict[str, str]) -> None:
    """`-action`: what happens when something happens."""
    for key, value in pairs.items():
        if value not in ACTIONS[key]:
            raise OptionError(f"Parameter '{key}' does not accept value '{value}'")


def check_smbios(_context: groups.Context, pairs: dict[str, str]) -> None:
    """`-smbios`: a table from a file, or the number of one that is made."""
    if "file" in pairs:
        return
    if "type" not in pairs:
        raise OptionError("Must specify type= or file=")
    try:
        parse_integer(pairs["type"])
    except ValueError:
        raise OptionError("Parameter 'type' expects a number") from None


def check_fw_cfg(context: groups.Context, pairs: dict[str, str]) -> None:
    """`-fw_cfg`: a name and one kind of contents."""
    if "name" not in pairs or len(pairs.keys() & {"file", "string", "gen_id"}) != 1:
        raise OptionError("name, plus exactly one of file, string and gen_id, are needed")
    if not pairs["name"].startswith("opt/"):
        context.warn('warning: externally provided fw_cfg item names should be prefixed with "opt/"')


CHECKS: dict[str, tuple[int, Check]] = {
    "sandbox": (0, check_sandbox),
    "action": (1, check_action),
    "rtc": (2, check_rtc),
    "smbios": (5, check_smbios),
    "fw_cfg": (6, check_fw_cfg),
}
"""By option, with the stage of the start at which QEMU looks."""
BLOCKDEVS, DRIVES, LAST = 3, 4, 7
"""The stages of block devices, and of what the firmware is told."""


def check_audio_driver(release: Release, pairs: dict[str, Any]) -> None:
    """The driver of `-audiodev` and `-audio`."""
    driver = pairs.get("driver")
    if driver is None:
        raise OptionError("Parameter 'driver' is missing")
    if driver not in AUDIO_DRIVERS:
        if release.covers("7.2"):
            raise OptionError(f"Parameter 'driver' does not accept value '{driver}'")
        raise OptionError(f"Invalid parameter '{driver}'")


# The machine's properties


def check_boot(given: Any) -> None:
    """The machine's property `boot`, or `-boot`."""
    if not isinstance(given, dict):
        raise OptionError("Invalid parameter type for 'boot', expected: object")
    for key, kind in BOOT_KINDS.items():
        if key not in given:
            continue
        value = given[key]
        if not isinstance(value, str):
            raise OptionError(f"Parameters 'boot.{key}.*' are unexpected")
        if kind == "boolean" and value not in ("on", "off", "yes", "no", "true", "false", "y", "n"):
            raise OptionError(f"Parameter 'boot.{key}' expects 'on' or 'off'")
        if kind == "integer":
            try:
                parse_integer(value)
            except ValueError:
                raise OptionError(f"Parameter 'boot.{key}' expects integer") from None
    for key in sorted(given.keys() - BOOT_KINDS.keys()):
        raise OptionError(f"Parameter 'boot.{key}' is unexpected")
    for key in ("order", "once"):
        _check_boot_order(given.get(key, ""))


def _check_boot_order(order: str) -> None:
    for position, letter in enumerate(order):
        if letter not in BOOT_DEVICES:
            raise OptionError(f"Invalid boot device '{letter}'")
        if letter in order[:position]:
            raise OptionError(f"Boot device '{letter}' was given twice")


def check_boot_times(boot: dict[str, str]) -> None:
    """What QEMU finds when it tells the firmware of the boot."""
    for key, lowest in (("splash-time", 0), ("reboot-timeout", -1)):
        if key in boot and not lowest <= parse_integer(boot[key]) <= LONGEST_BOOT_TIME:
            name = key.replace("reboot-", "reboot ")
            raise OptionError(f"{name} is invalid,it should be a value between {lowest} and {LONGEST_BOOT_TIME}")


def check_property(key: str, value: Any, kind: str | None) -> None:
    """The value of a property of the machine that is not modelled."""
    if kind == "boolean" and isinstance(value, str):
        try:
            parse_switch(key, value)
        except VMError as error:
            raise OptionError(str(error)) from None
