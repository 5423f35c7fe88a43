"""What is said to the user's log: never a flood, never a line that somebody outside has written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asyncdsm._internal import log


@pytest.fixture(autouse=True)
def forget_what_was_said() -> Iterator[None]:
    log.forget_warnings()
    yield
    log.forget_warnings()


@pytest.mark.parametrize("say", [log.warn, log.info])
def test_a_name_from_outside_adds_no_line(caplog: pytest.LogCaptureFixture, say: object) -> None:
    caplog.set_level("INFO")
    assert callable(say)
    say("topic %s: %d, %r", "a\nERROR forged\x1b[2J\u2028é", 3, ValueError("b\nc"))
    (record,) = caplog.records
    assert record.getMessage() == "topic a\\nERROR forged\\x1b[2J\\u2028é: 3, ValueError('b\\nc')"


def test_what_is_said_once_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(2 * log.MOST_SAID):
        log.warn_once(f"no-context-{number}", "a message of topic %d carries none", number)
    assert len(caplog.records) == log.MOST_SAID
    log.warn_each_minute("flush", "an error")
    assert len(caplog.records) == log.MOST_SAID + 1
