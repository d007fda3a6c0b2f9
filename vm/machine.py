"""A virtual machine: put together from a `Config`, with its run state, its events and its objects."""

from __future__ import annotations

from .accel import emulator, make_processor
from .boards import find_machine_type
from .boards.board import Board
from .errors import VMError
from .memory.address_space import MemoryTopology
from .memory.ramblock import RAMBlockTable
from .numa import NumaConfiguration
from .object_tree import ObjectTree
from .objects import ObjectDefaults
from .qom import Container
from .releases import find_release
from .run_state import RunState
from .starting import list_monitors, make_board, make_objects
from .steps import run_now
from .user_objects import UserObjects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .accel.dirty import DirtyLog
    from .accel.guest import Guest
    from .accel.guest_job import GuestJob
    from .boards.machine import Machine
    from .config import Config
    from .descriptors import Descriptors
    from .devices.device import MemoryDevice
    from .devices.plugging import Plugging
    from .dirty_rate import DirtyRate
    from .dump.dump import Dump
    from .host import Host
    from .memory.dirty import DirtyPages
    from .migration.state import Migration
    from .steps import Task

    Observer = Callable[[str, dict[str, Any] | None], None]

ROOT_CONTAINERS = ("chardevs", "backend", "audiodevs")
"""Below the root of the object tree, besides the machine and the objects."""


class VirtualMachine:
    """The memory of a virtual machine, alive. `close`, or the end of a `with`, releases everything.

    Raises `VMError` if the configuration is refused; nothing is left behind then. Starting may take long (preallocated
    memory): a `deferred` machine is started by running the task `start`, before anything else is asked of it.
    """

    begun = False
    """Whether the board is being made, or was; until then (`-preconfig`) its NUMA nodes can be named."""
    initialized = False
    """Whether the board stands."""
    locks_memory = False
    """Whether the host was asked to lock this process's memory, which is undone in the end."""
    user_dirty_pages: DirtyPages | None = None
    """What the guest wrote since the user asked for it."""

    # What is made when it is first asked for

    _descriptors: Descriptors | None = None
    _dirty_log: DirtyLog | None = None
    _dirty_rate: DirtyRate | None = None
    _dump: Dump | None = None
    _guest: Guest | None = None
    _migration: Migration | None = None
    _plugging: Plugging | None = None

    _devices_frozen = False

    def __init__(self, config: Config, host: Host | None = None, *, deferred: bool = False) -> None:
        if host is None:
            from .host import open_host

            host = open_host(config.host)
        self.config = config
        self.host = host
        self.release = find_release(config.qemu)
        """The QEMU that this machine is one of."""
        self.machine_type, self.target = find_machine_type(config.machine_type, config.target, self.release)
        self.page_size: int = self.machine_type.setting("page_size") or self.target.page_size
        """Bytes of a page of the target, the unit of migration."""
        self.topology = MemoryTopology(RAMBlockTable(64 * self.page_size))
        self.tree = ObjectTree(self.release)
        self.objects = UserObjects(host, self.topology, self._object_defaults(), config.objects)
        self.observers: list[Observer] = []
        """Told of every event: name and data."""
        self.notices: list[str] = []
        """What QEMU says on stdout of the start."""
        self.warnings: list[str] = []
        """What people should know of the start although it is no error, as stderr shows it behind the program's
        name."""
        self.on_warning: Callable[[str], None] = self.warnings.append
        """Told of such things, later on too."""
        self.run_state = RunState(self)
        self.on_board: Callable[[], object] = lambda: None
        """Told when the board was made late (`-preconfig`)."""
        self.on_fatal: Callable[[], object] = lambda: None
        """Told when the machine is of no more use, which was told before."""
        self.machine = self._make_machine()
        self.accelerator = emulator("none", host)
        self.numa = NumaConfiguration(self.machine, self.tree, self.warnings)
        self.objects.is_used = self.numa.uses
        if not deferred:
            run_now(self.start())

    def _object_defaults(self) -> ObjectDefaults:
        defaults = ObjectDefaults(self.tree, self.release)
        defaults.prealloc = self.config.mem_prealloc
        defaults.length_unit = max(self.host.page_size, self.target.page_size)
        defaults.canonical_names = self.machine_type.setting("canonical_ram_block_names")
        defaults.warn = lambda text: self.on_warning(f"warning: {text}")
        defaults.tell = lambda text: self.on_warning(text)
        return defaults

    def _make_machine(self) -> Machine:
        """The machine, without its board yet, in the tree of objects."""
        board = Board(self.topology, self.host, self.target, self.objects.defaults, self.release)
        board.locks_memory = self.config.lock_memory
        board.warnings = self.warnings
        board.notices = self.notices
        board.firmware = self.config.firmware
        board.flash = self.config.flash
        machine = self.machine_type.machine(self.machine_type, board)
        machine.type_name = f"{self.machine_type.name}-machine"
        self.tree.root.add_child("machine", machine)
        for name in ROOT_CONTAINERS:
            if name not in self.release.settings("QOM").get("unknown containers", ()):
                self.tree.root.add_child(name, Container())
        return machine

    def __enter__(self) -> VirtualMachine:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    # Start: the order of the checks is QEMU's

    def start(self) -> Task[None]:
        """Make the objects, and the board unless the configuration wants to name NUMA nodes first (`preconfig`).

        Raises `VMError`; everything is released then.
        """
        try:
            yield from make_objects(self)
            list_monitors(self)
            if not self.config.preconfig:
                self.begun = True
                yield from make_board(self)
        except BaseException as error:
            if isinstance(error, VMError):
                error.warnings = self.warnings
            self.close()
            raise

    @property
    def plugging(self) -> Plugging:
        """The devices that users plug, and the way to plug one."""
        if self._plugging is None:
            from .devices.plugging import Plugging

            self._plugging = Plugging(self.machine, self.tree, self.emit)
            self._plugging.frozen = self._devices_frozen
        return self._plugging

    @property
    def has_plugged(self) -> bool:
        """Whether some device was plugged, so that there is a list of who is where."""
        return self._plugging is not None

    @property
    def memory_devices(self) -> list[MemoryDevice]:
        """What is plugged and is memory, by address."""
        return [] if self._plugging is None else self._plugging.memory_devices

    # Running

    def emit(self, event: str, data: dict[str, Any] | None = None) -> None:
        """Tell all observers of an event."""
        for observer in list(self.observers):
            observer(event, data)

    def reset(self, reason: str) -> None:
        """Reset the machine, which ends a guest; one that is paused is then as before its first start."""
        self.stop_guest()
        self.emit("RESET", {"guest": False, "reason": reason})
        if self._plugging is not None:
            self._plugging.reset()
        self.run_state.reset()

    # The guest and what it writes

    def start_guest(self, job: GuestJob) -> Task[GuestJob]:
        """Begin what a guest is to do, and return the task that does it; it runs while the machine does.

        Raises `VMError` if it cannot be done here, or another guest runs.
        """
        if self._guest is None:
            from .accel.guest import Guest

            self.check_slots("a guest")
            processor = make_processor(self.host, self.accelerator, self.machine.memory_space)
            self._guest = Guest(processor, lambda: self.run_state.running, self.objects.why_missing)
            self.accelerator.slots.guest_held = self._guest.gate
        return self._guest.start(job)

    def stop_guest(self) -> None:
        """Stop the guest; nothing if none runs."""
        if self._guest is not None:
            self._guest.stop()

    @property
    def guest_job(self) -> GuestJob | None:
        """What the guest does, or did last."""
        return self._guest.job if self._guest is not None else None

    def check_slots(self, what: str) -> None:
        """Raise `VMError` where there are no memslots, which `what` needs."""
        if not self.accelerator.follows:
            raise VMError(f"accelerator {self.accelerator.name} has no memslots, which {what} needs")

    def throttle_guest(self, percent: int) -> None:
        """Keep the guest from running for so much of the time."""
        if self._guest is not None:
            self._guest.throttle = percent / 100

    @property
    def descriptors(self) -> Descriptors:
        """Those that clients gave."""
        if self._descriptors is None:
            from .descriptors import Descriptors

            self._descriptors = Descriptors()
        return self._descriptors

    @property
    def migration(self) -> Migration:
        """What becomes of the memory elsewhere."""
        if self._migration is None:
            from .migration.state import Migration

            self._migration = Migration(self)
        return self._migration

    def freeze_devices(self, frozen: bool) -> None:
        """Let no device come, go or change while memory moves, or let them again."""
        self._devices_frozen = frozen
        if self._plugging is not None:
            self._plugging.freeze(frozen)

    @property
    def has_cpus(self) -> bool:
        """Whether there are any: a machine without a board has one if its model is named."""
        return self.machine_type.name != "none" or self.config.cpu_model is not None

    @property
    def has_foreign_cpus(self) -> bool:
        """Whether its CPUs are as a stream's devices have them, and not as a reset leaves them."""
        return self._migration is not None and self._migration.devices is not None

    @property
    def is_migrating(self) -> bool:
        """Whether the machine is being sent."""
        return self._migration is not None and self._migration.is_sending

    @property
    def dump(self) -> Dump:
        """The latest dump of its memory."""
        if self._dump is None:
            from .dump.dump import Dump

            self._dump = Dump(self)
        return self._dump

    @property
    def is_dumping(self) -> bool:
        """Whether its memory is being dumped."""
        return self._dump is not None and self._dump.is_running

    @property
    def dirty_log(self) -> DirtyLog:
        """The log of what the guest writes."""
        if self._dirty_log is None:
            from .accel.dirty import DirtyLog

            self._dirty_log = DirtyLog(self.topology, self.accelerator.slots)
        return self._dirty_log

    @property
    def dirty_rate(self) -> DirtyRate:
        """The latest measurement of how much the guest writes."""
        if self._dirty_rate is None:
            from .dirty_rate import DirtyRate

            self._dirty_rate = DirtyRate(self)
        return self._dirty_rate

    def close(self) -> None:
        """Release everything: slots, mappings, descriptors.

        Raises `BufferError` in the end if somebody still holds a view of some memory; that alone stays then.
        """
        if self._guest is not None:
            self._guest.close()
        if self._descriptors is not None:
            self._descriptors.close()
        self.accelerator.close()
        self.machine.release()
        try:
            self.objects.close()
        finally:
            if self.locks_memory:
                self.host.unlock_memory()
                self.locks_memory = False
