"""Why the host has no page for a place in guest memory: the reason in words, from the host's own facts.

Imported when it has happened. Whoever meets a `MissingPage` adds this to the guest address it was about.
"""

from __future__ import annotations

from ..sizes import size_to_str

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..host import Host
    from ..memory.ramblock import RAMBlock
    from .backend import MemoryBackend


def why_missing(backends: Iterable[MemoryBackend], host: Host, block: RAMBlock, offset: int, error: OSError) -> str:
    """Whose memory it is and why it lacks the page at `offset`, an access having failed with `error`."""
    for backend in backends:
        if backend.region is not None and backend.region.ram_block is block:
            place = f"{backend.type_name} '{backend.name}' + {offset:#x}"
            return f"{place}: {_reason(backend, host, block, offset) or error.strerror}"
    return f"RAMBlock '{block.region_name}' + {offset:#x}: {_host_full(host, block) or error.strerror}"


def _reason(backend: MemoryBackend, host: Host, block: RAMBlock, offset: int) -> str | None:
    path = backend.backing_path
    size = _file_size(host, path) if path is not None else None
    if size is not None and offset + getattr(backend, "offset", 0) >= -(-size // host.page_size) * host.page_size:
        return f"the file {path} ends at {size:#x}"
    if block.host.page_size > host.page_size:
        pool = host.huge_pages(block.host.page_size)
        return f"no huge page of {size_to_str(block.host.page_size)} is free ({pool.total} there are)"
    left = host.free_space(path) if path is not None else None
    if left is not None and left < host.page_size:
        return f"the file system of {path} is full"
    return _host_full(host, block)


def _file_size(host: Host, path: str) -> int | None:
    """Bytes of a file; None of what is none, or is not there any more."""
    try:
        file = host.open_file(path, readonly=True)
    except OSError:
        return None
    try:
        return file.size or None  # a folder, a device
    except OSError:
        return None
    finally:
        file.close()


def _host_full(host: Host, block: RAMBlock) -> str | None:
    room = host.available_memory if host.populate_room is None else host.populate_room
    if room < block.host.page_size:
        return "the host, or the control group's memory limit, is full"
    return None
