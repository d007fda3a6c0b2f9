"""JSON without the `json` package reads and writes what `json` does."""

from __future__ import annotations

import builtins
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ramslot.schema import plain_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
BAD = ("", "x", "[1,", '{"a" 1}', "nul", '"\\x"', "[1 2]", "Infinity", "-")


@given(VALUES)
def test_it_writes_and_reads_as_json_does(value: Any) -> None:
    text = plain_json.writer()(value)
    assert text == json.dumps(value)
    assert plain_json.reader()(text + "]", 0) == (value, len(text))


@pytest.mark.parametrize("text", BAD)
def test_what_is_not_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        plain_json.reader()(text, 0)


def test_so_it_is_where_the_package_was_never_loaded() -> None:
    program = (
        "import sys; from ramslot.schema.plain_json import reader\n"
        f"for text in {BAD!r}:\n"
        "    try: reader()(text, 0)\n"
        "    except ValueError: print('refused')\n"
        "assert 'json' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["refused"] * len(BAD)


def test_hooks_are_called() -> None:
    read = plain_json.reader(parse_int=lambda text: f"int {text}", object_pairs_hook=list)
    assert read('{"a": 1, "a": 2}', 0)[0] == [("a", "int 1"), ("a", "int 2")]


def test_what_cannot_be_written_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="Object of type object is not JSON serializable"):
        plain_json.writer()([object()])


def test_without_the_engine_the_package_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def without_engine(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "_json" and sys._getframe(1).f_globals["__name__"] == plain_json.__name__:
            raise ImportError(name)
        return real_import(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_engine)
    assert plain_json.reader()("[1.5] ", 0) == ([1.5], 5)
    assert plain_json.writer()({"a": None}) == '{"a": null}'
