"""memory-backend-file: memory of a file, of a file system's temporary file, or of a device."""

from __future__ import annotations

import errno
import os
import sys

from ..errors import VMError
from ..qom import Property, take_bool, take_enum, take_int, take_str
from .backend import MemoryBackend, any_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..host import Host, HostFile, HostMemory
    from ..memory.address_space import MemoryTopology
    from ..memory.ramblock import RAMBlock
    from ..objects import ObjectDefaults

ON_OFF_AUTO = ("auto", "on", "off")
MASK_64 = (1 << 64) - 1
FILE_TOO_SMALL = (
    "{name} backing store size {file:#x} is too small for 'size' option {size:#x} plus 'offset' option {offset:#x}"
)
QEMU_NUL = "\udcc0\udc80"
"""How the zero character gets into a path of QEMU's: by the bytes C0 80, as Python's file names spell them."""
PMEM_WARNING = (
    "Warning: requesting persistence across crashes for backend file {} failed. Proceeding without persistence, data "
    "might become corrupted in case of host crash."
)


class FileBackend(MemoryBackend):
    """Memory of the file `mem-path`; a directory there means a temporary file in it."""

    type_name = "memory-backend-file"
    has_canonical_names = True

    def __init__(self, host: Host, topology: MemoryTopology, defaults: ObjectDefaults) -> None:
        super().__init__(host, topology, defaults)
        self.mem_path: str | None = None
        self.align = 0
        self.offset = 0
        self.readonly = False
        self.rom = "auto"
        self.pmem = False
        self.discard_data = False
        self._created: str | None = None
        """The path of a file that was made for this."""

    @property
    def backing_path(self) -> str | None:
        """The file, or the folder of the temporary one."""
        return self.mem_path

    def map_memory(self, name: str) -> HostMemory:
        """Open or create the file, make it large enough, map it."""
        if self.mem_path is None:
            raise VMError("mem-path property not set")
        path = self.mem_path.replace("\0", QEMU_NUL)
        self._resolve_rom()
        try:
            lenient = self.qemu.settings("backends").get("lenient reading", False)
            file, created = open_backing_store(self.host, path, name, readonly=self.readonly, lenient=lenient)
        except OSError as error:
            from .hints import of_opening

            text = f"can't open backing store {path} for guest RAM: {error.strerror}"
            raise VMError(text, hint=of_opening(self, error)) from None
        self._created = path if created else None
        try:
            memory = map_backing_store(
                self, name, file, readonly=self.rom == "on", align=self.align, offset=self.offset
            )
        finally:
            file.close()
        if self.pmem and self.share:
            print(PMEM_WARNING.format(os.path.realpath(path)), file=sys.stderr)
            if self.qemu.settings("backends").get("warns of pmem", True):
                self.warn("Using non DAX backing file with 'pmem=on' option is deprecated")
        return memory

    def _resolve_rom(self) -> None:
        """Decide whether the guest may write; a private mapping of a file opened for reading can be written."""
        if self.rom == "auto":
            self.rom = "on" if self.readonly else "off"
        elif self.rom == "on" and not self.readonly:
            raise VMError("property 'rom' = 'on' is not supported with 'readonly' = 'off'")
        elif self.rom == "off" and self.readonly and self.share:
            raise VMError("property 'rom' = 'off' is incompatible with 'readonly' = 'on' and 'share' = 'on'")

    def release(self) -> None:
        """Give the memory back; with `discard-data` the file's contents go too, and a file made in vain goes wholly."""
        created, self._created = self._created, None
        if created is not None and self.region is None:
            try:
                self.host.unlink(created)
            except OSError:
                pass  # somebody was faster
        super().release()

    def _unmap(self, block: RAMBlock) -> None:
        if self.discard_data and not block.closed:
            try:
                block.host.discard(0, self.length)
            except OSError:
                pass  # a file that may only be read keeps its contents, as with QEMU
        super()._unmap(block)

    def frozen_text(self, name: str) -> str:
        """QEMU words these refusals differently from property to property."""
        if name in ("mem-path", "align", "offset"):
            return f"cannot change property '{name}' of {self.type_name}"
        if name in ("readonly", "pmem", "rom"):
            return f"cannot change property '{name}' of {self.type_name}."
        return super().frozen_text(name)

    def _freezing(self, name: str) -> None:
        if self.region is not None:
            raise VMError(self.frozen_text(name))

    def _set_mem_path(self, value: object) -> None:
        path = take_str("mem-path", value)
        self._freezing("mem-path")
        self.mem_path = path

    def _set_align(self, value: object) -> None:
        self._freezing("align")
        self.align = take_int("align", value, "uint64", 64)

    def _set_offset(self, value: object) -> None:
        self._freezing("offset")
        self.offset = take_int("offset", value, "uint64", 64)

    def _set_rom(self, value: object) -> None:
        self._freezing("rom")
        self.rom = take_enum("rom", value, ON_OFF_AUTO, self.qemu)

    def _set_readonly(self, value: object) -> None:
        readonly = take_bool("readonly", value)
        self._freezing("readonly")
        self.readonly = readonly

    def _set_pmem(self, value: object) -> None:
        pmem = take_bool("pmem", value)
        self._freezing("pmem")
        self.pmem = pmem

    properties: tuple[Property, ...] = (
        any_time("discard-data", "bool", check=take_bool),
        Property("mem-path", "string", lambda backend: backend.mem_path or "", _set_mem_path),
        Property("align", "int", lambda backend: backend.align, _set_align),
        Property(
            "offset",
            "int",
            lambda backend: backend.offset,
            _set_offset,
            "Offset into the target file (ex: 1G)",
            since="8.1",
        ),
        Property(
            "rom",
            "OnOffAuto",
            lambda backend: backend.rom,
            _set_rom,
            "Whether to create Read Only Memory (ROM)",
            since="8.2",
        ),
        Property("pmem", "bool", lambda backend: backend.pmem, _set_pmem),
        Property("readonly", "bool", lambda backend: backend.readonly, _set_readonly, since="6.0"),
    )


def open_backing_store(host: Host, path: str, name: str, *, readonly: bool, lenient: bool) -> tuple[HostFile, bool]:
    """The file at `path`, and whether it was created for this; raises `OSError`.

    As QEMU: a directory gets an unlinked temporary file, an absent file is created. What is to be read only must be a
    file that is there; older QEMUs (`lenient`) create it, and open a directory, which cannot be mapped.
    """
    try:
        file = host.open_file(path, readonly)
    except FileNotFoundError:
        if readonly and not lenient:
            raise
        return host.create_file(path), True
    except IsADirectoryError:
        return host.create_unlinked(path, f"qemu_back_mem.{name.replace('/', '_')}."), False
    if file.is_directory and not lenient:
        file.close()
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    return file, False


def map_backing_store(
    backend: MemoryBackend, name: str, file: HostFile, *, readonly: bool = False, align: int = 0, offset: int = 0
) -> HostMemory:
    """Map all of a backend's size from `offset` of `file` on, giving an empty file its size first; raises `VMError`.

    A file that ends before the offset is refused: QEMU 8.1 and newer map it, and die of SIGBUS when that is touched.
    """
    page_size = file.page_size
    length = backend.length & MASK_64  # all of it wraps, as in QEMU
    file_size = _size(file)
    if file_size is not None and 0 < file_size < (offset + length) & MASK_64:
        text = backend.qemu.settings("backends").get("file too small", FILE_TOO_SMALL)
        raise VMError(text.format(name=name, file=file_size, size=length, offset=offset))
    if align % page_size:
        raise VMError(f"alignment {align:#x} must be multiples of page size {page_size:#x}")
    if align & (align - 1):
        raise VMError(f"alignment {align:#x} must be a power of two")
    if offset % page_size:
        raise VMError(f"offset {offset:#x} must be multiples of page size {page_size:#x}")
    if length < page_size:
        raise VMError(f"memory size {length:#x} must be equal to or larger than page size {page_size:#x}")
    mapped = -(-length // page_size) * page_size
    if file_size == 0:
        try:
            file.truncate(offset + mapped)
        except OSError as error:
            print(f"ftruncate: {error.strerror}", file=sys.stderr)
    try:
        return backend.host.map_file(file, mapped, offset, backend.share, readonly, backend.reserve, align)
    except OSError as error:
        raise backend.mapping_refused("unable to map backing store for guest RAM", error, page_size) from None


def _size(file: HostFile) -> int | None:
    """Bytes in a file, 0 for many a device; None where nothing has a size, as in a FIFO or in /proc."""
    try:
        return file.size
    except OSError:
        return None
