"""memory-backend-memfd: anonymous memory behind a file descriptor, of huge pages if wished."""

from __future__ import annotations

import errno
import os

from ..errors import VMError
from ..qom import Property, take_bool, take_int
from ..sizes import exact_size, option_size, size_to_str
from .backend import MemoryBackend, any_time
from .file import map_backing_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import Host, HostFile, HostMemory
    from ..memory.address_space import MemoryTopology
    from ..objects import ObjectDefaults


class MemfdBackend(MemoryBackend):
    """Memory of a memfd; shared, unless told otherwise."""

    type_name = "memory-backend-memfd"
    has_canonical_names = True

    def __init__(self, host: Host, topology: MemoryTopology, defaults: ObjectDefaults) -> None:
        super().__init__(host, topology, defaults)
        self.share = True
        self.hugetlb = False
        self.hugetlbsize = 0
        self.seal = True

    def map_memory(self, name: str) -> HostMemory:
        """Create the memfd, size it, seal it, map it."""
        file = self._create(f"memory-backend-memfd:{name}")
        try:
            return map_backing_store(self, name, file)
        finally:
            file.close()

    def _create(self, name: str) -> HostFile:
        page_size = None
        if self._huge_page_shift and self.hugetlbsize & (self.hugetlbsize - 1):
            raise VMError("Hugepage size must be a power of 2")
        if self.hugetlb:
            page_size = 1 << self._huge_page_shift if self._huge_page_shift else self.host.default_huge_page_size
        try:
            if self.hugetlb and page_size is None:
                raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
            file = self.host.create_memfd(name, page_size, self.seal)
        except OSError as error:
            from .hints import of_huge_page_size

            hint = of_huge_page_size(self.host) if error.errno == errno.ENODEV else None
            raise VMError(
                f"failed to create memfd with flags {self._flags():#x}: {error.strerror}", hint=hint
            ) from None
        try:
            file.truncate(self.size)
            if self.seal:
                file.seal_size()
        except OSError as error:
            hint = None
            if self.size % file.page_size:
                below = self.size // file.page_size * file.page_size
                legal = " or ".join(option_size(size) for size in (below, below + file.page_size) if size)
                whole = f"{exact_size(self.size)} is no multiple of the {size_to_str(file.page_size)} pages"
                hint = f"{whole}: size={legal}"
            file.close()
            raise VMError(f"failed to resize memfd to {self.size}: {error.strerror}", hint=hint) from None
        return file

    @property
    def _huge_page_shift(self) -> int:
        """The page size's exponent for memfd_create(2), 0 for the host's default; QEMU counts trailing zeros."""
        return (self.hugetlbsize & -self.hugetlbsize).bit_length() - 1 if self.hugetlbsize else 0

    def _flags(self) -> int:
        """The flags of memfd_create(2), for the message."""
        flags = 0x1
        if self.seal:
            flags |= 0x2
        if self.hugetlb:
            flags |= 0x4 | self._huge_page_shift << 26
        return flags

    def _set_hugetlbsize(self, value: object) -> None:
        if self.region is not None:
            raise VMError(self.frozen_text("hugetlbsize"))
        size = take_int("hugetlbsize", value, "uint64", 64)
        if size == 0:
            raise VMError(f"Property '{self.type_name}.hugetlbsize' doesn't take value '0'")
        self.hugetlbsize = size

    properties: tuple[Property, ...] = (
        any_time("hugetlb", "bool", "Use huge pages", check=take_bool),
        Property(
            "hugetlbsize", "int", lambda backend: backend.hugetlbsize, _set_hugetlbsize, "Huge pages size (ex: 2M, 1G)"
        ),
        any_time("seal", "bool", "Seal growing & shrinking", check=take_bool),
    )
