"""What a machine may have besides memory. But for threads there is none of it here, and so the lists are empty."""

from __future__ import annotations

from .hmp import HMPCommand, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import Arguments, Context


def query_iothreads(context: Context, _arguments: Arguments) -> list[dict[str, Any]]:
    """Threads that would do I/O for devices, if there were any that do some."""
    from ..vm.iothread import IOThread

    threads = [found for found in reversed(context.vm.tree.objects.listed_children()) if isinstance(found, IOThread)]
    return [context.answer("query-iothreads", thread.describe()) for thread in threads]


def query_block(_context: Context, _arguments: Arguments) -> list[Any]:
    """Disks."""
    return []


def query_blockstats(_context: Context, _arguments: Arguments) -> list[Any]:
    """What disks have done."""
    return []


def query_named_block_nodes(_context: Context, _arguments: Arguments) -> list[Any]:
    """What disks are made of."""
    return []


def query_tpm_models(_context: Context, _arguments: Arguments) -> list[str]:
    """Kinds of TPM."""
    return []


def query_tpm_types(_context: Context, _arguments: Arguments) -> list[str]:
    """Where a TPM's answers come from."""
    return []


def _render_iothreads(result: list[dict[str, Any]], _words: Any) -> str:
    lines = []
    for thread in result:
        lines += [f"{thread['id']}:", f"  thread_id={thread['thread-id']}"]
        lines += [f"  {name}={value}" for name, value in thread.items() if name not in ("id", "thread-id")]
    return "".join(f"{line}\n" for line in lines)


HMP = (
    HMPCommand("info iothreads", fixed("query-iothreads"), _render_iothreads, help="show iothreads", preconfig=True),
)
