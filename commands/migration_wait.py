"""A person's wait for the end of a migration, with what is shown meanwhile."""

from __future__ import annotations

from time import monotonic, sleep

from ..vm.errors import VMError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..vm.migration.state import Migration
    from ..vm.steps import Cancellation, Task
    from . import Context

CANNOT_WAIT = "terminal does not allow synchronous migration, continuing detached\n"
POLL_SECONDS = 0.02


def wait_for_end(context: Context) -> Task[None]:
    """Wait until the migration has ended, or waits itself to be told to go on.

    To cancel this wait cancels the migration, unless it is the whole program that ends.

    :raise VMError: it failed, with the reason, which may be empty; or it was cancelled here.
    """
    migration = context.vm.migration
    progress = MigrationProgress(migration)
    context.program.show_progress_of(progress, progress.describe)
    cancelled = False
    try:
        yield lambda cancellation: _poll(migration, cancellation)
    except VMError:
        if context.program.ending:
            return
        cancelled = True
        migration.cancel()
        yield lambda _cancellation: _poll(migration, None)
    finally:
        context.program.end_progress_of(progress)
    if migration.status == "failed":
        raise VMError(migration.error)
    if cancelled and migration.status == "cancelled":
        raise VMError("Operation cancelled")


def _poll(migration: Migration, cancellation: Cancellation | None) -> None:
    while migration.is_sending and migration.status != "pre-switchover":
        if cancellation is not None:
            cancellation.check()
        sleep(POLL_SECONDS)


class MigrationProgress:
    """How far a pass over the memory is, and how fast it has been."""

    def __init__(self, migration: Migration) -> None:
        self._migration = migration
        self._pass = 0
        self._began = 0.0
        self._done_before = 0

    def describe(self) -> dict[str, Any]:
        """As `monitor.progress` has it; bytes are those of memory, not those that are sent for it."""
        statistics = self._migration.statistics
        number, total = statistics.passes, statistics.round_bytes
        done = min(max(total - statistics.remaining, 0), total)
        now = monotonic()
        if number != self._pass:
            self._pass, self._began, self._done_before = number, now, done
        seconds = now - self._began
        rate = max(int((done - self._done_before) / seconds), 0) if seconds else 0
        name = f"migration, pass {number}" if number > 1 else "migration"
        described = {"id": name, "done": done, "total": total, "rate": rate}
        return described | ({"remaining": (total - done) * 1000 // rate} if rate else {})
