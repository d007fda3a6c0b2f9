"""What a migration counts, as `query-migrate` tells it. Written by the worker's thread, read by everybody."""

from __future__ import annotations

from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Statistics:
    """Of one migration. Bytes, pages, and moments of a clock that only goes forward."""

    def __init__(self) -> None:
        self.total = 0
        """Bytes of RAM there are."""
        self.remaining = 0
        self.zero_pages = 0
        self.normal_pages = 0
        self.stream_bytes = 0
        """Everything that was sent."""
        self.ram_bytes = 0
        """Of that, what tells of pages."""
        self.multifd_bytes = 0
        """Everything that was sent on channels of pages alone."""
        self.precopy_bytes = 0
        self.downtime_bytes = 0
        self.passes = 0
        self.dirty_pages_rate = 0
        self.bandwidth = 0.0
        """Bytes a second that the last round was sent with."""
        self.round_bytes = 0
        """Bytes of memory that the present round sends."""
        self._guest_runs = True
        self._began = monotonic()
        self._active: float | None = None
        self._stopped: float | None = None
        self._ended: float | None = None
        self._round_began = self._began
        self._round_sent = 0

    def begin(self, total: int, *, guest_runs: bool) -> None:
        """The memory that is to be sent is known."""
        self._guest_runs = guest_runs
        self.total = self.remaining = total

    def become_active(self) -> None:
        """The copy begins."""
        self._active = monotonic()

    def count_ram(self, size: int) -> None:
        """Pages were sent with so many bytes."""
        self.ram_bytes += size
        if self._guest_runs:
            self.precopy_bytes += size
        else:
            self.downtime_bytes += size

    def count_multifd(self, size: int) -> None:
        """Pages were sent with so many bytes, on channels of their own."""
        self.ram_bytes += size
        self.multifd_bytes += size

    def begin_round(self, size: int) -> None:
        """A round of so many bytes begins."""
        self.round_bytes = self.remaining = size
        self._round_began = monotonic()
        self._round_sent = self.stream_bytes

    def end_round(self, dirty: int, page_size: int) -> None:
        """A round ended; the guest wrote so many bytes meanwhile."""
        seconds = max(monotonic() - self._round_began, 1e-6)
        self.bandwidth = (self.stream_bytes - self._round_sent) / seconds
        self.dirty_pages_rate = int(dirty / page_size / seconds)
        self.remaining = dirty

    def stop_guest(self) -> None:
        """The guest stands still from now on."""
        self._guest_runs = False
        self._stopped = monotonic()

    def end(self) -> None:
        """Nothing is sent any more."""
        self._ended = monotonic()

    @property
    def total_milliseconds(self) -> int:
        """How long it has taken."""
        return int(((self._ended or monotonic()) - self._began) * 1000)

    @property
    def setup_milliseconds(self) -> int:
        """How long it took until the copy began."""
        return int(((self._active or self._began) - self._began) * 1000)

    @property
    def downtime_milliseconds(self) -> int:
        """How long the guest has stood still."""
        return 0 if self._stopped is None else int(((self._ended or monotonic()) - self._stopped) * 1000)

    def describe(self, page_size: int, *, counts_all: bool) -> dict[str, Any]:
        """As `query-migrate` tells it; `counts_all` says whether all that was sent counts as transferred."""
        seconds = max(self.total_milliseconds - self.setup_milliseconds, 1) / 1000
        pages = self.zero_pages + self.normal_pages
        return {
            "transferred": self.stream_bytes if counts_all else self.ram_bytes,
            "remaining": max(self.remaining, 0),
            "total": self.total,
            "duplicate": self.zero_pages,
            "skipped": 0,
            "normal": self.normal_pages,
            "normal-bytes": self.normal_pages * page_size,
            "dirty-pages-rate": self.dirty_pages_rate,
            "mbps": self.stream_bytes * 8 / seconds / 1e6,
            "dirty-sync-count": self.passes,
            "postcopy-requests": 0,
            "page-size": page_size,
            "multifd-bytes": self.multifd_bytes,
            "pages-per-second": int(pages / seconds),
            "precopy-bytes": self.precopy_bytes,
            "downtime-bytes": self.downtime_bytes,
            "postcopy-bytes": 0,
            "dirty-sync-missed-zero-copy": 0,
        }
