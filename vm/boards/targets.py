"""The targets: what `qemu-system-ARCH` means for guest memory.

Page sizes are those that QEMU 7.2 starts with on `-M none` (boards may decide on another); 64 of them are the
granularity of RAMBlock offsets, as seen in `info ramblock`.
"""

from __future__ import annotations

import os

HOST_TARGETS = {
    "x86_64": ("x86_64", "i386"),
    "aarch64": ("aarch64", "arm"),
    "s390x": ("s390x",),
    "ppc64le": ("ppc64", "ppc"),
    "riscv64": ("riscv64",),
}
"""Which targets the KVM of a host can run."""

_RUNNABLE = HOST_TARGETS.get(os.uname().machine, ())


class Target:
    """One architecture. `families` are the modules of this package that have its machine types."""

    __slots__ = ("arch", "families", "has_kvm", "name", "page_size", "plugged_memory")

    def __init__(
        self, name: str, page_size: int, families: tuple[str, ...], *, arch: str | None = None, plugged: bool = False
    ) -> None:
        self.name = name
        self.arch = arch if arch is not None else name
        """What `query-target` says."""
        self.page_size = page_size
        self.families = families
        self.plugged_memory = plugged
        """Whether `info memory_size_summary` speaks of plugged memory."""
        self.has_kvm = self.arch in _RUNNABLE
        """Whether KVM could run this target on this host."""


_NONE = ("none",)
_SIMPLE = ("none", "simple")

TARGETS = {
    target.name: target
    for target in (
        Target("x86_64", 4096, ("none", "x86"), plugged=True),
        Target("i386", 4096, ("none", "x86"), plugged=True),
        Target("s390x", 4096, ("none", "s390x")),
        Target("aarch64", 1024, (*_SIMPLE, "arm_virt"), plugged=True),
        Target("alpha", 8192, _SIMPLE),
        Target("arm", 1024, (*_SIMPLE, "arm_virt"), plugged=True),
        Target("avr", 256, _NONE),
        Target("cris", 8192, _SIMPLE),
        Target("hppa", 4096, _SIMPLE),
        Target("loongarch64", 16384, _SIMPLE, plugged=True),
        Target("m68k", 4096, _SIMPLE),
        Target("microblaze", 4096, _NONE),
        Target("microblazeel", 4096, _NONE),
        Target("mips", 4096, _SIMPLE),
        Target("mips64", 4096, _SIMPLE),
        Target("mips64el", 4096, _SIMPLE),
        Target("mipsel", 4096, _SIMPLE),
        Target("nios2", 4096, _NONE),
        Target("or1k", 8192, _NONE),
        Target("ppc", 4096, _SIMPLE, plugged=True),
        Target("ppc64", 4096, (*_SIMPLE, "pseries"), plugged=True),
        Target("ppc64le", 4096, (*_SIMPLE, "pseries"), arch="ppc64", plugged=True),
        Target("riscv32", 4096, _SIMPLE),
        Target("riscv64", 4096, _SIMPLE),
        Target("rx", 4096, _SIMPLE),
        Target("sh4", 4096, _NONE),
        Target("sh4eb", 4096, _NONE),
        Target("sparc", 4096, _SIMPLE),
        Target("sparc64", 8192, _SIMPLE),
        Target("tricore", 16384, _NONE),
        Target("x86_64-microvm", 4096, ("none", "x86"), arch="x86_64", plugged=True),
        Target("xtensa", 4096, _NONE),
        Target("xtensaeb", 4096, _NONE),
    )
}
"""By name, in the order in which a machine type is looked for when no target was named."""
