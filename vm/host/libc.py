"""The face of libc: system calls as functions from ints to ints.

Here and in `kvm.py` end cffi's types: no cdata leaves `vm/host`. A call that fails raises the `OSError` of its errno
with the plain `strerror`; the call itself, its arguments in hex, is the error's note (`error.__notes__`). No policy
here: what a mapping looks like is `linux.py`'s to say.
"""

from __future__ import annotations

import os

from . import _libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

ffi: Any = _libc.ffi
lib: Any = ffi.dlopen(None)
"""The process itself, which has libc in it; opening it takes microseconds. Constants are its attributes too."""

_MACHINE = os.uname().machine
MBIND_NUMBERS = {"x86_64": 237, "aarch64": 235, "riscv64": 235, "loongarch64": 235, "s390x": 268}
"""The number of the `mbind` system call, which libc does not wrap. Source: the kernel's tables of system calls."""
MOVE_PAGES_NUMBERS = {"x86_64": 279, "aarch64": 239, "riscv64": 239, "loongarch64": 239, "s390x": 310}
"""The same of `move_pages`."""


def check(result: int, call: str, *arguments: int | str) -> int:
    """Return the result of a call, or raise the `OSError` that its -1 stands for."""
    if result == -1:
        number = ffi.errno
        error = OSError(number, os.strerror(number))
        shown = (hex(argument) if isinstance(argument, int) else argument for argument in arguments)
        error.add_note(f"{call}({', '.join(shown)})")
        raise error
    return result


def _pointer(address: int) -> Any:
    return ffi.cast("void *", address)


def mmap(address: int, length: int, protection: int, flags: int, fd: int = -1, offset: int = 0) -> int:
    """Map `length` bytes and return their address. An offset that no file has is for the kernel to refuse (EINVAL)."""
    mapped = lib.mmap(_pointer(address), length, protection, flags, fd, ffi.cast("off_t", offset))
    return check(int(ffi.cast("intptr_t", mapped)), "mmap", address, length, protection, flags, fd, offset)


def munmap(address: int, length: int) -> None:
    """Unmap whatever is mapped in `length` bytes from `address`."""
    check(lib.munmap(_pointer(address), length), "munmap", address, length)


def madvise(address: int, length: int, advice: int) -> None:
    """Give the kernel one `MADV_*` advice."""
    check(lib.madvise(_pointer(address), length, advice), "madvise", address, length, advice)


def mlockall(flags: int) -> None:
    """Lock all pages of the process, with `MCL_FUTURE` those of later mappings too."""
    check(lib.mlockall(flags), "mlockall", flags)


def munlockall() -> None:
    """Unlock them."""
    check(lib.munlockall(), "munlockall")


def mbind(address: int, length: int, mode: int, nodes: Iterable[int], flags: int) -> None:
    """Set the NUMA policy of a range.

    Raises ENOSYS on an architecture whose system call number is not known here.
    """
    mask = 0
    for node in nodes:
        mask |= 1 << node
    # The kernel looks at one bit fewer than it is told; no node at all is told as 0.
    bits = mask.bit_length() + 1 if mask else 0
    words = ffi.new("unsigned long[]", [mask >> shift & (1 << 64) - 1 for shift in range(0, bits, 64)])
    number = MBIND_NUMBERS.get(_MACHINE, -1)
    result = lib.syscall(
        number,
        _pointer(address),
        ffi.cast("unsigned long", length),
        ffi.cast("long", mode),
        words if mask else ffi.NULL,
        ffi.cast("unsigned long", bits),
        ffi.cast("unsigned long", flags),
    )
    check(result, "mbind", address, length, mode, mask, bits, flags)


def page_nodes(addresses: list[int]) -> list[int]:
    """Return for each page that begins at an address its NUMA node, or a negative errno: ENOENT when it is not there.

    Asks `move_pages` without moving anything. Raises ENOSYS where its number is not known here.
    """
    count = len(addresses)
    pages = ffi.new("void *[]", [_pointer(address) for address in addresses])
    status = ffi.new("int[]", count)
    number = MOVE_PAGES_NUMBERS.get(_MACHINE, -1)
    result = lib.syscall(
        number,
        ffi.cast("long", 0),
        ffi.cast("unsigned long", count),
        pages,
        ffi.NULL,
        status,
        ffi.cast("long", 0),
    )
    check(result, "move_pages", 0, count)
    return list(status)


def memfd_create(name: str, flags: int) -> int:
    """Create an anonymous file and return its descriptor."""
    return check(lib.memfd_create(name.encode(), flags), "memfd_create", repr(name), flags)


def add_seals(fd: int, seals: int) -> None:
    """Seal a memfd with `F_SEAL_*`."""
    check(lib.fcntl(fd, lib.F_ADD_SEALS, ffi.cast("int", seals)), "fcntl", fd, "F_ADD_SEALS", seals)


def ftruncate(fd: int, length: int) -> None:
    """Set the size of a file. A size that no file can have is for the kernel to refuse (EINVAL)."""
    check(lib.ftruncate(fd, ffi.cast("off_t", length)), "ftruncate", fd, length)


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """Allocate or, with `FALLOC_FL_*` in `mode`, free a range of a file."""
    result = lib.fallocate(fd, mode, ffi.cast("off_t", offset), ffi.cast("off_t", length))
    check(result, "fallocate", fd, mode, offset, length)


def fstatfs(fd: int) -> tuple[int, int]:
    """Return the type (a magic number) and the block size of the file system that a file is in."""
    buffer = ffi.new("struct statfs *")
    check(lib.fstatfs(fd, buffer), "fstatfs", fd)
    if _MACHINE == "s390x":
        fields = ffi.cast("unsigned int *", buffer)
        return fields[0], fields[1]
    return buffer.f_type, buffer.f_bsize


def ioctl(fd: int, request: str, argument: Any = 0, note: str | None = None) -> int:
    """Make the request of that name with a number or a pointer; `note` shows what the pointer points to."""
    value = ffi.cast("unsigned long", argument) if isinstance(argument, int) else argument
    shown = note or hex(int(ffi.cast("unsigned long", value)))
    return check(lib.ioctl(fd, getattr(lib, request), value), "ioctl", fd, request, shown)
