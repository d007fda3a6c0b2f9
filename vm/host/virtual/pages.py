"""The pages that an area of anonymous memory or a file has: populated, promised, moved and given back."""

from __future__ import annotations

import errno
import os

from .runs import RESERVED, Runs, spread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .pools import Policy, Pool, Quota
    from .runs import Run

EVERYTHING = 1 << 64
"""A page number beyond all pages."""


def refusal(number: int) -> OSError:
    """The error of a system call."""
    return OSError(number, os.strerror(number))


class Pages:
    """Pages out of one pool, chosen by a policy and charged to quotas."""

    __slots__ = ("_keeps_reservation", "_policy", "_quotas", "pool", "reserved", "runs")

    def __init__(self, pool: Pool, policy: Policy, quotas: tuple[Quota, ...] = ()) -> None:
        self.pool = pool
        self._policy = policy
        self._quotas = quotas
        self.runs = Runs()
        self.reserved = Runs()
        self._keeps_reservation = False

    def reserve(self, start: int, end: int, private: bool) -> None:
        """Have huge pages promised for what has neither a page nor a promise; ENOMEM when so many are not free.

        Pages of a private mapping that are discarded are promised anew (so Linux since 6.7).
        """
        absent = [gap for first, last in self.runs.gaps(start, end) for gap in self.reserved.gaps(first, last)]
        count = sum(last - first for first, last in absent)
        if count > self.pool.unreserved:
            raise refusal(errno.ENOMEM)
        self.pool.reserved += count
        for first, last in absent:
            self.reserved.add(first, last, RESERVED)
        self._keeps_reservation = private

    def populate(self, start: int, end: int, refused: int = errno.EFAULT) -> None:
        """Have a page for every number of an interval; where one cannot be had, those before it stay.

        Raises ENOMEM when the nodes allowed are full, `refused` when a quota or the pool of huge pages is at its end.
        """
        for first, last in self.runs.gaps(start, end):
            if not self.reserved:
                self._take(first, last, self._allowed(last - first), refused)
                continue
            promised = [(begin, stop, True) for begin, stop, _ in self.reserved.within(first, last)]
            others = [(begin, stop, False) for begin, stop in self.reserved.gaps(first, last)]
            for begin, stop, is_promised in sorted(promised + others):
                self._take(begin, stop, stop - begin if is_promised else self._allowed(stop - begin), refused)

    def discard(self, start: int, end: int) -> None:
        """Give the pages of an interval back."""
        removed = self.runs.remove(start, end)
        self._give(removed)
        if self._keeps_reservation:
            for first, last, _ in removed:
                self.reserved.add(first, last, RESERVED)
                self.pool.reserved += last - first

    def cut(self, start: int) -> None:
        """Give back all pages and promises from a number on."""
        self._give(self.runs.remove(start, EVERYTHING))
        self.pool.reserved -= sum(last - first for first, last, _ in self.reserved.remove(start, EVERYTHING))

    def bind(self, policy: Policy, start: int, end: int) -> None:
        """Set the policy, and move pages of an interval that are where it does not allow; EIO when one cannot be.

        An interleaved run is moved whole if a part of it has to move.
        """
        self._policy = policy
        allowed = policy.allowed
        if allowed is None:
            return
        for run in self.runs.within(start, end):
            if not allowed.issuperset(run[2]):
                self._move(run, policy)

    def residency(self, start: int, end: int) -> dict[int, int]:
        """Bytes of an interval on each node."""
        found: dict[int, int] = {}
        for run in self.runs.within(start, end):
            for node, count in spread(run).items():
                found[node] = found.get(node, 0) + count * self.pool.page_size
        return found

    def node(self, page: int) -> int | None:
        """The node of a page; None where there is none."""
        for start, _end, stripe in self.runs.within(page, page + 1):
            return stripe[start % len(stripe)]
        return None

    def _allowed(self, count: int) -> int:
        """How many of so many pages without a promise the quotas and other promises leave."""
        if self.pool.huge:
            count = min(count, max(self.pool.unreserved, 0))
        for quota in self._quotas:
            room = quota.room
            if room is not None:
                count = min(count, room // self.pool.page_size)
        return count

    def _take(self, start: int, end: int, allowed: int, refused: int) -> None:
        taken = self.pool.take(start, start + allowed, self._policy)
        stop = taken[-1][1] if taken else start
        if self.reserved:
            self.pool.reserved -= sum(last - first for first, last, _ in self.reserved.remove(start, stop))
        for quota in self._quotas:
            quota.used += (stop - start) * self.pool.page_size
        for run in taken:
            self.runs.add(*run)
        if stop < end:
            raise refusal(refused if self.pool.huge or stop == start + allowed else errno.ENOMEM)

    def _give(self, runs: list[Run]) -> None:
        self.pool.give(runs)
        for quota in self._quotas:
            quota.used -= sum(end - start for start, end, _ in runs) * self.pool.page_size

    def _move(self, run: Run, policy: Policy) -> None:
        start, end, _ = run
        self.pool.give([run])
        moved = self.pool.take(start, end, policy)
        if sum(last - first for first, last, _ in moved) < end - start:
            self.pool.give(moved)
            self.pool.take_back(run)
            raise refusal(errno.EIO)
        self.runs.remove(start, end)
        for each in moved:
            self.runs.add(*each)
