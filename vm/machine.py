"""A virtual machine: put together from a `Config`, with its run state, its events and its objects."""

from __future__ import annotations

from .accel import emulator
from .boards import find_machine_type
from .boards.board import Board
from .errors import VMError
from .memory.address_space import MemoryTopology
from .memory.ramblock import RAMBlockTable
from .numa import NumaConfiguration
from .object_tree import ObjectTree
from .objects import (
    IDENTIFIER_RULE,
    ObjectDefaults,
    UserCreatable,
    in_setting_order,
    is_identifier,
    object_class,
    object_types,
)
from .qom import Container
from .releases import find_release
from .starting import list_monitors, make_board, make_objects
from .steps import run_now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .accel.dirty import DirtyLog
    from .accel.guest import Guest
    from .accel.guest_job import GuestJob
    from .config import Config
    from .descriptors import Descriptors
    from .devices.device import MemoryDevice
    from .devices.plugging import Plugging
    from .dirty_rate import DirtyRate
    from .dump.dump import Dump
    from .host import Host
    from .hostmem.backend import MemoryBackend
    from .hostmem.prealloc import Preallocation
    from .memory.dirty import DirtyPages
    from .memory.ramblock import RAMBlock
    from .migration.state import Migration
    from .steps import Task

    Observer = Callable[[str, dict[str, Any] | None], None]

DUMP_IN_PROGRESS = "There is a dump in process, please wait."
ROOT_CONTAINERS = ("chardevs", "backend", "audiodevs")
"""Below the root of the object tree, besides the machine and the objects."""


class VirtualMachine:
    """The memory of a virtual machine, alive. `close`, or the end of a `with`, releases everything.

    Raises `VMError` if the configuration is refused; nothing is left behind then. Starting may take long (preallocated
    memory): a `deferred` machine is started by running the task `start`, before anything else is asked of it.
    """

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
        self.backend_defaults = ObjectDefaults(self.tree, self.release)
        self.backend_defaults.prealloc = config.mem_prealloc
        self.backend_defaults.length_unit = max(host.page_size, self.target.page_size)
        self.backend_defaults.canonical_names = self.machine_type.setting("canonical_ram_block_names")
        self.backend_defaults.warn = lambda text: self.on_warning(f"warning: {text}")
        self.backend_defaults.tell = lambda text: self.on_warning(text)
        self.observers: list[Observer] = []
        """Told of every event: name and data."""
        self.notices: list[str] = []
        """What QEMU says on stdout of the start."""
        self.warnings: list[str] = []
        """What people should know of the start although it is no error, as stderr shows it behind the program's
        name."""
        self.on_warning: Callable[[str], None] = self.warnings.append
        """Told of such things, later on too."""
        self.run_state = "prelaunch"
        if config.preconfig:
            self.run_state = self.release.settings("run states").get("before the board", "prelaunch")
        self.autostart = not config.paused
        """Whether the guest is to run once its memory has come from elsewhere (`-incoming`)."""
        self.on_board: Callable[[], object] = lambda: None
        """Told when the board was made late (`-preconfig`)."""
        self.on_fatal: Callable[[], object] = lambda: None
        """Told when the machine is of no more use, which was told before."""
        self.initialized = False
        """Whether the board stands."""
        self._begun = False
        """Whether the board is being made, or was; until then (`-preconfig`) its NUMA nodes can be named."""
        self.locks_memory = False
        """Whether the host was asked to lock this process's memory, which is undone in the end."""
        self._pending_ids: set[str] = set()
        self.option_ids = {arguments["id"] for arguments in config.objects}
        """The ids of objects that the configuration named and that were not deleted since."""
        board = Board(self.topology, host, self.target, self.backend_defaults, self.release)
        board.locks_memory = config.lock_memory
        board.warnings = self.warnings
        board.notices = self.notices
        board.firmware = config.firmware
        board.flash = config.flash
        self.machine = self.machine_type.machine(self.machine_type, board)
        self.machine.type_name = f"{self.machine_type.name}-machine"
        self.tree.root.add_child("machine", self.machine)
        for name in ROOT_CONTAINERS:
            if name not in self.release.settings("QOM").get("unknown containers", ()):
                self.tree.root.add_child(name, Container())
        self.accelerator = emulator("none", host)
        self._plugging: Plugging | None = None
        self._guest: Guest | None = None
        self._dirty_log: DirtyLog | None = None
        self._dirty_rate: DirtyRate | None = None
        self._migration: Migration | None = None
        self._descriptors: Descriptors | None = None
        self._dump: Dump | None = None
        self.user_dirty_pages: DirtyPages | None = None
        """What the guest wrote since the user asked for it."""
        self.numa = NumaConfiguration(self.machine, self.tree, self.warnings)
        if not deferred:
            run_now(self.start())

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
                self._begun = True
                yield from make_board(self)
        except BaseException as error:
            if isinstance(error, VMError):
                error.warnings = self.warnings
            self.close()
            raise

    def exit_preconfig(self) -> Task[None]:
        """Make the board of a machine that was started with `preconfig`; raises `VMError` if it is too late.

        So does the task; the machine is of no more use then, as QEMU's, which ends.
        """
        if self._begun:
            text = "The command is permitted only before machine initialization"
            raise VMError(self.release.text("too late to initialize", text))
        return self._leave_preconfig()

    def _leave_preconfig(self) -> Task[None]:
        self.warnings.clear()
        self._begun = True
        yield from make_board(self)
        self._tell_warnings()
        if self.running:
            self.emit("RESUME")
        self.on_board()

    def set_numa_node(self, options: dict[str, Any]) -> None:
        """Take the arguments of `set-numa-node`; raises `VMError`, also if it is too late."""
        if self._begun:
            text = "The command is permitted only before the machine has been created"
            raise VMError(self.release.text("too late for nodes", text))
        self.warnings.clear()
        self.numa.add(options)
        self._tell_warnings()

    def _tell_warnings(self) -> None:
        warnings = list(self.warnings)
        self.warnings.clear()
        for warning in warnings:
            self.on_warning(warning)

    @property
    def plugging(self) -> Plugging:
        """The devices that users plug, and the way to plug one."""
        if self._plugging is None:
            from .devices.plugging import Plugging

            self._plugging = Plugging(self.machine, self.tree, self.emit)
        return self._plugging

    @property
    def has_plugged(self) -> bool:
        """Whether some device was plugged, so that there is a list of who is where."""
        return self._plugging is not None

    @property
    def memory_devices(self) -> list[MemoryDevice]:
        """What is plugged and is memory, by address."""
        return [] if self._plugging is None else self._plugging.memory_devices

    # Objects

    def add_object(self, arguments: dict[str, Any], *, for_machine: bool = False) -> Task[UserCreatable]:
        """Create an object from `object-add`'s arguments, which are of the right types; a task, for it may take long.

        `for_machine` makes the memory that `-m` asks for.

        Raises `VMError`, with nothing left behind.
        """
        properties = dict(arguments)
        type_name, name = properties.pop("qom-type"), properties.pop("id")
        if not is_identifier(name) and self.release.settings("objects").get("identifiers", True):
            raise VMError("Parameter 'id' expects an identifier", details=IDENTIFIER_RULE)
        if type_name not in object_types(self.release):
            from .types import refused_type

            raise VMError(refused_type(type_name, self.release))
        made = object_class(type_name, self.release)(self.host, self.topology, self.backend_defaults)
        if for_machine:
            made.serve_machine()
        try:
            for property_name, value in in_setting_order(properties, self.release):
                if isinstance(value, VMError):
                    raise value
                made.set(property_name, value)
            if name in self._pending_ids or self.tree.objects.has_property(name):
                text = f"attempt to add duplicate property '{name}' to object (type 'container')"
                raise VMError(text, hint=self._pending_hint(name))
            yield from self._complete(name, made)
        except BaseException:
            made.release()
            raise
        return made

    def _complete(self, name: str, made: UserCreatable) -> Task[None]:
        self._pending_ids.add(name)
        try:
            yield from made.complete(name)
            self.tree.objects.add_child(name, made)
        except BaseException:
            self.tree.objects.fail_child(name)
            raise
        finally:
            self._pending_ids.discard(name)

    def _pending_hint(self, name: str) -> str | None:
        """What to say of an object that is not there yet."""
        return f"it is being made; 'prealloc_cancel {name}' stops that" if name in self._pending_ids else None

    def delete_object(self, name: str) -> Task[None]:
        """Delete an object that nothing uses; a task, for it may take long. Raises `VMError`."""
        found = self.tree.objects.children.get(name)
        if not isinstance(found, UserCreatable):
            raise VMError(f"object '{name}' not found", hint=self._pending_hint(name))
        if found.busy or self.numa.uses(found):
            raise VMError(self._in_use(name, found))
        try:
            yield from found.release_task()
        except BufferError:  # somebody looks at its memory
            raise VMError(self._in_use(name, found)) from None
        self.tree.objects.remove_child(name)
        self.option_ids.discard(name)

    def _in_use(self, name: str, found: UserCreatable) -> str:
        if found.is_mapped and self.release.settings("objects").get("tells mapped", True):
            return f"Cannot delete host memory backend '{name}' which is mapped"
        return f"object '{name}' is in use, can not be deleted"

    def backends(self) -> list[MemoryBackend]:
        """All memory backends, in QEMU's order."""
        children = self.tree.objects.listed_children()
        if not children:
            return []
        from .hostmem.backend import MemoryBackend

        return [child for child in children if isinstance(child, MemoryBackend)]

    @property
    def preallocations(self) -> list[Preallocation]:
        """The memory that is being preallocated now."""
        return self.backend_defaults.preallocations

    # Running

    def emit(self, event: str, data: dict[str, Any] | None = None) -> None:
        """Tell all observers of an event."""
        for observer in list(self.observers):
            observer(event, data)

    @property
    def running(self) -> bool:
        """Whether the guest's CPUs would run."""
        return self.run_state == "running"

    def stop(self) -> None:
        """Pause; nothing if it does not run. While it waits for its memory: do not run then.

        Raises `VMError` while its memory is dumped.
        """
        if self.is_dumping:
            raise VMError(DUMP_IN_PROGRESS)
        self.autostart = False
        if self.running:
            self._halt("paused")

    def _halt(self, run_state: str) -> None:
        self.run_state = run_state
        with self.accelerator.slots.guest_held:
            pass  # its present slice ends
        self.emit("STOP")

    def cont(self) -> None:
        """Run; nothing if it runs already. While it waits for its memory: run then.

        Raises `VMError` while its memory is dumped, or the last of it goes elsewhere.
        """
        if self.is_dumping:
            raise VMError(DUMP_IN_PROGRESS)
        if self.run_state == "finish-migrate":
            raise VMError("Migration is not finalized yet")
        if self.run_state == "inmigrate":
            self.autostart = True
        elif not self.running:
            self.run_state = "running"
            self.emit("RESUME")

    def stop_for_migration(self) -> None:
        """Stand still, because the memory is to be what it is now."""
        if self.running:
            self._halt("finish-migrate")
        else:
            self.run_state = "finish-migrate"

    def stop_for_dump(self) -> None:
        """Stand still for a dump, if it runs."""
        if self.running:
            self._halt("save-vm")

    def resume_after_dump(self) -> None:
        """Run again, if it stood still for a dump."""
        if self.run_state == "save-vm":
            self.run_state = "running"
            self.emit("RESUME")

    def reset(self, reason: str) -> None:
        """Reset the machine, which ends a guest; one that is paused is then as before its first start."""
        self.stop_guest()
        self.emit("RESET", {"guest": False, "reason": reason})
        if self._plugging is not None:
            self._plugging.reset()
        if not self.running and self.run_state not in ("inmigrate", "finish-migrate", "save-vm"):
            self.run_state = "prelaunch"

    # The guest and what it writes

    def start_guest(self, job: GuestJob) -> Task[GuestJob]:
        """Begin what a guest is to do, and return the task that does it; it runs while the machine does.

        Raises `VMError` if it cannot be done here, or another guest runs.
        """
        if self._guest is None:
            from .accel.guest import Guest, make_processor

            self.check_slots("a guest")
            processor = make_processor(self.host, self.accelerator, self.machine.memory_space)
            self._guest = Guest(processor, lambda: self.running, self.why_missing)
            self.accelerator.slots.guest_held = self._guest.gate
        return self._guest.start(job)

    def why_missing(self, block: RAMBlock, offset: int, error: OSError) -> str:
        """Why the host has no page for an offset of a block, as `error` told, and whose memory it is."""
        from .hostmem.missing import why_missing

        return why_missing(self.backends(), self.host, block, offset, error)

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
        if self._plugging is not None or frozen:
            self.plugging.freeze(frozen)

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
        failure = None
        for made in self.tree.objects.listed_children():
            try:
                if isinstance(made, UserCreatable):
                    made.release()
            except BufferError as error:
                failure = error
        if self.locks_memory:
            self.host.unlock_memory()
            self.locks_memory = False
        if failure is not None:
            raise failure
