"""Rules over a map: to what they apply, which values count, and the states over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from asyncdsm.agent.alerts.messages import write_message
from asyncdsm.agent.alerts.readings import read_values
from asyncdsm.agent.alerts.rules import Rule, matches
from asyncdsm.agent.alerts.summary import MOST_ALERTS, summarize_rules
from asyncdsm.agent.alerts.tracks import FORGET_SECONDS, RuleTracks, State
from asyncdsm.agent.alerts.view import Reading, View
from asyncdsm.map.topology import (
    NO_QUANTILES,
    Edge,
    EdgeFacts,
    PartitionLag,
    Quantiles,
    Queue,
    RecentFacts,
    Service,
    Topology,
)
from tests.agent.maps import HOSTILE, edge_with
from tests.agent.payloads import NOW


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("orders", "orders", True),
        ("orders", "orders-eu", False),
        ("orders", "Orders", False),
        ("", "", True),
        ("", "x", False),
        ("*", "", True),
        ("orders*", "orders", True),
        ("*orders", "my.orders", True),
        ("a*b", "ab", True),
        ("a*a", "a", False),
        ("ab*ba", "aba", False),
        ("a**b", "a-b", True),
        ("*a*b*", "xaxbx", True),
        ("*a*b*", "xbxax", False),
        ("*ab*ab", "xabab", True),
        ("*ab*ab", "xab", False),
        ("o?d[e]r.*", "order.x", False),  # nothing but * is special
        ("o?d[e]r.*", "o?d[e]r.x", True),
        ("宽*", "宽宽", True),
    ],
)
def test_only_an_asterisk_stands_for_other_characters(pattern: str, name: str, expected: bool) -> None:
    assert matches(pattern, name) is expected


@given(parts=st.lists(st.text("ab"), min_size=1, max_size=5), fillers=st.lists(st.text("abc"), min_size=4, max_size=4))
def test_name_that_is_made_from_a_pattern_matches_it(parts: list[str], fillers: list[str]) -> None:
    name = parts[0] + "".join(filler + part for filler, part in zip(fillers, parts[1:], strict=False))
    assert matches("*".join(parts), name)


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_name_matches_itself_and_any(name: str) -> None:
    assert matches(name, name)
    assert matches("*", name)
    assert not matches("no such name", name)


def test_pattern_of_many_asterisks_is_answered_on_a_long_name() -> None:
    assert not matches("*a" * 149 + "b", "a" * 100_000)


class TimedLag(PartitionLag, frozen=True, kw_only=True):
    """A lag whose age in seconds is known."""

    seconds: float | None
    trend: Literal["steady", "catching up", "falling behind"] | None = None
    done_in: float | None = None


def lag(group: str, behind: int, seconds: float | None = None, partition: str = "0", topic: str = "orders") -> TimedLag:
    return TimedLag(
        group=group,
        topic=topic,
        partition=partition,
        cluster_id=None,
        behind=behind,
        unit="messages",
        seconds=seconds,
    )


def hop(
    service: str, direction: str, queue: str, p99: float | None = None, *, ended: float | None = None, **fields: Any
) -> Edge:
    """Return an edge that has one latency now and another one over the range; `ended` is when it became idle."""
    edge = edge_with(f"{service} {direction} {queue}", service=service, queue=queue)
    now = Quantiles(p99 and p99 / 10, p99 and p99 / 2, p99, p99 and p99 * 2)
    state = "steady" if ended is None else "idle"
    present = replace(
        edge.present, edge_latency=now, pathway_latency=now, state=state, since=None if ended == 0 else ended
    )
    whole = Quantiles(9.0, 9.0, 9.0, 9.0)
    return replace(edge, direction=direction, present=present, edge_latency=whole, pathway_latency=whole, **fields)


def service(name: str, ago: float | None = 0.0, env: str = "") -> Service:
    return Service(
        name=name,
        env=env,
        last_seen=None if ago is None else NOW - ago,
        pathways=1,
        many_pathways=False,
        too_many_pathways=False,
        clocks_disagree=False,
        version="",
        versions=[],
        process_tags=[],
        lang="python",
    )


def view(
    *edges: Edge, lags: Sequence[PartitionLag] = (), services: Sequence[Service] = (), watched: float = 86_400.0
) -> View:
    """Return a map of now, which is watched since some seconds ago."""
    topology = Topology(
        from_=NOW - 600,
        to=NOW,
        minutes=10,
        seconds=600.0,
        services=list(services),
        queues=[],
        edges=list(edges),
        lag=list(lags),
        pathways=[],
    )
    return View.of(topology, "present", NOW - watched)


def values(rule: Rule, shown: View) -> list[tuple[str, float | None]]:
    return [(reading.place, reading.value) for reading in read_values(rule, shown)]


ORDERS = hop("shop", "out", "orders", 0.25)
BILLING = hop("billing", "in", "orders", 4.0, group="billing")
SHIPPING = hop("shipping", "in", "orders", 2.0, group="shipping", env="prod")
IDLE = hop("mailing", "in", "mails", None, ended=NOW - 200)
LATENCIES = [
    (
        Rule("r", "time in queue"),
        [("orders → billing, group billing", 4.0), ("orders → shipping, group shipping", 2.0)],
    ),
    (Rule("r", "time in service"), [("shop → orders", 0.25)]),
    (
        Rule("r", "time in queue", quantile="p50", where=(("service", "b*"),)),
        [("orders → billing, group billing", 0.4)],
    ),
    (Rule("r", "time in queue", where=(("env", "prod"),)), [("orders → shipping, group shipping", 2.0)]),
    (Rule("r", "time in queue", where=(("env", ""),)), [("orders → billing, group billing", 4.0)]),
    (
        Rule("r", "time in queue", where=(("group", "ship*"), ("queue", "*"))),
        [("orders → shipping, group shipping", 2.0)],
    ),
    (Rule("r", "time in queue", where=(("type", "rabbitmq"),)), []),
    (
        Rule("r", "end to end", quantile="max"),
        [
            ("orders → billing, group billing", 8.0),
            ("orders → shipping, group shipping", 4.0),
            ("shop → orders", 0.5),
        ],
    ),
]


@pytest.mark.parametrize(("rule", "expected"), LATENCIES)
def test_latency_is_read_at_each_hop_that_matches(rule: Rule, expected: list[tuple[str, float]]) -> None:
    assert values(rule, view(ORDERS, BILLING, SHIPPING, IDLE)) == expected


def test_latencies_of_the_range_are_read_if_asked_for() -> None:
    whole = view(BILLING)._replace(span="range")
    assert values(Rule("r", "time in queue"), whole) == [("orders → billing, group billing", 9.0)]


def said(count: float, redelivered: int, dead_lettered: int) -> EdgeFacts:
    """Return the facts of a hop whose last minutes had these messages, and whose range had ten times as many."""
    recent = RecentFacts(
        count=count,
        redelivered=redelivered,
        redelivered_since=NOW,
        dead_lettered=dead_lettered,
        dead_lettered_since=NOW,
    )
    return EdgeFacts(
        redelivered=10 * redelivered,
        redelivered_share=0.5,
        dead_lettered=10 * dead_lettered,
        dead_lettered_share=0.5,
        waits=0,
        mean_wait=None,
        longest_wait=None,
        schemas=[],
        recent=recent,
    )


REPEATED = hop("billing", "in", "orders", 4.0, group="billing", count=400.0, facts=said(200, 20, 3))
DELIVERIES = [
    (Rule("r", "redelivered", unit="share"), [0.1, 0.0]),
    (Rule("r", "redelivered", unit="messages"), [20.0, 0.0]),
    (Rule("r", "dead letters", unit="share", where=(("group", "b*"),)), [0.015]),
    (Rule("r", "dead letters", unit="messages", where=(("queue", "mails"),)), []),
]


@pytest.mark.parametrize(("rule", "expected"), DELIVERIES)
def test_deliveries_are_read_at_each_hop_that_reads(rule: Rule, expected: list[float]) -> None:
    found = values(rule, view(ORDERS, REPEATED, SHIPPING))
    assert found == list(
        zip(["orders → billing, group billing", "orders → shipping, group shipping"], expected, strict=False)
    )


def test_deliveries_of_the_range_are_read_if_asked_for() -> None:
    whole = view(REPEATED)._replace(span="range")
    assert values(Rule("r", "redelivered", unit="share"), whole) == [("orders → billing, group billing", 0.5)]
    assert values(Rule("r", "dead letters", unit="messages"), whole) == [("orders → billing, group billing", 30.0)]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Rule("r", "redelivered", above=0.05, unit="share"), "10 % redelivered, above 5 %"),
        (Rule("r", "dead letters", unit="messages"), "3 messages dead-lettered before, above 0 messages"),
    ],
)
def test_broken_delivery_is_told_with_its_value(rule: Rule, text: str) -> None:
    tracks = RuleTracks(rule)
    (begun,) = tracks.evaluate(view(REPEATED), NOW)
    (answer,) = summarize_rules([tracks], NOW).rules
    assert answer.alerts[0].text == f"orders → billing, group billing: {text}"
    assert b'"unit":"%s"' % rule.unit.encode() in write_message(rule, begun, NOW)
    (ended,) = tracks.evaluate(view(hop("billing", "in", "orders", 4.0, group="billing")), NOW + 10)
    assert (ended.begins, ended.track.reading.value) == (False, 0.0)


def unread_view(since: float | None, *, unread: bool = True, watched: float = 86_400.0) -> View:
    shown = view(ORDERS, watched=watched)
    queue = Queue(type="kafka", name="orders", cluster=None, unread=unread, unread_since=since)
    return shown._replace(topology=replace(shown.topology, queues=[queue]))


UNREAD = Rule("r", "unread", for_seconds=120.0, where=(("queue", "orders"),))


def test_unread_queue_fires_after_the_time_of_the_rule_and_ends_when_it_is_read() -> None:
    tracks = RuleTracks(UNREAD)
    assert tracks.evaluate(unread_view(NOW - 119), NOW) == []
    (begun,) = tracks.evaluate(unread_view(NOW - 120), NOW)
    assert (begun.begins, begun.began) == (True, NOW - 120)
    (answer,) = summarize_rules([tracks], NOW).rules
    expected = "orders: messages come in, and no service was seen reading them for 2 min"
    assert answer.alerts[0].text == expected
    (ended,) = tracks.evaluate(unread_view(None, unread=False), NOW + 10)
    assert (ended.begins, ended.track.state) == (False, "ok")


def test_queue_that_was_read_and_left_the_map_is_not_unread() -> None:
    tracks = RuleTracks(UNREAD)
    tracks.evaluate(unread_view(None, unread=False), NOW)
    assert tracks.evaluate(view(), NOW + 3600) == []
    (answer,) = summarize_rules([tracks], NOW).rules
    assert (answer.state, answer.problem) == ("unknown", "nothing on the map matches it")


def test_queue_is_unread_for_as_long_as_the_agent_has_watched_at_most() -> None:
    assert RuleTracks(UNREAD).evaluate(unread_view(NOW - 500, watched=60.0), NOW) == []


LAGS = [lag("billing", 40, 30.0), lag("billing", 2, 90.0, "1"), lag("audit", 7), lag("audit", 5, topic="mails")]
IN_MESSAGES = [
    ("orders → group billing", 42.0),
    ("orders → group audit", 7.0),
    ("mails → group audit", 5.0),
]
IN_SECONDS = [
    ("orders → group billing", 90.0),
    ("mails → group audit", None),
    ("orders → group audit", None),
]


def test_lag_is_read_over_all_partitions_of_a_group() -> None:
    assert values(Rule("r", "lag", unit="messages"), view(lags=LAGS)) == IN_MESSAGES
    assert values(Rule("r", "lag", unit="messages", where=(("queue", "m*"),)), view(lags=LAGS)) == IN_MESSAGES[2:]
    assert values(Rule("r", "lag"), view(lags=LAGS)) == IN_SECONDS


def test_lag_in_seconds_is_unknown_unless_the_known_partitions_break_the_rule() -> None:
    partly = view(lags=[lag("billing", 40, 30.0), lag("billing", 2, None, "1")])
    assert values(Rule("r", "lag", above=60.0), partly) == [("orders → group billing", None)]
    assert values(Rule("r", "lag", above=20.0), partly) == [("orders → group billing", 30.0)]


def test_lag_is_about_the_queue_and_the_hops_of_the_group() -> None:
    (reading,) = read_values(Rule("r", "lag", unit="messages"), view(ORDERS, BILLING, SHIPPING, lags=LAGS[:1]))
    assert reading.edges == (BILLING.id,)
    (node,) = [node for node in view(ORDERS).names if node.kind == "queue"]
    assert reading.nodes == (node.id,)


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ([ORDERS], 0.0),
        ([hop("shop", "out", "orders", ended=NOW - 200)], 200.0),
        ([hop("shop", "out", "orders", ended=NOW - 200), hop("billing", "in", "orders", ended=NOW - 100)], 100.0),
        ([hop("shop", "out", "orders", ended=NOW - 200), BILLING], 0.0),
        ([hop("shop", "out", "orders", ended=0)], 600.0),  # idle for longer than a map tells
    ],
)
def test_queue_is_quiet_since_the_last_message_of_any_hop(edges: list[Edge], expected: float) -> None:
    assert values(Rule("r", "quiet", for_seconds=300.0), view(*edges)) == [("orders", expected)]


def test_silence_that_is_longer_than_is_known_is_unknown_to_a_rule_that_asks_for_more() -> None:
    still = view(hop("shop", "out", "orders", ended=0))
    assert values(Rule("r", "quiet", for_seconds=3600.0), still) == [("orders", None)]


def test_service_is_missing_since_its_last_report() -> None:
    shown = view(services=[service("shop", 5), service("billing", 90, "prod"), service("billing", None, "dev")])
    assert values(Rule("r", "missing", for_seconds=60.0, where=(("service", "b*"),)), shown) == [
        ("billing (prod)", 90.0),
        ("billing (dev)", None),
    ]


def test_silence_begins_with_the_agent_at_the_earliest() -> None:
    shown = view(hop("shop", "out", "orders", ended=NOW - 200), services=[service("shop", 200)], watched=30)
    assert values(Rule("r", "quiet", for_seconds=60.0), shown) == [("orders", 30.0)]
    assert values(Rule("r", "missing", for_seconds=60.0), shown) == [("shop", 30.0)]


STATES: tuple[State, ...] = ("ok", "pending", "firing", "unknown")
LIMIT = Rule("r", "lag", above=60.0, for_seconds=20.0)
OVER, UNDER = 61.0, 60.0
OK, PENDING, FIRING, UNKNOWN = (list[State]([state]) for state in STATES)
SCENARIOS: dict[str, tuple[Sequence[float | None], Sequence[State]]] = {
    "never broken": ([UNDER] * 3, OK * 3),
    "broken for long enough": ([UNDER, OVER, OVER, OVER], OK + PENDING * 2 + FIRING),
    "broken for a moment": ([OVER, OVER, UNDER, OVER], PENDING * 2 + OK + PENDING),
    "fine for a moment": ([OVER, OVER, OVER, UNDER, OVER, UNDER, UNDER], PENDING * 2 + FIRING * 5),
    "fine for long enough": ([OVER, OVER, OVER, UNDER, UNDER, UNDER], PENDING * 2 + FIRING * 3 + OK),
    "unknown": ([None, OVER, None], UNKNOWN + PENDING + UNKNOWN),
    "unknown after it fired": ([OVER, OVER, OVER, None, None, None], PENDING * 2 + FIRING * 3 + UNKNOWN),
}


@pytest.mark.parametrize(("read", "expected"), SCENARIOS.values(), ids=SCENARIOS.keys())
def test_state_changes_only_after_it_has_held_for_the_time_of_the_rule(
    read: Sequence[float | None], expected: Sequence[State]
) -> None:
    tracks, seen = RuleTracks(LIMIT), list[State]()
    for step, value in enumerate(read):
        tracks.advance([Reading(("k",), "place", value)], NOW + 10 * step)
        seen.append(tracks.tracks["k",].state)
    assert seen == expected


def test_rule_without_a_time_fires_and_ends_at_once() -> None:
    tracks = RuleTracks(Rule("r", "lag", above=60.0))
    (begun,) = tracks.advance([Reading(("k",), "place", OVER)], NOW)
    assert (begun.begins, begun.began, begun.track.state) == (True, NOW, "firing")
    assert tracks.advance([Reading(("k",), "place", OVER + 1)], NOW + 10) == []
    (ended,) = tracks.advance([Reading(("k",), "place", UNDER)], NOW + 20)
    assert (ended.begins, ended.began, ended.track.state) == (False, NOW, "ok")


def test_alert_of_a_place_that_left_the_map_ends_after_the_time_of_the_rule() -> None:
    tracks = RuleTracks(LIMIT)
    for step in range(3):
        tracks.advance([Reading(("k",), "place", OVER)], NOW + 10 * step)
    assert [tracks.advance([], NOW + 30), tracks.advance([], NOW + 40)] == [[], []]
    (ended,) = tracks.advance([], NOW + 50)
    assert (ended.begins, ended.began, ended.track.reading.value) == (False, NOW, None)


LONGER = {
    "broken at the first look": ([OVER], 0, True),
    "unknown at first": ([None, OVER], 10, True),
    "broken when nobody knew it, in the first minutes": ([[], OVER], 10, True),
    "kept at first": ([UNDER, OVER], 10, False),
    "broken again": ([OVER, UNDER, OVER], 20, False),
    "new after some minutes": ([*[[]] * 12, OVER], 120, False),
}


@pytest.mark.parametrize(("read", "since", "or_earlier"), LONGER.values(), ids=LONGER)
def test_rule_that_is_broken_at_the_first_look_may_have_been_so_before(
    read: Sequence[Any], since: float, *, or_earlier: bool
) -> None:
    tracks = RuleTracks(LIMIT)
    for step, value in enumerate(read):
        tracks.advance([] if value == [] else [Reading(("k",), "place", value)], NOW + 10 * step)
    moments = [NOW + 10 * (len(read) + step) for step in range(3)]
    (event,) = [event for now in moments for event in tracks.advance([Reading(("k",), "place", OVER)], now)]
    assert (event.began, event.or_earlier) == (NOW + since, or_earlier)
    (alert,) = summarize_rules([tracks], NOW).rules[0].alerts
    assert alert.or_earlier == or_earlier
    (ended,) = tracks.end_all("rule removed")
    assert (ended.began, ended.or_earlier) == (NOW + since, or_earlier)


QUIET = Rule("r", "quiet", for_seconds=300.0, where=(("queue", "orders*"),))


def test_silence_is_told_since_the_last_message_also_if_an_agent_started_after_that() -> None:
    for last, watched, since, or_earlier in (
        (400, 900, 400, False),  # an agent watched all of it
        (900, 400, 900, False),  # an agent has watched for longer than the rule asks for
        (0, 900, 600, True),  # for longer than a map tells
    ):
        tracks = RuleTracks(QUIET)
        (begun,) = tracks.evaluate(view(hop("shop", "out", "orders", ended=last and NOW - last), watched=watched), NOW)
        assert (NOW - begun.began, begun.or_earlier) == (since, or_earlier)


def test_silence_of_a_queue_that_left_the_map_is_told_since_the_agent_began_or_earlier() -> None:
    tracks = RuleTracks(QUIET)
    assert tracks.evaluate(view(hop("shop", "out", "orders", ended=NOW - 900), watched=100), NOW) == []
    (begun,) = tracks.evaluate(view(), NOW + 250)
    assert (NOW - begun.began, begun.or_earlier) == (100, True)


def test_queue_that_left_the_map_is_quiet_for_a_day() -> None:
    tracks = RuleTracks(QUIET)
    assert tracks.advance([Reading(("k",), "orders", 299.0)], NOW) == []
    (begun,) = tracks.advance([], NOW + 1)
    assert (begun.begins, begun.began, begun.track.reading.value) == (True, NOW - 299, 300.0)
    assert tracks.advance([], NOW + FORGET_SECONDS - 300) == []
    (ended,) = tracks.advance([], NOW + FORGET_SECONDS)
    assert (ended.begins, tracks.tracks) == (False, {})


def test_queue_that_comes_back_ends_its_alert_at_once() -> None:
    tracks = RuleTracks(QUIET)
    tracks.advance([Reading(("k",), "orders", 400.0)], NOW)
    (ended,) = tracks.advance([Reading(("k",), "orders", 0.0)], NOW + 10)
    assert (ended.begins, tracks.tracks["k",].state) == (False, "ok")


@pytest.mark.parametrize("when", ["quiet", "missing"])
def test_named_service_that_never_came_is_missed_after_the_time_of_the_rule(when: Any) -> None:
    tracks = RuleTracks(Rule("r", when, for_seconds=60.0, where=(("service", "billing"),)))
    assert tracks.evaluate(view(watched=59), NOW) == []
    assert summarize_rules([tracks], NOW).rules[0].state == "unknown"
    (begun,) = tracks.evaluate(view(watched=60), NOW + 1)
    assert (begun.begins, begun.track.reading.place) == (True, "billing")
    (ended,) = tracks.evaluate(view(hop("billing", "in", "orders", 1.0), services=[service("billing")]), NOW + 10)
    assert not ended.begins


def test_pattern_that_matches_nothing_is_unknown() -> None:
    for rule in (QUIET, LIMIT, Rule("r", "end to end"), Rule("r", "missing", for_seconds=60.0)):
        tracks = RuleTracks(rule)
        assert tracks.evaluate(view(), NOW) == []
        (answer,) = summarize_rules([tracks], NOW).rules
        assert (answer.state, answer.problem) == ("unknown", "nothing on the map matches it")


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (Rule("r", "time in queue"), "no message has passed mails → mailing in the last minute"),
        (Rule("r", "time in service"), "no time in service is measured at shop → orders"),
        (Rule("r", "end to end"), "no time from end to end is measured at mails → mailing and 1 more hop"),
        (Rule("r", "end to end", where=(("service", "billing"),)), "nothing on the map matches it"),
    ],
)
def test_rule_without_a_value_says_what_there_is_of_it_on_the_map(rule: Rule, problem: str) -> None:
    begin = hop("shop", "out", "orders")  # where pathways begin
    tracks = RuleTracks(rule)
    assert summarize_rules([tracks], None).rules[0].problem == "it has not been evaluated yet"
    assert tracks.evaluate(view(IDLE, begin), NOW) == []
    (answer,) = summarize_rules([tracks], NOW).rules
    assert (answer.state, answer.problem) == ("unknown", problem)


def test_rule_has_the_state_of_its_worst_place() -> None:
    tracks = RuleTracks(Rule("late", "lag", above=60.0, severity="critical"))
    tracks.evaluate(view(lags=[lag("a", 1, 0.0), lag("b", 1, 95.0), lag("c", 1, None), lag("d", 1, 70.0)]), NOW)
    (rule,) = summarize_rules([tracks], NOW).rules
    assert (rule.name, rule.state, rule.since, rule.severity) == ("late", "firing", NOW, "critical")
    assert [(alert.text, alert.value) for alert in rule.alerts] == [
        ("orders → group b: lag is 95 s, above 60 s", 95.0),
        ("orders → group d: lag is 70 s, above 60 s", 70.0),
    ]


def test_rule_is_unknown_if_a_value_is_and_none_breaks_it() -> None:
    tracks = RuleTracks(Rule("late", "lag", above=60.0))
    tracks.evaluate(view(lags=[lag("a", 1, 0.0), lag("c", 1, None)]), NOW)
    (rule,) = summarize_rules([tracks], NOW).rules
    assert (rule.state, rule.problem) == ("unknown", "orders → group c: the lag is not known")


def test_answer_has_a_bounded_number_of_alerts_and_says_how_many_it_leaves_out() -> None:
    tracks = RuleTracks(Rule("late", "lag", above=60.0))
    tracks.evaluate(view(lags=[lag(f"g{number}", 1, 100.0 + number) for number in range(2_000)]), NOW)
    (rule,) = summarize_rules([tracks], NOW).rules
    assert (len(rule.alerts), rule.more, rule.firing) == (MOST_ALERTS, 1_000 - MOST_ALERTS, 1_000)
    assert rule.alerts[0].value == 2_099.0


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_names_are_shown_in_one_printable_line(name: str) -> None:
    edge = hop(name, "in", name, 5.0, group=name, env=name, type=name, cluster=name)
    shown = view(
        edge,
        hop(name, "in", name, ended=NOW - 999),
        lags=[lag(name, 5, 99.0, topic=name)],
        services=[service(name, 999)],
    )
    rules = [
        Rule(name[:100], "lag", above=1.0, where=(("group", name),)),
        Rule(name[:100], "time in queue", above=1.0, where=(("service", name),)),
        Rule(name[:100], "quiet", for_seconds=60.0, where=(("env", ""),)),
        Rule(name[:100], "missing", for_seconds=60.0, where=(("service", name),)),
    ]
    for rule in rules:
        tracks = RuleTracks(rule)
        tracks.evaluate(shown, NOW)
        (answer,) = summarize_rules([tracks], NOW).rules
        assert answer.state == "firing"
        texts = [answer.name, answer.condition, *(alert.text for alert in answer.alerts)]
        assert all(character.isprintable() or character in "\u2068\u2069" for text in texts for character in text)


def test_idle_hop_without_latency_is_no_place_of_a_latency() -> None:
    assert IDLE.present.edge_latency == NO_QUANTILES
    assert values(Rule("r", "time in queue"), view(IDLE)) == []
