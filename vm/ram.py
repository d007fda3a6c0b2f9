"""What becomes the machine's RAM: the backend that was named, the nodes' backends, or one made for it.

Boards receive it as one region and never allocate any. The order of the checks and their words are QEMU's.
"""

from __future__ import annotations

from .errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .hostmem.backend import MemoryBackend
    from .machine import VirtualMachine
    from .memory.region import MemoryRegion
    from .object_tree import ObjectTree
    from .steps import Task

OTHER_SIZE = "Machine memory size does not match the size of the memory backend"
RESERVED_ID = "object's id '{}' is reserved for the default RAM backend, it can't be used for any other purposes"
OTHER_ID = (
    "Change the object's 'id' to something else or disable automatic creation of the default RAM backend by setting "
    "'memory-backend={}' with '-machine'."
)


def find_backend(tree: ObjectTree, name: str) -> MemoryBackend:
    """The backend of that id or path; raises `VMError` if there is none."""
    from .hostmem.backend import MemoryBackend

    for found in tree.find(name) if name else []:
        if isinstance(found, MemoryBackend):
            return found
    raise VMError(f"Memory backend '{name}' not found")


def prepare_ram(vm: VirtualMachine) -> Task[None]:
    """Find or make what is the machine's RAM, and settle its NUMA nodes; raises `VMError`."""
    machine, numa = vm.machine, vm.numa
    asked = machine.asked_ram_size = machine.ram_size
    backend = None
    if machine.memory_backend_id is not None:
        backend = find_backend(vm.tree, machine.memory_backend_id)
        if vm.config.ram_size and backend.size != asked:
            raise VMError(vm.release.text("backend of another size", OTHER_SIZE))
        machine.ram_size = backend.size
    parts = machine.plan_partition()
    if parts and numa.uses_backends:
        raise VMError("'-machine ram-partition' and '-numa memdev' properties are mutually exclusive")
    if backend is None and asked and not numa.uses_backends:
        backend = yield from _make_default_backend(vm, asked)
    machine.numa_nodes = numa.finish()
    if backend is None and numa.uses_backends:
        machine.ram = _join_nodes(vm)
    numa.connect()
    if backend is not None:
        machine.ram = backend.take()
        machine.memory_backend = backend
        if parts:
            from .boards.partition import divide_ram

            machine.ram = divide_ram(machine, machine.ram, parts)
    machine.ram_settled = True


def _make_default_backend(vm: VirtualMachine, size: int) -> Task[MemoryBackend]:
    """The backend that `-m`, `-mem-path` and the like stand for."""
    name = vm.machine_type.default_ram_id
    if name in vm.tree.objects.children:
        old = vm.release.settings("texts").get("reserved id")
        if old is not None:
            raise VMError(old.format(name))
        raise VMError(RESERVED_ID.format(name), details=OTHER_ID.format(name))
    arguments: dict[str, Any] = {"qom-type": "memory-backend-ram", "id": name, "size": size}
    if vm.config.mem_path is not None:
        arguments.update({"qom-type": "memory-backend-file", "mem-path": vm.config.mem_path})
    from .hostmem.backend import MemoryBackend

    made = yield from vm.objects.add(arguments, for_machine=True)
    assert isinstance(made, MemoryBackend), "both types are"
    return made


def _join_nodes(vm: VirtualMachine) -> MemoryRegion:
    """The RAM as the nodes' memories, one after another."""
    machine = vm.machine
    ram = vm.topology.container(vm.machine_type.default_ram_id, machine.ram_size)
    machine.own_region(ram)
    offset = 0
    for node in machine.numa_nodes:
        if node.backend is not None:
            if node.backend.in_use:
                raise VMError(f"memory backend {node.backend.name} can't be used multiple times.")
            ram.add_subregion(offset, node.backend.take())
            offset += node.size
    return ram


def lock_memory(vm: VirtualMachine) -> None:
    """Keep all memory of the machine in the host's RAM; raises `VMError`."""
    try:
        vm.host.lock_memory()
    except OSError as error:
        from .hostmem.hints import of_locking

        vm.warnings.append(f"mlockall: {error.strerror}")
        raise VMError("locking memory failed", hint=of_locking(vm.host, vm.machine.ram_size)) from None
