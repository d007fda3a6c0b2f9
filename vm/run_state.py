"""Whether a machine runs, and why it does not: its run states, by QEMU's names, and the ways from one to another."""

from __future__ import annotations

from .errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .machine import VirtualMachine

DUMP_IN_PROGRESS = "There is a dump in process, please wait."
KEPT_BY_RESET = "inmigrate", "finish-migrate", "save-vm"


class RunState:
    """The run state of one machine."""

    def __init__(self, vm: VirtualMachine) -> None:
        self._vm = vm
        self.name = "prelaunch"
        if vm.config.preconfig:
            self.name = vm.release.settings("run states").get("before the board", "prelaunch")
        self.autostart = not vm.config.paused
        """Whether the guest is to run once its memory has come from elsewhere (`-incoming`)."""

    @property
    def running(self) -> bool:
        """Whether the guest's CPUs would run."""
        return self.name == "running"

    def begin(self) -> None:
        """Be as the configuration wants it, for the board stands."""
        self.name = "prelaunch" if self._vm.config.paused else "running"
        if self._vm.config.incoming:
            self.name = "inmigrate"

    def stop(self) -> None:
        """Pause; nothing if it does not run. While it waits for its memory: do not run then.

        Raises `VMError` while its memory is dumped.
        """
        self._check_dump()
        self.autostart = False
        if self.running:
            self._halt("paused")

    def cont(self) -> None:
        """Run; nothing if it runs already. While it waits for its memory: run then.

        Raises `VMError` while its memory is dumped, or the last of it goes elsewhere.
        """
        self._check_dump()
        if self.name == "finish-migrate":
            raise VMError("Migration is not finalized yet")
        if self.name == "inmigrate":
            self.autostart = True
        elif not self.running:
            self._run()

    def _check_dump(self) -> None:
        if self._vm.is_dumping:
            raise VMError(DUMP_IN_PROGRESS)

    def _run(self) -> None:
        self.name = "running"
        self._vm.emit("RESUME")

    def _halt(self, name: str) -> None:
        self.name = name
        with self._vm.accelerator.slots.guest_held:
            pass  # its present slice ends
        self._vm.emit("STOP")

    def stop_for_migration(self) -> None:
        """Stand still, because the memory is to be what it is now."""
        if self.running:
            self._halt("finish-migrate")
        else:
            self.name = "finish-migrate"

    def stop_for_dump(self) -> None:
        """Stand still for a dump, if it runs."""
        if self.running:
            self._halt("save-vm")

    def resume_after_dump(self) -> None:
        """Run again, if it stood still for a dump."""
        if self.name == "save-vm":
            self._run()

    def reset(self) -> None:
        """Be as before the first start, if it is paused."""
        if not self.running and self.name not in KEPT_BY_RESET:
            self.name = "prelaunch"
