"""Fixtures that come with asyncdsm. Nothing of it is imported before a test asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from asyncdsm.testing import Captured, ManualClock


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that stands still until `manual_clock.advance(seconds)`; `captured_streams` runs on it if asked for."""
    from asyncdsm.testing import ManualClock  # noqa: PLC0415

    return ManualClock()


@pytest.fixture
def captured_streams(request: pytest.FixtureRequest) -> Iterator[Captured]:
    """Every checkpoint that the test makes, in memory: `captured_streams.produced("orders")`."""
    from time import time_ns  # noqa: PLC0415

    from asyncdsm.testing import capture  # noqa: PLC0415

    has_clock = "manual_clock" in request.fixturenames
    with capture(now=request.getfixturevalue("manual_clock") if has_clock else time_ns) as captured:
        yield captured
