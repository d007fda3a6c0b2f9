"""NUMA nodes where QEMU is not followed or cannot be asked: failures that change nothing, what is shown, lateness."""

from __future__ import annotations

from typing import Any

import pytest

from ramslot.commands import Context, available_hmp_commands, hmp_commands
from ramslot.commands.numa import HMP, query_numa
from ramslot.monitor.completion import candidates
from ramslot.monitor.dispatch import HMPLineError, execute, run_hmp_line
from ramslot.schema import contract
from ramslot.vm.config import Config
from ramslot.vm.errors import VMError
from ramslot.vm.machine import VirtualMachine
from ramslot.vm.preconfig import exit_preconfig, set_numa_node
from ramslot.vm.releases import find_release
from ramslot.vm.steps import run_now

CONTRACT = contract(find_release(None).number)

MIB = 1 << 20


class Program:
    """What handlers need of a program."""

    ending = False

    def __init__(self) -> None:
        self.failures: list[VMError] = []

    def fail(self, error: VMError) -> None:
        self.failures.append(error)

    def shut_down(self, reason: str) -> None:
        raise AssertionError(reason)

    def start_task(self, task: Any) -> None:
        raise AssertionError(task)

    def show_progress_of(self, work: object, _describe: object) -> None:
        raise AssertionError(work)

    def end_progress_of(self, work: object) -> None:
        raise AssertionError(work)

    def run_hmp(self, _context: Context, line: str) -> Any:
        raise AssertionError(line)

    def read_contract(self, text: str, _version: str | None) -> Any:
        raise AssertionError(text)

    chardevs: dict[str, Any] = {}
    chardev_kinds: tuple[str, ...] = ()

    def remove_chardev(self, name: str) -> None:
        raise AssertionError(name)


def configured(machine_type: str = "pc", **fields: Any) -> Config:
    config = Config()
    config.machine_type = machine_type
    config.ram_size = 128 * MIB
    config.preconfig = True
    config.machine_options = {"hmat": "on"}
    config.smp = {"cpus": 4, "sockets": 2}
    config.objects = [{"qom-type": "memory-backend-ram", "id": name, "size": 64 * MIB} for name in "ab"]
    for name, value in fields.items():
        setattr(config, name, value)
    return config


def describe(vm: VirtualMachine) -> list[dict[str, Any]]:
    nodes = query_numa(Context(vm, Program()), {})
    CONTRACT.check_result("query-numa", nodes)
    return nodes


def numa(kind: str, **options: Any) -> dict[str, Any]:
    return {"type": kind, **{name.replace("_", "-"): value for name, value in options.items()}}


NODES = (
    numa("node", memdev="a", cpus=[0, 1]),
    numa("node", memdev="b", initiator=0),
)
LATENCY = numa("hmat-lb", initiator=0, target=1, hierarchy="memory", data_type="access-latency", latency=120)
BANDWIDTH = numa("hmat-lb", initiator=0, target=1, hierarchy="memory", data_type="access-bandwidth", bandwidth=MIB)
CACHE = numa("hmat-cache", node_id=1, size=10 * MIB, level=1, associativity="direct", policy="none", line=64)


def described(vm: VirtualMachine, *pieces: dict[str, Any]) -> None:
    for piece in pieces:
        CONTRACT.check("set-numa-node", piece)
        set_numa_node(vm, piece)


FAILING = [
    numa("node", cpus=[3, 0]),
    numa("node", cpus=[3, 4]),
    numa("node", cpus=[3], memdev="absent"),
    numa("node", cpus=[3], mem=MIB),
    numa("node", initiator=128),
    numa("node", cpus=[3], initiator=1),
    numa("cpu", node_id=1),
    numa("cpu", node_id=1, core_id=1),
    numa("cpu", node_id=500, core_id=1),
    numa("cpu", node_id=-1, core_id=1),
    numa("cpu", node_id=0, core_id=9),
    numa("cpu", node_id=0, die_id=0),
    numa("dist", src=0, dst=1, val=9),
    numa("dist", src=0, dst=2, val=20),
    {**LATENCY, "latency": 120 * 65535},
    {**LATENCY, "target": 2},
    {**BANDWIDTH, "bandwidth": MIB + 1},
    CACHE,
]


@pytest.mark.parametrize("wrong", FAILING)
def test_what_fails_changes_nothing(wrong: dict[str, Any]) -> None:
    with VirtualMachine(configured()) as vm:
        described(vm, *NODES, LATENCY, numa("cpu", node_id=0, socket_id=1, core_id=0))
        before = describe(vm)
        slots = [slot.node_id for slot in vm.machine.cpu_slots]
        with pytest.raises(VMError):
            described(vm, wrong)
        assert describe(vm) == before
        assert [slot.node_id for slot in vm.machine.cpu_slots] == slots
        run_now(exit_preconfig(vm))


def test_all_of_it_is_shown() -> None:
    with VirtualMachine(configured()) as vm:
        pieces = (*NODES, numa("cpu", node_id=0), LATENCY, BANDWIDTH, CACHE, numa("dist", src=0, dst=1, val=30))
        described(vm, *pieces)
        assert describe(vm)[0]["distances"] == [0, 30]  # not completed yet
        run_now(exit_preconfig(vm))
        nodes = describe(vm)
        assert nodes == [
            {
                "node-id": 0,
                "cpus": [0, 1, 2, 3],
                "size": 64 * MIB,
                "plugged": 0,
                "memdev": "a",
                "distances": [10, 30],
                "initiator": 0,
            },
            {
                "node-id": 1,
                "cpus": [],
                "size": 64 * MIB,
                "plugged": 0,
                "memdev": "b",
                "distances": [30, 10],
                "initiator": 0,
                "accesses": [
                    {"initiator": 0, "hierarchy": "memory", "data-type": "access-latency", "latency": 120},
                    {"initiator": 0, "hierarchy": "memory", "data-type": "access-bandwidth", "bandwidth": MIB},
                ],
                "caches": [{"size": 10 * MIB, "level": 1, "associativity": "direct", "policy": "none", "line": 64}],
            },
        ]
        text = run_now(run_hmp_line(Context(vm, Program()), "info numa -v"))
        assert text.splitlines()[7:] == [
            "node distances:",
            "node    0   1",
            "  0:   10  30",
            "  1:   30  10",
            "node 0 initiator: 0",
            "node 1 initiator: 0",
            "node 1 memory access-latency from node 0: 120 ns",
            "node 1 memory access-bandwidth from node 0: 1 MiB/s",
            "node 1 cache level 1: 10 MiB, line 64 B, associativity direct, policy none",
        ]
        plain = HMP[0].render(nodes, {})
        assert text.startswith(plain) and len(plain.splitlines()) == 7


def test_the_memory_of_a_node_is_not_deleted() -> None:
    with VirtualMachine(configured()) as vm:
        described(vm, *NODES)
        with pytest.raises(VMError, match="object 'a' is in use, can not be deleted"):
            run_now(vm.objects.delete("a"))
        run_now(exit_preconfig(vm))


def test_after_the_start_it_is_too_late() -> None:
    events = []
    with VirtualMachine(configured(objects=[], machine_options={})) as vm:
        vm.observers.append(lambda name, _data: events.append((name, vm.run_state.name)))
        assert (vm.run_state.name, vm.initialized, vm.machine.ram) == ("prelaunch", False, None)
        run_now(exit_preconfig(vm))
        assert vm.initialized
        assert events == [("RESUME", "running")]
        with pytest.raises(VMError, match="permitted only before machine initialization"):
            exit_preconfig(vm)
        with pytest.raises(VMError, match="permitted only before the machine has been created"):
            set_numa_node(vm, numa("node"))


def test_while_the_board_is_being_made_it_is_too_late() -> None:
    """Making it may take long: a preallocated default backend is worked on away from the loop."""
    with VirtualMachine(configured(objects=[], machine_options={}, mem_prealloc=True, ram_size=MIB)) as vm:
        task = exit_preconfig(vm)
        step = next(task)
        context = Context(vm, Program())
        for command, arguments in (("x-exit-preconfig", {}), ("set-numa-node", numa("node")), ("cont", {})):
            with pytest.raises(VMError, match="permitted only"):
                execute(context, command, arguments)
        from ramslot.vm.steps import Cancellation

        result = step(Cancellation())
        with pytest.raises(StopIteration):
            while True:
                result = task.send(result)(Cancellation())
        assert vm.initialized


def test_a_failing_exit_ends_the_program() -> None:
    vm = VirtualMachine(configured(paused=True))
    program = Program()
    described(vm, NODES[0])
    with pytest.raises(VMError, match="total memory for NUMA nodes"):
        run_now(execute(Context(vm, program), "x-exit-preconfig", {}))
    assert [str(error)[:27] for error in program.failures] == ["total memory for NUMA nodes"]
    vm.close()


def test_warnings_come_when_they_are_due() -> None:
    told: list[str] = []
    config = configured("pc-i440fx-5.0", qemu="7.2", objects=[], machine_options={}, smp={"cpus": 2})
    with VirtualMachine(config) as vm:
        vm.on_warning = told.append
        described(vm, numa("node", mem=128 * MIB, cpus=[0]))
        assert told == ["warning: Parameter -numa node,mem is deprecated, use -numa node,memdev instead"]
        run_now(exit_preconfig(vm))
        assert told[1].startswith("warning: CPU(s) not present in any NUMA nodes: CPU 1 [")
        assert len(told) == 3


def test_warnings_without_anybody_to_tell() -> None:
    config = configured("pc-i440fx-5.0", qemu="7.2", objects=[], machine_options={})
    with VirtualMachine(config) as vm:
        described(vm, numa("node", mem=128 * MIB))
        assert len(vm.warnings) == 1


def test_hmp_commands_are_available_where_their_qmp_commands_are() -> None:
    with VirtualMachine(configured()) as vm:
        early = set(available_hmp_commands(vm))
        assert {"exit_preconfig", "set_numa_node", "object_add", "info hotpluggable-cpus", "q"} <= early
        for name in early - {"closefd", "getfd"}:  # QEMU takes these from people, and not from programs
            command = hmp_commands(find_release(None))[name]
            words = {"object": "memory-backend-ram,id=x,size=4096", "options": "node", "path": "/"}
            request, _ = command.request(vm, {**words, "id": "x", "property": "type", "value": "x"})
            assert CONTRACT.commands()[request].allow_preconfig, name
        assert "info numa" not in early and "cont" not in early
        with pytest.raises(HMPLineError, match=r"^Command 'info numa' not available until machine initialization"):
            run_now(run_hmp_line(Context(vm, Program()), "info numa -v"))


def test_set_numa_node_is_an_option_like_the_command_lines() -> None:
    with VirtualMachine(configured()) as vm:
        context = Context(vm, Program())
        run_now(run_hmp_line(context, "set_numa_node node,memdev=a,cpus=0-1"))
        run_now(run_hmp_line(context, "set_numa_node type=node,memdev=b,nodeid=1,initiator=0"))
        assert [node["cpus"] for node in describe(vm)] == [[0, 1], []]
        for line in ("node,foo=1", "node,nodeid=x", "node,nodeid=1", "what", "cpu"):
            with pytest.raises(HMPLineError, match=r"^Error: "):
                run_now(run_hmp_line(context, f"set_numa_node {line}"))
        run_now(exit_preconfig(vm))


def test_the_options_of_set_numa_node_are_completed() -> None:
    with VirtualMachine(configured()) as vm:
        start, found = candidates(vm, "set_numa_node d")
        assert start == 14 and ("dist", "what is described") in found
        start, found = candidates(vm, "set_numa_node dist,src=0,")
        assert start == len("set_numa_node dist,src=0,") and [name for name, _ in found] == ["dst=", "val="]
        start, found = candidates(vm, "set_numa_node hmat-cache,policy=")
        assert [name for name, _ in found] == ["none", "write-back", "write-through"]
        assert "info numa" not in {f"info {name}" for name, _ in candidates(vm, "info ")[1]}
