"""The topics of names that have ids in them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from asyncdsm import DataStreams, Settings
from asyncdsm._internal import log
from asyncdsm.core import topic_names
from asyncdsm.core.topic_names import MOST_NAMES, MOST_TOPICS, TopicNames, set_topic_patterns
from asyncdsm.errors import SettingError


@pytest.fixture
def names() -> Iterator[TopicNames]:
    """The names of NATS, without patterns."""
    yield (names := TopicNames(separator=".", one="*", rest=">"))
    set_topic_patterns(())
    topic_names._all_names.remove(names)


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("orders.created", "orders.created"),
        ("orders.4711.created", "orders.*.created"),
        ("orders.order-4711", "orders.*"),
        ("users.user12345.login", "users.*.login"),
        ("jobs.8f14e45f-ceea-467f-a0e6-b1d2f3c4a5b6", "jobs.*"),
        ("jobs.01ARZ3NDEKTSV4RRFFQ69G5FAV.done", "jobs.*.done"),
        ("blobs.d41d8cd98f00b204", "blobs.*"),
        ("eu-west-1.s3.v2.facade", "eu-west-1.s3.v2.facade"),
        ("4711", "*"),
        ("", ""),
    ],
)
def test_ids_in_a_name_are_replaced(names: TopicNames, name: str, topic: str) -> None:
    assert names[name] == topic


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("orders.*", "orders.a", True),
        ("orders.*", "orders.a.b", False),
        ("orders.*", "orders", False),
        ("orders.>", "orders.a.b", True),
        ("orders.>", "orders", False),
        (">", "orders", True),
        ("*.created", "orders.created", True),
        ("orders", "orders", True),
        ("orders", "order", False),
    ],
)
def test_pattern_matches_as_the_broker_does(names: TopicNames, pattern: str, name: str, expected: bool) -> None:
    assert names.matches(pattern, name) == expected


def test_first_pattern_that_matches_is_the_topic(names: TopicNames) -> None:
    assert names["orders.acme.created"] == "orders.acme.created"
    set_topic_patterns(["orders.*.created", "orders.>"])
    assert [names[f"orders.acme.{end}"] for end in ("created", "paid")] == ["orders.*.created", "orders.>"]
    assert names["users.17"] == "users.*"
    set_topic_patterns(())
    assert names["orders.acme.created"] == "orders.acme.created"


def test_names_and_topics_are_bounded(names: TopicNames, caplog: pytest.LogCaptureFixture) -> None:
    log.forget_warnings()
    topics = {names[f"{'ab'[number % 2]}.{'x' * (number // 2)}"] for number in range(3 * MOST_TOPICS)}
    assert len(topics) == MOST_TOPICS + 2
    assert {"a.>", "b.>"} <= topics
    assert names["single"] == ">"
    assert {names[f"orders.{number}"] for number in range(2 * MOST_NAMES)} == {"orders.>"}
    assert len(names) <= MOST_NAMES
    (warning,) = [text for record in caplog.records if "topics" in (text := record.getMessage())]
    assert "ASYNCDSM_TOPIC_PATTERNS" in warning


def test_patterns_are_those_of_the_streams_that_measure(names: TopicNames) -> None:
    settings = Settings.from_environ({"ASYNCDSM_TOPIC_PATTERNS": "orders.*.created, events.>"})
    assert settings.topic_patterns == ("orders.*.created", "events.>")
    with DataStreams(settings._replace(agent_url="http://127.0.0.1:9")):
        assert names["events.a.b"] == "events.>"
    assert names["events.a.b"] == "events.a.b"


@pytest.mark.parametrize("text", ["orders.*,,events.>", ",", " , ", "a..b", "a.", ".", "a.>.b", "orders-*", "a.b>"])
def test_pattern_that_no_name_matches_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match=r"^ASYNCDSM_TOPIC_PATTERNS must be patterns separated by commas"):
        Settings.from_environ({"ASYNCDSM_TOPIC_PATTERNS": text})
