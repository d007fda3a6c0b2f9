"""A machine's migrations: what they may use, the one that is under way or was last, and what goes with the memory."""

from __future__ import annotations

import os

from ..errors import VMError
from ..steps import Cancellation
from . import versions
from .address import Address
from .connecting import connect
from .settings import (
    IGNORE_SHARED,
    TOLD,
    capabilities,
    check_capabilities,
    check_parameters,
    check_transport,
    parameters,
)
from .statistics import Statistics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..machine import VirtualMachine
    from ..memory.ramblock import RAMBlock
    from ..steps import Task
    from .channel import Channel
    from .events import LivePart
    from .incoming import Incoming
    from .outgoing import Outgoing

UINT64 = (1 << 64) - 1
UNDER_WAY = ("setup", "active", "pre-switchover", "device", "cancelling")
DUMPING = "Live migration disabled: dump-guest-memory in progress"


class Migration:
    """The migrations of one machine."""

    def __init__(self, vm: VirtualMachine) -> None:
        self.vm = vm
        self.capabilities = capabilities(vm.release)
        self.parameters = parameters(vm.release)
        if "zero-page-detection" in self.parameters and not versions.tells_zeros_in_packets(vm.machine_type.name):
            self.parameters["zero-page-detection"] = "legacy"
        self.status = "none"
        self.error = ""
        """Why the last one failed."""
        self.statistics = Statistics()
        self.devices: bytes | None = None
        """The state of devices that is sent behind the memory; None for a machine of which none is known."""
        self.live_devices: list[LivePart] = []
        """What of that is sent before all other."""
        self.devices_source = ""
        """Where that is from."""
        self.incoming: Incoming | None = None
        self._outgoing: Outgoing | None = None
        self.told_run_state = vm.run_state.name
        """The run state that the destination is to be in."""
        self.throttle = 0
        """Percent of the time that the guest is kept from running."""
        self._rounds_behind = 0

    @property
    def is_sending(self) -> bool:
        """Whether the machine is on its way elsewhere."""
        return self._outgoing is not None and self.status in UNDER_WAY

    @property
    def is_receiving(self) -> bool:
        """Whether the machine's memory is to come from elsewhere, or comes."""
        return self.incoming is not None and self.vm.run_state.name == "inmigrate"

    # What the machine's streams look like

    @property
    def has_footers(self) -> bool:
        """Whether sections end with a footer, and the stream begins with a configuration."""
        return versions.has_configuration(self.vm.machine_type.name)

    @property
    def machine_name(self) -> str | None:
        """The machine type that a stream is of; None where streams do not tell."""
        return self.vm.machine_type.name if self.has_footers else None

    @property
    def least_page_bits(self) -> int:
        """What a source that does not tell is taken to have: the least that the target's machines do."""
        return self.vm.target.page_size.bit_length() - 1

    @property
    def page_bits(self) -> int | None:
        """Told where a target's machines differ in the size of pages."""
        size = self.vm.page_size
        return size.bit_length() - 1 if size > self.vm.target.page_size else None

    @property
    def told_capabilities(self) -> list[str]:
        """The capabilities that a stream tells."""
        return [name for name in TOLD if self.capabilities.get(name)]

    @property
    def told_uuid(self) -> bytes | None:
        """The machine's UUID, where that is to be compared and there is one."""
        return self.own_uuid if self.capabilities["validate-uuid"] else None

    @property
    def own_uuid(self) -> bytes | None:
        """The machine's UUID, if one was given."""
        uuid = self.vm.config.uuid
        return None if uuid is None else bytes.fromhex(uuid.replace("-", ""))

    def ignores(self, block: RAMBlock) -> bool:
        """Whether a block's memory stays away, for it is shared with the destination."""
        if not self.capabilities[IGNORE_SHARED] or not block.shared:
            return False
        if not self.vm.release.covers("8.1"):
            return True
        files = [backend for backend in self.vm.objects.backends() if backend.type_name == "memory-backend-file"]
        return any(backend.memory is block.host for backend in files)

    @property
    def sends_switchover_start(self) -> bool:
        """Whether the stream tells that the guest was stopped."""
        return versions.sends_switchover_start(self.vm.machine_type.name, self.vm.release)

    @property
    def last_command(self) -> int:
        """The newest command of a stream that the machine knows."""
        return versions.last_command(self.vm.release)

    @property
    def meets_at_sections(self) -> bool:
        """Whether channels of pages are waited for at the end of each section, without a word."""
        return versions.meets_at_sections(self.vm.machine_type.name, self.vm.release)

    @property
    def awaits_acknowledgement(self) -> bool:
        """Whether the destination says when the guest may be stopped; newer QEMUs ask devices, of which none minds."""
        return self.capabilities.get("switchover-ack", False) and not self.vm.release.covers("11.0")

    # Settings

    def set_capabilities(self, wanted: dict[str, bool]) -> None:
        """Switch capabilities; raises `VMError`."""
        self._check_idle()
        late = self.incoming is not None and self.vm.release.covers("10.0")
        if late and wanted.get("multifd") and not self.capabilities["multifd"]:
            raise VMError("Multifd must be set before incoming starts")
        check_capabilities(wanted, self.capabilities)
        self.capabilities.update(wanted)

    def set_parameters(self, given: dict[str, Any]) -> None:
        """Set parameters, also of a migration that is under way; raises `VMError`."""
        check_parameters(given, self.parameters, self.vm.release, self.vm.page_size)
        masked = {name: value & UINT64 if type(value) is int else value for name, value in given.items()}
        self.parameters.update(masked)

    def _check_idle(self) -> None:
        if self.is_sending or (self.is_receiving and self.status == "active"):
            raise VMError("There's a migration process in progress")

    # The source

    def start(self, address: Address) -> Task[None]:
        """Begin to send the machine there, and return the task that does; raises `VMError`."""
        from .outgoing import Outgoing

        self._check_may_start()
        check_transport(address.kind, self.capabilities, self.parameters)
        self.statistics, self.error = Statistics(), ""
        self.set_status("setup")
        try:
            channel = self._connect_at_once(address)
        except VMError as error:
            self.fail(str(error), told=True)
            raise
        self._outgoing = Outgoing(self, address, channel)
        return self._outgoing.run()

    def refuse(self, reason: str, *, kept: bool) -> None:
        """Refuse to begin at all; older QEMUs have tried by then. `kept` says whether the reason is shown later on."""
        self._check_may_start()
        self.statistics = Statistics()
        self.set_status("setup")
        self.fail(reason if kept else "", told=True)

    def _check_may_start(self) -> None:
        if self.is_sending:
            raise VMError("There's a migration process in progress")
        if self.vm.run_state.name == "inmigrate":
            raise VMError("Guest is waiting for an incoming migration")
        if self.vm.run_state.name == "postmigrate":
            raise VMError("Can't migrate the vm that was paused due to previous migration")
        if self.vm.is_dumping:
            raise VMError(DUMPING)
        if self.parameters["tls-creds"]:
            raise VMError("encrypted migration ('tls-creds') is not supported (QEMU has it)")

    def _connect_at_once(self, address: Address) -> Channel | None:
        """What waits for nobody is there before the command is answered."""
        if address.kind == "fd":
            return connect(address, Cancellation(), self.take_descriptor(address.path))
        if address.kind == "file":
            return connect(address, Cancellation(), self.vm.descriptors.open(address.path, os.O_WRONLY | os.O_CREAT))
        return None

    def take_descriptor(self, name: str) -> int:
        """A descriptor that a client gave, which is the caller's from now on; raises `VMError`."""
        fd = self.vm.descriptors.take(name)
        if fd is None:
            raise VMError(f"File descriptor named '{name}' has not been found")
        return fd

    def cancel(self) -> None:
        """Stop what is under way; nothing if nothing is."""
        if self._outgoing is not None and self.is_sending and self.status != "cancelling":
            self.set_status("cancelling")
            self._outgoing.cancel()

    def proceed(self, state: str) -> None:
        """Go on from where it waits; raises `VMError`."""
        if self.status != state or self._outgoing is None:
            raise VMError(f"Migration not in expected state: {self.status}")
        self._outgoing.may_proceed = True

    # What becomes of one

    def set_status(self, status: str) -> None:
        """Be in another status, and tell of it."""
        self.status = status
        self.vm.freeze_devices(self.is_sending or (self.is_receiving and status == "active"))
        self.tell_status(status)

    def tell_status(self, status: str) -> None:
        """Tell of a status, where that is wanted."""
        if self.capabilities["events"]:
            self.vm.emit("MIGRATION", {"status": status})

    def begin_pass(self, *, last: bool = False) -> None:
        """Another round begins."""
        self.statistics.passes += 1
        if not (self.tells_passes_early and (last or self.statistics.passes == 1)):
            self._tell_pass(self.statistics.passes)

    def tell_pass(self) -> None:
        """Tell of the round that begins when the guest is stopped."""
        self._tell_pass(self.statistics.passes + 1)

    def _tell_pass(self, number: int) -> None:
        if self.capabilities["events"]:
            self.vm.emit("MIGRATION_PASS", {"pass": number})

    @property
    def tells_passes_early(self) -> bool:
        """Whether the last round is told of before the guest is stopped, and the first not at all."""
        return self.vm.release.covers("11.0")

    @property
    def tells_device(self) -> bool:
        """Whether there is a status of its own while the guest stands still."""
        return self.vm.release.covers("10.0")

    def become_active(self) -> None:
        """The copy begins."""
        self.statistics.become_active()
        self.set_status("active")

    def fail(self, reason: str, *, told: bool = False) -> None:
        """It came to nothing; `told` says that whoever asked for it is told anyway."""
        self.error = reason
        if self.vm.release.covers("11.0"):
            self.tell_status("failing")
        elif not told and reason:
            self.vm.on_warning(reason)
        self.end("failed")

    def end(self, status: str) -> None:
        """Nothing is under way any more."""
        self.statistics.end()
        self._outgoing = None
        self.set_status(status)

    def remember_run_state(self) -> None:
        """The destination is to be in the run state that the machine is in now."""
        self.told_run_state = self.vm.run_state.name

    # How fast

    @property
    def _bandwidth(self) -> float:
        return self.parameters.get("avail-switchover-bandwidth", 0) or self.statistics.bandwidth

    def may_switch_over(self, left: int) -> bool:
        """Whether what is left can be sent while the guest may stand still."""
        limit: int = self.parameters["downtime-limit"]
        return left <= self._bandwidth * limit / 1000

    @property
    def expected_downtime(self) -> int:
        """Milliseconds that the guest would stand still now."""
        limit: int = self.parameters["downtime-limit"]
        bandwidth = self._bandwidth
        return int(self.statistics.remaining / bandwidth * 1000) if bandwidth else limit

    def throttle_guest(self) -> None:
        """Slow the guest where it writes more than is sent, if that is wanted."""
        statistics, settings = self.statistics, self.parameters
        if not self.capabilities["auto-converge"]:
            return
        if statistics.remaining <= statistics.round_bytes * settings["throttle-trigger-threshold"] / 100:
            self._rounds_behind = 0
            return
        self._rounds_behind += 1
        if self._rounds_behind < 2:
            return
        self._rounds_behind = 0
        step = settings["cpu-throttle-increment"] if self.throttle else settings["cpu-throttle-initial"]
        self.throttle = min(self.throttle + step, settings["max-cpu-throttle"])
        self.vm.throttle_guest(self.throttle)

    def release_guest(self) -> None:
        """Let the guest run as it likes again."""
        self._rounds_behind = 0
        if self.throttle:
            self.throttle = 0
            self.vm.throttle_guest(0)

    # The destination

    def wait_for(self, address: Address, *, exit_on_error: bool = True) -> Task[None]:
        """Listen for a source, and return the task that receives; raises `VMError` if it cannot be waited for."""
        from .incoming import Incoming

        if self.incoming is not None:
            raise VMError("The incoming migration has already been started")
        check_transport(address.kind, self.capabilities, self.parameters)
        self.error = ""
        incoming = Incoming(self, address, exit_on_error=exit_on_error)
        incoming.listen()
        self.incoming = incoming
        return incoming.run()
