"""What `import ramslot` offers, and that it costs nothing until it is used."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import ramslot
from ramslot import Config, VirtualMachine, VMError


def test_every_public_name_is_there() -> None:
    for name in ramslot.__all__:
        assert getattr(ramslot, name) is not None
    assert set(ramslot.__all__) == {"Config", "VMError", "VirtualMachine", "__version__", "compat"}
    with pytest.raises(AttributeError, match="module 'ramslot' has no attribute 'nosuch'"):
        ramslot.nosuch  # noqa: B018  # reading it is what is tested


def test_the_example_of_the_docstring() -> None:
    """It is run as it stands."""
    assert ramslot.__doc__ is not None
    example = ramslot.__doc__.partition("From Python:")[2]
    code = "\n".join(line.removeprefix("    ") for line in example.splitlines())
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 6
    assert lines[0].startswith("<Memslot 0 gpa=0x0 size=0xc0000 pc.ram")


def test_a_machine_from_python() -> None:
    config = Config()
    config.machine_type, config.ram_size = "none", 1 << 20
    vm = VirtualMachine(config)
    (memslot,) = vm.accelerator.slots
    memslot.block.host.write(0, b"hello")
    assert memslot.block.host.read(0, 5) == b"hello"
    vm.close()
    config.machine_type = "nosuch"
    with pytest.raises(VMError, match=r"^unsupported machine type"):
        VirtualMachine(config)


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        ("import ramslot", ["ramslot.vm"]),
        (
            "import ramslot; ramslot.VirtualMachine(ramslot.Config()).close()",
            [
                "argparse",
                "asyncio",
                "collections.abc",
                "contextlib",
                "dataclasses",
                "enum",
                "inspect",
                "jsonschema",
                "logging",
                "pathlib",
                "prompt_toolkit",
                "pygments",
                "ramslot.commands",
                "ramslot.monitor",
                "ramslot.schema",
                "ramslot.vm.accel.kvm",
                "threading",
                "typing",
            ],
        ),
    ],
)
def test_nothing_is_imported_before_it_is_needed(code: str, absent: list[str]) -> None:
    """The modules that plain Python loads anyway do not count."""
    show = f"import sys; before = set(sys.modules); {code}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    assert not set(absent) & set(done.stdout.split())


def test_the_end_of_a_with_releases_everything() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    config = Config()
    config.machine_type = "q35"
    with VirtualMachine(config) as vm:
        assert len(list(vm.accelerator.slots)) == 5
    assert not list(vm.accelerator.slots)
    assert sorted(os.listdir("/proc/self/fd")) == before
