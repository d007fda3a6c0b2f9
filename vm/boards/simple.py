"""Simple boards: machine types of which only RAM, ROM and flash are told, each a row of data.

The rows are in the modules beside this one, by architecture; here is the one machine that is built from any of them.
"""

from __future__ import annotations

from ..loading import load
from ..releases.simple_boards import CHANGES
from .board import Board
from .machine import Machine
from .machine_type import MachineType
from .simple_parts import RAM, SYSTEM
from .versions import deprecation, release_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..memory.region import MemoryRegion
    from ..releases import Release
    from .simple_parts import Part, SizeRule
    from .targets import Target

_ARM = ("simple_arm", "simple_arm_soc", "simple_arm_amd", "simple_arm_bmc", "simple_arm_nuvoton")

MODULES = {
    "aarch64": _ARM,
    "alpha": ("simple_misc",),
    "arm": _ARM,
    "cris": ("simple_misc",),
    "hppa": ("simple_hppa",),
    "loongarch64": ("simple_loongarch",),
    "m68k": ("simple_m68k",),
    "mips": ("simple_mips",),
    "mips64": ("simple_mips",),
    "mips64el": ("simple_mips",),
    "mipsel": ("simple_mips",),
    "ppc": ("simple_ppc",),
    "ppc64": ("simple_ppc",),
    "ppc64le": ("simple_ppc",),
    "riscv32": ("simple_riscv",),
    "riscv64": ("simple_riscv",),
    "rx": ("simple_misc",),
    "sparc": ("simple_sparc",),
    "sparc64": ("simple_sparc",),
}
"""Which modules have rows for a target."""

CPU_SUFFIXES = {
    "aarch64": "arm",
    "loongarch64": "loongarch",
    "mips64el": "mips64",
    "mipsel": "mips",
    "ppc": "powerpc",
    "ppc64": "powerpc64",
    "ppc64le": "powerpc64",
    "riscv32": "riscv",
    "riscv64": "riscv",
}
"""What a CPU type's name has between the model and `-cpu`, where that is not the target's name."""


class Row:
    """A simple board. `ram_size` is the default in bytes, `cpu` the default model, with `cpu_64` on 64-bit targets.
    A type that is not named after its model and target is told in full, with `-cpu` at the end.

    `parts` are in the order in which they are made and placed: that decides RAMBlock offsets, and which of equals is
    seen. `targets` are the targets that have the board, where not all do whose rows are in its module, and `default_of`
    those that start it if no machine is named. `machine` is its class, where it is a
    special one, and `settings` are attributes of it.
    """

    __slots__ = (
        "alias",
        "cpu",
        "cpu_64",
        "default_of",
        "deprecated",
        "description",
        "hotpluggable_cpus",
        "machine",
        "max_cpus",
        "name",
        "parts",
        "ram_id",
        "ram_size",
        "settings",
        "since",
        "sizes",
        "targets",
        "until",
        "version",
    )

    def __init__(
        self,
        name: str,
        description: str,
        ram_id: str,
        ram_size: int,
        parts: tuple[Part, ...],
        sizes: tuple[SizeRule, ...] = (),
        *,
        cpu: str | None = None,
        cpu_64: str | None = None,
        max_cpus: int = 1,
        alias: str | None = None,
        default_of: tuple[str, ...] = (),
        targets: tuple[str, ...] = (),
        machine: type[SimpleMachine] | None = None,
        settings: dict[str, object] | None = None,
        hotpluggable_cpus: bool = False,
        deprecated: str | None = None,
        version: str | None = None,
        since: str | None = None,
        until: str | None = None,
    ) -> None:
        self.name = name
        self.deprecated = deprecated
        self.version = version
        """Which version of a board that has several it is; the alias is that of the newest."""
        self.since = since if version is None else version
        self.until = until
        """The first and the last release that has the board."""
        self.description = description
        self.ram_id = ram_id
        self.ram_size = ram_size
        self.parts = parts
        self.sizes = sizes
        self.cpu = cpu
        self.cpu_64 = cpu if cpu_64 is None else cpu_64
        self.max_cpus = max_cpus
        self.alias = alias
        self.default_of = default_of
        self.targets = targets
        self.machine = machine
        self.settings = settings
        self.hotpluggable_cpus = hotpluggable_cpus

    def cpu_type(self, target: Target) -> str | None:
        """The default CPU type on `target`, None if the board decides on it otherwise."""
        model = self.cpu_64 if "64" in target.name else self.cpu
        if model is None:
            return None
        if model.endswith("-cpu"):
            return model
        return f"{model}-{CPU_SUFFIXES.get(target.name, target.name)}-cpu".removeprefix("-")

    def in_release(self, release: Release) -> Row:
        """The row as a release has it."""
        changes = release.gather(CHANGES, self.name)
        if not changes and self.version is None:
            return self
        row = object.__new__(Row)  # the module `copy` costs a tenth of the start
        for name in Row.__slots__:
            setattr(row, name, changes.get(name, getattr(self, name)))
        if self.version is not None:
            row.deprecated = deprecation(self.version, release)
            row.alias = self.alias if self.version == release.name else None
        return row

    def machine_type(self, target: Target, release: Release) -> MachineType:
        """The row as a machine type of `target`."""
        return MachineType(
            self.name,
            self.machine or SimpleMachine,
            self.description,
            default_ram_id=self.ram_id,
            default_ram_size=self.ram_size,
            alias=self.alias,
            default_cpu_type=self.cpu_type(target),
            max_cpus=self.max_cpus,
            hotpluggable_cpus=self.hotpluggable_cpus,
            is_default=target.name in self.default_of,
            deprecated=self.deprecated,
            settings=release_settings(self.machine or SimpleMachine, release) | {"row": self, **(self.settings or {})},
        )


class SimpleMachine(Machine):
    """The machine of a row."""

    type_name = "simple-machine"
    has_registers = False
    pci_modelled = False
    row: Row

    def __init__(self, machine_type: MachineType, board: Board) -> None:
        super().__init__(machine_type, board)
        self.regions: dict[str, MemoryRegion] = {SYSTEM: self.system}
        """The regions that an alias may show, by name."""

    def check_ram(self) -> None:
        """Follow the row's rules, the first one that is broken speaks."""
        for rule in self.row.sizes:
            rule.check(self)

    def _tell_of_firmware(self, path: str) -> None:
        from .simple_firmware import check_firmware

        if check_firmware(self.machine_type.name, self.board.target.name, path, self.board.release):
            self.board.warn(f"firmware '{path}' is not loaded, the ROMs of this board are empty")

    defaults_recorded = True

    def build(self) -> None:
        """Put all parts in place."""
        if self.board.firmware is not None:
            self._tell_of_firmware(self.board.firmware)
        if self.ram is not None:
            self.regions[RAM] = self.ram
        with self.topology.transaction():
            for part in self.row.parts:
                if not part.is_table:
                    part.put(self, self.system)

    def add_tables(self) -> None:
        """Those of the row."""
        for part in self.row.parts:
            if part.is_table:
                part.put(self, self.system)

    def put(self, region: MemoryRegion, container: MemoryRegion, address: int | None, priority: int) -> None:
        """Put a part's region into `container`, or nowhere without an address; aliases can name it from then on."""
        self.regions[region.name] = region
        if address is None:
            self.unattached.own_region(region)
        else:
            self.place(container, address, region, priority=priority)


def machine_types(target: Target, release: Release) -> Iterator[MachineType]:
    """The machine types of all rows of a target."""
    for module in MODULES.get(target.name, ()):
        for row in load(f"{__package__}.{module}").ROWS:
            if release.covers(row.since, row.until) and (not row.targets or target.name in row.targets):
                yield row.in_release(release).machine_type(target, release)
