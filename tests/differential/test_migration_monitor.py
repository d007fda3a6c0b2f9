"""A migration that a person begins at the human monitor: who waits, who is answered, and what is told in the end."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .oracle import RELEASES
from .partners import Partner, partner

MIB = 1 << 20
PROMPT = b"(qemu) "
SLOW = {"max-bandwidth": MIB, "downtime-limit": 1}
FAST = {"max-bandwidth": 0, "downtime-limit": 300}
DETACHED = "terminal does not allow synchronous migration, continuing detached\r\n"


class Person:
    """Somebody at a human monitor, and all that is written to them."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        deadline = time.monotonic() + 30
        while self._socket.connect_ex(str(path)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.seen = b""
        self._position = 0

    def type(self, keys: str) -> None:
        self._socket.sendall(keys.encode())

    def until(self, end: bytes) -> None:
        """Read until this was written, behind what was read to before."""
        while (found := self.seen.find(end, self._position)) < 0:
            data = self._socket.recv(1 << 16)
            assert data, self.seen
            self.seen += data
        self._position = found + len(end)

    def run(self, line: str) -> None:
        """Type a line and see its answer, and the prompt behind that."""
        self.type(line + "\r")
        self.until(b"\x1b[K\r\n")
        self.until(PROMPT)

    def waits(self, line: str) -> None:
        """Type a line and see that there is no prompt for a while."""
        self.type(line + "\r")
        self.until(b"\x1b[K\r\n")
        self.quiet()

    def quiet(self) -> None:
        """See that nothing is written for a while."""
        self._socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            self.seen += self._socket.recv(1 << 16)
        self._socket.settimeout(30)

    def leave(self) -> None:
        self._socket.close()


@pytest.fixture
def meet(tmp_path: Path) -> Iterator[Callable[[str], Person]]:
    """Have somebody at a monitor; they have left in the end."""
    people = []

    def come(name: str) -> Person:
        people.append(Person(tmp_path / name))
        return people[-1]

    yield come
    for person in people:
        person.leave()


@contextmanager
def machine(kind: str, release: str, folder: Path) -> Iterator[Partner]:
    """A machine with 16 MiB of noise and two human monitors."""
    from random import Random

    (folder / "noise").write_bytes(Random(1).randbytes(16 * MIB))
    monitors = [f"unix:{folder}/{kind}{number},server=on,wait=off" for number in range(2)]
    ram = f"memory-backend-file,id=ram0,size=16M,mem-path={folder}/noise,share=on"
    options = ["-object", ram, "-M", "none,memory-backend=ram0", "-monitor", monitors[0], "-monitor", monitors[1]]
    with partner(kind, release, options, folder) as found:
        yield found


def said(found: Partner, *reasons: str) -> list[str]:
    """The lines on stderr that tell one of some reasons."""
    lines = [line.partition(": ")[2] for line in found.errors.splitlines()]
    return [line for line in lines if line.startswith(reasons)]


def told(found: Partner, line: str) -> str:
    """What a program is answered that uses the human monitor."""
    answer: str = found.ask("human-monitor-command", **{"command-line": line})
    return answer


@pytest.mark.parametrize("release", RELEASES)
def test_who_began_it_waits_and_others_are_answered(
    release: str, meet: Callable[[str], Person], tmp_path: Path
) -> None:
    """What is typed ahead is neither echoed nor lost, and Ctrl-C does nothing here."""
    seen = []
    for kind in ("real", "ours"):
        with machine(kind, release, tmp_path) as source:
            first, second = (meet(f"{kind}{number}") for number in range(2))
            for person in (first, second):
                person.until(PROMPT)
            source.ask("migrate-set-parameters", **SLOW)
            first.waits('migrate "exec:cat >/dev/null"')
            first.type("info name\r\x03info status\r")
            second.run("info name")
            second.run("migrate exec:true")
            first.quiet()
            second.run("migrate_cancel")
            for _ in range(3):
                first.until(PROMPT)
            source.wait_for("cancelled")
            seen.append((first.seen, second.seen))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("release", RELEASES)
def test_its_end_is_a_prompt_and_a_failure_is_told_on_stderr(
    release: str, meet: Callable[[str], Person], tmp_path: Path
) -> None:
    seen = []
    for kind in ("real", "ours"):
        with machine(kind, release, tmp_path) as source:
            person = meet(f"{kind}0")
            person.until(PROMPT)
            person.run("migrate unix:/nonexistent/x")
            reasons = [said(source, "Failed to connect")]
            person.run("migrate -d unix:/nonexistent/x")
            source.wait_for("failed")
            person.run("migrate foo")
            person.run("migrate fd:9")
            reasons.append(said(source, "Failed to connect"))
            source.ask("migrate-set-parameters", **FAST)
            person.run('migrate "exec:cat >/dev/null"')
            assert source.ask("query-migrate")["status"] == "completed"
            person.run('migrate "exec:cat >/dev/null"' if release != "5.2" else "info name")  # 5.2 does it once more
            person.run("info status")
            seen.append((person.seen, reasons))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("release", RELEASES)
def test_where_it_waits_itself_there_is_a_prompt(release: str, meet: Callable[[str], Person], tmp_path: Path) -> None:
    pausing = {"capabilities": [{"capability": "pause-before-switchover", "state": True}]}
    seen = []
    for kind in ("real", "ours"):
        with machine(kind, release, tmp_path) as source:
            person = meet(f"{kind}0")
            person.until(PROMPT)
            source.ask("migrate-set-capabilities", **pausing)
            source.ask("migrate-set-parameters", **FAST)
            person.run('migrate "exec:cat >/dev/null"')
            assert source.ask("query-migrate")["status"] == "pre-switchover"
            person.run("migrate_continue pre-switchover")
            source.wait_for("completed")
            seen.append(person.seen)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("release", RELEASES)
def test_it_outlives_who_began_it(release: str, meet: Callable[[str], Person], tmp_path: Path) -> None:
    """The next at that monitor is greeted, and waits for the same end."""
    seen = []
    for kind in ("real", "ours"):
        with machine(kind, release, tmp_path) as source:
            first = meet(f"{kind}0")
            first.until(PROMPT)
            source.ask("migrate-set-parameters", **SLOW)
            first.waits('migrate "exec:cat >/dev/null"')
            first.leave()
            second = meet(f"{kind}0")
            second.until(b"\r\n" if float(release) >= 10 else PROMPT)
            second.type("info name\r")
            second.quiet()
            assert source.ask("query-migrate")["status"] == "active"
            source.ask("migrate_cancel")
            second.until(b"\x1b[K\r\n")
            second.until(PROMPT)
            seen.append(second.seen)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("release", RELEASES)
def test_a_program_does_not_wait(release: str, tmp_path: Path) -> None:
    seen = []
    for kind in ("real", "ours"):
        with machine(kind, release, tmp_path) as source:
            source.ask("migrate-set-parameters", **SLOW)
            texts = [told(source, 'migrate "exec:cat >/dev/null"'), told(source, "migrate exec:true")]
            assert source.ask("query-migrate")["status"] in ("setup", "active")
            source.ask("migrate_cancel")
            source.wait_for("cancelled")
            texts += told(source, "migrate foo"), told(source, 'migrate -d "exec:cat >/dev/null"')
            seen.append(texts)
    assert seen[0] == seen[1]
    assert seen[0][0] == ("" if float(release) >= 11 else DETACHED)


@pytest.mark.parametrize("release", RELEASES)
def test_postcopy_is_refused_in_the_same_words(release: str, tmp_path: Path) -> None:
    """What cannot be done where there is no postcopy, which real QEMU was not told to do either."""
    lines = (
        *("migrate_pause", "migrate_recover x", "migrate_recover foo:", "migrate -r exec:true", "migrate_recover"),
        *("migrate_start_postcopy", "help migrate_start_postcopy", "migrate -r", "migrate_pause x"),
    )
    requests: list[tuple[str, dict[str, str]]] = [
        *(("migrate-pause", {}), ("migrate-recover", {"uri": "unix:/x"}), ("migrate-recover", {"uri": ""})),
        *(("migrate-start-postcopy", {}), ("migrate-recover", {})),
    ]
    seen = []
    for kind in ("real", "ours"):
        with machine(kind, release, tmp_path) as source:
            texts: list[object] = [told(source, line) for line in lines]
            texts += [source.send(command, **arguments).get("error") for command, arguments in requests]
            source.ask("migrate-set-parameters", **SLOW)
            source.ask("migrate", uri="exec:cat >/dev/null")
            source.wait_for("active")
            texts += [told(source, line) for line in lines]
            texts += [source.send(command, **arguments).get("error") for command, arguments in requests]
            seen.append(texts)
    assert seen[0] == seen[1]
