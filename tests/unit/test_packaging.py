"""The wheel has every package, and nobody's environment gets more than `ramslot`."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def declared() -> dict[str, object]:
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        return tomllib.load(file)["tool"]["setuptools"]  # type: ignore[no-any-return]  # TOML is untyped


def test_every_package_is_listed() -> None:
    found = {"ramslot"}
    for top in ("commands", "monitor", "schema", "vm"):
        for folder, _folders, files in os.walk(os.path.join(ROOT, top)):
            if "__init__.py" in files:
                found.add("ramslot." + os.path.relpath(folder, ROOT).replace(os.sep, "."))
    assert set(declared()["packages"]) == found  # type: ignore[call-overload]  # TOML is untyped


def test_every_data_file_is_listed() -> None:
    listed = declared()["package-data"]
    assert isinstance(listed, dict)
    for folder, suffixes in (
        ("commands/pictures", [".css", ".html", ".js"]),
        ("monitor/guide", [".md"]),
        ("monitor/lines", [".txt"]),
        ("schema", [".json"]),
        ("vm/host", [".cdef"]),
    ):
        files = {os.path.splitext(name)[1] for name in os.listdir(os.path.join(ROOT, folder))}
        assert files - {".py", ""} == set(suffixes)
        assert listed["ramslot." + folder.replace("/", ".")] == [f"*{suffix}" for suffix in suffixes]


def test_the_module_runs_as_the_command() -> None:
    done = subprocess.run([sys.executable, "-m", "ramslot", "-version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("QEMU emulator version 11.1.")
    assert "ramslot" in done.stdout
