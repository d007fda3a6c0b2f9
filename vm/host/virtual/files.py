"""Files of a virtual host: they have a size and pages, and what was written into them."""

# The methods of the interface are documented there, in ../__init__.py:
# ruff: noqa: D102

from __future__ import annotations

import errno
import os

from .. import WORD, HostFile
from .contents import Contents
from .pages import EVERYTHING, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import RLock

    from .pages import Pages
    from .pools import Pool, Quota

LARGEST_FILE = (1 << 63) - 1
LONGEST_NAME = 255
LONGEST_PATH = 4095


class FileSystem:
    """A mount: where the pages of its files come from, and how many bytes they may have together."""

    __slots__ = ("page_size", "path", "pool", "quotas")

    def __init__(self, path: str, pool: Pool, quotas: tuple[Quota, ...] = ()) -> None:
        self.path = path
        self.page_size = pool.page_size
        self.pool = pool
        self.quotas = quotas

    @property
    def huge(self) -> bool:
        """Whether files are of huge pages."""
        return self.pool.huge


class Inode:
    """A file, whatever names, descriptors and mappings it has; when the last of them goes, its pages do."""

    __slots__ = ("contents", "directory", "pages", "sealable", "sealed", "size", "system", "users")

    def __init__(self, system: FileSystem, pages: Pages, sealable: bool = False) -> None:
        self.system = system
        self.pages = pages
        self.size = 0
        self.sealable = sealable
        self.sealed = False
        self.directory = False
        self.users = 0
        self.contents = Contents()
        """What was written into it."""

    @property
    def page_count(self) -> int:
        """Pages that the file reaches over, the last one perhaps not whole."""
        return -(-self.size // self.system.page_size)

    def release(self) -> None:
        """One name, descriptor or mapping less."""
        self.users -= 1
        if not self.users:
            self.pages.cut(0)

    def resize(self, size: int) -> None:
        """Set the size; pages beyond it go."""
        if not 0 <= size <= LARGEST_FILE or self.directory or (self.system.huge and size % self.system.page_size):
            raise refusal(errno.EINVAL)
        if self.sealed and size != self.size:
            raise refusal(errno.EPERM)
        shrinks = size < self.size
        self.size = size
        if shrinks:
            self.pages.cut(self.page_count)
            self.contents.discard(-(-size // WORD) * WORD, EVERYTHING)
            if size % WORD:
                self.contents.write(size, bytes(-size % WORD))

    def allocate(self, offset: int, length: int) -> None:
        """Have pages for a range, and reach over it; ENOSPC when there is no room."""
        self._check_range(offset, length)
        end = offset + length
        if self.sealed and end > self.size:
            raise refusal(errno.EPERM)
        first, last = offset // self.system.page_size, -(-end // self.system.page_size)
        before = self.pages.runs.gaps(first, last)
        try:
            self.pages.populate(first, last, errno.ENOSPC)
        except OSError:
            for gap in before if not self.system.huge else ():  # hugetlbfs keeps what it got
                self.pages.discard(*gap)
            raise
        self.grow(end)

    def grow(self, size: int) -> None:
        """Reach to `size` at least, which is a size that a file can have."""
        self.size = max(self.size, size)

    def punch(self, offset: int, length: int) -> None:
        """Give back the whole pages of a range."""
        self._check_range(offset, length)
        first, last = -(-offset // self.system.page_size), (offset + length) // self.system.page_size
        if first >= last:
            self._clear(offset, offset + length)
            return
        self._clear(offset, first * self.system.page_size)
        self._clear(last * self.system.page_size, offset + length)
        self.discard(first, last)

    def _clear(self, start: int, end: int) -> None:
        """Write zeros over a part of a page, where the file has bytes; pages of huge files are whole or not at all."""
        end = min(end, self.size)
        if start < end and not self.system.huge:
            self.contents.write(start, bytes(end - start))

    def discard(self, first: int, last: int) -> None:
        """Give back pages by number; they read as zeros then."""
        self.pages.discard(first, last)
        self.contents.discard(first * self.system.page_size, last * self.system.page_size)

    def _check_range(self, offset: int, length: int) -> None:
        if offset < 0 or length <= 0:
            raise refusal(errno.EINVAL)
        if offset + length > LARGEST_FILE:
            raise refusal(errno.EFBIG)


class VirtualFile(HostFile):
    """An open file of a virtual host."""

    __slots__ = ("_inode", "_lock", "_open", "writable")

    def __init__(self, inode: Inode, lock: RLock, writable: bool = True) -> None:
        self._inode = inode
        self._lock = lock
        self._open = True
        self.writable = writable
        inode.users += 1

    @property
    def inode(self) -> Inode:
        """What is open; EBADF after `close`."""
        if not self._open:
            raise refusal(errno.EBADF)
        return self._inode

    @property
    def fd(self) -> int:
        return -1

    @property
    def is_directory(self) -> bool:
        return self.inode.directory

    @property
    def size(self) -> int:
        return self.inode.size

    @property
    def page_size(self) -> int:
        return self.inode.system.page_size

    def truncate(self, size: int) -> None:
        with self._lock:
            if not self.writable:
                raise refusal(errno.EINVAL)
            self.inode.resize(size)

    def allocate(self, offset: int, length: int) -> None:
        with self._lock:
            self._written().allocate(offset, length)

    def punch_hole(self, offset: int, length: int) -> None:
        with self._lock:
            self._written().punch(offset, length)

    def _written(self) -> Inode:
        if not self.writable:
            raise refusal(errno.EBADF)
        return self.inode

    def seal_size(self) -> None:
        with self._lock:
            if not self.inode.sealable or self.inode.sealed:
                raise refusal(errno.EPERM)
            self.inode.sealed = True

    def close(self) -> None:
        with self._lock:
            if self._open:
                self._open = False
                self._inode.release()


class FileTree:
    """The files that have names. Every directory that is asked for exists; only what is in them is known."""

    __slots__ = ("_directories", "_mounts", "files")

    def __init__(self, mounts: list[FileSystem], disk: FileSystem) -> None:
        # Of several at one place the last is on top.
        self._mounts = [*reversed(mounts), disk]
        self._mounts.sort(key=lambda mount: -len(mount.path))
        self._directories = {"/"}
        for mount in mounts:
            path = mount.path
            while path not in self._directories:
                self._directories.add(path)
                path = os.path.dirname(path)
        self.files: dict[str, Inode] = {}

    def find(self, path: str) -> Inode | None:
        """The file of a name."""
        return self.files.get(self._checked(path))

    def is_directory(self, path: str) -> bool:
        """Whether a path is that of a directory: a mount, what is above one, or what is written with a slash behind."""
        path = self._checked(path)
        return path not in self.files and (path in self._directories or path.endswith("/"))

    def system(self, path: str) -> FileSystem:
        """The file system that a path is in."""
        path = self._checked(path)
        return next(mount for mount in self._mounts if _is_within(path, mount.path))

    def add(self, path: str, inode: Inode) -> None:
        """Give a file a name that is free."""
        path = self._checked(path)
        if path in self.files or path in self._directories:
            raise refusal(errno.EEXIST)
        self.files[path] = inode
        inode.users += 1

    def remove(self, path: str) -> None:
        """Take a name away."""
        path = self._checked(path)
        if path not in self.files:
            raise refusal(errno.EISDIR if self.is_directory(path) else errno.ENOENT)
        self.files.pop(path).release()

    def _checked(self, path: str) -> str:
        """The absolute form of a path, with the slash behind it if it has one; raises what the kernel says of it."""
        if not path:
            raise refusal(errno.ENOENT)
        if len(os.fsencode(path)) > LONGEST_PATH or max(map(len, os.fsencode(path).split(b"/"))) > LONGEST_NAME:
            raise refusal(errno.ENAMETOOLONG)
        whole = os.path.abspath(path)
        above = whole if path.endswith("/") else os.path.dirname(whole)
        while above != "/":
            if above in self.files:
                raise refusal(errno.ENOTDIR)
            above = os.path.dirname(above)
        return f"{whole}/" if path.endswith("/") and whole not in self._directories else whole


def _is_within(path: str, mount: str) -> bool:
    return path == mount or path.startswith(mount if mount.endswith("/") else f"{mount}/")
