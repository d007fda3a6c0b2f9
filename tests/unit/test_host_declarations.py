"""The declarations of the C library and the kernel, against their headers; and what importing them loads."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ramslot.vm.host import generate, libc

from .linux_host import nothing_left

__all__ = ("nothing_left",)

HEADERS = ["fcntl.h", "linux/kvm.h", "linux/magic.h", "linux/memfd.h", "linux/mempolicy.h", "sys/ioctl.h"]
HEADERS += ["sys/mman.h", "sys/syscall.h", "sys/uio.h", "sys/vfs.h", "unistd.h"]

COMPILE = """
import json, re, sys
from cffi import FFI
declarations, headers, directory = sys.argv[1], sys.argv[2].split(), sys.argv[3]
ffi = FFI()
open_ended = re.sub(r"^#define (\\w+) .*$", r"#define \\1 ...", declarations, flags=re.M)
ffi.cdef(re.sub(r"^};$", "    ...;\\n};", open_ended, flags=re.M))
source = "".join(f"#include <{header}>\\n" for header in headers)
# (The C library hides this name behind underscores.)
ffi.set_source("checked", source + "typedef __fsid_t fsid_t;\\n", extra_compile_args=["-Werror=int-conversion",
    "-Werror=incompatible-pointer-types", "-Werror=implicit-function-declaration"])
ffi.compile(tmpdir=directory)
sys.path.insert(0, directory)
from checked import ffi, lib
structs = {name: ffi.typeof("struct " + name) for name in ffi.list_types()[1]}
print(json.dumps({
    "constants": {name: getattr(lib, name) for name in re.findall(r"^#define (\\w+)", declarations, flags=re.M)},
    "numbers": {"mbind": getattr(lib, "SYS_mbind", None)},
    "layouts": {name: [ffi.sizeof(struct), {field: (at.offset, ffi.sizeof(at.type)) for field, at in struct.fields}]
                for name, struct in structs.items() if not name.startswith("$")},
}))
"""


def test_generated_module_is_fresh(tmp_path: Path) -> None:
    with open(generate.generate(str(tmp_path))) as fresh, open(os.path.join(generate.HERE, "_libc.py")) as committed:
        assert committed.read() == fresh.read()


def compiled(tmp_path: Path) -> dict[str, dict[str, object]]:
    """Compile the declarations in API mode against the real headers; skip where that is impossible."""
    trial = "".join(f"#include <{header}>\n" for header in HEADERS)
    try:
        subprocess.run(["cc", "-E", "-x", "c", "-"], input=trial, text=True, capture_output=True, check=True)
    except FileNotFoundError:
        pytest.skip("no C compiler")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"headers are missing: {error.stderr.splitlines()[0]}")
    if subprocess.run([sys.executable, "-c", "import setuptools, cffi.setuptools_ext"], capture_output=True).returncode:
        pytest.skip("cffi compiles only with setuptools")
    everywhere, of_x86, newer = re.split(r"/\* <asm/kvm.h>, .*|/\* .* since Linux 6.8 \*/", generate.declarations())
    declarations = everywhere + "\n#define SYS_mbind 0\n#define SYS_move_pages 0\n"
    if os.uname().machine == "x86_64":
        declarations += of_x86
    if "KVM_SET_USER_MEMORY_REGION2" in Path("/usr/include/linux/kvm.h").read_text():
        declarations += newer
    command = [sys.executable, "-W", "ignore", "-c", COMPILE, declarations, " ".join(HEADERS), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    result: dict[str, dict[str, object]] = json.loads(run.stdout.splitlines()[-1])
    return result


def test_declarations_equal_the_kernel_headers(tmp_path: Path) -> None:
    real = compiled(tmp_path)
    assert libc.MBIND_NUMBERS[os.uname().machine] == real["constants"].pop("SYS_mbind")
    assert libc.MOVE_PAGES_NUMBERS[os.uname().machine] == real["constants"].pop("SYS_move_pages")
    assert {name: getattr(libc.lib, name) for name in real["constants"]} == real["constants"]
    layouts = {}
    for name in real["layouts"]:
        struct = libc.ffi.typeof(f"struct {name}")
        fields = {field: [at.offset, libc.ffi.sizeof(at.type)] for field, at in struct.fields}
        layouts[name] = [libc.ffi.sizeof(struct), fields]
    assert layouts == real["layouts"]
    assert "kvm_dirty_log" in layouts


def test_the_newer_memory_region_begins_with_the_older_one() -> None:
    older, newer = (dict(libc.ffi.typeof(f"struct kvm_userspace_memory_region{n}").fields) for n in ("", "2"))
    assert {name: at.offset for name, at in older.items()} == {name: newer[name].offset for name in older}


def test_import_stays_cheap() -> None:
    def loaded_by(module: str) -> set[str]:
        check = f"import sys; before = set(sys.modules); import {module}; print(*set(sys.modules) - before)"
        run = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
        return set(run.stdout.split())

    assert "_cffi_backend" not in loaded_by("ramslot.vm.host.linux")
    loaded = loaded_by("ramslot.vm.host.linux_mapping")
    heavy = {"typing", "dataclasses", "enum", "pathlib", "contextlib", "threading", "cffi", "pycparser", "json"}
    assert "_cffi_backend" in loaded
    assert not heavy & loaded
    assert "ramslot.vm.host.kvm" not in loaded
