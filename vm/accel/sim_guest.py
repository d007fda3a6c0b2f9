"""A guest without a kernel: what it reads and writes is read and written here, through simulated slots."""

from __future__ import annotations

from bisect import bisect_right

from ..host import MissingPage
from .guest import HostPageMissing
from .guest_job import WORD_MASK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .guest_job import GuestJob
    from .memslots import Memslot
    from .sim import SimMemslotTable


class SimProcessor:
    """Reads and writes the memory of simulated slots, and logs what it writes as KVM would."""

    address_bits = 64

    def __init__(self, table: SimMemslotTable) -> None:
        self._table = table
        self._generation = -1
        self._slots: list[Memslot] = []

    def begin(self) -> None:
        """Nothing is needed."""

    def end(self) -> None:
        """Nothing was taken."""

    def close(self) -> None:
        """Nothing was taken."""

    def run(self, job: GuestJob, gpa: int, count: int) -> int:
        """Accesses within one slot, or the next one where there is none."""
        memslot = self._find(gpa)
        if memslot is None:
            job.note_exit(gpa)
            return 1
        count = min(count, -(-(memslot.gpa + memslot.size - gpa) // job.stride))
        if job.mode != "read" and memslot.readonly:
            for number in range(count):
                job.note_exit(gpa + number * job.stride)
            return count
        try:
            if job.mode == "read":
                offset = memslot.offset + gpa - memslot.gpa
                job.sum = job.sum + memslot.block.host.sum_words(offset, count, job.stride) & WORD_MASK
            else:
                self._write(job, memslot, gpa, count)
        except MissingPage as missing:
            raise HostPageMissing(memslot, missing.offset, missing) from None
        return count

    def _write(self, job: GuestJob, memslot: Memslot, gpa: int, count: int) -> None:
        first = gpa - memslot.gpa
        value, step = (job.value + gpa, job.stride) if job.mode == "pattern" else (job.value, 0)
        written = 0
        try:
            memslot.block.host.write_words(memslot.offset + first, count, job.stride, value, step)
            written = count
        except MissingPage as missing:
            written = (missing.offset - memslot.offset - first) // job.stride
            raise
        finally:
            self._table.mark_words(memslot, first, written, job.stride)

    def _find(self, gpa: int) -> Memslot | None:
        if self._generation != self._table.generation:
            self._generation = self._table.generation
            self._slots = sorted((slot for slot in self._table if not slot.as_id), key=lambda slot: slot.gpa)
        position = bisect_right(self._slots, gpa, key=lambda slot: slot.gpa) - 1
        if position < 0:
            return None
        memslot = self._slots[position]
        return memslot if gpa < memslot.gpa + memslot.size else None
