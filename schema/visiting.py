"""Which of several undeclared members QEMU complains about first. The order of the declared ones is in `types`.

QEMU keeps the members it has not visited in a GLib hash table and names the first that is left. The order is that of
the table's slots; it depends on how names were put in only where they collide. Modelled for tables of eight slots,
which hold up to seven names; a larger object with two undeclared members gets the one that was written first.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable

_SLOTS = 8
_PRIME = 7
_QDICT_BUCKETS = 512
_MOST_BUCKETS = 1024
_buckets: dict[str, int] = {}
"""The buckets of names that were asked for, which are mostly the same few."""


def first_unexpected(sent: Iterable[str], known: Container[str]) -> str | None:
    """Return the member of a JSON object that QEMU finds unexpected first; None when all are known."""
    return first_left(qdict_order(sent), known)


def first_left(names: list[str], known: Container[str]) -> str | None:
    """Return the unknown name that comes first in a hash table that got the names in this order."""
    unknown = [name for name in names if name not in known]
    if len(unknown) < 2 or len(names) >= _SLOTS:
        return unknown[0] if unknown else None
    slots: list[str | None] = [None] * _SLOTS
    for name in names:
        slot, step = _string_hash(name) * 11 % 2**32 % _PRIME, 0
        while slots[slot] is not None:
            step += 1
            slot = (slot + step) % _SLOTS
        slots[slot] = name
    return next(name for name in slots if name in unknown)


def qdict_order(names: Iterable[str]) -> list[str]:
    """Return the names in the order in which QEMU goes through a dictionary of its own: by bucket, the newest first."""
    newest_first = list(names)[::-1]
    return sorted(newest_first, key=_bucket)


def _string_hash(name: str) -> int:
    """GLib's string hash (djb2 on signed bytes); 0 and 1 mark free slots there."""
    value = 5381
    for byte in name.encode(errors="surrogatepass"):
        value = (value * 33 + (byte ^ 128) - 128) % 2**32
    return max(value, 2)


def _bucket(name: str) -> int:
    found = _buckets.get(name)
    if found is None:
        if len(_buckets) >= _MOST_BUCKETS:
            _buckets.clear()
        found = _buckets[name] = _bucket_hash(name) % _QDICT_BUCKETS
    return found


def _bucket_hash(name: str) -> int:
    """The string hash of the Trivial Database (TDB), which QEMU's dictionaries use."""
    text = name.encode(errors="surrogatepass")
    value = 0x238F13AF * len(text)
    for index, byte in enumerate(text):
        value += byte << (index * 5 % 24)
    return (1103515243 * (value % 2**32) + 12345) % 2**32
