"""A libvirt of its own for each folder: a daemon that nobody else sees, its virsh, and emulators that it may start.

It is Debian's, unmodified, in session mode, for which it must not be root: as root it is put into a user namespace.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import pytest

import ramslot

DAEMONS = ("virtqemud", "libvirtd")
NOT_ROOT = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
PATIENCE = 60
"""Seconds after which no answer will come any more."""
EMULATOR = """#!{python}
import sys
sys.path.insert(0, {folder!r})
from ramslot.monitor.main import main
sys.exit(main())
"""
"""What the installed command does, with the ramslot that is tested; libvirt clears the environment."""


def need_libvirt() -> None:
    """Skip the test where there can be no libvirt; in CI it must be installed."""
    if shutil.which("virsh") is None or daemon() is None:
        if os.environ.get("CI"):
            pytest.fail("CI must have libvirt")
        pytest.skip("libvirt is not installed")
    if os.geteuid() == 0 and subprocess.run([*NOT_ROOT, "true"], capture_output=True).returncode:
        pytest.skip("libvirt's session mode is not for root, and there are no user namespaces")


@cache
def daemon() -> str | None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/libexec"
    return next((found for name in DAEMONS if (found := shutil.which(name, path=path))), None)


class Libvirt:
    """The daemon with all that it keeps, below a folder whose path is short enough for sockets. `stop` ends it all."""

    def __init__(self, host_uuid: str | None = None) -> None:
        need_libvirt()
        self.folder = Path(tempfile.mkdtemp(prefix="lv-", dir="/tmp"))
        # It looks for emulators in PATH: it finds ours alone, and needs no other program from there.
        for name in ("bin", "run", "home", "config", "cache", "data"):
            (self.folder / name).mkdir(mode=0o700)
        self.environment = {
            "PATH": str(self.folder / "bin"),
            "HOME": str(self.folder / "home"),
            "LC_ALL": "C",
            **{f"XDG_{name.upper()}_HOME": str(self.folder / name) for name in ("config", "cache", "data")},
            "XDG_RUNTIME_DIR": str(self.folder / "run"),
        }
        (self.folder / "daemon.conf").write_text(f'host_uuid = "{host_uuid}"\n' if host_uuid else "")
        command = [str(daemon()), "--config", str(self.folder / "daemon.conf")]
        self.log = open(self.folder / "daemon.log", "w")  # noqa: SIM115 - closed by stop
        self.process = subprocess.Popen(
            self._unprivileged(command), env=self.environment, stdout=self.log, stderr=self.log, cwd=self.folder
        )
        deadline = time.monotonic() + PATIENCE
        while not self.sockets():
            assert self.process.poll() is None and time.monotonic() < deadline, self.told()
            time.sleep(0.05)

    def _unprivileged(self, command: list[str]) -> list[str]:
        prefix = [str(shutil.which(NOT_ROOT[0])), *NOT_ROOT[1:]] if os.geteuid() == 0 else []
        return prefix + command

    def sockets(self) -> list[Path]:
        """The sockets that it listens on for clients that may write."""
        return [path for path in (self.folder / "run/libvirt").glob("*-sock") if "admin" not in path.name]

    @property
    def uri(self) -> str:
        """How clients outside find it."""
        return f"qemu+unix:///session?socket={self.sockets()[0]}"

    def emulator(self, name: str) -> str:
        """A program of that name that is ramslot; returns its path."""
        path = self.folder / "bin" / name
        parent = str(Path(str(ramslot.__file__)).parent.parent)
        path.write_text(EMULATOR.format(python=sys.executable, folder=parent))
        path.chmod(0o755)
        return str(path)

    def virsh_process(self, *words: str) -> subprocess.Popen[str]:
        """A virsh that runs."""
        command = [str(shutil.which("virsh")), "-q", "-c", "qemu:///session", *words]
        return subprocess.Popen(
            self._unprivileged(command), env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, cwd=self.folder,
        )  # fmt: skip

    def virsh(self, *words: str, fails: bool = False) -> str:
        """What virsh says; it must do what it was told, or must not if it `fails`."""
        process = self.virsh_process(*words)
        said, _ = process.communicate(timeout=PATIENCE)
        assert (process.returncode != 0) == fails, (words, said, self.told())
        return said

    def hmp(self, domain: str, line: str) -> str:
        """What the emulator's human monitor prints."""
        return self.virsh("qemu-monitor-command", domain, "--hmp", line)

    def told(self) -> str:
        """What the daemon and the domains have said, for those who look for a mistake."""
        logs = sorted(self.folder.glob("cache/libvirt/qemu/log/*.log"))
        texts = (path.read_text(errors="replace")[-2000:] for path in (*logs, self.folder / "daemon.log"))
        return "\n".join(texts)

    def stop(self) -> None:
        """End the daemon and every domain, and leave nothing."""
        for path in (self.folder / "run/libvirt/qemu/run").glob("*.pid"):
            text = path.read_text().strip()
            if re.fullmatch(r"\d+", text) and path.name != "driver.pid":
                try:
                    os.kill(int(text), signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
