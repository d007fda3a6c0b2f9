"""What a guest's drivers lead to: in QEMU they are played over qtest, here by the guest policy. Answers and events equal."""

from __future__ import annotations

from pathlib import Path
from time import sleep
from typing import Any

import pytest

from .oracle import RELEASES, our_command, qemu, sections
from .test_devices import Asked
from .virtio_driver import PLUG, UNPLUG, UNPLUG_ALL, QTest, VirtIODriver, memory_request, pages

MIB = 1 << 20
BLOCK = 2 * MIB
OPTIONS = (
    "-M pc -m 1G,slots=4,maxmem=8G -object memory-backend-ram,id=a,size=256M -object memory-backend-ram,id=c,size=2G,reserve=off"
    " -nodefaults -display none -qmp stdio"
)
MEMORY_SLOT, BALLOON_SLOT = 2, 3
UNPLUGGED_IS_INACCESSIBLE = 1 << 1
EJECT, BUS = 0xAE08, 0xAE10
"""The registers by which a guest lets go of PCI devices, a bit for each slot of the bus that it says first."""
QUIET = 1.1
"""Seconds after which QEMU tells the latest of events that came too fast."""


class Both:
    """A QEMU whose guest is played, and ours."""

    def __init__(self, release: str, tmp_path: Path) -> None:
        program = qemu("x86_64", release)
        if program is None:
            pytest.skip("this QEMU is not installed")
        options = OPTIONS if release != "5.2" else OPTIONS.replace(",reserve=off", "")
        self.qtest = QTest(tmp_path / "qtest")
        self.theirs = Asked([program, *options.split(), "-accel", "tcg", "-S", *self.qtest.options])
        self.qtest.accept()
        self.ours = Asked(our_command("x86_64", options.split(), release))

    def ask(self, command: str, **arguments: Any) -> Any:
        """What both answer, which is the same."""
        theirs, ours = (one.ask(command, **arguments) for one in (self.theirs, self.ours))
        assert ours == theirs
        return ours

    def follow(self, policy: str) -> None:
        assert self.ours.ask("set-guest-policy", policy=policy) == {"return": {}}

    def check(self, *events: str) -> None:
        """Look whether both are alike now, and told the same since the last look; QEMU takes its time to tell."""
        for _ in range(50):
            self.theirs.ask("query-status")
            if len(self.theirs.events) >= len(events):
                break
            sleep(0.05)
        self.ask("query-memory-devices")
        self.ask("query-balloon")
        self.ask("query-memory-size-summary")
        self.ask("human-monitor-command", **{"command-line": "info numa"})
        told = [self._take_events(one) for one in (self.theirs, self.ours)]
        assert told[1] == told[0]
        assert [name for name, _data in told[1]] == list(events)

    def let_go(self, slot: int) -> None:
        self.qtest.ask(f"outl {BUS} 0")
        self.qtest.ask(f"outl {EJECT} {1 << slot}")

    @staticmethod
    def _take_events(one: Asked) -> list[Any]:
        events, one.events = one.events, []
        return events

    def close(self) -> None:
        self.theirs.close()
        self.ours.close()
        self.qtest.close()


@pytest.mark.parametrize("release", RELEASES)
def test_memory_comes_and_goes(release: str, tmp_path: Path) -> None:
    both = Both(release, tmp_path)
    try:
        both.ask("device_add", driver="virtio-mem-pci", memdev="a", id="v", **{"requested-size": 32 * MIB})
        driver = VirtIODriver(both.qtest, MEMORY_SLOT)
        driver.start(UNPLUGGED_IS_INACCESSIBLE, 1)
        base = driver.config(16, "q")
        both.check()

        def send(kind: int, first: int = 0, blocks: int = 0) -> None:
            assert driver.send(0, memory_request(kind, base + first * BLOCK, blocks), 10) == bytes(10)

        def want(size: int) -> None:
            both.ask("qom-set", path="/machine/peripheral/v", property="requested-size", value=size)

        send(PLUG, 0, 16)
        both.follow("accept")
        both.check("MEMORY_DEVICE_SIZE_CHANGE")
        for size, kind, first, blocks in (
            (64 * MIB, PLUG, 16, 16),
            (16 * MIB, UNPLUG, 8, 24),
            (256 * MIB, PLUG, 8, 120),
        ):
            want(size)
            send(kind, first, blocks)
        both.check()  # it comes too fast
        sleep(QUIET)
        both.check("MEMORY_DEVICE_SIZE_CHANGE")
        both.follow("partial")
        want(0)
        send(UNPLUG, 64, 64)
        assert "error" in both.ask("device_del", id="v")
        sleep(QUIET)
        both.check("MEMORY_DEVICE_SIZE_CHANGE")
        both.follow("none")
        both.ask("system_reset")
        sleep(QUIET)
        both.check("RESET", "MEMORY_DEVICE_SIZE_CHANGE")
        both.follow("accept")
        send(UNPLUG_ALL)
        both.check()
    finally:
        both.close()


@pytest.mark.parametrize("release", RELEASES)
def test_the_balloon(release: str, tmp_path: Path) -> None:
    both = Both(release, tmp_path)
    try:
        both.ask("device_add", driver="virtio-mem-pci", memdev="a", id="v")
        both.ask("device_add", driver="virtio-balloon-pci", id="b")
        both.ask("balloon", value=512 * MIB)
        both.check()
        driver = VirtIODriver(both.qtest, BALLOON_SLOT)
        driver.start(0, 2)
        assert driver.config(0) == 512 * MIB // 4096
        driver.send(0, pages(*range(0x30000, 0x30100)))
        driver.set_config(4, 512 * MIB // 4096)
        both.follow("accept")
        both.check("BALLOON_CHANGE")
        both.ask("balloon", value=1 << 40)
        driver.set_config(4, 0)
        both.check()
        sleep(QUIET)
        both.check("BALLOON_CHANGE")
        both.follow("partial")
        both.ask("balloon", value=1)
        driver.set_config(4, ((1 << 30) - 4096) // 2 // 4096)
        both.check()
        both.follow("accept")
        driver.set_config(4, ((1 << 30) - 4096) // 4096)
        sleep(QUIET)
        both.check("BALLOON_CHANGE")
        both.ask("device_del", id="b")
        both.let_go(BALLOON_SLOT)
        both.check("DEVICE_DELETED", "DEVICE_DELETED")
    finally:
        both.close()


def without_registers(parts: list[str]) -> list[str]:
    """Trees without the registers that were somewhere once, which leaves its trace."""
    return [part for part in parts if "virtio-pci-cfg-mem-as" not in part]


@pytest.mark.parametrize("release", ["10.0", "11.1"])
@pytest.mark.parametrize("memdev", ["a", "c"])  # one memslot, and several
def test_dynamic_memslots_in_the_trees(memdev: str, release: str, tmp_path: Path) -> None:
    both = Both(release, tmp_path)
    try:
        both.ask("device_add", driver="virtio-mem-pci", memdev=memdev, id="v", **{"dynamic-memslots": True})
        both.follow("accept")
        driver = VirtIODriver(both.qtest, MEMORY_SLOT)
        driver.start(UNPLUGGED_IS_INACCESSIBLE, 1)
        base = driver.config(16, "q")
        sizes = (256 * MIB, 4 * MIB) if memdev == "a" else (2048 * MIB, 1024 * MIB + BLOCK, 1024 * MIB)
        present = 0
        for size in sizes:
            both.ask("qom-set", path="/machine/peripheral/v", property="requested-size", value=size)
            low, high = sorted((present, size))
            kind = PLUG if size > present else UNPLUG
            assert driver.send(0, memory_request(kind, base + low, (high - low) // BLOCK), 10) == bytes(10)
            present = size
            driver.show(False)
            for question in ("info mtree", "info mtree -f"):
                theirs, ours = (
                    sections(one.ask("human-monitor-command", **{"command-line": question})["return"])
                    for one in (both.theirs, both.ours)
                )
                assert without_registers(ours) == without_registers(theirs)
            driver.show(True)
    finally:
        both.close()


@pytest.mark.parametrize("release", ["10.0", "11.1"])
def test_memory_goes_away_for_good(release: str, tmp_path: Path) -> None:
    both = Both(release, tmp_path)
    try:
        both.ask("device_add", driver="virtio-mem-pci", memdev="c", id="v", **{"dynamic-memslots": True})
        both.follow("accept")
        both.ask("device_del", id="v")
        both.let_go(MEMORY_SLOT)
        both.check("DEVICE_DELETED", "DEVICE_DELETED")
        assert both.ask("object-del", id="c") == {"return": {}}
    finally:
        both.close()
