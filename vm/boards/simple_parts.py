"""What the rows of simple boards are made of: the pieces of memory on a board, and the rules for the size of its RAM.

Plain data with the little arithmetic that the size of the RAM needs; which board has which is said in the rows.
"""

from __future__ import annotations

from ..errors import VMError
from ..sizes import size_to_str

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..memory.region import MemoryRegion
    from .simple import SimpleMachine

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30
RAM = "ram"
"""The name by which an `Alias` means the RAM of the machine."""
SYSTEM = "system"
"""The name by which it means all of the address space."""


class Part:
    """A piece of a board's memory at `address` of its container, or nowhere if that is None."""

    __slots__ = ("address", "name", "priority")

    def __init__(self, name: str, address: int | None, priority: int = 0) -> None:
        self.name = name
        self.address = address
        self.priority = priority

    @property
    def is_table(self) -> bool:
        """Whether it is what firmware reads of the whole machine, which comes after all devices."""
        return self.name.startswith("/rom@etc/")

    def put(self, machine: SimpleMachine, container: MemoryRegion) -> None:
        """Make it, and put it into `container`; raises `VMError` if the host has no memory for it."""
        machine.put(self.make(machine), container, self.address, self.priority)

    def make(self, machine: SimpleMachine) -> MemoryRegion:
        """The region that it is."""
        raise NotImplementedError(self.name)


class Between(Part):
    """Parts that only the releases from `since` to `until` have; None is no bound."""

    __slots__ = ("parts", "since", "until")

    def __init__(self, since: str | None, until: str | None, *parts: Part) -> None:
        super().__init__("", None)
        self.since = since
        self.until = until
        self.parts = parts

    def put(self, machine: SimpleMachine, container: MemoryRegion) -> None:
        """Put them, if the release has them."""
        if machine.board.release.covers(self.since, self.until):
            for part in self.parts:
                part.put(machine, container)


class ForSizes(Part):
    """Parts that are there with RAM of more than `above` bytes and no more than `most`."""

    __slots__ = ("above", "most", "parts")

    def __init__(self, above: int, most: int | None, *parts: Part) -> None:
        super().__init__("", None)
        self.above = above
        self.most = most
        self.parts = parts

    def put(self, machine: SimpleMachine, container: MemoryRegion) -> None:
        """Put them, if the RAM has such a size."""
        if self.above < machine.ram_size and (self.most is None or machine.ram_size <= self.most):
            for part in self.parts:
                part.put(machine, container)


class ForEachCPU(Part):
    """What each CPU has: `part` makes it from the CPU's number."""

    __slots__ = ("part",)

    def __init__(self, part: Callable[[int], Part]) -> None:
        super().__init__("", None)
        self.part = part

    def put(self, machine: SimpleMachine, container: MemoryRegion) -> None:
        """Put one for each."""
        for cpu in range(machine.board.cpus):
            self.part(cpu).put(machine, container)


class MachineRam(Part):
    """The machine's RAM as it is."""

    __slots__ = ()

    def __init__(self, address: int, priority: int = 0) -> None:
        super().__init__(RAM, address, priority)

    def put(self, machine: SimpleMachine, container: MemoryRegion) -> None:
        """Put it there, if the machine has RAM."""
        if machine.ram is not None:
            container.add_subregion(self.address or 0, machine.ram, self.priority)


class Block(Part):
    """RAM of the board's own, `size` bytes; `region` is the name of its region where that is not the RAMBlock's.

    `max_size` is what is reserved for a block that may grow.
    """

    __slots__ = ("max_size", "region", "size")

    kind = "ram"

    def __init__(
        self,
        name: str,
        size: int,
        address: int | None = None,
        priority: int = 0,
        *,
        region: str | None = None,
        max_size: int | None = None,
    ) -> None:
        super().__init__(name, address, priority)
        self.size = size
        self.region = name if region is None else region
        self.max_size = max_size

    def make(self, machine: SimpleMachine) -> MemoryRegion:
        """A region on a RAMBlock of whole pages."""
        unit = machine.board.backend_defaults.length_unit
        block = machine.make_rom_block(self.name, -(-self.size // unit) * unit, self.max_size)
        region: MemoryRegion = getattr(machine.topology, self.kind)(self.region, self.size, block)
        return region


class Rom(Block):
    """A board's ROM."""

    __slots__ = ()

    kind = "rom"


class Flash(Block):
    """A board's flash: read as memory, written as registers."""

    __slots__ = ()

    kind = "rom_device"


class Registers(Part):
    """Registers of a device, where they cover RAM or lie under it."""

    __slots__ = ("size",)

    def __init__(self, name: str, address: int, size: int, priority: int = 0) -> None:
        super().__init__(name, address, priority)
        self.size = size

    def make(self, machine: SimpleMachine) -> MemoryRegion:
        """A region without memory."""
        return machine.topology.io(self.name, self.size)


class BehindRam(Part):
    """What answers from the end of RAM that begins at 0 of the container up to `end`."""

    __slots__ = ("end",)

    def __init__(self, name: str, end: int, priority: int) -> None:
        super().__init__(name, None, priority)
        self.end = end

    def put(self, machine: SimpleMachine, container: MemoryRegion) -> None:
        """Fill the rest, if there is any."""
        if machine.ram_size < self.end:
            rest = machine.topology.io(self.name, self.end - machine.ram_size)
            machine.put(rest, container, machine.ram_size, self.priority)


class Alias(Part):
    """A window on a part that was put before: `size` bytes of `target` from `offset` on, all that follow by default.

    One on the RAM ends where that ends, and is left out where nothing of it is seen.
    """

    __slots__ = ("offset", "size", "target")

    def __init__(
        self, name: str, address: int, target: str = RAM, offset: int = 0, size: int | None = None, priority: int = 0
    ) -> None:
        super().__init__(name, address, priority)
        self.target = target
        self.offset = offset
        self.size = size

    def put(self, machine: SimpleMachine, container: MemoryRegion) -> None:
        """Put the window there, unless it is empty."""
        target = machine.regions.get(self.target)
        if target is None:
            return
        left = target.size - self.offset
        size = left if self.size is None else min(self.size, left) if target is machine.ram else self.size
        if size > 0:
            region = machine.topology.alias(self.name, target, self.offset, size)
            machine.put(region, container, self.address, self.priority)


class Within(Part):
    """A container of `size` bytes with parts at addresses of its own."""

    __slots__ = ("parts", "size")

    def __init__(self, name: str, address: int, size: int, parts: tuple[Part, ...], priority: int = 0) -> None:
        super().__init__(name, address, priority)
        self.size = size
        self.parts = parts

    def make(self, machine: SimpleMachine) -> MemoryRegion:
        """The container, filled."""
        region = machine.topology.container(self.name, self.size)
        for part in self.parts:
            part.put(machine, region)
        return region


class MirroredBanks(Part):
    """Two banks of RAM, `size` bytes each and side by side from `address` on.

    The RAM fills them one after the other; what is left of the bank in which it ends shows that bank's RAM once more.
    """

    __slots__ = ("size",)

    def __init__(self, name: str, address: int, size: int) -> None:
        super().__init__(name, address)
        self.size = size

    def put(self, machine: SimpleMachine, container: MemoryRegion) -> None:
        """Put the RAM there, and the mirror behind it."""
        MachineRam(self.address or 0).put(machine, container)
        filled = machine.ram_size % self.size
        if machine.ram is not None and filled:
            start = machine.ram_size - filled
            mirror = machine.topology.alias(self.name, machine.ram, start, self.size - filled)
            machine.put(mirror, container, (self.address or 0) + machine.ram_size, 0)


class SdramBanks(Part):
    """Banks of an SDRAM controller that together show the RAM from `address` on, each in a container of its own."""

    __slots__ = ("layout",)

    def __init__(self, name: str, address: int, layout: SdramLayout) -> None:
        super().__init__(name, address)
        self.layout = layout

    def put(self, machine: SimpleMachine, container: MemoryRegion) -> None:
        """Put one window on the RAM for each bank."""
        offset = 0
        for number, size in enumerate(self.layout.banks(machine.ram_size)):
            window = Alias(f"{self.name}{number}", 0, RAM, offset, size)
            bank = Within("sdram-container", (self.address or 0) + offset, size, (window,))
            bank.put(machine, container)
            offset += size


# Rules for the size of RAM


class SizeRule:
    """RAM of `minimum` to `maximum` bytes, a multiple of `multiple`, and one of the sizes `among` if there are any.

    `only_default` allows no other than the machine's default size. `message` is what a board says of another size, with
    `details` on further lines. It may name `{size}` in bytes, `{kib}` and `{mib}` (rounded down), `{text}` for people,
    and the default size as `{default}` for people.
    """

    __slots__ = ("among", "details", "maximum", "message", "minimum", "multiple", "only_default")

    def __init__(
        self,
        message: str,
        *,
        minimum: int = 0,
        maximum: int | None = None,
        multiple: int = 1,
        among: tuple[int, ...] = (),
        only_default: bool = False,
        details: str | None = None,
    ) -> None:
        self.message = message
        self.details = details
        self.minimum = minimum
        self.maximum = maximum
        self.multiple = multiple
        self.among = among
        self.only_default = only_default

    def accepts(self, size: int, default: int) -> bool:
        """Whether a board with this rule and this default size can have `size` bytes of RAM."""
        if self.only_default:
            return size == default
        in_range = self.minimum <= size and (self.maximum is None or size <= self.maximum)
        return in_range and size % self.multiple == 0 and (not self.among or size in self.among)

    def check(self, machine: SimpleMachine) -> None:
        """Raise `VMError` with the board's words if it cannot have the machine's RAM."""
        size, default = machine.ram_size, machine.machine_type.default_ram_size
        if not self.accepts(size, default):
            shown = {"size": size, "kib": size >> 10, "mib": size >> 20}
            text = self.message.format(**shown, text=size_to_str(size), default=size_to_str(default))
            raise VMError(text, details=self.details)


class RamLimit(SizeRule):
    """More than `maximum` bytes of RAM is no error: the machine says so, and counts with no more than that."""

    __slots__ = ()

    def check(self, machine: SimpleMachine) -> None:
        """Limit `ram_size`; all of the memory is there, and mapped, nevertheless."""
        if self.maximum is not None and machine.ram_size > self.maximum:
            machine.board.warnings.append(self.message)
            machine.ram_size = self.maximum


class RamNotice(SizeRule):
    """RAM of another size is no error: the machine only says so."""

    __slots__ = ()

    def accepts(self, size: int, default: int) -> bool:
        """Any size."""
        return True

    def check(self, machine: SimpleMachine) -> None:
        """Say it, if there is something to say."""
        default = machine.machine_type.default_ram_size
        if not super().accepts(machine.ram_size, default):
            machine.board.warnings.append(self.message.format(default=size_to_str(default)))


FIXED = SizeRule("Invalid RAM size, should be {default}", only_default=True)
"""What most boards with soldered RAM say."""


class SdramLayout(SizeRule):
    """RAM that at most `count` banks make up, each of one of the `sizes` (in MiB), the largest first.

    Of what there could be instead is told below `message`, or alone.
    """

    __slots__ = ("count", "sizes")

    def __init__(self, count: int, sizes: tuple[int, ...], message: str = "Invalid SDRAM banks") -> None:
        super().__init__(message)
        self.count = count
        self.sizes = sizes

    def banks(self, size: int) -> list[int]:
        """The sizes of the banks that hold as much of `size` bytes as they can."""
        found: list[int] = []
        for _ in range(self.count):
            fitting = [bank * MIB for bank in self.sizes if bank * MIB <= size]
            if fitting:
                found.append(max(fitting))
                size -= found[-1]
        return found

    def check(self, machine: SimpleMachine) -> None:
        """Raise `VMError` with the banks that there could be."""
        possible = sum(self.banks(machine.ram_size)) or min(self.sizes) * MIB
        if possible != machine.ram_size:
            banks = "bank" if self.count == 1 else "banks"
            sizes = ", ".join(map(str, self.sizes))
            lines = [
                self.message,
                f"at most {self.count} {banks} of {sizes} MiB each supported",
                # As observed: without a message before them, a space ends the lines.
                f"Possible valid RAM size: {possible // MIB} MiB{'' if self.message else ' '}",
            ]
            text, *details = filter(None, lines)
            raise VMError(text, details="\n".join(details))


class SpdNotice(SizeRule):
    """A warning where the three largest powers of two (of 4 MiB or more) in the size leave some of it over.

    As observed, the number of MiB is hexadecimal.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__("SPD cannot represent final {left:x}MB of SDRAM")

    def check(self, machine: SimpleMachine) -> None:
        """Warn; no size is refused."""
        left = machine.ram_size // MIB
        for _ in range(3):
            if left >= 4:
                left -= 1 << (left.bit_length() - 1)
        if left:
            machine.board.warn(self.message.format(left=left))
