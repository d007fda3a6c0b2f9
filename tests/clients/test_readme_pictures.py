"""The README's pictures are what the program shows today."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from ..recorders.readme_pictures import FOLDER, pictures


def test_the_pictures_are_fresh() -> None:
    readme = Path(FOLDER.parent, "README.md").read_text()
    for name, text in pictures().items():
        assert (FOLDER / name).read_text() == text, "run python -m ramslot.tests.recorders.readme_pictures"
        assert f"{FOLDER.name}/{name}" in readme


def test_the_session_is_one_of_the_console() -> None:
    texts = "".join(ElementTree.parse(FOLDER / "console.svg").getroot().itertext())
    assert "pc.ram @0xc0000000" in texts and "pam-pci has a higher priority" in texts
