"""thread-context: a living thread on chosen CPUs, from which the threads that preallocate memory are started."""

from __future__ import annotations

import threading
from _queue import SimpleQueue  # the module queue has it too, at the price of its imports

from ..errors import VMError
from ..objects import UserCreatable
from ..qom import Property, take_numbers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..host import Host
    from ..memory.address_space import MemoryTopology
    from ..objects import ObjectDefaults
    from ..steps import Task


class ThreadContext(UserCreatable):
    """A thread that waits; threads inherit its CPUs, so what is run through it runs there.

    It lives from `complete` until it is deleted and no backend holds it any longer.
    """

    type_name = "thread-context"

    def __init__(self, host: Host, topology: MemoryTopology, defaults: ObjectDefaults) -> None:
        super().__init__(host, topology, defaults)
        self._thread: threading.Thread | None = None
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._wanted_cpus: list[int] = []
        self._by_nodes = False
        """Whether nodes were named rather than CPUs."""
        self._holders = 0
        self._released = False

    def complete(self, name: str) -> Task[None]:
        """Start the thread and put it on its CPUs."""
        self._thread = threading.Thread(target=self._serve, name=f"TC {name}", daemon=True)
        self._thread.start()
        try:
            if self._wanted_cpus:
                self._move(self._wanted_cpus)
        except VMError:
            self.release()
            raise
        yield from ()

    def release(self) -> None:
        """End the thread, once the last holder has let go."""
        self._released = True
        self._end_if_unused()

    def hold(self) -> None:
        """Keep the thread alive even if the object is deleted."""
        self._holders += 1

    def let_go(self) -> None:
        """Undo one `hold`."""
        self._holders -= 1
        self._end_if_unused()

    def _end_if_unused(self) -> None:
        if self._thread is not None and self._released and not self._holders:
            self._work.put(None)
            self._thread.join()
            self._thread = None

    def run(self, work: Callable[[], None]) -> None:
        """Run `work` on a new thread that has this one's CPUs, wait for its end, and raise what it raised."""
        ended = threading.Event()
        failures: list[BaseException] = []

        def watched() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)
            finally:
                ended.set()

        self._work.put(watched)
        ended.wait()
        if failures:
            raise failures[0]

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                threading.Thread(target=work, daemon=True).start()
            except RuntimeError:  # the host allows no more threads
                work()

    # Properties

    @property
    def thread_id(self) -> int:
        """The kernel's id of the thread; 0 where there is none."""
        return self._thread.native_id or 0 if self._thread is not None else 0

    @property
    def cpus(self) -> list[int]:
        """The CPUs that the thread may run on, as the kernel has it."""
        return list(self.host.affinity(self.thread_id))

    def _move(self, cpus: list[int]) -> None:
        if self._thread is None:
            self._wanted_cpus = cpus
            return
        try:
            self.host.set_affinity(self.thread_id, cpus)
        except OSError as error:
            raise VMError(f"Setting CPU affinity failed: {error.strerror}") from None

    def _refuse_both(self, *, by_nodes: bool) -> None:
        """At the start CPUs or nodes can be named; later each replaces the other."""
        if self._thread is None and self._wanted_cpus and self._by_nodes != by_nodes:
            raise VMError("Mixing CPU and node affinity not supported")
        self._by_nodes = by_nodes

    def _set_cpu_affinity(self, value: object) -> None:
        cpus = take_numbers("cpu-affinity", value)
        self._refuse_both(by_nodes=False)
        if not cpus:
            raise VMError("CPU list is empty")
        self._move(cpus)

    def _set_node_affinity(self, value: object) -> None:
        nodes = take_numbers("node-affinity", value)
        self._refuse_both(by_nodes=True)
        if not nodes:
            raise VMError("Node list is empty")
        cpus = [cpu for node in nodes for cpu in self.host.node_cpus(node)]
        if not cpus:
            raise VMError("The nodes select no CPUs")
        self._move(cpus)

    properties: tuple[Property, ...] = (
        Property("thread-id", "int", lambda context: context.thread_id),
        Property("node-affinity", "int", None, _set_node_affinity, is_list=True),
        Property("cpu-affinity", "int", lambda context: context.cpus, _set_cpu_affinity, is_list=True),
    )
