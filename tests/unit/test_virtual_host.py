"""The virtual host: the overcommit rules, limits, locks, bytes, and machines that no one has the hardware for.

That backends do the same on it as on a real host is in tests/kvm, that its accounts are right in tests/property.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from ramslot.commands import Context
from ramslot.commands.host import HMP, query_host
from ramslot.schema import contract
from ramslot.vm.accel.guest_job import GuestJob
from ramslot.vm.config import Config
from ramslot.vm.errors import VMError
from ramslot.vm.host import Host, HostMemory, MissingPage, open_host
from ramslot.vm.host.linux import LinuxHost
from ramslot.vm.host.virtual import VirtualHost
from ramslot.vm.host.virtual.reading import parse_description
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.steps import run_now

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


def refused(number: int) -> Any:
    return pytest.raises(OSError, match=rf"^\[Errno {number}\] {os.strerror(number)}$")


def configured(machine: str = "none", **fields: Any) -> Config:
    config = Config()
    config.machine_type = machine
    for name, value in fields.items():
        setattr(config, name, value)
    return config


def huge_guest(nodes: int, pages: int, size: int = 2 * TIB) -> Config:
    """A q35 whose nodes are each bound to one of the host's, in preallocated 1 GiB pages."""
    config = configured("q35", ram_size=nodes * size, cpu_model="host", smp={"cpus": nodes})
    for node in range(nodes):
        config.objects.append(
            {
                "qom-type": "memory-backend-memfd",
                "id": f"m{node}",
                "size": size,
                "hugetlb": True,
                "hugetlbsize": GIB,
                "host-nodes": [node],
                "policy": "bind",
                "prealloc": True,
            }
        )
        config.numa.append((f"-numa node,memdev=m{node}", {"type": "node", "memdev": f"m{node}"}))
    return config


# Machines


def test_sixteen_tebibytes_bound_over_eight_nodes() -> None:
    host = open_host("nodes=8,memory=2T,hugepages-1G=2048")
    before = host.describe()
    started = time.process_time()
    with VirtualMachine(huge_guest(8, 2048), host) as vm:
        print(f"started in {time.process_time() - started:.3f} s of CPU time")
        assert [host.huge_pages(GIB, node).free for node in range(8)] == [0] * 8
        for backend in vm.objects.backends():
            assert backend.memory is not None
            assert host.residency([backend.memory]) == [{backend.host_nodes[0]: 2 * TIB}]
        assert sum(memslot.size for memslot in vm.accelerator.slots if memslot.block.name.startswith("m")) > 15 * TIB
    assert host.describe() == before


def test_one_page_too_few_on_one_node_is_found_when_it_is_populated() -> None:
    description = open_host("nodes=8,memory=3T,hugepages-1G=2048").describe()
    description.nodes[3].huge_pages[GIB].total = description.nodes[3].huge_pages[GIB].free = 2047
    description.nodes[5].huge_pages[GIB].total = description.nodes[5].huge_pages[GIB].free = 2049
    host = VirtualHost(description)
    before = host.describe()
    with pytest.raises(VMError, match=r"^qemu_prealloc_mem: preallocating memory failed: Bad address$"):
        VirtualMachine(huge_guest(8, 2048), host)
    assert host.describe() == before


def test_a_pool_too_small_is_found_when_it_is_mapped() -> None:
    host = open_host("nodes=2,memory=3T,hugepages-1G=1023")
    with pytest.raises(VMError, match=r"^unable to map backing store for guest RAM: Cannot allocate memory$"):
        VirtualMachine(huge_guest(2, 1023, size=3 * TIB), host)


def test_firmware_is_in_memory_that_has_bytes(tmp_path: Any) -> None:
    (tmp_path / "bios").write_bytes(b"firmware" * 8192)
    with VirtualMachine(configured("pc", firmware=str(tmp_path / "bios")), open_host("memory=1G")) as vm:
        block = vm.topology.ram_blocks.named("pc.bios")
        assert block is not None
        assert block.host.read(0, 8) == b"firmware"


def test_an_absent_node_is_refused_with_qemus_text() -> None:
    with VirtualMachine(configured(), open_host("nodes=2,memory=1G")) as vm:
        arguments = {"qom-type": "memory-backend-ram", "id": "m", "size": MIB, "policy": "bind", "host-nodes": [2]}
        with pytest.raises(VMError, match=r"^cannot bind memory to host NUMA nodes: Invalid argument$"):
            run_now(vm.objects.add(arguments))
        run_now(vm.objects.add({**arguments, "host-nodes": [1, 2]}))


# Overcommit


def populated(host: Host, size: int, **arguments: Any) -> HostMemory:
    memory = host.map_anonymous(size, **arguments)
    memory.populate(0, size)
    return memory


def test_the_heuristic_refuses_only_what_can_never_be() -> None:
    host = open_host("nodes=2,memory=1G,swap=1G")
    first, second = host.map_anonymous(3 * GIB), host.map_anonymous(3 * GIB, share=True)
    with refused(errno.ENOMEM):
        host.map_anonymous(3 * GIB + 4096)
    host.map_anonymous(64 * TIB, reserve=False).close()
    assert host.describe().overcommit.committed == 6 * GIB
    first.close()
    second.close()
    assert host.describe().overcommit.committed == 0


def test_always_refuses_nothing_that_can_be_addressed() -> None:
    host = open_host("memory=1G,overcommit=always")
    host.map_anonymous(100 * TIB).close()
    with refused(errno.ENOMEM):
        host.map_anonymous(128 * TIB)


def test_never_keeps_to_the_limit() -> None:
    host = open_host("memory=1G,hugepages-2M=256,overcommit=2,ratio=50,swap=256M")
    first = host.map_anonymous(512 * MIB)
    with refused(errno.ENOMEM):
        host.map_anonymous(4096)
    file = host.create_memfd("f")
    file.truncate(4096)
    shared = host.map_file(file, 4096, share=True)  # a file's pages are counted as they come
    with refused(errno.EFAULT):
        shared.populate(0, 4096)
    with refused(errno.ENOMEM):
        host.map_file(file, 4096, share=False)
    readable = host.map_file(file, 4096, share=False, readonly=True)
    first.close()
    shared.populate(0, 4096)
    with refused(errno.ENOMEM):
        host.map_anonymous(512 * MIB)
    shared.close()
    readable.close()
    file.close()
    host.map_anonymous(512 * MIB).close()


def test_never_does_not_skip_the_reservation() -> None:
    host = open_host("memory=1G,overcommit=never,hugepages-2M=4")
    text = (
        r'^\[Errno 95\] Skipping reservation of swap space is not supported: "/proc/sys/vm/overcommit_memory" is "2"$'
    )
    with pytest.raises(OSError, match=text):
        host.map_anonymous(MIB, reserve=False)
    file = host.create_memfd("f", 2 * MIB)
    file.truncate(16 * MIB)
    with pytest.raises(OSError, match=r"Cannot allocate memory"):
        host.map_file(file, 16 * MIB, share=True)
    host.map_file(file, 16 * MIB, share=True, reserve=False).close()
    file.close()


# Nodes


def test_memory_comes_from_the_local_node_then_from_the_nearest() -> None:
    nodes = [{"memory": "1M", "distances": [10, 40, 20]}, {"memory": "1M", "distances": [40, 10, 30]}, {"memory": "1M", "distances": [20, 30, 10]}]  # fmt: skip
    host = VirtualHost(parse_description({"nodes": nodes, "local-node": 0}))
    memory = populated(host, 5 * MIB // 2)
    assert host.residency([memory]) == [{0: MIB, 2: MIB, 1: MIB // 2}]
    with refused(errno.ENOMEM):
        populated(host, MIB)
    memory.close()


def test_bound_memory_does_not_leave_its_nodes() -> None:
    host = open_host("nodes=4,memory=1M")
    memory = host.map_anonymous(3 * MIB)
    memory.bind("bind", [1, 3])
    with refused(errno.ENOMEM):
        memory.populate(0, 3 * MIB)
    assert host.residency([memory]) == [{1: MIB, 3: MIB}]
    memory.discard(0, MIB)
    assert host.residency([memory]) == [{3: MIB}]
    memory.close()


def test_interleaving_goes_round_and_then_where_there_is_room() -> None:
    host = open_host("nodes=3,memory=1M")
    memory = host.map_anonymous(3 * MIB)
    memory.bind("interleave", [0, 2])
    memory.populate(0, MIB)
    assert host.residency([memory]) == [{0: MIB // 2, 2: MIB // 2}]
    memory.populate(0, 3 * MIB)
    assert host.residency([memory]) == [{0: MIB, 1: MIB, 2: MIB}]
    memory.close()


def test_pages_move_to_the_nodes_of_a_policy_or_it_is_refused() -> None:
    host = open_host("nodes=3,memory=1M")
    memory = populated(host, MIB)
    memory.bind("bind", [2])
    assert host.residency([memory]) == [{2: MIB}]
    other = populated(host, MIB // 2)
    with refused(errno.EIO):
        memory.bind("bind", [0])
    assert host.residency([memory]) == [{2: MIB}]
    memory.close()
    other.close()


def test_a_node_without_memory_cannot_be_named() -> None:
    host = VirtualHost(parse_description({"nodes": [{"memory": 0}, {"memory": "1M"}], "local-node": 0}))
    memory = populated(host, MIB)
    assert host.residency([memory]) == [{1: MIB}]
    with refused(errno.EINVAL):
        memory.bind("bind", [0])
    memory.bind("interleave", [0, 1])
    memory.close()


# Limits


def test_memory_that_is_locked_is_there_and_limited() -> None:
    host = open_host("memory=1G,memlock=8M")
    memory = host.map_anonymous(4 * MIB)
    host.lock_memory()
    assert host.residency([memory]) == [{0: 4 * MIB}]
    later = host.map_anonymous(4 * MIB)
    assert host.residency([later]) == [{0: 4 * MIB}]
    with refused(errno.EAGAIN):
        host.map_anonymous(4096)
    host.unlock_memory()
    host.map_anonymous(4096).close()
    more = host.map_anonymous(4096)
    with refused(errno.ENOMEM):
        host.lock_memory()
    for each in (memory, later, more):
        each.close()


def test_a_guest_that_may_not_be_locked() -> None:
    host = open_host("memory=1G,memlock=64M")
    with pytest.raises(VMError, match=r"^locking memory failed$") as error:
        VirtualMachine(configured(ram_size=65 * MIB, lock_memory=True), host)
    assert error.value.warnings == ["mlockall: Cannot allocate memory"]
    with VirtualMachine(configured(ram_size=64 * MIB, lock_memory=True), host) as vm:
        with pytest.raises(VMError, match=r"^cannot set up guest memory 'm': Resource temporarily unavailable$"):
            run_now(vm.objects.add({"qom-type": "memory-backend-ram", "id": "m", "size": MIB}))
        assert host.residency([block.host for block in vm.topology.ram_blocks]) == [{0: 64 * MIB}]
    host.map_anonymous(GIB).close()


def test_locked_memory_is_locked_in_this_machine() -> None:
    def locked() -> int:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmLck:"))

    before = locked()
    try:
        vm = VirtualMachine(configured(ram_size=8 * MIB, lock_memory=True))
    except VMError as error:
        assert error.warnings[0].startswith("mlockall: ")
        pytest.skip("so much may not be locked here")
    assert locked() >= before + 8 * KIB
    memory = next(iter(vm.topology.ram_blocks)).host
    assert sum(LinuxHost().residency([memory])[0].values()) == 8 * MIB
    vm.close()
    assert locked() == before


def test_the_simulated_accelerator_has_the_hosts_limits() -> None:
    host = open_host("memory=1T,max-memslots=8,max-memslot-size=1G,phys-bits=36")
    with VirtualMachine(configured(ram_size=3 * GIB), host) as vm:
        slots = vm.accelerator.slots
        assert (slots.max_slots, slots.max_size, len(slots)) == (8, GIB, 3)
    with pytest.raises(VMError, match=r"^not enough memslots: 9 needed, 8 free of 8$"):
        VirtualMachine(configured(ram_size=9 * GIB), host)
    with VirtualMachine(configured(ram_size=GIB, accelerators=[("sim", {"max-memslots": "4"})]), host) as vm:
        assert vm.accelerator.slots.max_slots == 4
    for name, value, text in (
        ("max-memslots", 9, "9 is more than the accelerator's 8"),
        ("max-memslot-size", 2 * GIB, "0x80000000 is more"),
    ):
        with pytest.raises(VMError, match=f"^{name} {text}"):
            VirtualMachine(configured(accelerators=[("sim", {name: str(value)})]), host)


def test_no_slot_ends_beyond_the_physical_addresses() -> None:
    host = open_host("memory=1T,phys-bits=36")
    with VirtualMachine(configured(ram_size=64 * GIB), host):
        pass
    with pytest.raises(
        VMError,
        match=r"^kvm_set_user_memory_region: slot 0 .* gpa 0x0, size 0x1000002000, .* flags 0x0: Invalid argument \(it ends beyond the host's 36 physical address bits\)$",
    ):
        VirtualMachine(configured(ram_size=64 * GIB + 8192), host)
    text = r"^Address space limit 0xfffffffff < 0x1[0-9a-f]+ phys-bits too low \(36\)$"
    with pytest.raises(VMError, match=text):
        VirtualMachine(configured("pc", ram_size=64 * GIB, cpu_model="host"), host)


def test_kvm_is_simulated() -> None:
    host = open_host("memory=1G")
    wanted = [("kvm", {"max-memslots": "40", "dirty-ring-size": "1024"})]
    with VirtualMachine(configured(accelerators=wanted), host) as vm:
        assert (vm.accelerator.name, vm.accelerator.slots.max_slots) == ("sim", 40)
        assert vm.warnings == ["a virtual host has no kernel: kvm is taken as sim"]
    with pytest.raises(VMError, match=r"^invalid accelerator kvm$"):
        VirtualMachine(configured("malta", accelerators=[("kvm", {})], target="mips64"), host)


# Bytes


def test_bytes_are_are_shared_as_mappings_are() -> None:
    host = open_host("memory=1T")
    memory = host.map_anonymous(1 * TIB, reserve=False)
    memory.write(GIB, b"hello")
    assert memory.read(GIB - 1, 7) == b"\0hello\0"
    memory.discard(GIB, 4096)
    assert memory.read(GIB, 5) == bytes(5)
    memory.close()
    with pytest.raises(ValueError, match="closed"):
        memory.read(0, 1)

    file = host.create_file("/some/where")
    file.truncate(8192)
    shared, private = host.map_file(file, 8192, share=True), host.map_file(file, 4096, offset=4096)
    shared.write(4096, b"one")
    assert private.read(0, 3) == b"one"
    private.write(0, b"two")
    assert shared.read(4096, 3) == b"one"
    again = host.open_file("/some/where", readonly=True)
    readonly = host.map_file(again, 8192, share=True, readonly=True)
    with pytest.raises(MissingPage):
        readonly.write(0, b"x")
    file.punch_hole(0, 8192)
    assert readonly.read(4096, 3) == bytes(3)
    for each in (shared, private, readonly, file, again):
        each.close()
    host.unlink("/some/where")


def test_reading_past_the_end_of_memory_is_our_mistake() -> None:
    memory = open_host("memory=1G").map_anonymous(8192)
    for call in (memory.populate, memory.discard, memory.read):
        for start, length in ((0, 8193), (-1, 1), (8192, 1), (0, -1)):
            with pytest.raises(ValueError, match="is not within memory"):
                call(start, length)
    with refused(errno.EINVAL):
        memory.populate(1, 1)
    memory.close()
    memory.close()
    with pytest.raises(ValueError, match="closed"):
        memory.populate(0, 1)


def test_addresses_are_distinct_aligned_and_used_again() -> None:
    host = open_host("memory=1G,overcommit=1")
    taken: list[HostMemory] = []
    for number in range(40):
        taken.append(host.map_anonymous((number % 7 + 1) * MIB, align=(number % 3) * GIB))
        if number % 4 == 3:
            taken.pop(number // 3).close()
        spans = sorted((memory.address, memory.address + memory.size) for memory in taken)
        assert all(end < start for (_, end), (start, _) in pairwise(spans))
    assert all(memory.address % (2 * MIB) == 0 for memory in taken)
    for memory in taken:
        memory.close()
    for _ in range(100):
        host.map_anonymous(80 * TIB).close()


# What is told


def test_what_is_left() -> None:
    nodes = [{"memory": "1G", "huge-pages": {"2M": 8}, "cpus": "4,0-1"}, {"memory": "1G"}]
    mounts = [{"path": "/small", "type": "tmpfs", "size": "4M"}]
    host = VirtualHost(parse_description({"nodes": nodes, "mounts": mounts, "overcommit": {"policy": 2, "ratio": 100}}))
    assert (host.node_cpus(0), host.node_cpus(1), host.node_cpus(7)) == ((0, 1, 4), (), ())
    assert host.commit_left == 2 * GIB - 16 * MIB
    file = host.create_file("/small/a")
    file.allocate(0, MIB)
    assert (host.free_space("/small/b"), host.free_space("/small")) == (3 * MIB, 3 * MIB)
    assert (host.free_space("/disk/b"), host.free_space("")) == (None, None)
    assert host.commit_left == 2 * GIB - 17 * MIB
    file.close()
    host.unlink("/small/a")
    assert host.free_space("/small") == 4 * MIB
    assert VirtualHost(parse_description({"nodes": nodes})).commit_left is None


def test_who_uses_what() -> None:
    host = open_host("nodes=2,memory=4G,hugepages-1G=2,memlock=1G,overcommit=2")
    objects = [{"qom-type": "memory-backend-memfd", "id": "m", "size": GIB, "hugetlb": True, "hugetlbsize": GIB, "prealloc": True, "policy": "bind", "host-nodes": [1]}]  # fmt: skip
    with VirtualMachine(configured("pc", ram_size=128 * MIB, objects=objects), host) as vm:
        told = run_now(query_host(Context(vm, None), {}))  # type: ignore[arg-type]  # no program is needed
        contract((7, 2)).check_result("query-host", told)
        text = HMP[0].render(told, {})
    users = {user.get("id", user["ramblock"]): user for user in told["users"]}
    assert users["m"]["resident"] == [{"node": 1, "size": GIB}]
    assert (users["m"]["policy"], users["m"]["host-nodes"], users["m"]["page-size"]) == ("bind", [1], GIB)
    assert (users["pc.ram"]["resident"], "id" in users["pc.bios"]) == ([], False)
    assert [node["huge-pages"][0]["free"] for node in told["nodes"]] == [2, 1]
    assert told["huge-pages"] == [{"page-size": GIB, "total": 4, "free": 3, "reserved": 0}]
    assert told["overcommit"]["policy"] == "never"
    assert 128 * MIB < told["overcommit"]["committed"] < 140 * MIB
    assert "node 1: 2 huge pages of 1 GiB, 1 free\n" in text
    assert "                       m     1 GiB       0 B     1 GiB           bind:1 node 1: 1 GiB\n" in text


def test_what_this_machine_tells() -> None:
    arguments = {"qom-type": "memory-backend-ram", "id": "m", "size": 4 * MIB, "prealloc": True}
    with VirtualMachine(configured(objects=[arguments])) as vm:
        told = run_now(query_host(Context(vm, None), {}))  # type: ignore[arg-type]  # no program is needed
    contract((7, 2)).check_result("query-host", told)
    assert sum(each["size"] for each in told["users"][0]["resident"]) == 4 * MIB
    assert [node["node"] for node in told["nodes"]] == list(LinuxHost().nodes)
    assert "4 MiB" in HMP[0].render(told, {})


def test_a_guest_of_sixteen_tebibytes_is_written_over_and_takes_nothing() -> None:
    def resident() -> int:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with VirtualMachine(configured(ram_size=16 * TIB), open_host("nodes=8,memory=4T")) as vm:
        before = resident()
        vm.run_state.cont()
        written = run_now(vm.start_guest(GuestJob(0, 16 * TIB, "pattern", value=3)))
        read = run_now(vm.start_guest(GuestJob(0, 16 * TIB, "read")))
        pages = 16 * TIB // 4096
        assert (written.status, written.accesses, read.accesses) == ("completed", pages, pages)
        assert read.sum == (3 * pages + 4096 * (pages * (pages - 1) // 2)) % (1 << 64)
        assert resident() - before < 16 * MIB
        assert vm.host.available_memory == 16 * TIB
