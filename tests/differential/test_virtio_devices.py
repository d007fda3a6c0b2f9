"""Memory behind VirtIO, balloons and ivshmem, cold and hot: what all tables show, and what is refused, as in real QEMU."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .oracle import BOTH, RELEASES, compare
from .test_devices import PSERIES, TABLES, ask, plug, unplug

SAMPLES = "".join(f" -object memory-backend-ram,id=a{number},size=256M" for number in range(4))
V = "/machine/peripheral/v"
GIB = 1 << 30


def of_type(driver: str, memdev: str | None = None, **options: object) -> str:
    named = {} if memdev is None else {"memdev": memdev}
    return plug(driver=driver, **named, **{name.replace("_", "-"): value for name, value in options.items()})


def memory(memdev: object = "a0", **options: object) -> str:
    return plug(
        driver="virtio-mem-pci", memdev=memdev, **{name.replace("_", "-"): value for name, value in options.items()}
    )


def balloon(**options: object) -> str:
    return plug(driver="virtio-balloon-pci", **{name.replace("_", "-"): value for name, value in options.items()})


def get(*names: str, path: str = V) -> list[str]:
    return [ask("qom-get", path=path, property=name) for name in names]


def put(*pairs: tuple[str, object]) -> list[str]:
    return [ask("qom-set", path=V, property=name, value=value) for name, value in pairs]


def all_tables(driver: str, backend: str) -> list[str]:
    return [
        *TABLES,
        *(ask("qom-list", path=path) for path in (V, f"{V}/virtio-backend", "/machine/peripheral-anon")),
        ask("device-list-properties", typename=driver),
        ask("qom-list-properties", typename=driver),
        f"device_add {driver},help",
        "info balloon",
        f"object_del {backend}",
    ]


DEVICES = {"virtio-balloon": None, "virtio-mem": "a0", "virtio-pmem": "a1", "ivshmem-plain": "a2"}
HOT = (
    ("x86_64", "pc -m 1G,slots=4,maxmem=8G"),
    ("x86_64", "q35 -m 1G,slots=4,maxmem=8G"),
    ("x86_64", "microvm"),
    ("x86_64", "none"),
    ("x86_64", "isapc"),
    ("aarch64", "virt -cpu max -m 1G"),
    ("ppc64", f"{PSERIES} -m 1G,slots=4,maxmem=8G"),
    ("s390x", "s390-ccw-virtio -m 1G,maxmem=8G"),
    ("s390x", "none"),
)
COLD = (
    ("x86_64", "pc -m 1G,slots=4,maxmem=8G"),
    ("x86_64", "pc-i440fx-2.12 -m 1G,slots=4,maxmem=8G"),
    ("x86_64", "pc-q35-7.2 -m 1G,slots=4,maxmem=8G"),
    ("x86_64", "q35 -m 1G"),
    ("x86_64", "microvm,pcie=on"),
    ("aarch64", "virt -cpu max -m 1G,slots=4,maxmem=8G"),
    ("s390x", "s390-ccw-virtio -m 1G,maxmem=8G"),
)


def has_machine(arch: str, machine: str, release: str) -> bool:
    """Old s390x machines have no room for memory devices, and new QEMUs no old PCs."""
    number = tuple(int(part) for part in release.split("."))
    return not (arch == "s390x" and "maxmem" in machine and number < (10, 0)) and not (
        "2.12" in machine and number > (10, 0)
    )


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize(("arch", "machine"), HOT)
def test_hot(arch: str, machine: str, release: str, tmp_path: Path) -> None:
    if not has_machine(arch, machine, release):
        machine = machine.replace(",maxmem=8G", "")
    for kind, memdev in DEVICES.items():
        driver = kind if kind == "ivshmem-plain" else f"{kind}-{'ccw' if arch == 's390x' else 'pci'}"
        questions = [of_type(driver, memdev, id="v"), *all_tables(driver, memdev or "a3")]
        compare("", arch, f"-M {machine}{SAMPLES}", questions, tmp_path, release=release)


@pytest.mark.parametrize("release", BOTH)
@pytest.mark.parametrize(("arch", "machine"), COLD)
def test_cold(arch: str, machine: str, release: str, tmp_path: Path) -> None:
    if not has_machine(arch, machine, release):
        pytest.skip("this version has no such machine")
    for kind, memdev in DEVICES.items():
        driver = kind if kind == "ivshmem-plain" else f"{kind}-{'ccw' if arch == 's390x' else 'pci'}"
        device = f"{driver},id=v" + (f",memdev={memdev}" if memdev else "")
        options = f"-M {machine}{SAMPLES} -device {device}"
        compare("", arch, options, all_tables(driver, memdev or "a3"), tmp_path, release=release)


BACKENDS = (
    "".join(f" -object memory-backend-ram,id=a{number},size=256M" for number in range(8))
    + " -object memory-backend-ram,id=odd,size=1000001 -object memory-backend-ram,id=o2,size=3M"
    " -object memory-backend-ram,id=big,size=16G -object memory-backend-ram,id=shared,size=64M,share=on"
    " -object memory-backend-memfd,id=fd,size=64M -object memory-backend-ram,id=pp,size=64M,prealloc=on"
)
MEMORY = (
    plug(driver="virtio-mem-pci"), memory("none"), memory(3), memory("odd"), memory("o2"), memory("big"), memory(node=1),
    *(memory(block_size=size) for size in (4096, 3 << 20, 1 << 20, 512 << 20, 1 << 40, "4M", -1)),
    *(memory(requested_size=size) for size in (1, 1 << 20, 512 << 20, -1)),
    *(memory(memaddr=address) for address in (5, 4096, 4 * GIB + (2 << 20))),
    memory(prealloc=3), memory(unplugged_inaccessible="x"), memory(dynamic_memslots=True), memory(size=5),
    memory("pc.ram"), memory("pp"), memory("fd"), memory("shared"), memory("a1", bus="x"),
    *(memory("a1", addr=address) for address in ("x", 1, "1", "1.1", "20", "1f.8", "3.1", " 1", "+1", "0x1", "1 ", "0x1.0x1", "0X1e.0X2", "1e. +2", "1.-1")),
    memory("a1", bus="pci.1"), memory("a1", bus="main-system-bus"),
    memory("a1", id="v", requested_size=64 << 20, block_size=4 << 20), "info memory-devices", "info ramblock",
    ask("qom-list", path=V), ask("qom-list", path=f"{V}/virtio-backend"), memory("a1"),
    *get("addr", "requested-size", "size", "block-size", "memaddr", "node", "memdev", "prealloc", "unplugged-inaccessible",
         "dynamic-memslots", "disable-legacy", "romfile", "parent_bus", "realized", "virtio-backend", "vectors", "class",
         "failover_pair_id", "legacy-addr", "x-pcie-extcap-init", "busnr"),
    *put(("requested-size", 1), ("requested-size", 512 << 20), ("requested-size", -1), ("requested-size", "x"),
         ("requested-size", 128 << 20), ("requested-size", "64M"), ("size", 3), ("block-size", 2 << 20), ("memaddr", 3),
         ("node", 0), ("memdev", "a2"), ("memdev", "absent"), ("prealloc", True), ("addr", "5"), ("ats", True),
         ("disable-legacy", "on"), ("virtio-backend", "x")),
    *get("requested-size"), "info memory-devices", unplug("v"), unplug("v"), "info memory-devices",
    '{"execute": "query-memory-devices"}', "object_del a1", memory("a2", addr="5.0", multifunction=True),
    memory("a3", addr="5.1"), memory("a3", addr="6.1"), memory("a4", addr="5"), memory("a4", id="x1"),
    "device_add virtio-mem-pci,memdev=a5,block-size=x", "device_add virtio-mem-pci,memdev=a5,requested-size=3",
    "device_add virtio-mem-pci,memdev=a5,block-size=4K", "device_add virtio-mem-pci,memdev=a5,block-size=99999999999999999999",
    "device_add virtio-mem-pci,memdev=a5,block-size=4M,requested-size=8M,id=w", "info memory-devices", "info numa",
    "info memory_size_summary", "info ramblock",
)  # fmt: skip


@pytest.mark.parametrize("release", RELEASES)
def test_memory_right_and_wrong(release: str, tmp_path: Path) -> None:
    options = f"-M pc -m 1G,slots=4,maxmem=8G{BACKENDS}"
    compare("", "x86_64", options, MEMORY, tmp_path, release=release)


WITHOUT_TREES = [question for question in TABLES if "mtree" not in question]
"""As observed: newer QEMUs forget to take away an address space of a device that could not be had."""
LOOK = [
    "info qom-tree " + V,
    *TABLES[:4],
    *get("disable-legacy", "disable-modern", "vectors", "unplugged-inaccessible"),
]
SESSIONS = (
    [balloon(id="v", disable_legacy="on", disable_modern=True)],
    *([balloon(id="v", **options), *LOOK] for options in (
        {"vectors": 0}, {"vectors": 8}, {"page-per-vq": True}, {"disable_modern": True}, {"disable_legacy": "on"},
        {"disable_legacy": "maybe"})),
    *([memory(id="v", **options), *LOOK] for options in (
        {"disable_legacy": "off"}, {"disable_modern": True}, {"unplugged_inaccessible": "off"}, {"dynamic_memslots": True},
        {"unplugged_inaccessible": "auto"})),
    [memory(id="v", dynamic_memslots=True, unplugged_inaccessible="off")],
    [balloon(iothread="x"), balloon(acpi_index=70000), balloon(romsize=5), balloon(bus="isa.0"), balloon(bus="ide.0"),
     balloon(bus="floppy-bus.0"), plug(driver="pc-dimm", memdev="a0", bus="pci.0"), plug(driver="virtio-balloon", id="v"),
     balloon(id="w"), plug(driver="virtio-balloon"), unplug("v"), unplug("v"), "info balloon", "device_del v",
     '{"execute": "query-balloon"}'],
    [balloon(free_page_hint=True)],
    [balloon(id="v"), *get("guest-stats", "guest-stats-polling-interval", "iothread", "free-page-reporting", "addr",
                           "legacy-addr", "busnr", "master", "parent_bus"),
     *put(("guest-stats-polling-interval", -1), ("guest-stats-polling-interval", 1 << 33), ("guest-stats-polling-interval", 5),
          ("guest-stats-polling-interval", "x"), ("guest-stats", 3), ("iothread", "x"), ("deflate-on-oom", True),
          ("free-page-reporting", 1)),
     *get("guest-stats-polling-interval"), "balloon 512", "info balloon", "balloon 0", "balloon -5", "balloon", "balloon x",
     "balloon 1+1", *(ask("balloon", value=value) for value in (0, -1, 1, "x", 99999999999999)), ask("balloon"),
     "info balloon", "help balloon", "help info balloon"],
    ["balloon 5", "info balloon", ask("balloon", value=0), ask("query-balloon")],
    [of_type("virtio-pmem-pci"), of_type("virtio-pmem-pci", "a0", memaddr=5), of_type("virtio-pmem-pci", "odd"),
     of_type("virtio-pmem-pci", "a0", id="v", memaddr=6 * GIB), *get("memaddr", "memdev", "size", "disable-legacy", "vectors"),
     *put(("memaddr", 3), ("memdev", "a1")), of_type("virtio-pmem-pci", "a0"), of_type("ivshmem-plain", "a0"),
     plug(driver="pc-dimm", memdev="a0"), memory(), unplug("v"), *WITHOUT_TREES, "object_del a0"],
    [of_type("ivshmem-plain"), of_type("ivshmem-plain", "a1", id="v", master="on"), of_type("ivshmem-plain", "a1"),
     *get("memdev", "master", "addr"), *put(("master", "off"), ("memdev", "a2")), of_type("virtio-pmem-pci", "a1"),
     "info ramblock", "object_del a1", unplug("v"), "info ramblock", of_type("ivshmem-plain", "a1", master=3),
     of_type("ivshmem-plain", "a1", master="x")],
    [memory(id="v", addr="1f"), memory("a1", addr="1f.7"), memory("a1", addr="1e.1", id="n"), memory("a2", addr="1e"),
     memory("a2", addr="1e", multifunction=True), memory("a3", addr=-1), memory("a3", addr="-1"), memory("a3", addr=""),
     memory("a3", addr="06.x"), memory("a3", addr=256), memory("a3", addr=1 << 31), "info ramblock"],
    [memory(id="v", requested_size=GIB), "info memory-devices", *put(("requested-size", 0)), unplug("v"), unplug("v"),
     "info memory-devices"],
)  # fmt: skip


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("session", range(len(SESSIONS)))
def test_sessions(session: int, release: str, tmp_path: Path) -> None:
    options = f"-M pc -m 1G,slots=4,maxmem=8G -object memory-backend-ram,id=odd,size=1000001{SAMPLES}"
    compare("", "x86_64", options, SESSIONS[session], tmp_path, release=release)


FILE = " -object memory-backend-file,id=b,size=64M,mem-path=file.img"
SMALL = " -object memory-backend-ram,id=b,size=64M"
OF_B = memory("b", id="v")
FOUND = (
    (f"{FILE},readonly=on,share=on", [OF_B, "info ramblock", "object_del b"]),
    (f"{FILE},readonly=on", [OF_B, "info ramblock", "object_del b"]),
    (f"{FILE},readonly=on,rom=off", [OF_B, "object_del b"]),
    (FILE, [OF_B, "info memory-devices"]),
    (" -object memory-backend-memfd,id=b,size=64M,share=off", [OF_B]),
    (SMALL, [balloon(id="n"), plug(driver="pc-dimm", memdev="b"), "info balloon", "balloon 100", ask("query-balloon")]),
    (SMALL, [balloon(iommu_platform=True)]),
    (SMALL, [balloon(id="v", iommu_platform=True, disable_legacy="on"), *LOOK]),
    (SMALL, [balloon(id="v", modern_pio_notify=True), *LOOK]),
    (SMALL, [balloon(romsize=0), balloon(id="v", vectors=2048), *LOOK]),
    (SMALL, [balloon(id="v", vectors=2049), *LOOK]),
    (SMALL, [balloon(romsize=2.0, id="v"), plug(driver="pc-dimm", memdev="b", slot=2.0), balloon(foo=None)]),
    (SMALL, [memory("b", dynamic_memslots=None), plug(driver="virtio-mem-pci", id="1x", bus="x"),
             plug(driver="pc-dimm", id="1x", bus="pci.0"), plug(driver="pc-dimm", id="1x", memdev="x")]),
    (SMALL, [OF_B, *map(unplug, ("v/virtio-backend", "v/virtio-bus", f"{V}/virtio-backend")),
             memory("b", addr=None), memory("b", addr=[]), memory("b", addr={}), memory("b", size="x"), memory("b", size=True)]),
    (SMALL, [balloon(guest_stats_polling_interval=1 << 63),
             "device_add virtio-balloon-pci,guest-stats-polling-interval=9223372036854775808"]),
)  # fmt: skip


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("number", range(len(FOUND)))
def test_what_trying_to_break_them_found(number: int, release: str, tmp_path: Path) -> None:
    backend, questions = FOUND[number]
    newer = {"readonly": "7.2", "rom=": "10.0"}
    if any(word in backend and release in RELEASES[: RELEASES.index(since)] for word, since in newer.items()):
        pytest.skip("this version's files have no such property")
    options = f"-M pc -m 1G,slots=4,maxmem=8G{backend}"
    compare("", "x86_64", options, questions, tmp_path, {"file.img": 64 << 20}, release=release)


CHANNELS = (
    plug(driver="virtio-balloon", id="v"), *get("dev_id", "devno", "subch_id", "parent_bus", "max_revision", "ioeventfd"),
    "info qom-tree /machine/peripheral", "device_del v", ask("qom-list", path="/machine/peripheral"),
    *(plug(driver="virtio-balloon-ccw", id="x", devno=number) for number in ("1.2.3", "fe.4.3", "5", 5, "fe.0.00005", "")),
    plug(driver="virtio-balloon-ccw", id="w", devno="fe.0.0005"), plug(driver="virtio-balloon-ccw", id="w2"),
    plug(driver="virtio-balloon-ccw", id="x", devno="fe.0.0005"), plug(driver="virtio-balloon-ccw", bus="pci.0"),
    plug(driver="virtio-balloon-ccw", bus="virtual-css"), plug(driver="virtio-balloon-ccw", max_revision=1),
    "info balloon", *TABLES,
)  # fmt: skip
CHANNEL_MEMORY = (
    of_type("virtio-mem-ccw", "a0", id="m", requested_size=2 << 20), *TABLES,
    of_type("virtio-mem-ccw", "a1", devno="fe.0.0007", id="m2"), "info ramblock", unplug("m2"), unplug("m"),
    of_type("virtio-mem-ccw", "a1", id="z", dynamic_memslots=True), *TABLES,
)  # fmt: skip


@pytest.mark.parametrize("release", BOTH)
def test_channels(release: str, tmp_path: Path) -> None:
    compare("", "s390x", f"-M s390-ccw-virtio -m 1G{SAMPLES}", CHANNELS, tmp_path, release=release)


def test_memory_on_channels(tmp_path: Path) -> None:
    options = f"-M s390-ccw-virtio -m 1G,maxmem=4G{SAMPLES}"
    compare("", "s390x", options, CHANNEL_MEMORY, tmp_path, release="11.1")


@pytest.mark.parametrize("release", ["10.0", "11.1"])
@pytest.mark.parametrize("kind", DEVICES)
def test_pci_on_a_mainframe(kind: str, release: str, tmp_path: Path) -> None:
    memdev = DEVICES[kind]
    driver = kind if kind == "ivshmem-plain" else f"{kind}-pci"
    another = [of_type(driver, "a3", id="w", addr="3"), *TABLES] if memdev else []
    unattached = "info qom-tree /machine/unattached"
    questions = [*all_tables(driver, memdev or "a3"), unattached, unplug("v"), unplug("v"), *another, unattached]
    options = f"-M s390-ccw-virtio -m 1G,maxmem=8G{SAMPLES}"
    compare("", "s390x", options, [of_type(driver, memdev, id="v"), *questions], tmp_path, release=release)
    device = f"{driver},id=v" + (f",memdev={memdev}" if memdev else "")
    compare("", "s390x", f"{options} -device {device}", questions, tmp_path / "cold", release=release)


@pytest.mark.parametrize("release", RELEASES)
def test_interrupts_that_a_mainframe_wants(release: str, tmp_path: Path) -> None:
    questions = [balloon(id="v", vectors=0), balloon(id="w", **{} if release in ("10.0", "11.1") else {"class": 1})]
    compare("", "s390x", "-M s390-ccw-virtio-4.2 -m 1G", questions[:1], tmp_path, release=release)
    compare("", "s390x", "-M s390-ccw-virtio -m 1G", questions, tmp_path / "newest", release=release)


JSON = json.dumps({"driver": "virtio-mem-pci", "id": "v", "memdev": "a0", "requested-size": 4 << 20, "addr": "5"})
LINES = (
    "virtio-mem-pci,memdev=a0,addr=1", "virtio-mem-pci,memdev=absent", "virtio-mem-pci,memdev=a0,block-size=x", "virtio-mem-pci",
    "virtio-mem-pci,memdev=a0,id=v -device virtio-mem-pci,memdev=a0", "virtio-balloon,id=v -device virtio-balloon-pci",
    "virtio-mem-pci,memdev=a0,addr=5 -device virtio-mem-pci,memdev=a1,addr=5.1",
    "virtio-mem-pci,memdev=a0,addr=5.1 -device virtio-mem-pci,memdev=a1,addr=5",
    "virtio-mem-pci,memdev=a0,addr=5,multifunction=on -device virtio-mem-pci,memdev=a1,addr=5.1,requested-size=64M,block-size=4M",
    "virtio-balloon,bus=pcie.0", f"'{JSON}'", """'{"driver": 3}'""",
    """'{"driver": "virtio-mem-pci", "memdev": "a0", "requested-size": "4M"}'""",
    """'{"driver": "virtio-mem-pci", "memdev": "a0", "requested-size": 4194304, "prealloc": true}'""",
)  # fmt: skip


@pytest.mark.parametrize("release", BOTH)
@pytest.mark.parametrize("line", LINES)
def test_command_lines(line: str, release: str, tmp_path: Path) -> None:
    options = f"-M pc -m 1G,slots=4,maxmem=8G{SAMPLES} -device {line}"
    compare("", "x86_64", options, TABLES, tmp_path, release=release)
