"""How this Linux maps memory: the flags of each mapping, and what is promised for it."""

from __future__ import annotations

import errno
import os

from . import NO_RESERVE_REFUSED
from .libc import lib, memfd_create
from .linux_memory import LinuxFile, LinuxMemory, map_guarded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import HostFile
    from .linux import LinuxHost

ANONYMOUS_ALIGNMENT = 2 << 20
"""Bytes: the smallest place that a transparent huge page can take."""


def map_anonymous(host: LinuxHost, size: int, share: bool, reserve: bool, align: int) -> LinuxMemory:
    """As `Host.map_anonymous`."""
    flags = lib.MAP_ANONYMOUS
    if not reserve:
        flags |= _no_reserve(host)
    return _map(host, size, flags, None, 0, share, False, max(align, ANONYMOUS_ALIGNMENT), host.page_size)


def map_file(
    host: LinuxHost,
    file: HostFile,
    size: int,
    offset: int,
    share: bool,
    readonly: bool,
    reserve: bool,
    align: int,
    page_size: int,
) -> LinuxMemory:
    """As `Host.map_file`."""
    if not isinstance(file, LinuxFile):
        raise TypeError("a file of another host")
    page_size = page_size or file.page_size
    flags = 0
    if not reserve:
        # Of a file, only private pages outside of hugetlbfs are charged to swap.
        charged = not share and page_size == host.page_size
        flags = _no_reserve(host) if charged else lib.MAP_NORESERVE
    return _map(host, size, flags, file, offset, share, readonly, align, page_size)


def create_memfd(host: LinuxHost, name: str, huge_page_size: int | None, sealable: bool) -> LinuxFile:
    """As `Host.create_memfd`."""
    flags = lib.MFD_CLOEXEC
    if sealable:
        flags |= lib.MFD_ALLOW_SEALING
    if huge_page_size is not None:
        flags |= lib.MFD_HUGETLB | (huge_page_size.bit_length() - 1) << lib.MFD_HUGE_SHIFT
    return LinuxFile(memfd_create(name, flags), host.page_size)


def _no_reserve(host: LinuxHost) -> int:
    """Return the flag, or refuse as QEMU does where the kernel counts every page whatever the flag says."""
    if host.counts_every_page:
        raise OSError(errno.EOPNOTSUPP, NO_RESERVE_REFUSED)
    return lib.MAP_NORESERVE  # type: ignore[no-any-return]  # cffi's constants are untyped


def _map(
    host: LinuxHost,
    size: int,
    flags: int,
    file: LinuxFile | None,
    offset: int,
    share: bool,
    readonly: bool,
    align: int,
    page_size: int,
) -> LinuxMemory:
    size = -(-size // page_size) * page_size
    align = max(align, page_size)
    guard = host.page_size
    protection = lib.PROT_READ if readonly else lib.PROT_READ | lib.PROT_WRITE
    flags |= lib.MAP_SHARED if share else lib.MAP_PRIVATE
    fd = -1 if file is None else file.fd
    # Of a huge page it is not told whether it is a hole.
    own_fd = os.dup(fd) if share and fd >= 0 and page_size == host.page_size else -1
    try:
        address = map_guarded(size, align, guard, protection, flags, fd, offset)
    except OSError:
        if own_fd >= 0:
            os.close(own_fd)
        raise
    ordinary = page_size == host.page_size and not readonly
    counted = ordinary and (not share or file is None or file.in_memory)
    anonymous = file is None and not share
    return LinuxMemory(address, size, guard, page_size, share, readonly, counted, anonymous, own_fd, offset)
