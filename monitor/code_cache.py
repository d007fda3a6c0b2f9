"""The code of all our modules in one file, so that a start opens one file and not seventy.

Like `__pycache__`, in which it lies: made when it is missing, written by whoever may write there, a module's part of it
being good as long as its source has the size and the time that it had. Saves 3 ms of a start; whatever is wrong with
it, modules come from their own files. Only the installed command uses it.
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

    Entry: TypeAlias = tuple[str, int, int, bytes]
    """Path within the package, time and size of the source, marshalled code."""
else:
    SourceFileLoader = type(__spec__.loader)

PACKAGE = __name__.partition(".")[0]
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATH = f"{ROOT}/__pycache__/{PACKAGE}.{sys.implementation.cache_tag}.code"


class _Loader(SourceFileLoader):
    """Loads a module from code that is there already."""

    def __init__(self, name: str, path: str, code: bytes) -> None:
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
                magic, entries = marshal.loads(file.read())
            if magic == self._magic:
                self._entries = entries
        except (OSError, EOFError, ValueError, TypeError):
            pass

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
        spec: ModuleSpec = sys.modules["_frozen_importlib_external"].spec_from_file_location(
            name, path, loader=_Loader(name, path, code), submodule_search_locations=folders
        )
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
                file.write(marshal.dumps((self._magic, self._entries)))
            os.replace(draft, self._path)
        except OSError:
            if os.path.exists(draft):
                os.unlink(draft)

    def _add(self, name: str) -> None:
        spec = sys.modules[name].__spec__
        path = spec.origin if spec is not None else None
        if spec is None or path is None or not path.startswith(f"{ROOT}/"):
            return
        stamp = _stamp(path)
        code = spec.loader.get_code(name) if isinstance(spec.loader, SourceFileLoader) else None
        if stamp is not None and code is not None:
            self._entries[name] = (path.removeprefix(f"{ROOT}/"), *stamp, marshal.dumps(code))


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
