"""How statistics are told: QEMU's order and filters, and HMP's units, of which the kernel here has only a few."""

from __future__ import annotations

from typing import Any

import pytest

from ramslot.commands.stats import HMP

(INFO_STATS,) = HMP


def line(kind: dict[str, Any], value: int | bool | list[int]) -> str:
    words = {"target": "vm", "provider": "kvm", "kinds": {"n": {"name": "n", "exponent": 0, **kind}}}
    return INFO_STATS.render([{"provider": "kvm", "stats": [{"name": "n", "value": value}]}], words)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ({"type": "peak"}, 7, "(peak): 7"),
        ({"type": "instant", "unit": "boolean"}, True, "(instant, boolean): yes"),
        ({"type": "instant", "unit": "bytes"}, 1, "(instant, B): 1"),
        ({"type": "instant", "unit": "bytes", "base": 2, "exponent": 20}, 1, "(instant, MiB): 1"),
        ({"type": "instant", "unit": "bytes", "base": 2, "exponent": 9}, 1, "(instant, * 2^9 bytes): 1"),
        ({"type": "cumulative", "unit": "seconds", "base": 10, "exponent": -9}, 3, "(cumulative, ns): 3"),
        (
            {"type": "cumulative", "unit": "seconds", "base": 10, "exponent": -21},
            3,
            "(cumulative, * 10^-21 seconds): 3",
        ),
        ({"type": "cumulative", "unit": "cycles"}, 3, "(cumulative, cycles): 3"),
        ({"type": "cumulative", "base": 10, "exponent": 3}, 3, "(cumulative, * 10^3): 3"),
        ({"type": "linear-histogram", "bucket-size": 5}, [1, 2], "(linear-histogram, bucket size=5): [1]=1 [2]=2 "),
        ({"type": "cumulative"}, 2**64 - 1, "(cumulative): -1"),
    ],
)
def test_units(kind: dict[str, Any], value: int | bool | list[int], text: str) -> None:
    assert line(kind, value) == f"    n {text}\n"
