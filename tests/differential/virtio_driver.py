"""A guest's virtio driver, played from outside: it reads and writes real QEMU's ports and memory over the qtest socket."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK = 1, 2, 4, 8
VERSION_1 = 1 << 32
CONFIG_ADDRESS, CONFIG_DATA = 0xCF8, 0xCFC
COMMAND, BAR_4 = 0x04, 0x20
MEMORY_AND_MASTER = 6
DEVICE_CONFIG, NOTIFY = 0x2000, 0x3000
"""Where the modern layout of QEMU has them in BAR 4; the common configuration comes first."""
NEXT, WRITE = 1, 2
QUEUE_SIZE = 8


class QTest:
    """The requests of the qtest protocol."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self.options = ["-qtest", f"unix:{path}", "-qtest-log", "/dev/null"]

    def accept(self) -> None:
        """Wait until QEMU is there."""
        connection = self._listener.accept()[0]
        self._listener.close()
        self._stream = connection.makefile("rw")
        connection.close()

    def ask(self, line: str) -> list[str]:
        self._stream.write(f"{line}\n")
        self._stream.flush()
        while True:
            words = self._stream.readline().split()
            if not words or words[0] in ("OK", "FAIL", "ERR"):
                assert words[:1] == ["OK"], f"{line}: {words}"
                return words[1:]

    def read(self, address: int, width: str = "l") -> int:
        return int(self.ask(f"read{width} {address:#x}")[0], 16)

    def write(self, address: int, value: int, width: str = "l") -> None:
        self.ask(f"write{width} {address:#x} {value:#x}")

    def write_bytes(self, address: int, data: bytes) -> None:
        self.ask(f"write {address:#x} {len(data):#x} 0x{data.hex()}")

    def read_bytes(self, address: int, length: int) -> bytes:
        return bytes.fromhex(self.ask(f"read {address:#x} {length:#x}")[0][2:])

    def close(self) -> None:
        self._stream.close()


class VirtIODriver:
    """Drives the modern virtio device at a PCI slot of a PC; its queues lie at `memory` in the guest's RAM."""

    def __init__(self, qtest: QTest, slot: int, bar: int = 0xFE000000, memory: int = 0x100000) -> None:
        self.qtest, self.bar, self.memory, self._slot = qtest, bar, memory, slot
        self._last: dict[int, int] = {}
        for register, value in ((BAR_4, bar), (BAR_4 + 4, 0)):
            self._configure(register, value)
        self.show(True)

    def _configure(self, register: int, value: int) -> None:
        self.qtest.ask(f"outl {CONFIG_ADDRESS:#x} {1 << 31 | self._slot << 11 | register:#x}")
        self.qtest.ask(f"outl {CONFIG_DATA:#x} {value:#x}")

    def show(self, on: bool) -> None:
        """Have the registers at their address, or nowhere, where trees do not show them."""
        self._configure(COMMAND, MEMORY_AND_MASTER if on else 0)

    def start(self, features: int, queues: int) -> int:
        """Agree on those of `features` that are offered, give it queues, and return what was offered."""
        common, qtest = self.bar, self.qtest
        for status in (0, ACKNOWLEDGE, ACKNOWLEDGE | DRIVER):
            qtest.write(common + 20, status, "b")
        offered = 0
        for half in (0, 1):
            qtest.write(common, half)
            offered |= qtest.read(common + 4) << 32 * half
        agreed = (features | VERSION_1) & offered
        for half in (0, 1):
            qtest.write(common + 8, half)
            qtest.write(common + 12, agreed >> 32 * half & 0xFFFFFFFF)
        qtest.write(common + 20, ACKNOWLEDGE | DRIVER | FEATURES_OK, "b")
        for queue in range(queues):
            qtest.write(common + 22, queue, "w")
            qtest.write(common + 24, QUEUE_SIZE, "w")
            for offset, area in ((32, 0), (40, 0x1000), (48, 0x2000)):
                qtest.write(common + offset, self._area(queue) + area)
                qtest.write(common + offset + 4, 0)
            qtest.write(common + 28, 1, "w")
        qtest.write(common + 20, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK, "b")
        return offered

    def _area(self, queue: int) -> int:
        return self.memory + queue * 0x10000

    def send(self, queue: int, request: bytes, answer: int = 0) -> bytes:
        """Hand a request to the device, and return what it answers."""
        area, qtest = self._area(queue), self.qtest
        data, reply = area + 0x4000, area + 0x8000
        qtest.write_bytes(data, request)
        first = struct.pack("<QIHH", data, len(request), NEXT if answer else 0, 1)
        qtest.write_bytes(area, first + struct.pack("<QIHH", reply, answer, WRITE, 0))
        index = self._last.get(queue, 0)
        qtest.write_bytes(area + 0x1000 + 4 + index % QUEUE_SIZE * 2, struct.pack("<H", 0))
        self._last[queue] = index = (index + 1) & 0xFFFF
        qtest.write_bytes(area + 0x1000 + 2, struct.pack("<H", index))
        notify = NOTIFY + 4 * queue
        qtest.write(self.bar + notify, queue, "w")
        return qtest.read_bytes(reply, answer) if answer else b""

    def config(self, offset: int, width: str = "l") -> int:
        """A value of the device's own configuration."""
        return self.qtest.read(self.bar + DEVICE_CONFIG + offset, width)

    def set_config(self, offset: int, value: int) -> None:
        self.qtest.write(self.bar + DEVICE_CONFIG + offset, value)


PLUG, UNPLUG, UNPLUG_ALL, STATE = range(4)


def memory_request(kind: int, address: int = 0, blocks: int = 0) -> bytes:
    """A request to a virtio-mem device."""
    return struct.pack("<HHHHQHHHH", kind, 0, 0, 0, address, blocks, 0, 0, 0)


def pages(*numbers: int) -> bytes:
    """What is handed to a balloon."""
    return struct.pack(f"<{len(numbers)}I", *numbers)
