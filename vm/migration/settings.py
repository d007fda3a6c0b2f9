"""What migrations may make use of (capabilities), and how they are done (parameters): which there are, and their rules.

A capability that is not supported is refused. A parameter of something that is not supported is kept, and does nothing,
as it does nothing in QEMU while that is off.
"""

from __future__ import annotations

from ..errors import VMError

METHODS = ("none", "zlib")
"""How channels of pages can be packed (`multifd-compression`)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from ..releases import Release

    Marks: TypeAlias = tuple[str | None, str | None]

ALWAYS: Marks = (None, None)
CAPABILITIES: dict[str, Marks] = {
    "xbzrle": ALWAYS,
    "rdma-pin-all": ALWAYS,
    "auto-converge": ALWAYS,
    "zero-blocks": (None, "10.2"),
    "compress": (None, "9.0"),
    "events": ALWAYS,
    "postcopy-ram": ALWAYS,
    "x-colo": ALWAYS,
    "release-ram": ALWAYS,
    "block": (None, "9.0"),
    "return-path": ALWAYS,
    "pause-before-switchover": ALWAYS,
    "multifd": ALWAYS,
    "dirty-bitmaps": ALWAYS,
    "postcopy-blocktime": ALWAYS,
    "late-block-activate": ALWAYS,
    "x-ignore-shared": ALWAYS,
    "validate-uuid": ALWAYS,
    "background-snapshot": ("6.0", None),
    "zero-copy-send": ("7.1", None),
    "postcopy-preempt": ("7.1", None),
    "switchover-ack": ("8.1", None),
    "dirty-limit": ("8.1", None),
    "mapped-ram": ("9.0", None),
}
"""All that there ever were, with the first and the last release that has them, in QEMU's order."""
IGNORE_SHARED = "x-ignore-shared"
"""Shared memory is not sent: the destination has it by other ways."""
MAPPED_RAM = "mapped-ram"
"""Pages are at fixed places of a file."""
TOLD = (IGNORE_SHARED, MAPPED_RAM)
"""Those that a stream tells, for both sides must agree on them."""
SUPPORTED = frozenset(
    {
        *(
            "auto-converge",
            "events",
            "late-block-activate",
            "multifd",
            "pause-before-switchover",
            "release-ram",
            "return-path",
            "switchover-ack",
            "validate-uuid",
            "zero-blocks",
        ),
        IGNORE_SHARED,
        MAPPED_RAM,
    }
)
"""Those that do what they do in QEMU. `late-block-activate` and `zero-blocks` are about disks: there are none, and
`release-ram` is about memory that was sent in postcopy."""

MIB = 1 << 20
DEFAULTS: dict[str, tuple[Any, Marks]] = {
    "announce-initial": (50, ALWAYS),
    "announce-max": (550, ALWAYS),
    "announce-rounds": (5, ALWAYS),
    "announce-step": (100, ALWAYS),
    "compress-level": (1, (None, "9.0")),
    "compress-threads": (8, (None, "9.0")),
    "compress-wait-thread": (True, (None, "9.0")),
    "decompress-threads": (2, (None, "9.0")),
    "throttle-trigger-threshold": (50, ALWAYS),
    "cpu-throttle-initial": (20, ALWAYS),
    "cpu-throttle-increment": (10, ALWAYS),
    "cpu-throttle-tailslow": (False, ALWAYS),
    "max-cpu-throttle": (99, ALWAYS),
    "tls-creds": ("", ALWAYS),
    "tls-hostname": ("", ALWAYS),
    "tls-authz": ("", ALWAYS),
    "max-bandwidth": (128 * MIB, ALWAYS),
    "avail-switchover-bandwidth": (0, ("8.2", None)),
    "max-postcopy-bandwidth": (0, ALWAYS),
    "downtime-limit": (300, ALWAYS),
    "x-checkpoint-delay": (20000, ALWAYS),
    "block-incremental": (False, (None, "9.0")),
    "multifd-channels": (2, ALWAYS),
    "multifd-compression": ("none", ALWAYS),
    "multifd-zlib-level": (1, ALWAYS),
    "multifd-qatzip-level": (1, ("9.2", None)),
    "multifd-zstd-level": (1, ALWAYS),
    "zero-page-detection": ("multifd", ("9.0", None)),
    "xbzrle-cache-size": (64 * MIB, ALWAYS),
    "x-vcpu-dirty-limit-period": (1000, ("8.1", None)),
    "vcpu-dirty-limit": (1, ("8.1", None)),
    "mode": ("normal", ("8.2", None)),
    "direct-io": (False, ("9.1", None)),
    "x-rdma-chunk-size": (MIB, ("11.1", None)),
    "cpr-exec-command": ([], ("10.2", None)),
}
"""The parameters at first, with the first and the last release that has them."""

RANGES: dict[str, tuple[int, int, str]] = {
    "compress-level": (0, 9, "level"),
    "compress-threads": (1, 255, "threads"),
    "decompress-threads": (1, 255, "threads"),
    "throttle-trigger-threshold": (1, 100, "percent"),
    "cpu-throttle-initial": (1, 99, "percent"),
    "cpu-throttle-increment": (1, 99, "percent"),
    "downtime-limit": (0, 2_000_000, "downtime"),
    "multifd-channels": (1, 255, "threads"),
    "multifd-zlib-level": (0, 9, "level since 8.0"),
    "multifd-qatzip-level": (1, 9, "level"),
    "multifd-zstd-level": (0, 20, "level since 8.0"),
    "x-vcpu-dirty-limit-period": (1, 1000, "new"),
    "announce-initial": (0, 100_000, "announcement"),
    "announce-max": (0, 100_000, "announcement"),
    "announce-rounds": (0, 1000, "rounds"),
    "announce-step": (1, 10_000, "step"),
}
"""What the values of parameters lie between, and how one is refused that does not."""


def capabilities(release: Release) -> dict[str, bool]:
    """All capabilities of a release, off."""
    return {name: False for name, marks in CAPABILITIES.items() if release.covers(*marks)}


def parameters(release: Release) -> dict[str, Any]:
    """All parameters of a release, as they are at first."""
    return {name: value for name, (value, marks) in DEFAULTS.items() if release.covers(*marks)}


def check_capabilities(wanted: dict[str, bool], present: dict[str, bool]) -> None:
    """Raise `VMError` if one is to be on that is not supported, or needs another."""
    for name, state in wanted.items():
        if state and name not in SUPPORTED:
            raise VMError(f"migration capability '{name}' is not supported (QEMU has it)")
    after = present | wanted
    if after.get("switchover-ack") and not after["return-path"]:
        raise VMError("Capability 'switchover-ack' requires capability 'return-path'")


def check_transport(kind: str, capabilities: dict[str, bool], parameters: dict[str, Any]) -> None:
    """Raise `VMError` if what is switched on does not go where an address of a kind is."""
    if kind == "file" and parameters.get("direct-io"):
        raise VMError("migration parameter 'direct-io' is not supported (QEMU has it)")
    if capabilities.get(MAPPED_RAM):
        if kind != "file":
            raise VMError("Migration requires seekable transport (e.g. file)")
        return
    if capabilities["multifd"] and kind not in ("unix", "tcp"):
        raise VMError("Migration requires multi-channel URIs (e.g. tcp)")
    method = parameters["multifd-compression"]
    if capabilities["multifd"] and method not in METHODS:
        raise VMError(f"multifd compression '{method}' is not supported (QEMU may have it)")


def check_parameters(given: dict[str, Any], present: dict[str, Any], release: Release, page_size: int) -> None:
    """Raise `VMError` for a value that QEMU refuses, or that would need what is not supported."""
    after = {**present, **given}
    for name, (low, high, kind) in RANGES.items():
        if name in given and not low <= given[name] & 0xFFFFFFFFFFFFFFFF <= high:
            if kind == "level since 8.0" and not release.covers("8.0"):
                continue
            raise VMError(f"{_subject(name, release)} expects {_expected(kind, low, high, release)}")
    if "xbzrle-cache-size" in given:
        size = given["xbzrle-cache-size"] & 0xFFFFFFFFFFFFFFFF
        if size < page_size or size & (size - 1):
            older = "is invalid, it should be bigger than target page size and a power of 2"
            expected = older if not release.covers("6.0") else "a power of two no less than the target page size"
            raise VMError(f"{_subject('xbzrle-cache-size', release)} expects {expected}")
    if "max-cpu-throttle" in given and not after["cpu-throttle-initial"] <= after["max-cpu-throttle"] <= 99:
        initial = "cpu-throttle-initial" if release.covers("11.0") else "cpu_throttle_initial"
        text = f"expects an integer in the range of {initial} to 99"
        raise VMError(f"{_subject('max-cpu-throttle', release)} {text}")
    if "vcpu-dirty-limit" in given and given["vcpu-dirty-limit"] < 1:
        name = "vcpu-dirty-limit" if release.covers("11.0") else "vcpu_dirty_limit"
        raise VMError(f"Parameter '{name}' must be greater than 1 MB/s")
    if given.get("x-rdma-chunk-size") is not None and not _is_chunk(given["x-rdma-chunk-size"]):
        raise VMError("Option x_rdma_chunk_size expects a power of 2 in the range 1MiB to 1024MiB")
    if given.get("mode", "normal") != "normal":
        raise VMError(f"migration mode '{given['mode']}' is not supported (QEMU has it)")


def _is_chunk(size: int) -> bool:
    return MIB <= size <= 1024 * MIB and not size & (size - 1)


def _subject(name: str, release: Release) -> str:
    if release.covers("11.0"):
        return f"Option {name}"
    spelled = name if name == "x-vcpu-dirty-limit-period" else name.replace("-", "_")
    return f"Parameter '{spelled}'"


def _expected(kind: str, low: int, high: int, release: Release) -> str:
    if kind == "percent":
        return f"an integer in the range of {low} to {high}"
    if kind == "downtime":
        return "an integer in the range of 0 to (2000 * 1000) ms"
    if release.covers("6.0"):
        return f"a value between {0 if kind == 'step' else low} and {high}"
    if kind == "announcement":
        return f"is invalid, it must be less than {high} ms"
    if kind in ("rounds", "step"):
        return f"is invalid, it must be in the range of {low} to {high}{' ms' if kind == 'step' else ''}"
    return f"is invalid, it should be in the range of {low} to {high}"
