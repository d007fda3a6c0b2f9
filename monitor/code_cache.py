"""The code of all our modules in one file, so that a start opens one file and not seventy.

Like `__pycache__`, in which it lies: made when it is missing, written by whoever may write there, a module's part of it
being good as long as its source has the size and the time that it had. Saves 3 ms of a start; whatever is wrong with
it, modules come from their own files. Only the installed command uses it.

The file is the length of an index, the index, and the codes, which are lean (see `lean_code`), one after another.
"""

from __future__ import annotations

import marshal
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec, SourceFileLoader
    from types import CodeType, ModuleType
    from typing import TypeAlias

    Entry: TypeAlias = tuple[str, int, int, bytes | memoryview]
    """Path within the package, time and size of the source, marshalled code."""
else:
    # Not the type of our own loader: under pytest that may be one that rewrites assertions.
    SourceFileLoader = sys.modules["_frozen_importlib_external"].SourceFileLoader
_ModuleSpec: type[ModuleSpec] = type(__spec__)

PACKAGE = __name__.partition(".")[0]
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LENGTH = 8
"""Bytes of a length."""
PATH = f"{ROOT}/__pycache__/{PACKAGE}.{sys.implementation.cache_tag}.code"


class _Loader(SourceFileLoader):
    """Loads a module from code that is there already."""

    def __init__(self, name: str, path: str, code: bytes | memoryview) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, _name: str) -> CodeType:
        """The code of the module."""
        return marshal.loads(self._code)  # type: ignore[no-any-return]  # it was put there by us


class CodeCache:
    """Finds our modules; `install` puts it before all other finders, `save` keeps what had to be found elsewhere."""

    def __init__(self, path: str = PATH) -> None:
        self._path = path
        self._entries: dict[str, Entry] = {}
        self._magic = sys.modules["_frozen_importlib_external"].MAGIC_NUMBER
        try:
            with open(path, "rb") as file:
                content = memoryview(file.read())
            start = LENGTH + int.from_bytes(content[:LENGTH], "little")
            magic, index = marshal.loads(content[LENGTH:start])
            if magic == self._magic:
                for name, (place, time, size, length) in index.items():
                    self._entries[name] = (place, time, size, content[start : start + length])
                    start += length
        except (OSError, EOFError, ValueError, TypeError):
            self._entries.clear()

    def install(self) -> None:
        """From now on find our modules."""
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A module's spec, if its code is here and good."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        place, time, size, code = entry
        path = f"{ROOT}/{place}"
        if _stamp(path) != (time, size):
            del self._entries[name]
            return None
        folders = [path.removesuffix("/__init__.py")] if place.endswith("/__init__.py") else None
        # As `spec_from_file_location` makes it, without what that finds out about the name of a .pyc file.
        spec = _ModuleSpec(name, _Loader(name, path, code), origin=path)
        spec.submodule_search_locations = folders
        spec.has_location = True
        spec.cached = self._path
        return spec

    def save(self) -> None:
        """Add the modules that were loaded from their own files; nothing happens where that cannot be written."""
        missing = [name for name in sys.modules if name.startswith(f"{PACKAGE}.") and name not in self._entries]
        if not missing or sys.dont_write_bytecode:
            return
        for name in missing:
            self._add(name)
        draft = f"{self._path}.{os.getpid()}"
        try:
            with open(draft, "wb") as file:
                file.write(self._content())
            os.replace(draft, self._path)
        except OSError:
            if os.path.exists(draft):
                os.unlink(draft)

    def _content(self) -> bytes:
        index = {name: (place, time, size, len(code)) for name, (place, time, size, code) in self._entries.items()}
        head = marshal.dumps((self._magic, index))
        return b"".join((len(head).to_bytes(LENGTH, "little"), head, *(entry[3] for entry in self._entries.values())))

    def _add(self, name: str) -> None:
        from .lean_code import lean_code

        spec = sys.modules[name].__spec__
        path = spec.origin if spec is not None else None
        if spec is None or path is None or not path.startswith(f"{ROOT}/"):
            return
        stamp = _stamp(path)
        if stamp is not None and path.endswith(".py"):
            with open(path, "rb") as file:
                code = lean_code(file.read(), path)
            self._entries[name] = (path.removeprefix(f"{ROOT}/"), *stamp, marshal.dumps(code))


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
