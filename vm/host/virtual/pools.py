"""Where pages come from: the pages of one size on all nodes, the policies that choose among nodes, and quotas.

The rules are the kernel's page allocator's: the node that the policy names first, then the others that it allows, by
distance. All of it works with counts, so that terabytes cost what a page costs.
"""

from __future__ import annotations

from .runs import spread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..description import HostDescription
    from .runs import Run, Stripe


class Policy:
    """Which nodes pages may come from.

    Page `i` comes from `stripe[i % len(stripe)]`, or, when that is full, from the first of its `fallback` that is not.
    """

    __slots__ = ("allowed", "fallback", "stripe")

    def __init__(self, stripe: Stripe, fallback: dict[int, Stripe], allowed: frozenset[int] | None) -> None:
        self.stripe = stripe
        self.fallback = fallback
        self.allowed = allowed
        """Where pages stay when the policy comes to lie over them; None lets all stay."""


class Topology:
    """The nodes that have memory, and how far they are from each other."""

    __slots__ = ("_distances", "_local", "nodes")

    def __init__(self, description: HostDescription) -> None:
        numbers = [node.node for node in description.nodes]
        self._distances = {node.node: dict(zip(numbers, node.distances, strict=True)) for node in description.nodes}
        self._local = description.local_node
        self.nodes = frozenset(node.node for node in description.nodes if node.memory)

    def order(self, node: int, allowed: Iterable[int]) -> Stripe:
        """Nodes by their distance from one; of equals, those with higher numbers first, going round as the kernel's
        zone lists do."""
        return tuple(sorted(allowed, key=lambda other: (self._distances[node][other] + (other < node), other)))

    def policy(self, mode: str, nodes: Iterable[int]) -> Policy:
        """The policy of QEMU's HostMemPolicy; nodes without memory are ignored.

        Raises ValueError where the kernel says EINVAL: no node is left, or `default` names one.
        """
        named = set(nodes)
        usable = frozenset(named & self.nodes)
        if mode == "default" or (mode == "preferred" and not named):
            if named:
                raise ValueError("the default policy has no nodes")
            return Policy((self._local,), {self._local: self.order(self._local, self.nodes)}, None)
        if not usable:
            raise ValueError("no node has memory")
        if mode == "bind":
            return Policy((self._local,), {self._local: self.order(self._local, usable)}, usable)
        stripe = (min(usable),) if mode == "preferred" else tuple(sorted(usable))
        return Policy(stripe, {node: self.order(node, self.nodes) for node in stripe}, usable)


class Pool:
    """The pages of one size: how many each node has, how many of them are free, how many of those are promised."""

    __slots__ = ("free", "huge", "page_size", "reserved", "total")

    def __init__(self, page_size: int, total: dict[int, int], free: dict[int, int], huge: bool, reserved: int) -> None:
        self.page_size = page_size
        self.total = total
        self.free = free
        self.huge = huge
        self.reserved = reserved

    @property
    def unreserved(self) -> int:
        """Free pages that are promised to nobody."""
        return sum(self.free.values()) - self.reserved

    def take(self, start: int, end: int, policy: Policy) -> list[Run]:
        """Take a page for each number in an interval, from the first on until the nodes allowed have none left."""
        length = len(policy.stripe)
        if length == 1:
            return self._take_in_order(start, end, policy.fallback[policy.stripe[0]])
        taken: list[Run] = []
        nodes = [self._nearest(policy, node) for node in policy.stripe]
        while start < end:
            stop = self._reach(start, end, nodes)
            if stop > start:
                stripe = tuple(node for node in nodes if node is not None)
                # A node that has nothing is not reached in this run, so what stands in its place does not matter.
                if len(stripe) < length:
                    stripe = tuple(stripe[0] if node is None else node for node in nodes)
                run = (start, stop, stripe[:1] if len(set(stripe)) == 1 else stripe)
                self._count(run, -1)
                taken.append(run)
                start = stop
            if start < end:
                nodes = [self._nearest(policy, node) for node in policy.stripe]
                if nodes[start % length] is None:
                    break
        return taken

    def _take_in_order(self, start: int, end: int, nodes: Stripe) -> list[Run]:
        """Take as many pages as there are from each node in turn."""
        taken: list[Run] = []
        for node in nodes:
            count = min(self.free[node], end - start)
            if count:
                self.free[node] -= count
                taken.append((start, start + count, (node,)))
                start += count
            if start == end:
                break
        return taken

    def give(self, runs: Iterable[Run]) -> None:
        """Give pages back."""
        for run in runs:
            self._count(run, 1)

    def take_back(self, run: Run) -> None:
        """Take the very pages that were given."""
        self._count(run, -1)

    def _nearest(self, policy: Policy, node: int) -> int | None:
        return next((other for other in policy.fallback[node] if self.free[other]), None)

    def _reach(self, start: int, end: int, nodes: list[int | None]) -> int:
        """How far from `start` on there are pages, if page `i` is `nodes[i % len(nodes)]`'s."""
        if all(node is not None and self.free[node] >= end - start for node in nodes):
            return end
        return min(end, *(self._exhausted(start, node, nodes) for node in set(nodes)))

    def _exhausted(self, start: int, node: int | None, nodes: list[int | None]) -> int:
        """The first page from `start` on that `node` has no page for, if page `i` is `nodes[i % len(nodes)]`'s."""
        length = len(nodes)
        offsets = sorted((position - start) % length for position, each in enumerate(nodes) if each == node)
        cycles, rest = divmod(0 if node is None else self.free[node], len(offsets))
        return start + cycles * length + offsets[rest]

    def _count(self, run: Run, sign: int) -> None:
        for node, count in spread(run).items():
            self.free[node] += sign * count


class Quota:
    """Bytes of which a part is used; without a limit there is always room."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int | None, used: int = 0) -> None:
        self.limit = limit
        self.used = used

    @property
    def room(self) -> int | None:
        """Bytes left; None where there is no end."""
        return None if self.limit is None else max(self.limit - self.used, 0)


class Commit(Quota):
    """What the host has promised. Only under overcommit policy 2 there is a limit to the sum."""

    __slots__ = ("_everything", "_policy")

    def __init__(self, description: HostDescription) -> None:
        rule = description.overcommit
        super().__init__(description.commit_limit if rule.policy == 2 else None, rule.committed)
        self._policy = rule.policy
        self._everything = description.memory + rule.swap

    def allows(self, size: int) -> bool:
        """Whether so much may be promised at once."""
        if self._policy == 0:
            return size <= self._everything
        return self.room is None or size <= self.room
