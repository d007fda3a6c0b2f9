"""qtest on a character device: joins the protocol of `qtest` to a client, to the machine's memory, and to a log."""

from __future__ import annotations

import os
from time import monotonic, time

from ..vm.errors import VMError
from ..vm.host import MissingPage
from ..vm.memory import access
from ..vm.qom import Property, QOMObject
from .chardevs.device import FrontEnd
from .qtest import MASK, QtestError, QtestSession

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..vm.machine import VirtualMachine
    from ..vm.memory.flatview import FlatView
    from .chardevs.device import Chardev
    from .program import Program


def _refuse(name: str) -> Callable[[QtestObject, object], None]:
    def set_late(_node: QtestObject, _value: object) -> None:
        raise VMError(f"Property '{name}' can not be set now")

    return set_late


class QtestObject(QOMObject):
    """The server as the object tree shows it."""

    type_name = "qtest"
    since = "7.2"
    """The first of the versions in whose tree it is."""
    properties = (
        Property("chardev", "string", lambda node: node.chardev, _refuse("chardev")),
        Property("log", "string", lambda node: node.log, _refuse("log")),
    )

    def __init__(self, chardev: str, log: str | None) -> None:
        super().__init__()
        self.chardev = chardev
        self.log = log or ""


class MachineMemory:
    """The memory of a machine as a client of qtest reaches it: like a device, without a CPU's translation."""

    def __init__(self, vm: VirtualMachine) -> None:
        self._vm = vm
        self.byte_order = vm.target.byte_order

    def read(self, address: int, size: int) -> bytes:
        """The bytes from an address on; zeros where there is no memory. Raises `QtestError`."""
        first = min(size, MASK + 1 - address)
        try:
            data = access.read(self._view, address, address + first)
            return data if first == size else data + access.read(self._view, 0, size - first)
        except MissingPage as missing:
            raise QtestError(f"the host has no page for some of this memory: {missing.strerror}") from None

    def write(self, address: int, data: bytes) -> None:
        """Write bytes where there is memory; whoever watches sees the pages as written. Raises `QtestError`."""
        first = min(len(data), MASK + 1 - address)
        try:
            access.write(self._view, address, data[:first], self._vm.dirty_log.mark)
            if first < len(data):
                access.write(self._view, 0, data[first:], self._vm.dirty_log.mark)
        except MissingPage as missing:
            raise QtestError(f"the host has no page for some of this memory: {missing.strerror}") from None

    @property
    def _view(self) -> FlatView:
        if not self._vm.initialized:
            raise QtestError("there is no machine yet")
        return self._vm.machine.memory_space.view

    def finds_device(self, path: str) -> bool:
        """Whether a path means one object, and that is a device."""
        found = self._vm.tree.find(path)
        return len(found) == 1 and found[0].is_device


class QtestServer(FrontEnd):
    """The qtest protocol for one client after another."""

    def __init__(self, program: Program, chardev: Chardev, log: int | None) -> None:
        """`log` is a descriptor, which is closed in the end unless it is stderr, or None."""
        self._program = program
        self._chardev = chardev
        self._log = log
        self._opened = 0.0
        self._early = bytearray()
        """What came before the machine was made."""
        self._session: QtestSession | None = None

    def on_open(self) -> None:
        """Take note of a new client."""
        self._early.clear()
        if self._session is not None:
            self._session.begin()
        self._opened = monotonic()
        stamp = time() if self._program.release.settings("qtest").get("absolute times", False) else 0.0
        self._write_log(f"[I {stamp:.6f}] OPENED\n".encode())

    def on_data(self, data: bytes) -> None:
        """Take what the client sent; it is worked on once there is a machine."""
        self._early += data
        self.pump()

    def on_drain(self) -> None:
        """The client has read what made us wait."""
        self.pump()

    def on_close(self) -> None:
        """Take note that the client has gone."""
        self._tell_log("I", b"CLOSED\n")

    def pump(self) -> None:
        """Answer all lines that are complete."""
        if not self._program.ready:
            return
        if self._session is None:
            self._session = self._new_session()
        session = self._session
        session.receive(bytes(self._early))
        self._early.clear()
        while self._program.ready and not self._chardev.congested:
            line = session.next_line()
            if line is None:
                break
            self._tell_log("R", line + b"\n")
            reply = self._answer(session, line)
            for remark in session.remarks:
                self._tell_log("S", f"{remark}\n".encode())
            if reply.startswith(b"ERR") and session.settings.get("bare errors", False):
                self._write_log(reply)
            elif reply:
                self._tell_log("S", reply)
            self._chardev.write(reply)

    def _new_session(self) -> QtestSession:
        vm, release = self._program.vm, self._program.release
        assert vm is not None
        return QtestSession(
            MachineMemory(vm),
            release.settings("qtest"),
            binary=release.settings("numbers").get("binary", True),
            has_clock=vm.accelerator.name == "qtest",
            has_rtas=vm.target.arch == "ppc64",
        )

    def _answer(self, session: QtestSession, line: bytes) -> bytes:
        try:
            return session.answer(line)
        except Exception as error:
            return f"FAIL {self._program.describe_error(error)[1]}\n".encode()

    def join_tree(self, vm: VirtualMachine) -> None:
        """Be among the objects of a machine that is yet to be made."""
        if self._program.release.covers(QtestObject.since):
            vm.machine.add_child("qtest", QtestObject(self._chardev.id, self._program.settings.qtest_log))

    def close(self) -> None:
        """Give the log back."""
        if self._log is not None and self._log != 2:
            os.close(self._log)
        self._log = None

    def _tell_log(self, kind: str, text: bytes) -> None:
        if self._log is not None:
            self._write_log(f"[{kind} +{monotonic() - self._opened:.6f}] ".encode() + text)

    def _write_log(self, text: bytes) -> None:
        if self._log is not None:
            try:
                os.write(self._log, text)
            except OSError:
                pass  # a full disk is no reason to leave the client without its answer


def open_log(path: str | None) -> int | None:
    """The descriptor of a log: stderr where none is named, None for `none`; raises `VMError`."""
    if path is None:
        return 2
    if path == "none":
        return None
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise VMError(f"-qtest-log {path}: Could not open '{path}': {reason}") from None
