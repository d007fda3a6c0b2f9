"""What the option groups of the command line know: their keys and the types of the values.

How option texts are cut into pairs is in `keyval`; what the options mean together is in `cmdline`.
"""

from __future__ import annotations

from ...commands.keyval import BAD_IDENTIFIER, HELP_WORDS, OptionError, parse_opts
from ...vm.objects import is_identifier
from ...vm.sizes import BadSizeError, SizeRangeError, parse_integer, parse_size
from .settings import Answered, Question, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...vm.releases import Release

    Warn = Callable[[str], None]

_TRUE = ("on", "yes", "true", "y")
_FALSE = ("off", "no", "false", "n")
_TYPE_NAMES = {"string": "str", "bool": "bool (on/off)", "number": "num", "size": "size"}

_BAD_SIZE = (
    "Parameter '{key}' expects a non-negative number below 2^64\n"
    "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
    "and exabytes, respectively."
)


class Context:
    """Where the reading of a command line stands, for all that take part in it."""

    __slots__ = ("_ids", "release", "settings", "where")

    def __init__(self) -> None:
        self.settings = Settings()
        self.release: Release
        """The QEMU to be."""
        self.where = ""
        """The option at hand as it was spelled; messages about it begin with it. Empty: about no one option."""
        self._ids: set[tuple[str, str]] = set()

    def located(self, text: str) -> str:
        """Return a message with the option that it is about before it."""
        return f"{self.where}: {text}" if self.where else text

    def warn(self, text: str) -> None:
        """Keep a message about the option at hand that does not end the reading."""
        self.settings.warnings.append(self.located(text))

    def warn_alone(self, text: str) -> None:
        """Keep such a message that does not name the option."""
        self.settings.warnings.append(text)

    def set_aside(self, what: str) -> None:
        """Note that something is taken and not modelled, and that memory does not depend on it."""
        self.settings.aside[what] = None

    def leave_out(self, what: str, blocks: str) -> None:
        """Note that something is not modelled and memory depends on it; `blocks` are its RAMBlocks, if known."""
        self.settings.unmodelled[what] = blocks

    def read(self, group: OptionGroup, text: str) -> dict[str, list[str]]:
        """Return the values of each key of an option's text, checked; the id, if the group has ids, is the first alone.

        :raise OptionError: with QEMU's text.
        :raise Answered: help was asked for and nothing before it is wrong.
        """
        pairs: dict[str, list[str]] = {}
        # The id is looked at before everything else, so also before a warning about what stands in front of it.
        label = _find_id(group, text)
        if label is not None:
            self.claim(group.name, label)
            pairs["id"] = [label]
        tells = self.release.settings("options").get("short-form warnings", True)
        for key, value in parse_opts(text, group.implied_key, group.types, self.warn if tells else None):
            if key == "id":
                continue
            if value is None:
                if group.types:
                    raise Answered(Question("text", text=_list_keys(group), status=1))
                value = "on"
            elif group.types:
                value = checked(group, key, value, self.warn)
            pairs.setdefault(key, []).append(value)
        return pairs

    def claim(self, group: str, label: str) -> None:
        """Note that an id is taken."""
        if (group, label) in self._ids:
            raise OptionError(f"Duplicate ID '{label}' for {group}")
        self._ids.add((group, label))


class OptionGroup:
    """The keys that one option takes, with the types of their values."""

    __slots__ = ("has_ids", "implied_key", "name", "types")

    def __init__(self, name: str, implied_key: str | None, has_ids: bool, types: dict[str, str]) -> None:
        self.name = name
        self.implied_key = implied_key
        self.has_ids = has_ids
        """Whether each use of the option makes a thing of its own that may have an id; else all uses merge."""
        self.types = types
        """Type of each key's value: string, bool, number or size; empty for a group that takes any key."""


MEMORY = OptionGroup("memory", "size", False, {"size": "size", "slots": "number", "maxmem": "size"})
OLD_SMP = OptionGroup(
    "smp-opts", "cpus", True, dict.fromkeys(("cpus", "sockets", "dies", "cores", "threads", "maxcpus"), "number")
)
"""`-smp` up to QEMU 5.2."""
OLD_MACHINE = OptionGroup("machine", "type", False, {})
"""`-machine` up to QEMU 5.2, where properties have no parts."""
NAME = OptionGroup("name", "guest", False, {"guest": "string", "process": "string", "debug-threads": "bool"})
ADD_FD = OptionGroup("add-fd", None, True, {"fd": "number", "set": "number", "opaque": "string"})
MONITOR = OptionGroup("mon", "chardev", True, {"mode": "string", "chardev": "string", "pretty": "bool"})
OVERCOMMIT = OptionGroup("overcommit", None, True, {"mem-lock": "bool", "cpu-pm": "bool"})
DEVICE = OptionGroup("device", "driver", True, {})
NUMA = OptionGroup("numa", "type", True, {})
ACCELERATOR = OptionGroup("accel", "accel", True, {})
OBJECT = OptionGroup("object", "qom-type", True, {})

SMP_KEYS = (
    "cpus", "drawers", "books", "sockets", "dies", "clusters", "modules", "cores", "threads", "maxcpus",
)  # fmt: skip
"""The members of `-smp` in the order in which mistakes are found."""


DISPLAYS = ("gtk", "sdl", "egl-headless", "curses", "spice-app", "dbus", "default", "vnc")
"""The displays that QEMU has and this program has not."""


def _find_id(group: OptionGroup, text: str) -> str | None:
    """Return the first id in an option's text."""
    # QEMU forgets here that the first value may need no key. Most texts have no id; they are not cut twice.
    if "id" not in text:
        return None
    for key, value in parse_opts(text):
        if key == "id" and value is not None:
            if not group.has_ids:
                raise OptionError("Invalid parameter 'id'")
            if not is_identifier(value):
                raise OptionError(BAD_IDENTIFIER)
            return value
    return None


def checked(group: OptionGroup, key: str, value: str, warn: Warn | None) -> str:
    """Return the value of a key as it is passed on.

    :raise OptionError: there is no such key, or its value is wrong.
    """
    kind = group.types.get(key)
    if kind is None:
        raise OptionError(f"Invalid parameter '{key}'")
    if kind == "bool":
        if value not in _TRUE and value not in _FALSE:
            raise OptionError(f"Parameter '{key}' expects 'on' or 'off'")
        return "on" if value in _TRUE else "off"
    if kind == "number":
        _check_number(key, value)
    elif kind == "size":
        try:
            parse_size(value, warn=warn)
        except BadSizeError:
            raise OptionError(_BAD_SIZE.format(key=key)) from None
        except SizeRangeError:
            raise OptionError(f"Value '{value}' is out of range for parameter '{key}'") from None
    return value


def _check_number(key: str, value: str) -> None:
    try:
        number = parse_integer(value)
    except ValueError:
        raise OptionError(f"Parameter '{key}' expects a number") from None
    if abs(number) >= 1 << 64:
        raise OptionError(f"Value '{value}' is too large for parameter '{key}'")


def _list_keys(group: OptionGroup) -> str:
    lines = [f"{group.name} options:"]
    lines += [f"  {key}=<{_TYPE_NAMES[group.types[key]]}>" for key in sorted(group.types)]
    return "\n".join(lines)


def is_help(text: str) -> bool:
    """Tell whether a value asks for help instead of naming something."""
    return text in HELP_WORDS
