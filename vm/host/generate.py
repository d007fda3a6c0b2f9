"""Makes `_libc.py` out of `libc.cdef`: run `python -m ramslot.vm.host.generate` after changing the declarations.

Out-of-line ABI mode: the result is committed, loads in under a millisecond and needs no compiler. Only this module
needs cffi's parser; nothing imports it at run time.
"""

from __future__ import annotations

import os

from cffi import FFI

HERE = os.path.dirname(os.path.abspath(__file__))
HEADER = """\
# Generated from libc.cdef by `python -m ramslot.vm.host.generate`; do not edit.
# Nobody formats or checks a generated file:
# ruff: noqa
# fmt: off
# mypy: ignore-errors
"""


def declarations() -> str:
    """Return the text of `libc.cdef`."""
    with open(os.path.join(HERE, "libc.cdef"), encoding="ascii") as source:
        return source.read()


def generate(directory: str = HERE) -> str:
    """Write `_libc.py` into `directory` and return its path."""
    path = os.path.join(directory, "_libc.py")
    ffi = FFI()
    ffi.cdef(declarations())
    ffi.set_source("ramslot.vm.host._libc", None)
    ffi.emit_python_code(path)
    with open(path, encoding="ascii") as emitted:
        code = emitted.read()
    with open(path, "w", encoding="ascii") as generated:
        generated.write(HEADER + code)
    return path


if __name__ == "__main__":
    generate()
