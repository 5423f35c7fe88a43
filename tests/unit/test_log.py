"""What is said to the user's log: never a flood, never a line that somebody outside has written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asyncdsm._internal import log


@pytest.fixture(autouse=True)
def forget_warnings() -> Iterator[None]:
    log.forget_warnings()
    yield
    log.forget_warnings()


@pytest.mark.parametrize("say", [log.warn, log.info])
def test_control_characters_in_a_value_are_escaped(caplog: pytest.LogCaptureFixture, say: object) -> None:
    caplog.set_level("INFO")
    assert callable(say)
    say("topic %s: %d, %r", "a\nERROR forged\x1b[2J\u2028é", 3, ValueError("b\nc"))
    (record,) = caplog.records
    assert record.getMessage() == "topic a\\nERROR forged\\x1b[2J\\u2028é: 3, ValueError('b\\nc')"


def test_warnings_logged_once_are_bounded_in_number(caplog: pytest.LogCaptureFixture) -> None:
    for number in range(2 * log.MAX_KEYS):
        log.warn_once(f"no-context-{number}", "a message of topic %d carries none", number)
    assert len(caplog.records) == log.MAX_KEYS
    log.warn_each_minute("flush", "an error")
    assert len(caplog.records) == log.MAX_KEYS + 1
