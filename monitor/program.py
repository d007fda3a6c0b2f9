"""The running program: one machine, its monitors, the loop that serves them, and the way it ends."""

from __future__ import annotations

import os
import sys

from ..commands import Context
from ..vm.errors import VMError
from ..vm.releases import find_release
from .loop import ENDING_SIGNALS, Loop
from .worker import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..commands.limits import Limits
    from ..vm.compat.contract import Contract as MemoryContract
    from ..vm.hostmem.prealloc import Preallocation
    from ..vm.machine import VirtualMachine
    from ..vm.steps import Task
    from .chardevs.device import Chardev
    from .chardevs.tls import Credentials
    from .command_line.settings import MonitorSettings, Settings
    from .progress import ProgressReporter
    from .qtest_server import QtestServer
    from .sessions import Monitor
    from .throttle import EventThrottle


def tell_hint(hint: str | None) -> None:
    """A line on stderr."""
    if hint is not None:
        print(f"hint: {hint}", file=sys.stderr)


THROTTLED = ("BALLOON_CHANGE", "MEMORY_DEVICE_SIZE_CHANGE")
"""Events that may come too fast for those who listen."""


class Program:
    """Everything that lives from start to end. `close` releases it all, in whatever state it is.

    Monitors are opened, and greet, before the machine is made; what clients ask meanwhile waits for it.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.release = find_release(settings.config.qemu)
        """The QEMU that this is."""
        self.loop = Loop()
        self.worker = Worker(self.loop)
        self.chardevs: dict[str, Chardev] = {}
        self.credentials: dict[str, Credentials] = {}
        """For TLS, by their ids."""
        self.monitors: list[Monitor] = []
        self.qtest: QtestServer | None = None
        self.vm: VirtualMachine | None = None
        self.ending = False
        """Whether the program was told to end."""
        self.show_progress: Callable[[str], object] | None = None
        """Where the progress of slow work is shown, as a line that is overwritten; None is on stderr."""
        self._progress: ProgressReporter | None = None
        self._throttle: EventThrottle | None = None
        self.failed = False
        """Whether it ends in a failure that was told."""
        self.failure: VMError | None = None
        """What kept the machine from being made after monitors were served (`-preconfig`)."""

    # Start

    def open_monitors(self) -> None:
        """Open all character devices and put the monitors on them; raises `VMError`."""
        if self.settings.credentials:
            self._load_credentials()
        if self.settings.chardevs:
            from .chardevs.device import ChardevError

            for name, device in self.settings.chardevs.items():
                try:
                    self._open_chardev(name, device.options)
                except ChardevError as error:
                    if device.purpose:
                        self.warn(str(error))
                        raise VMError(device.purpose) from None
                    raise VMError(f"{device.origin}: {error}") from None
        if self.settings.qtest is not None:
            self._open_qtest(self.settings.qtest)
        for monitor in self.settings.monitors:
            self._add_monitor(monitor)

    def _load_credentials(self) -> None:
        from .chardevs.device import ChardevError
        from .chardevs.tls import Credentials, find_folder

        for name, options in self.settings.credentials.items():
            try:
                folder = find_folder(options.get("dir", ""))
                verify_peer = options.get("verify-peer") != "off"
                self.credentials[name] = Credentials(folder, options.get("endpoint", "client"), verify_peer)
            except ChardevError as error:
                raise VMError(str(error)) from None

    def _open_chardev(self, name: str, options: dict[str, str]) -> None:
        from .chardevs.opening import open_chardev

        device = self.chardevs[name] = open_chardev(self.loop, options, self.warn, self.release, self.credentials)
        if device.kind == "pty":
            print(f"char device redirected to {device.filename.removeprefix('pty:')} (label {name})", flush=True)

    def _open_qtest(self, chardev_id: str) -> None:
        from .qtest_server import QtestServer, open_log

        chardev = self.chardevs[chardev_id]
        self.qtest = QtestServer(self, chardev, open_log(self.settings.qtest_log))
        chardev.attach(self.qtest)

    def _add_monitor(self, settings: MonitorSettings) -> None:
        from .sessions import HMPMonitor, QMPMonitor

        chardev = self.chardevs[settings.chardev]
        limits = self._limits_of(settings)
        if settings.mode == "control":
            monitor: Monitor = QMPMonitor(self, chardev, settings.pretty, limits)
        else:
            monitor = HMPMonitor(self, chardev, limits)
        chardev.attach(monitor)
        self.monitors.append(monitor)

    def _limits_of(self, settings: MonitorSettings) -> Limits | None:
        folders = tuple(self.settings.allowed_paths)
        if not settings.read_only and not folders:
            return None
        from ..commands.limits import Limits

        return Limits(settings.chardev, settings.read_only, folders)

    def start_machine(self) -> None:
        """Make the machine; raises `VMError`. From now on commands are answered."""
        from ..vm.machine import VirtualMachine

        vm = VirtualMachine(self.settings.config, deferred=True)
        self._join_tree(vm)
        vm.observers.append(self._on_event)
        vm.objects.defaults.on_preallocation = lambda preallocation: self._on_preallocation(vm, preallocation)
        try:
            self.worker.wait(vm.start())
        except VMError as error:
            for warning in error.warnings:
                self.warn(warning)
            raise
        self.vm = vm
        vm.on_warning = self.warn
        for notice in vm.notices:
            print(notice, flush=True)
        for warning in vm.warnings:
            vm.on_warning(warning)
        if self.settings.config.objects:
            from ..commands.remedies import unused_backends

            tell_hint(unused_backends(vm))
        self.context = self.new_context()
        """Of the command line's own commands, the script and the console."""
        vm.on_fatal = self._end_in_failure
        for fd, number, opaque in self.settings.config.descriptors:
            vm.descriptors.add(os.dup(fd), number, opaque)
        for fd in {fd for fd, _number, _opaque in self.settings.config.descriptors}:
            os.close(fd)
        uri = self.settings.config.incoming
        if uri is not None and uri != "defer":
            vm.on_board = lambda: self._wait_for_source(vm, uri)
            if vm.initialized:
                vm.on_board()
        self.loop.call_soon(self._serve_early_clients)

    def _join_tree(self, vm: VirtualMachine) -> None:
        """Have the program's own things be among the machine's objects."""
        if self.qtest is not None:
            self.qtest.join_tree(vm)
        for name, chardev in self.chardevs.items():
            vm.tree.root.children["chardevs"].add_child(name, chardev.describe_in_tree())

    def _wait_for_source(self, vm: VirtualMachine, uri: str) -> None:
        from ..vm.migration.address import parse_address

        try:
            self.start_task(vm.migration.wait_for(parse_address(uri, vm.release, incoming=True)))
        except VMError as error:
            raise error.of_option(f"-incoming {uri}") from None

    def _serve_early_clients(self) -> None:
        for monitor in self.monitors:
            monitor.pump()
        if self.qtest is not None:
            self.qtest.pump()

    def watch_signals(self) -> None:
        """End cleanly at the signals that ask for it, as QEMU does."""
        for number in ENDING_SIGNALS:
            self.loop.on_signal(number, self.shut_down, "host-signal")

    # What monitors and handlers need

    def new_context(self) -> Context:
        """What the commands of a new client work on, once there is a machine."""
        assert self.vm is not None
        return Context(self.vm, self)

    @property
    def chardev_kinds(self) -> tuple[str, ...]:
        """Names of the kinds of character devices there are."""
        from .chardevs.options import KINDS

        return KINDS

    def remove_chardev(self, name: str) -> None:
        """Close a character device that nothing uses."""
        assert self.vm is not None
        self.vm.tree.root.children["chardevs"].remove_child(name)
        self.chardevs.pop(name).close()

    @property
    def ready(self) -> bool:
        """Whether commands can be carried out."""
        return self.vm is not None and not self.ending

    def start_task(self, task: Task[Any]) -> None:
        """Carry out a task that nobody waits for; the end of the program cancels it."""
        self.worker.start(task, self._on_task_end)

    def _on_task_end(self, _result: Any, error: Exception | None) -> None:
        if error is not None and not self.ending:
            self.warn(self.describe_error(error)[1])

    def run_hmp(self, context: Context, line: str) -> Task[str]:
        """Run an HMP line for a program, which does not wait, and return what it prints, also where it fails."""
        from .dispatch import HMPLineError, run_hmp_line

        try:
            return (yield from run_hmp_line(context, line, waits=False))
        except HMPLineError as failure:
            context.failure = failure
            return str(failure)

    def read_contract(self, text: str, version: str | None) -> MemoryContract:
        """What another machine promises of its memory; raises `VMError`. One that runs is not asked: it may ask us."""
        from .compat.live import is_address
        from .compat.sides import read_side

        if is_address(text.strip()):
            raise VMError("another machine's monitor is not asked from here; 'ramslot compat' asks both")
        return read_side(text, version)

    def complete(self, line: str) -> tuple[int, list[str]]:
        """Where the last word of an HMP line begins, and the words that may stand there."""
        from .completion import candidates

        assert self.vm is not None
        start, found = candidates(self.vm, line)
        return start, [word for word, _meaning in found]

    def command_names(self) -> Any:
        """The QMP commands there are."""
        return self.context.contract.commands()

    def describe_error(self, error: Exception) -> tuple[str, str]:
        """QMP class and text of any error; one that is no refusal is a defect of ours and is told on stderr as well."""
        if isinstance(error, VMError):
            return error.qmp_class, str(error)
        text = f"internal error: {type(error).__name__}: {error}"
        self.warn(text)
        return "GenericError", text

    def warn(self, text: str) -> None:
        """A line on stderr, after the program's name."""
        print(f"{self.settings.config.program}: {text}", file=sys.stderr)

    def tell_remedy(self, text: str, hint: str | None = None) -> None:
        """After an error, a line on stderr with what would help, if anything is known."""
        from ..commands.remedies import remedy

        tell_hint(remedy(text, hint, self.settings.config))

    def _on_event(self, name: str, data: dict[str, Any] | None) -> None:
        from time import time_ns

        seconds, nanoseconds = divmod(time_ns(), 1_000_000_000)
        event = name, data, seconds, nanoseconds // 1000
        if name not in THROTTLED:
            self._send_event(*event)
            return
        if self._throttle is None:
            from .throttle import EventThrottle

            self._throttle = EventThrottle(self.loop, self._send_event)
        self._throttle.tell(event)

    def _send_event(self, name: str, data: dict[str, Any] | None, seconds: int, microseconds: int) -> None:
        for monitor in self.monitors:
            monitor.send_event(name, data, seconds, microseconds)

    def _on_preallocation(self, vm: VirtualMachine, preallocation: Preallocation) -> None:
        from ..commands.prealloc import EVENT, describe

        if preallocation.status == "running":
            self.show_progress_of(
                preallocation, lambda: describe(preallocation), lambda described: vm.emit(EVENT, described)
            )
        else:
            self.end_progress_of(preallocation)

    def show_progress_of(
        self,
        work: object,
        describe: Callable[[], dict[str, Any]],
        tell: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        """Show people how far some slow work is, and `tell` programs, until `end_progress_of` it."""
        if self._progress is None:
            from .progress import ProgressReporter

            self._progress = ProgressReporter(self.loop, self._show_progress)
        self._progress.begin(work, describe, tell)

    def end_progress_of(self, work: object) -> None:
        """Show no more of it."""
        if self._progress is not None:
            self._progress.end(work)

    def _show_progress(self, text: str) -> None:
        from .progress import show_on_stderr

        (self.show_progress or show_on_stderr)(text)

    # End

    def shut_down(self, reason: str) -> None:
        """Tell clients of the end and end the loop, once the present command was answered."""
        if not self.ending:
            self.ending = True
            if self.vm is not None:
                self.vm.emit("SHUTDOWN", {"guest": False, "reason": reason})
            self.loop.stop()

    def fail(self, error: VMError) -> None:
        """End the loop because of `error`, which is told last; what is being answered gets no answer."""
        assert self.vm is not None
        for warning in self.vm.warnings:
            self.warn(warning)
        self.failure = error
        self.ending = True
        self.loop.stop()

    def _end_in_failure(self) -> None:
        """End the loop, what is wrong having been told."""
        self.failed = self.ending = True
        self.loop.stop()

    def close(self) -> None:
        """Cancel what runs, say goodbye to clients, release the machine."""
        self.ending = True
        self.worker.close()
        for chardev in self.chardevs.values():
            chardev.close()
        if self.qtest is not None:
            self.qtest.close()
        if self.vm is not None:
            self.vm.close()
        self.loop.close()
