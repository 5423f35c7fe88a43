"""The pytest fixtures of asyncdsm. They import it only when a test uses one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from asyncdsm.testing import Captured, ManualClock


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that moves only by `manual_clock.advance(seconds)`. `captured_streams` then uses it, too."""
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
