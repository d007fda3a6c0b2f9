"""The targets: what `qemu-system-ARCH` means for guest memory.

Page sizes are those that QEMU starts with on `-M none` (boards may decide on another); 64 of them are the
granularity of RAMBlock offsets, as seen in `info ramblock`.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from ..releases import Release

HOST_TARGETS = {
    "x86_64": ("x86_64", "i386"),
    "aarch64": ("aarch64", "arm"),
    "s390x": ("s390x",),
    "ppc64le": ("ppc64", "ppc"),
    "riscv64": ("riscv64",),
}
"""Which targets the KVM of a host can run."""

BIG_ENDIAN = (
    *(
        "hppa",
        "m68k",
        "microblaze",
        "mips",
        "mips64",
        "moxie",
        "or1k",
        "ppc",
        "ppc64",
        "ppc64le",
        "s390x",
        "sh4eb",
        "sparc",
    ),
    *("sparc64", "xtensaeb"),
)
"""The targets that QEMU is built for with the highest byte of a word first, whatever a guest switches to."""

_RUNNABLE = HOST_TARGETS.get(os.uname().machine, ())


class Target:
    """One architecture. `families` are the modules of this package that have its machine types."""

    __slots__ = ("arch", "families", "has_kvm", "name", "page_size", "plugged_memory", "since", "until")

    def __init__(
        self,
        name: str,
        page_size: int,
        families: tuple[str, ...],
        *,
        arch: str | None = None,
        plugged: bool = False,
        since: str | None = None,
        until: str | None = None,
    ) -> None:
        self.name = name
        self.arch = arch if arch is not None else name
        """What `query-target` says."""
        self.page_size = page_size
        self.families = families
        self.plugged_memory = plugged
        """Whether `info memory_size_summary` speaks of plugged memory."""
        self.since = since
        self.until = until
        """The first and the last release that has the target."""
        self.has_kvm = self.arch in _RUNNABLE
        """Whether KVM could run this target on this host."""

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """Which byte of a word in memory comes first."""
        return "big" if self.name in BIG_ENDIAN else "little"

    def changed(self, page_size: int | None = None, arch: str | None = None, plugged: bool | None = None) -> Target:
        """The target as an older release has it."""
        return Target(
            self.name,
            self.page_size if page_size is None else page_size,
            self.families,
            arch=self.arch if arch is None else arch,
            plugged=self.plugged_memory if plugged is None else plugged,
            since=self.since,
            until=self.until,
        )


_NONE = ("none",)
_SIMPLE = ("none", "simple")

TARGETS = (
    Target("x86_64", 4096, ("none", "x86"), plugged=True),
    Target("i386", 4096, ("none", "x86"), plugged=True),
    Target("s390x", 4096, ("none", "s390x"), plugged=True),
    Target("aarch64", 1024, (*_SIMPLE, "arm_virt"), plugged=True),
    Target("alpha", 8192, _SIMPLE),
    Target("arm", 1024, (*_SIMPLE, "arm_virt"), plugged=True),
    Target("avr", 1024, _NONE),
    Target("cris", 8192, _SIMPLE, until="7.2"),
    Target("hexagon", 4096, _NONE, since="11.1"),
    Target("hppa", 4096, _SIMPLE),
    Target("loongarch64", 4096, _SIMPLE, plugged=True, since="7.2"),
    Target("m68k", 4096, _SIMPLE),
    Target("microblaze", 4096, _NONE),
    Target("microblazeel", 4096, _NONE, until="10.0"),
    Target("mips", 4096, _SIMPLE),
    Target("mips64", 4096, _SIMPLE),
    Target("mips64el", 4096, _SIMPLE, arch="mips64"),
    Target("mipsel", 4096, _SIMPLE, arch="mips"),
    Target("moxie", 4096, _NONE, until="5.2"),
    Target("nios2", 4096, _NONE, until="7.2"),
    Target("or1k", 8192, _NONE),
    Target("ppc", 4096, _SIMPLE),
    Target("ppc64", 4096, (*_SIMPLE, "pseries"), plugged=True),
    Target("ppc64le", 4096, (*_SIMPLE, "pseries"), arch="ppc64", plugged=True),
    Target("riscv32", 4096, _SIMPLE),
    Target("riscv64", 4096, _SIMPLE),
    Target("rx", 4096, _SIMPLE),
    Target("sh4", 4096, _NONE),
    Target("sh4eb", 4096, _NONE, arch="sh4"),
    Target("sparc", 4096, _SIMPLE),
    Target("sparc64", 8192, _SIMPLE),
    Target("tricore", 16384, _NONE),
    Target("x86_64-microvm", 4096, ("none", "x86"), arch="x86_64", plugged=True, since="7.2", until="7.2"),
    Target("xtensa", 4096, _NONE),
    Target("xtensaeb", 4096, _NONE, arch="xtensa"),
)
"""In the order in which a machine type is looked for when no target was named."""

_known: dict[str, dict[str, Target]] = {}


def targets(release: Release) -> dict[str, Target]:
    """The targets that a release has, by name."""
    known = _known.get(release.name)
    if known is None:
        changes = release.settings("targets")
        known = _known[release.name] = {
            target.name: target.changed(**changes[target.name]) if target.name in changes else target
            for target in TARGETS
            if release.covers(target.since, target.until)
        }
    return known
