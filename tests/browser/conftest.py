"""The fixtures `browser` and `open_page`: a browser for all tests, a page for each; skipped where there is no browser."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .chromium import Browser, Page, find_browser


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium is installed, and CI installs one")
        pytest.skip("no Chromium is installed")
    started = Browser(program, tmp_path_factory.mktemp("browser"))
    yield started
    started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open a file as a page; takes the options of `Browser.page`. At the end no page has complained of anything."""
    pages: list[Page] = []

    def start(path: Path, fragment: str = "", **more: Any) -> Page:
        pages.append(browser.page(**more))
        pages[-1].open(path, fragment)
        return pages[-1]

    yield start
    for page in pages:
        page.settle()
        complaints, requests = page.complaints, page.requests
        page.close()
        assert not complaints
        assert [url for url in requests if not url.startswith(("file:", "data:"))] == [] and len(requests) <= 2
