"""The agent's own metrics count what it did itself, so that those of agents that share a store can be summed up."""

from __future__ import annotations

import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.metrics.agent_families import store_families
from asyncdsm.agent.store.reports import AcceptedPayload
from tests.agent.payloads import NOW, SECOND_NS, bucket, payload, point
from tests.agent.stores import KEPT_KINDS, AnyStore, OpenStore

AHEAD, OLD = int(NOW + 3600) * SECOND_NS, SECOND_NS


def take(store: AnyStore, *, service: str) -> None:
    """Store a payload with a good bucket, one from the future, and one that is too old."""
    body = payload(bucket(point()), bucket(point(), Start=AHEAD), bucket(point(), Start=OLD), Service=service)
    store.add_all([AcceptedPayload(read_report(body, ""), "", body)])


def read_metrics(store: AnyStore) -> dict[str, float]:
    """Return the counts of the store's metrics."""
    samples = [sample for family in store_families(store) for sample in family.samples]
    return {"".join((sample.name, *sample.labels.values())): sample.value for sample in samples}


def counts(store: AnyStore) -> list[float]:
    """Return the payloads, the buckets from the future, and the rows that were too old."""
    found = read_metrics(store)
    names = ("payloads_total", "buckets_ahead_total", "rows_lost_totaltoo old")
    return [found[f"asyncdsm_agent_{name}"] for name in names]


@pytest.mark.parametrize("open_store", ["clickhouse"], indirect=True)
def test_agents_that_share_a_store_count_what_each_took(open_store: OpenStore) -> None:
    first, second = (open_store(now=lambda: NOW) for _ in range(2))
    for store, service in ((first, "shop"), (first, "billing"), (second, "audit")):
        take(store, service=service)
    for store in (first, second):
        store.maintain()
        assert store.counters()["payloads"] == 3
    assert (counts(first), counts(second)) == ([2, 2, 2], [1, 1, 1])


@pytest.mark.parametrize("open_store", KEPT_KINDS, indirect=True)
def test_counts_begin_at_zero_when_the_agent_starts(open_store: OpenStore) -> None:
    before = open_store(now=lambda: NOW)
    take(before, service="shop")
    before.close()
    after = open_store(now=lambda: NOW)
    assert (counts(after), after.counters()["payloads"]) == ([0, 0, 0], 1)
    take(after, service="billing")
    assert (counts(after), after.counters()["payloads"]) == ([1, 1, 1], 2)


@pytest.mark.parametrize("open_store", ["file"], indirect=True)
def test_payloads_that_are_read_again_after_a_kill_are_not_counted_again(open_store: OpenStore) -> None:
    killed = open_store(now=lambda: NOW)
    take(killed, service="shop")
    killed._file.close()  # type: ignore[union-attr] # without a flush, as after a kill: the journal is read again
    after = open_store(now=lambda: NOW)
    assert (counts(after), after.counters()["payloads"]) == ([0, 0, 0], 1)


def test_rows_are_those_of_the_store(open_store: OpenStore) -> None:
    store = open_store(now=lambda: NOW)
    take(store, service="shop")
    found = read_metrics(store)
    assert found["asyncdsm_agent_rows"] == store.counters()["rows"] > 0
