"""Machine types as they are listed."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .machine import Machine


class MachineType:
    """One machine type as it is listed; `machine` is the class that builds it."""

    __slots__ = (
        "alias",
        "default_cpu_type",
        "default_ram_id",
        "default_ram_size",
        "deprecated",
        "description",
        "family",
        "hotpluggable_cpus",
        "is_default",
        "machine",
        "max_cpus",
        "name",
        "settings",
    )

    def __init__(
        self,
        name: str,
        machine: type[Machine],
        description: str,
        *,
        family: str | None = None,
        default_ram_id: str,
        default_ram_size: int = 128 << 20,
        alias: str | None = None,
        default_cpu_type: str | None = None,
        max_cpus: int = 1,
        hotpluggable_cpus: bool = False,
        is_default: bool = False,
        deprecated: str | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.machine = machine
        self.description = description
        self.family = family
        """What versions of one machine have in common; they are listed together, newest first."""
        self.default_ram_id = default_ram_id
        self.default_ram_size = default_ram_size
        self.alias = alias
        self.default_cpu_type = default_cpu_type
        self.max_cpus = max_cpus
        self.hotpluggable_cpus = hotpluggable_cpus
        self.is_default = is_default
        self.deprecated = deprecated
        self.settings = settings if settings is not None else {}
        """What this type of this release has different from the class: attributes of `machine` by name."""

    def setting(self, name: str) -> Any:
        """What a machine of this type has for an attribute that versions may set."""
        return self.settings.get(name, getattr(self.machine, name))
