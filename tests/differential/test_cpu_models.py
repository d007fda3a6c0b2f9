"""CPU models: which there are, and what is said of others."""

from __future__ import annotations

from pathlib import Path

import pytest

from .oracle import compare

MACHINES = {"x86_64": "pc", "aarch64": "virt", "s390x": "s390-ccw-virtio", "ppc64": "pseries", "m68k": "virt"}


@pytest.mark.parametrize("model", ["nonesuch", "host", "qemu64", "epyc", "cortex-a57", "m68040", "nonesuch,x=1"])
@pytest.mark.parametrize("arch", MACHINES)
def test_models(arch: str, model: str, tmp_path: Path) -> None:
    compare("cpu_models", arch, f"-M {MACHINES[arch]} -cpu {model} -m 512M", ["info status"], tmp_path)
