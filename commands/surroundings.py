"""What a machine may have besides memory. There is none of it here, and so the lists are empty."""

from __future__ import annotations

from .hmp import HMPCommand, fixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import Arguments, Context


def query_iothreads(_context: Context, _arguments: Arguments) -> list[Any]:
    """Threads that do I/O for devices."""
    return []


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


HMP = (
    HMPCommand(
        "info iothreads", fixed("query-iothreads"), lambda _result, _words: "", help="show iothreads", preconfig=True
    ),
)
