"""The service graph of the metrics: who wrote a message is known, whenever that was reported, and to which agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.metrics import link_totals
from asyncdsm.agent.metrics.families import traffic_families
from asyncdsm.agent.metrics.hop_latencies import IN_QUEUE, IN_SERVICE
from asyncdsm.agent.metrics.link_totals import WAIT_SECONDS
from asyncdsm.agent.metrics.traffic_totals import TrafficTotals
from asyncdsm.agent.store.histograms import PATHWAY
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.cycles import MOST_ROUNDS, PathwayCycles
from tests.agent.payloads import NOW, ours, passed
from tests.agent.stores import KEPT_KINDS, AnyStore, OpenStore
from tests.agent.test_metrics import IN, ON, OUT

Pairs = dict[tuple[str, str], tuple[float, float]]
SHOP_TO_BILLING = {("shop", "billing"): (2.0, 1.0)}


class Reports(NamedTuple):
    """What shop reports that wrote two orders, and billing that read them and wrote an invoice."""

    shop: list[bytes]
    billing: list[bytes]


@pytest.fixture(scope="module")
def reports() -> Reports:
    hashes = list[int]()

    def write(aggregator: Aggregator) -> None:
        hashes.append(passed(aggregator, OUT, [0, 0]))

    def read(aggregator: Aggregator) -> None:
        passed(aggregator, ON, [2.0], parent=passed(aggregator, IN, [0.2, 0.2], parent=hashes[0]))

    return Reports(ours(write, "shop"), ours(read, "billing"))


class RunningAgent:
    """The store of an agent, and what it counts."""

    def __init__(self, store: AnyStore, now: Callable[[], float] = lambda: 0.0) -> None:
        self.store, self.totals = store, TrafficTotals(now, store.points)

    def take(self, bodies: list[bytes]) -> None:
        """Store and count payloads, as the intake does."""
        for body in bodies:
            report = read_report(body, "gzip")
            self.store.add(report)
            self.totals.add(report)

    def pairs(self) -> Pairs:
        """Return the messages from one service to the other, and those that the other wrote because of them."""
        links = self.totals.read().links
        return {link.key[:2]: (sum(link.buckets[IN_QUEUE]), sum(link.buckets[IN_SERVICE])) for link in links}

    def unlinked(self) -> float:
        """Return how many messages the metrics say to be of no pair."""
        families = {each.name: each for each in traffic_families(self.totals.read())}
        (sample,) = families["asyncdsm_unlinked_messages"].samples
        return sample.value


@pytest.mark.parametrize("open_store", ["clickhouse"], indirect=True)
def test_pair_of_services_of_two_agents_is_counted_by_the_one_that_hears_of_the_reading(
    open_store: OpenStore, reports: Reports
) -> None:
    first, second = (RunningAgent(open_store(now=lambda: NOW)) for _ in range(2))
    first.take(reports.shop)
    second.take(reports.billing)  # before it reads what the first one wrote
    second.store.maintain()
    assert (first.pairs(), second.pairs()) == ({}, SHOP_TO_BILLING)


@pytest.mark.parametrize("open_store", KEPT_KINDS, indirect=True)
def test_pair_is_counted_if_the_agent_was_started_again_after_the_writing(
    open_store: OpenStore, reports: Reports
) -> None:
    before = RunningAgent(open_store(now=lambda: NOW))
    before.take(reports.shop)
    before.store.close()
    after = RunningAgent(open_store(now=lambda: NOW))
    after.take(reports.billing)
    assert (before.pairs(), after.pairs()) == ({}, SHOP_TO_BILLING)


def test_pair_is_counted_if_its_reader_reports_first(open_store: OpenStore, reports: Reports) -> None:
    agent = RunningAgent(open_store(now=lambda: NOW))
    agent.take(reports.billing)
    assert agent.pairs() == {}
    agent.take(reports.shop)
    assert [agent.pairs() for _ in range(2)] == [SHOP_TO_BILLING] * 2
    assert agent.unlinked() == 0


@pytest.mark.parametrize("open_store", ["memory"], indirect=True)
def test_messages_that_nobody_reports_to_have_written_are_counted_as_such(
    open_store: OpenStore, reports: Reports
) -> None:
    now = [0.0]
    agent = RunningAgent(open_store(now=lambda: NOW), lambda: now[0])
    agent.take(reports.billing)
    now[0] = WAIT_SECONDS - 1
    agent.take(reports.billing)  # this one waits for another minute
    assert agent.unlinked() == 0
    now[0] = WAIT_SECONDS
    assert agent.unlinked() == 2
    agent.take(reports.shop)
    assert (agent.pairs(), agent.unlinked()) == (SHOP_TO_BILLING, 2)


@pytest.mark.parametrize("open_store", ["memory"], indirect=True)
def test_as_much_waits_as_there_is_room(
    open_store: OpenStore, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert link_totals.MOST_WAITING == 100_000
    monkeypatch.setattr(link_totals, "MOST_WAITING", 5)  # each report has a bin that was read, and one that was written
    agent = RunningAgent(open_store(now=lambda: NOW))
    for _ in range(4):
        agent.take(reports.billing)
    assert agent.unlinked() == 4
    agent.take(reports.shop)
    assert (agent.pairs(), agent.unlinked()) == ({("shop", "billing"): (4.0, 2.0)}, 4)


@pytest.mark.parametrize("open_store", ["memory"], indirect=True)
def test_message_without_a_context_is_of_no_pair_and_waits_for_none(open_store: OpenStore) -> None:
    agent = RunningAgent(open_store(now=lambda: NOW))
    agent.take(ours(lambda aggregator: passed(aggregator, IN, [0.2, 0.0]), "billing"))
    assert (agent.pairs(), agent.unlinked()) == ({}, 2)


@pytest.mark.parametrize("open_store", ["memory"], indirect=True)
def test_each_message_read_is_in_a_pair_unlinked_or_left_out(
    open_store: OpenStore, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_totals, "MOST_LINKS", 1)
    now, hashes = [0.0], list[int]()

    def circle(aggregator: Aggregator) -> None:  # a retry through one queue, which ends, and begins again
        cycles, parent = PathwayCycles(aggregator.point), 0
        for _ in range(2 * MOST_ROUNDS):
            written = cycles.find_produce_point(OUT, parent)
            passed(aggregator, OUT, [0.0], parent=parent)
            read = cycles.find_consume_point(IN, written.hash)
            parent = passed(aggregator, IN, [0.1], parent=read.parent)
            hashes.append(read.parent)

    def read_others(aggregator: Aggregator) -> None:
        passed(aggregator, IN, [0.0, 0.0, 0.3])  # nobody measures who wrote them
        passed(aggregator, IN, [0.1], parent=4711)  # nobody reports that
        passed(aggregator, IN, [0.1], parent=passed(aggregator, IN, [0.1]))  # read after a read

    agent = RunningAgent(open_store(now=lambda: NOW), lambda: now[0])
    for bodies in (reports.shop, reports.billing, ours(circle, "loop"), ours(read_others, "reader")):
        agent.take(bodies)
    now[0] = WAIT_SECONDS
    traffic = agent.totals.read()
    read = sum(sum(edge.buckets[PATHWAY]) for edge in traffic.edges if edge.key.direction == "in")
    paired = sum(sum(link.buckets[IN_QUEUE]) for link in traffic.links)
    assert read == 2 + 2 * MOST_ROUNDS + 6
    assert hashes.count(0) == traffic.unlinked - 6 > 0
    assert paired + traffic.left_out_of_links + traffic.unlinked == read
    assert min(paired, traffic.left_out_of_links) > 0
