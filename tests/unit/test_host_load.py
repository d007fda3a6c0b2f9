"""`info host`: who was promised what, what fills the mounts, what will not fit, and what would help."""

from __future__ import annotations

import shlex
import subprocess
import sys

HOST = "--host nodes=1,memory=32G,hugepages-2M=512 -M none"


def shown(line: str, *commands: str) -> list[str]:
    words = [word for command in (*commands, "info host") for word in ("-c", command)]
    command = [sys.executable, "-m", "ramslot", *shlex.split(line), "-script", "-", "--keep-going", *words]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60)
    return done.stdout.splitlines()


def ram(name: str, more: str) -> str:
    return f"-object memory-backend-ram,id={name},{more}"


def file(name: str, more: str) -> str:
    return f"-object memory-backend-file,id={name},mem-path=/dev/shm,share=on,{more}"


def test_two_backends_that_do_not_fit_together_say_so() -> None:
    lines = shown(f"{HOST} {ram('a', 'size=24G')} {ram('b', 'size=16G')}")
    assert (
        "40 GiB may be touched (a 24 GiB, b 16 GiB), and the host has 31 GiB of ordinary memory: 9 GiB too many"
        in lines
    )
    assert not any("too many" in line for line in shown(f"{HOST} {ram('a', 'size=24G')} {ram('b', 'size=4G')}"))


def test_who_was_promised_what() -> None:
    lines = shown(
        f"{HOST} {ram('a', 'size=4G')} {ram('b', 'size=4G,reserve=off')} {file('c', 'size=1G')}"
        " -object memory-backend-memfd,id=d,size=8M,hugetlb=on"
    )
    rows = {line.split()[0]: line.split()[1:5] for line in lines if line.startswith("    ")}
    assert rows["a"] == ["4", "GiB", "4", "GiB"]
    assert rows["b"] == ["4", "GiB", "0", "B"]
    assert rows["c"] == ["1", "GiB", "0", "B"]
    assert rows["d"] == ["8", "MiB", "0", "B"]


def test_what_fills_the_mounts() -> None:
    lines = shown(f"{HOST} {file('full', 'size=1G,prealloc=on')} {file('empty', 'size=16G')}")
    assert "/dev/shm: tmpfs of 16 GiB, 15 GiB free; empty, full: 1 GiB of 17 GiB filled" in lines
    assert "empty, full may still fill 16 GiB of /dev/shm, which has 15 GiB left: 1 GiB too many" in lines
    assert "/dev/hugepages: hugetlbfs with pages of 2 MiB" in lines


def test_what_would_help_after_bad_address() -> None:
    lines = shown(HOST, "object_add memory-backend-file,id=g,mem-path=/dev/shm,size=17G,share=on,prealloc=on")
    assert lines[-1] == (
        "after 'qemu_prealloc_mem: preallocating memory failed: Bad address': "
        "the file system of /dev/shm has 0 B left, 1 GiB less than is needed"
    )
    assert not shown(HOST)[-1].startswith("after")
