"""The options that describe the machine: -machine, -m, -smp, -accel and -enable-kvm; they end in the `Config`.

Which machine types exist and what a machine makes of its properties is not known here.
"""

from __future__ import annotations

from ...commands.keyval import OptionError, parse_keyval
from ...vm.errors import VMError
from ...vm.sizes import RAM_ALIGNMENT, check_ram_limits, parse_integer, parse_size, round_ram_size
from . import groups
from .settings import Answered, Question

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MEMORY_TYPES = {
    "size": ("size", 0, (1 << 64) - RAM_ALIGNMENT + 1),
    "max-size": ("size", 0, 1 << 64),
    "slots": ("integer", 1 - (1 << 64), 1 << 64),
}
"""What QEMU calls each number, the lowest there is and the first too large; in the order in which QEMU looks."""


class MachineOptions:
    """What has been said about the machine so far."""

    __slots__ = ("accelerators", "config", "context", "memory", "memory_where", "properties", "spelled", "where")

    def __init__(self, context: groups.Context) -> None:
        self.context = context
        self.config = context.settings.config
        self.properties: dict[str, Any] = {}
        """The tree of -machine, where -smp and -enable-kvm write too."""
        self.spelled: dict[str, str] = {}
        """The options that are other names for properties, by these."""
        self.where = ""
        """The first -machine as it was spelled."""
        self.memory: dict[str, str] = {}
        self.memory_where = ""
        self.accelerators: list[tuple[str, dict[str, list[str]]]] = []

    def take_machine(self, value: str) -> None:
        """Take `-machine`."""
        self.where = self.where or self.context.where
        if self.context.release.settings("options").get("flat properties", False):
            pairs = self.context.read(groups.OLD_MACHINE, value)
            if groups.is_help(pairs.get("type", [""])[-1]):
                raise Answered(Question("machine"))
            if any(groups.is_help(word) for word in pairs):
                raise Answered(Question("machine", pairs.get("type", [self.properties.get("type", "")])[-1]))
            self.properties.update((key, values[-1]) for key, values in pairs.items())
            return
        _, wants_help = parse_keyval(value, "type", self.properties)
        if wants_help:
            raise Answered(Question("machine", self.properties.get("type", "")))

    def merge_memory(self) -> None:
        """Add what -m says to the machine's properties, where it wins over -machine memory.*."""
        self.context.where = self.memory_where
        size = self.memory.get("size")
        if size is not None:
            if not parse_size(size):
                del self.memory["size"]
            elif size[-1] in "0123456789":
                self.memory["size"] = f"{size}M"
        if self.memory:
            self.structure("memory").update(self.memory)

    def structure(self, name: str) -> dict[str, Any]:
        """Return a property that has parts, to add to them."""
        group = self.properties.setdefault(name, {})
        if not isinstance(group, dict):
            raise OptionError(f"Parameter '{name}' used inconsistently")
        return group

    def take_memory(self, value: str) -> None:
        """Take `-m`; the last value of each key counts."""
        for key, values in self.context.read(groups.MEMORY, value).items():
            self.memory[{"maxmem": "max-size"}.get(key, key)] = values[-1]
        self.memory_where = self.context.where

    def take_smp(self, value: str) -> None:
        """Take `-smp`."""
        if self.context.release.settings("smp").get("old", False):
            pairs = self.context.read(groups.OLD_SMP, value)
            self.structure("smp").update({key: values[-1] for key, values in pairs.items() if key != "id"})
            return
        group, wants_help = parse_keyval(value, "cpus")
        if wants_help:
            lines = ["smp-opts options:", *(f"  {key}=<num>" for key in sorted(self._smp_keys()))]
            raise Answered(Question("text", text="\n".join(lines)))
        if group:
            self.structure("smp").update(group)

    def _smp_keys(self) -> list[str]:
        unknown = self.context.release.settings("smp").get("unknown", ())
        return [key for key in groups.SMP_KEYS if key not in unknown]

    def finish_properties(self) -> None:
        """Read those of the machine's properties that have a field of their own in the `Config`."""
        properties = {key.replace("_", "-"): value for key, value in self.properties.items()}
        if self.config.mem_path is not None and "memory-backend" in properties:
            raise OptionError("'-mem-path' can't be used together with'-machine memory-backend'")
        accelerators = None
        if isinstance(properties.get("accel"), str):
            accelerators = properties.pop("accel")
        if self.context.release.settings("options").get("told with mistakes", False):
            self.config.memory_origin = self.memory_where
        smp_types = dict.fromkeys(self._smp_keys(), ("integer", -(1 << 63), 1 << 63))
        self.config.smp = self._members("smp", properties.pop("smp", {}), smp_types)
        self._finish_memory(properties.pop("memory", {}))
        if isinstance(properties.get("firmware"), str):
            self.config.firmware = properties.pop("firmware")
        self.config.machine_options = properties
        if accelerators is not None:
            if self.accelerators:
                raise OptionError('The -accel and "-machine accel=" options are incompatible')
            self.accelerators = [("", {"accel": [name]}) for name in accelerators.split(":") if accelerators]
            if not self.accelerators:
                raise OptionError("no accelerator found")

    def _finish_memory(self, memory: Any) -> None:
        config = self.config
        self.context.where = config.memory_origin
        sizes = self._members("memory", memory, _MEMORY_TYPES)
        if "slots" in sizes:
            # A negative number means its two's complement, as in QEMU.
            config.ram_slots = sizes["slots"] % (1 << 64)
        config.max_ram_size = sizes.get("max-size")
        if "size" in sizes:
            config.ram_size = round_ram_size(sizes["size"])
        # With the machine's default size, only the machine can compare.
        if config.ram_size is not None or config.max_ram_size is None:
            try:
                check_ram_limits(config.ram_size or 0, config.max_ram_size, config.ram_slots, self.context.release)
            except VMError as error:
                raise OptionError(str(error)) from None
        self.context.where = ""

    def _members(self, name: str, given: Any, types: dict[str, tuple[str, int, int]]) -> dict[str, int]:
        """Return the members of a machine property that is a structure of numbers."""
        if not isinstance(given, dict):
            raise OptionError(f"Invalid parameter type for '{name}', expected: object")
        members: dict[str, int] = {}
        for key, (kind, lowest, limit) in types.items():
            if key not in given:
                continue
            text = given[key]
            if not isinstance(text, str):
                raise OptionError(f"Parameters '{name}.{key}.*' are unexpected")
            try:
                number = parse_size(text, warn=self.context.warn) if kind == "size" else parse_integer(text)
            except ValueError:
                number = limit
            if not lowest <= number < limit:
                raise OptionError(f"Parameter '{name}.{key}' expects {kind}")
            members[key] = number
        for key in sorted(given.keys() - types.keys()):
            raise OptionError(f"Parameter '{name}.{key}' is unexpected")
        return members

    def take_enable_kvm(self, _value: str) -> None:
        """Take `-enable-kvm`."""
        self.properties["accel"] = "kvm"
