from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from ramslot.monitor.guide.command import PAGES, run_guide_command, topics, wrapped

README = Path(os.path.dirname(os.path.abspath(__file__))).parent.parent / "README.md"


def test_the_readme_leads_to_every_page() -> None:
    linked = re.findall(r"^\| \[`(.+)`\]\(monitor/guide/(.+)\.md\) \| (.+) \|$", README.read_text(), re.MULTILINE)
    assert all(name == file for name, file, _title in linked)
    assert {name: title for name, _file, title in linked} == topics()


def test_topics_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guide_command("ramslot", []) == 0
    told = capsys.readouterr().out
    assert all(f"    {name} " in told and title in told for name, title in topics().items())


def test_a_page_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guide_command("ramslot", ["numa"]) == 0
    assert capsys.readouterr().out == (PAGES / "numa.md").read_text()


def test_no_such_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_guide_command("ramslot", ["migrate"]) == 2
    assert capsys.readouterr().err == "ramslot: guide: there is no topic 'migrate'; did you mean 'migration'?\n"


@pytest.mark.parametrize("name", topics())
def test_a_narrow_terminal_gets_narrow_text(name: str) -> None:
    text = (PAGES / f"{name}.md").read_text()
    narrow = wrapped(text, 60)
    assert narrow.split() == text.split()
    prose = re.sub(r"```.*?```|^[|#-].*?$", "", narrow, flags=re.DOTALL | re.MULTILINE)
    assert all(len(line) <= 60 or " " not in line.strip() for line in prose.splitlines())
