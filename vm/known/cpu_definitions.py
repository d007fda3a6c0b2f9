"""What a QEMU tells of its CPU models, but for their features: nothing here has any, for nothing is executed."""

from __future__ import annotations

from . import covers, rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..releases import Release

_SAFE = {"m": True, "n": False}


def cpu_definitions(target: str, release: Release, newest: bool) -> list[dict[str, Any]] | None:
    """What `query-cpu-definitions` tells of each CPU model of a target; None where the target has no such list.

    A name without a version stands for the first version of that model, or the last for `newest`.
    """
    for targets, ending, *words in rows("cpu_definitions"):
        ending, _, marks = ending.partition(":")
        if target in targets.split(",") and covers(marks, release):
            found = [_definition(word, ending.replace("*", target)) for word in words if _covered(word, release)]
            return [_newest(each, found) for each in found] if newest else found
    return None


def _covered(word: str, release: Release) -> bool:
    return covers(word.partition(":")[2], release)


def _definition(word: str, ending: str) -> dict[str, Any]:
    word, _, flags = word.partition(":")[0].partition("~")
    word, _, alias = word.partition(">")
    name, equals, stem = word.partition("=")
    stem = stem if equals else name
    told: dict[str, Any] = {
        "name": name,
        "typename": stem + ending if stem else "",
        "static": "s" in flags,
        "deprecated": "d" in flags,
    }
    for flag, is_safe in _SAFE.items():
        if flag in flags:
            told["migration-safe"] = is_safe
    if alias:
        told["alias-of"] = alias
    return told


def _newest(told: dict[str, Any], known: list[dict[str, Any]]) -> dict[str, Any]:
    name = told["name"]
    if told.get("alias-of") != f"{name}-v1":
        return told
    numbers = [each["name"].removeprefix(f"{name}-v") for each in known if each["name"].startswith(f"{name}-v")]
    return {**told, "alias-of": f"{name}-v{max(int(number) for number in numbers if number.isdigit())}"}
