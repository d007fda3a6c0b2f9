"""Secrets, which managers keep in every machine: made, looked at, and refused, equal to real QEMU's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .oracle import BOTH, compare


def ask(command: str, **arguments: Any) -> str:
    named = {name.replace("_", "-"): value for name, value in arguments.items()}
    return json.dumps({"execute": command, "arguments": named})


GIVEN: tuple[dict[str, Any], ...] = (
    {}, {"data": "x"}, {"data": "x", "file": "raw"}, {"file": "raw"}, {"file": "absent"}, {"file": "."}, {"file": ""},
    {"data": "bGV0bWVpbg==", "format": "base64"}, {"file": "raw", "format": "base64"}, {"data": ""},
    {"data": "a b", "format": "base64"}, {"data": "YQ==\n", "format": "base64"}, {"data": "=", "format": "base64"},
    {"data": "é"}, {"data": "é", "format": "base64"}, {"data": "x", "format": "hex"}, {"data": 1}, {"data": "x", "no": 1},
    {"data": "x", "keyid": "absent"}, {"data": "x", "iv": "x"}, {"data": "x", "loaded": True}, {"data": "x", "loaded": 1},
)  # fmt: skip
VALUES = ("y", "", "raw", "base64", "hex", True, 3, None)


@pytest.mark.parametrize("release", BOTH)
def test_secrets_are_made_and_looked_at(release: str, tmp_path: Path) -> None:
    questions = []
    for given in GIVEN:
        questions += [ask("object-add", qom_type="secret", id="s", **given), ask("qom-list", path="/objects/s")]
        questions += [
            ask("qom-get", path="/objects/s", property=name)
            for name in ("data", "file", "format", "iv", "keyid", "loaded", "type")
        ]
        questions += [ask("object-del", id="s")]
    questions += [ask("object-add", qom_type="secret", id="s", data="x"), ask("qom-list-properties", typename="secret")]
    for name in ("data", "file", "format", "iv", "keyid", "loaded"):
        for value in VALUES:
            questions.append(ask("qom-set", path="/objects/s", property=name, value=value))
            questions.append(ask("qom-get", path="/objects/s", property=name))
    questions += ["object_add secret,id=t,data=abc", "object_add secret,id=u", ask("qom-list", path="/objects")]
    options = "-object secret,id=key,format=raw,file=raw -object memory-backend-ram,id=m,size=1M"
    compare("secrets", "x86_64", f"-M none {options}", questions, tmp_path, {"raw": 9}, release=release)


@pytest.mark.parametrize("release", BOTH)
@pytest.mark.parametrize("given", ["", ",data=a,file=b", ",file=absent", ",data=x,format=hex", ",data=x,keyid=none"])
def test_starts_with_a_bad_secret_are_refused(given: str, release: str, tmp_path: Path) -> None:
    compare("secrets", "x86_64", f"-M none -object secret,id=s{given}", [], tmp_path, release=release)
