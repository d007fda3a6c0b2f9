"""The one file with all modules' code: made, believed while it is true, and never in the way."""

from __future__ import annotations

import importlib.util
import marshal
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ramslot.monitor import code_cache
from ramslot.monitor.code_cache import CodeCache
from ramslot.monitor.lean_code import lean_code

MODULE = "ramslot.vm.sizes"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CodeCache:
    """A cache that was saved by one run and is read by the next."""
    __import__(MODULE)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = str(tmp_path / "cache")
    CodeCache(path).save()
    return CodeCache(path)


def test_a_module_comes_out_as_it_is_in_its_file(cache: CodeCache) -> None:
    found = cache.find_spec(MODULE)
    real = sys.modules[MODULE].__spec__
    assert found is not None and real is not None and found.loader is not None
    assert (found.name, found.origin, found.has_location) == (real.name, real.origin, True)
    assert found.origin is not None
    made = importlib.util.module_from_spec(found)
    found.loader.exec_module(made)
    assert made.parse_size("1G") == 1 << 30
    # Where ramslot is installed, pytest's plugin of it makes pytest rewrite assertions, with names that begin with @.
    names = {name for name in vars(sys.modules[MODULE]) if name != "annotations" and not name.startswith("@")}
    assert names == set(vars(made))


def test_code_is_lean_and_keeps_its_lines() -> None:
    source = b'"""Doc."""\nfrom __future__ import annotations\nX: int = 1\n"""Said."""\nclass A:\n    """Doc."""\n\n    y: int\n\n    def f(self, z: Missing) -> Missing:\n        """Doc."""\n        return 1 / z\n'
    code = lean_code(source, "there.py")
    scope: dict[str, Any] = {"__name__": "there"}
    exec(code, scope)
    assert (scope["X"], scope["A"]().f(2), scope["A"].__doc__, scope["A"].f.__annotations__) == (1, 0.5, None, {})
    with pytest.raises(ZeroDivisionError) as caught:
        scope["A"]().f(0)
    assert caught.traceback[-1].lineno + 1 == 12
    assert len(marshal.dumps(code)) < len(marshal.dumps(compile(source, "there.py", "exec")))


def test_a_package_is_one(cache: CodeCache) -> None:
    __import__("ramslot.vm.boards")
    found, real = cache.find_spec("ramslot.vm"), sys.modules["ramslot.vm"].__spec__
    assert found is not None and real is not None
    assert found.submodule_search_locations == list(real.submodule_search_locations or ())


def test_a_changed_source_is_looked_for_elsewhere(cache: CodeCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_cache, "_stamp", lambda _path: (1, 1))
    assert cache.find_spec(MODULE) is None


def test_other_modules_are_none_of_its_business(cache: CodeCache) -> None:
    assert cache.find_spec("json") is None
    assert cache.find_spec("ramslot.nothing") is None


@pytest.mark.parametrize("content", [b"", b"rubbish", marshal.dumps((b"old", {MODULE: ("x", 1, 1, b"")})), b"\xe3"])
def test_a_file_that_is_no_cache_of_ours_is_not_believed(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cache"
    path.write_bytes(content)
    assert CodeCache(str(path)).find_spec(MODULE) is None


def test_nothing_is_written_where_bytecode_is_not_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    CodeCache(str(tmp_path / "cache")).save()
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    CodeCache(str(tmp_path / "absent" / "cache")).save()


def test_a_second_run_adds_what_the_first_had_not(cache: CodeCache, tmp_path: Path) -> None:
    before = (tmp_path / "cache").stat().st_mtime_ns
    cache.save()
    assert (tmp_path / "cache").stat().st_mtime_ns == before  # nothing was missing
    cache._entries.pop(MODULE)
    cache.save()
    assert CodeCache(str(tmp_path / "cache")).find_spec(MODULE) is not None
