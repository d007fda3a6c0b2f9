"""The switch `--record`: keep what real QEMU answers for where it is not installed."""

from __future__ import annotations

import pytest

from . import oracle


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="record what real QEMU answers")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--record", default=False):
        oracle.write_recordings()
