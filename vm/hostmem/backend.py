"""What all memory backends share: properties, mapping, advice, NUMA policy, preallocation, and giving it all back."""

from __future__ import annotations

import errno
import os
import sys

from ..errors import VMError
from ..memory.ramblock import RAMBlock
from ..objects import UserCreatable
from ..qom import Property, take_bool, take_enum, take_int, take_numbers, take_str
from ..sizes import size_to_str
from ..steps import run_now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..host import Host, HostMemory
    from ..memory.address_space import MemoryTopology
    from ..memory.region import MemoryRegion
    from ..objects import ObjectDefaults
    from ..steps import Step, Task
    from .thread_context import ThreadContext

POLICIES = ("default", "preferred", "bind", "interleave")
LARGE = 256 << 20
"""Bytes that take the kernel long enough to free, some 0.3 ms, that others should not wait for it."""
MAX_NODES = 128
"""Host nodes that a backend can name, as observed: 128 and above are refused."""


def plain(
    name: str,
    type_name: str,
    description: str | None = None,
    *,
    check: Callable[[str, object], Any],
    since: str | None = None,
) -> Property:
    """A property kept in the attribute of its name, which can be set only before the memory exists."""
    attribute = name.replace("-", "_")

    def setter(backend: MemoryBackend, value: object) -> None:
        checked = check(name, value)
        if backend.region is not None:
            raise VMError(backend.frozen_text(name))
        setattr(backend, attribute, checked)

    return Property(name, type_name, lambda backend: getattr(backend, attribute), setter, description, since=since)


def any_time(
    name: str, type_name: str, description: str | None = None, *, check: Callable[[str, object], Any]
) -> Property:
    """A property kept in the attribute of its name, which can be set at any time."""
    attribute = name.replace("-", "_")
    return Property(
        name,
        type_name,
        lambda backend: getattr(backend, attribute),
        lambda backend, value: setattr(backend, attribute, check(name, value)),
        description,
    )


def _advise_merge(memory: HostMemory, merge: bool) -> None:
    """Let equal pages be merged, or not; a kernel that cannot (no KSM) is no reason to fail, as in QEMU."""
    try:
        memory.advise_merge(merge)
    except OSError:
        pass


class MemoryBackend(UserCreatable):
    """Host memory for a guest. `size` is in bytes; `region` exists once `complete` has run."""

    type_name = "memory-backend"
    abstract = True
    has_canonical_names = False
    """Whether machines 3.1 and older name the RAMBlock by the object's path."""

    def __init__(self, host: Host, topology: MemoryTopology, defaults: ObjectDefaults) -> None:
        super().__init__(host, topology, defaults)
        self.defaults = defaults
        self.length_unit = defaults.length_unit
        self.size = 0
        self.share = False
        self.reserve = True
        self.merge = defaults.merge
        self.dump = defaults.dump
        self.prealloc = defaults.prealloc
        self.prealloc_threads = 1
        self.prealloc_context: ThreadContext | None = None
        self.policy = "default"
        self.host_nodes: list[int] = []
        self.x_use_canonical_path_for_ramblock_id = self.has_canonical_names and defaults.canonical_names
        self.serves_machine = False
        """Whether `-m` stands for it, so that nothing else can be said of it."""
        self.region: MemoryRegion | None = None
        self.memory: HostMemory | None = None
        self.working = 0
        """How many tasks are at work on the memory; it cannot be deleted then either."""
        self.in_use = False
        """Whether the machine has taken the region; it cannot be deleted then."""

    @property
    def busy(self) -> bool:
        """Whether the machine has it, or a task is at work on its memory."""
        return self.in_use or self.working > 0

    @property
    def is_mapped(self) -> bool:
        """Whether the machine has it."""
        return self.in_use

    @property
    def backing_path(self) -> str | None:
        """The file or folder whose file system has the memory; None without one."""
        return None

    @property
    def address_alignment(self) -> int:
        """What the address of a device with this memory is a multiple of: a page of it, or `align=` if that is more."""
        page_size = self.memory.page_size if self.memory is not None else self.host.page_size
        return max(page_size, int(getattr(self, "align", 0)))

    def map_memory(self, name: str) -> HostMemory:
        """Map the memory; raises `VMError` with nothing left behind."""
        raise NotImplementedError(f"{self.type_name} is abstract")

    def mapping_refused(self, text: str, error: OSError, page_size: int) -> VMError:
        """The error `text` for memory that could not be mapped."""
        from .hints import of_mapping

        if error.strerror == os.strerror(error.errno or 0):
            text = f"{text}: {error.strerror}"
        else:  # a reason in words: QEMU tells people alone
            print(error.strerror, file=sys.stderr)
        return VMError(text, hint=of_mapping(self, error, page_size))

    def frozen_text(self, name: str) -> str:
        """What is said to an attempt to set `name` when the memory exists already."""
        if name == "size":
            return f"cannot change property size of {self.type_name} "
        return "cannot change property value"

    def serve_machine(self) -> None:
        """Be the memory that `-m` asks for, whose block has the plain name in every version of a machine."""
        self.serves_machine = True
        self.x_use_canonical_path_for_ramblock_id = False

    # Life

    def complete(self, name: str) -> Task[None]:
        """Make the memory exist; `name` is the object's id. Raises `VMError` with nothing left behind."""
        if self.prealloc and not self.reserve:
            raise VMError("'prealloc=on' and 'reserve=off' are incompatible")
        if not self.size:
            raise VMError("can't create backend with size 0")
        object_id = name
        if self.x_use_canonical_path_for_ramblock_id:
            name = f"/objects/{name}"
        memory = self.map_memory(name)
        try:
            self._check_pages(memory)
            if self.merge:
                _advise_merge(memory, True)
            if not self.dump:
                memory.advise_dump(False)
            self._bind(memory)
            if self.prealloc:
                yield from self._preallocate(object_id, memory)
            self._publish(name, memory)
        except VMError:
            if self.length >= LARGE:
                yield lambda _cancellation: memory.close()
            memory.close()
            self.release()
            raise
        except BaseException:
            memory.close()
            self.release()
            raise

    def _check_pages(self, memory: HostMemory) -> None:
        """Whole pages of a file, as newer QEMUs want them; what the machine has for `-m` is rounded."""
        rounds = self.qemu.settings("backends").get("rounds files", False)
        if self.backing_path is None or rounds or self.serves_machine or not self.size % memory.page_size:
            return
        unit = size_to_str(memory.page_size)
        raise VMError(f"backend '{self.type_name}' memory size must be multiple of {unit}")

    def _publish(self, name: str, memory: HostMemory) -> None:
        length = self.length
        block = RAMBlock(name, length, length, memory, shared=self.share, readonly=memory.readonly)
        try:
            self.topology.ram_blocks.add(block)
        except OverflowError as error:
            raise VMError(f"cannot set up guest memory '{name}': {error}") from None
        self.memory = memory
        self.region = self.own_region(self.topology.ram(name, self.size, block))
        self.region.set_readonly(memory.readonly)

    def take(self, block_name: str | None = None) -> MemoryRegion:
        """The region, for whoever maps it: its block gets its name, or another, and it can no longer be deleted.

        Raises `VMError` if somebody has it, or a block has that name.
        """
        region = self.region
        if region is None or region.ram_block is None or self.in_use:
            raise VMError(f"can't use already busy memdev: {self.name}")
        name = region.name if block_name is None else block_name
        try:
            self.topology.ram_blocks.rename(region.ram_block, name)
        except ValueError:
            raise VMError(f'RAMBlock "{name}" already registered') from None
        self.in_use = True
        return region

    def leave(self) -> None:
        """Be free again: nobody maps the region any more."""
        assert self.region is not None and self.region.ram_block is not None, "it was taken"
        self.topology.ram_blocks.rename(self.region.ram_block, "")
        self.in_use = False

    def release(self) -> None:
        """Give the memory back to the host; harmless where there is none.

        Raises `BufferError`, nothing changed, while somebody holds a view of it.
        """
        block = self.region.ram_block if self.region is not None else None
        if block is not None:
            self._unmap(block)
            self.topology.ram_blocks.remove(block)
            self.memory = self.region = None
        self._link_context(None)

    def release_task(self) -> Task[None]:
        """Give the memory back; where it is large another thread does it, for the kernel frees page by page."""
        block = self.region.ram_block if self.region is not None else None
        if block is not None and self.length >= LARGE:
            self.working += 1
            try:
                yield lambda _cancellation: self._unmap(block)
            finally:
                self.working -= 1
        self.release()

    def _unmap(self, block: RAMBlock) -> None:
        """Let go of the host memory; a second time does nothing."""
        block.close()

    @property
    def length(self) -> int:
        """Bytes of host memory: the size, rounded up to whole pages."""
        return -(-self.size // self.length_unit) * self.length_unit

    # Policy and preallocation

    def _bind(self, memory: HostMemory) -> None:
        """Apply the NUMA policy, before any page is touched."""
        if self.policy == "default":
            if self.host_nodes:
                raise VMError(
                    "host-nodes must be empty for policy default, or you should explicitly specify a policy other "
                    "than default"
                )
            return
        if not self.host_nodes:
            raise VMError(f"host-nodes must be set for policy {self.policy}")
        try:
            if self.length % memory.page_size:  # QEMU binds the unrounded length, which the kernel refuses
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            memory.bind(self.policy, self.host_nodes)
        except OSError as error:
            from .hints import of_binding

            hint = of_binding(self, error, memory.page_size)
            raise VMError(f"cannot bind memory to host NUMA nodes: {error.strerror}", hint=hint) from None

    def _preallocate(self, name: str, memory: HostMemory) -> Task[None]:
        """Touch all pages with `prealloc_threads` threads."""
        from .prealloc import Preallocation

        defaults = self.defaults
        preallocation = Preallocation(self.host, name, memory, self.length, self.prealloc_threads)
        defaults.preallocations.append(preallocation)
        defaults.on_preallocation(preallocation)
        try:
            yield from self._in_context(preallocation.run)
        except VMError as error:
            if preallocation.status == "failed":
                from .hints import of_populating

                error.hint = of_populating(self, memory)
            raise
        finally:
            defaults.preallocations.remove(preallocation)
            defaults.on_preallocation(preallocation)

    def _in_context(self, step: Step) -> Task[None]:
        """Run a step, on the threads of the `prealloc-context` if there is one, which stays until the end."""
        context = self.prealloc_context
        if context is None:
            yield step
            return
        context.hold()
        try:
            yield lambda cancellation: context.run(lambda: step(cancellation))
        finally:
            context.let_go()

    # Setters that do more than keep the value

    def _set_size(self, value: object) -> None:
        if self.region is not None:
            raise VMError(self.frozen_text("size"))
        size = take_int("size", value, "uint64", 64)
        if size == 0:
            raise VMError(f"property 'size' of {self.type_name} doesn't take value '0'")
        self.size = size

    def _set_merge(self, value: object) -> None:
        merge = take_bool("merge", value)
        if self.memory is not None and merge != self.merge:
            _advise_merge(self.memory, merge)
        self.merge = merge

    def _set_dump(self, value: object) -> None:
        dump = take_bool("dump", value)
        if self.memory is not None and dump != self.dump:
            self.memory.advise_dump(dump)
        self.dump = dump

    def _set_prealloc(self, value: object) -> None:
        run = self.set_task("prealloc", value)
        if run is not None:
            run_now(run)

    def set_task(self, name: str, value: object) -> Task[None] | None:
        """Setting `prealloc` populates memory that exists, which may take long; once populated it stays so."""
        if name != "prealloc":
            self.set(name, value)
            return None
        prealloc = take_bool("prealloc", value)
        if prealloc and not self.reserve:
            raise VMError("'prealloc=on' and 'reserve=off' are incompatible")
        if self.memory is None:
            self.prealloc = prealloc
        elif prealloc and not self.prealloc:
            return self._populate(self.memory)
        return None

    def _populate(self, memory: HostMemory) -> Task[None]:
        self.working += 1
        try:
            yield from self._preallocate(self.name, memory)
        finally:
            self.working -= 1
        self.prealloc = True

    def _set_prealloc_threads(self, value: object) -> None:
        threads = take_int("prealloc-threads", value, "uint32_t", 32)
        if threads == 0:
            raise VMError(f"property 'prealloc-threads' of {self.type_name} doesn't take value '0'")
        self.prealloc_threads = threads

    def _set_prealloc_context(self, value: object) -> None:
        path = take_str("prealloc-context", value)
        if not path:
            return self._link_context(None)
        from .thread_context import ThreadContext

        return self._link_context(self.tree.find_linked("prealloc-context", path, ThreadContext))

    def _link_context(self, context: ThreadContext | None) -> None:
        """Hold `context`, whose thread lives as long as somebody does, and let go of the one before."""
        if context is not None:
            context.hold()
        if self.prealloc_context is not None:
            self.prealloc_context.let_go()
        self.prealloc_context = context

    def _context_path(self) -> str:
        context = self.prealloc_context
        return context.path if context is not None and context.parent is not None else ""

    def _set_policy(self, value: object) -> None:
        self.policy = take_enum("policy", value, POLICIES, self.qemu)

    def _set_host_nodes(self, value: object) -> None:
        nodes = set(take_numbers("host-nodes", value))
        for node in sorted(nodes):
            if node >= MAX_NODES:
                raise VMError(f"Invalid host-nodes value: {node}")
        # As observed of QEMU: nodes can be added and never be taken back.
        self.host_nodes = sorted({*self.host_nodes, *nodes})

    properties: tuple[Property, ...] = (
        Property("merge", "bool", lambda backend: backend.merge, _set_merge, "Mark memory as mergeable"),
        Property("dump", "bool", lambda backend: backend.dump, _set_dump, "Set to 'off' to exclude from core dump"),
        Property("prealloc", "bool", lambda backend: backend.prealloc, _set_prealloc, "Preallocate memory"),
        Property(
            "prealloc-threads",
            "int",
            lambda backend: backend.prealloc_threads,
            _set_prealloc_threads,
            "Number of CPU threads to use for prealloc",
        ),
        Property(
            "prealloc-context",
            "link<thread-context>",
            _context_path,
            _set_prealloc_context,
            "Context to use for creating CPU threads for preallocation",
            since="7.2",
        ),
        Property("size", "int", lambda backend: backend.size, _set_size, "Size of the memory region (ex: 500M)"),
        Property(
            "host-nodes",
            "int",
            lambda backend: list(backend.host_nodes),
            _set_host_nodes,
            "Binds memory to the list of NUMA host nodes",
            is_list=True,
        ),
        Property("policy", "HostMemPolicy", lambda backend: backend.policy, _set_policy, "Set the NUMA policy"),
        plain("share", "bool", "Mark the memory as private to QEMU or shared", check=take_bool),
        plain("reserve", "bool", "Reserve swap space (or huge pages) if applicable", check=take_bool, since="6.1"),
        any_time("x-use-canonical-path-for-ramblock-id", "bool", check=take_bool),
    )
