"""How long messages take between two points, held against what each simulated message really took."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest

from asyncdsm.agent.queries import between
from asyncdsm.agent.queries.distributions import MOST_BINS, Distribution
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.histogram import bin_index, bin_value
from tests.agent.journeys import SHOP, Journey, Step, Travelers, travel
from tests.agent.payloads import Client

MESSAGES = 2_000
BIN_ERROR = 0.009
"""Of a quantile of one histogram: 0.8 %, and the floats."""
ESTIMATE_ERROR = 0.03
"""Of an estimate from independent hops, as the manual says."""
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
MEDIANS = [0.006, 0.4, 0.014, 0.2, 0.05]


async def latency(client: Client, first: str, last: str) -> dict[str, Any]:
    answer = await client.get("/api/latency", params={"first": first, "last": last})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refusal(client: Client, **query: str) -> tuple[int, str, str]:
    answer = await client.get("/api/latency", params=query)
    error = answer.json()["error"]
    return answer.status_code, error["path"], error["problem"]


def quantiles_of(journeys: Sequence[Journey], first: int, last: int) -> dict[str, float]:
    """Return the quantiles of what the messages took in steps `first` to `last` - 1."""
    taken = sorted(sum(journey[first:last]) for journey in journeys)
    return {name: taken[int(share * (len(taken) - 1))] for name, share in QUANTILES.items()}


def independent(seed: int = 1) -> list[Journey]:
    random = Random(seed)
    return [[0.0, *(median * random.lognormvariate(0, 0.8) for median in MEDIANS)] for _ in range(MESSAGES)]


def alike(seed: int = 2) -> list[Journey]:
    """Return journeys in which a message that is slow anywhere is slow everywhere."""
    random = Random(seed)
    factors = [random.lognormvariate(0, 0.8) for _ in range(MESSAGES)]
    return [[0.0, *(median * factor for median in MEDIANS)] for factor in factors]


def opposed(seed: int = 3) -> list[Journey]:
    """Return journeys in which a message that is slow at one step is fast at the next one."""
    random = Random(seed)
    factors = [random.lognormvariate(0, 0.8) for _ in range(MESSAGES)]
    return [[0.0, *(median * factor ** (-1) ** place for place, median in enumerate(MEDIANS))] for factor in factors]


def measured(answer: dict[str, Any], part: str = "latency") -> dict[str, float]:
    return {name: answer[part][name] for name in QUANTILES}


@pytest.mark.parametrize("make", [independent, alike, opposed])
async def test_time_since_the_pathway_began_is_exact(client: Client, store: SQLiteStore, make: Any) -> None:
    journeys = make()
    travel(store, SHOP, journeys)
    for first in ("shop", "orders"):  # a pathway that begins with a message in the shop is in its queue at once
        for last, end in (("billing", 2), ("shipping", 4), ("mailing", 6)):
            answer = await latency(client, first, last)
            assert (answer["method"], answer["count"]) == ("exact", MESSAGES)
            assert measured(answer) == pytest.approx(quantiles_of(journeys, 0, end), rel=BIN_ERROR)
            assert answer["latency"] == answer["at_least"] == answer["at_most"]
            assert answer["latency"]["max"] == pytest.approx(max(sum(each[:end]) for each in journeys), rel=BIN_ERROR)


@pytest.mark.parametrize(
    ("first", "last", "place"), [("billing", "invoices", 2), ("invoices", "shipping", 3), ("parcels", "mailing", 5)]
)
async def test_time_of_a_single_hop_is_exact(
    client: Client, store: SQLiteStore, first: str, last: str, place: int
) -> None:
    journeys = independent()
    travel(store, SHOP, journeys)
    answer = await latency(client, first, last)
    assert answer["method"] == "exact"
    assert measured(answer) == pytest.approx(quantiles_of(journeys, place, place + 1), rel=BIN_ERROR)
    assert [(hop["service"], hop["queue"]) for hop in answer["pathways"][0]["hops"]] == [
        (SHOP[place].service, SHOP[place].queue)
    ]


Measure = tuple[str, str, int, int]
"""The first and the last node, and the steps between them."""
MIDDLE: list[Measure] = [("billing", "shipping", 2, 4), ("billing", "mailing", 2, 6), ("invoices", "mailing", 3, 6)]


@pytest.mark.parametrize("measure", MIDDLE, ids=str)
async def test_time_in_the_middle_is_estimated_well_if_hops_are_independent(
    client: Client, store: SQLiteStore, measure: Measure
) -> None:
    journeys = independent()
    first, last, begin, end = measure
    travel(store, SHOP, journeys)
    answer = await latency(client, first, last)
    assert (answer["method"], answer["latency"]["max"]) == ("estimated", None)
    assert measured(answer) == pytest.approx(quantiles_of(journeys, begin, end), rel=ESTIMATE_ERROR)


@pytest.mark.parametrize("make", [independent, alike, opposed])
@pytest.mark.parametrize("measure", MIDDLE, ids=str)
async def test_true_time_in_the_middle_is_within_the_bounds_however_hops_depend_on_each_other(
    client: Client, store: SQLiteStore, make: Any, measure: Measure
) -> None:
    journeys = make()
    first, last, begin, end = measure
    travel(store, SHOP, journeys)
    answer = await latency(client, first, last)
    low, found, high = (measured(answer, part) for part in ("at_least", "latency", "at_most"))
    assert low == pytest.approx(quantiles_of(journeys, end - 1, end), rel=BIN_ERROR)
    assert high == pytest.approx(quantiles_of(journeys, 0, end), rel=BIN_ERROR)
    for name, true in quantiles_of(journeys, begin, end).items():
        assert low[name] * (1 - BIN_ERROR) <= true <= high[name] * (1 + BIN_ERROR)
        assert low[name] <= found[name] <= high[name]


async def test_tail_of_dependent_hops_is_estimated_too_low_by_three_tenths_at_most(
    client: Client, store: SQLiteStore
) -> None:
    journeys = alike()
    travel(store, SHOP, journeys)
    answer = await latency(client, "billing", "mailing")
    true = quantiles_of(journeys, 2, 6)["p99"]
    assert 0.7 * true < answer["latency"]["p99"] < 0.95 * true


async def test_messages_of_several_pathways_are_added_up(client: Client, store: SQLiteStore) -> None:
    direct, around = [[0.0, 1.0]] * 30, [[0.0, 2.0, 3.0, 4.0]] * 10
    travel(store, [Step("shop", "out", "orders"), Step("billing", "in", "orders")], direct)
    travel(
        store,
        [
            Step("shop", "out", "checks"),
            Step("fraud", "in", "checks"),
            Step("fraud", "out", "orders"),
            Step("billing", "in", "orders"),
        ],
        around,
    )
    answer = await latency(client, "shop", "billing")
    assert (answer["method"], answer["count"]) == ("exact", 40)
    assert [(pathway["count"], len(pathway["hops"])) for pathway in answer["pathways"]] == [(30, 2), (10, 4)]
    assert answer["latency"] == pytest.approx({"p50": 1, "p95": 9, "p99": 9, "max": 9}, rel=BIN_ERROR)
    only = await latency(client, "fraud", "billing")
    assert (only["count"], len(only["pathways"]), only["method"]) == (10, 1, "estimated")
    assert only["latency"]["p50"] == pytest.approx(7, rel=BIN_ERROR)


async def test_time_in_a_retry_loop_is_from_the_first_time_to_the_first_time(
    client: Client, store: SQLiteStore
) -> None:
    read, retry = Step("billing", "in", "orders"), Step("billing", "out", "retries")
    again = [Step("retrier", "in", "retries"), Step("retrier", "out", "orders"), read]
    once = travel(store, [Step("shop", "out", "orders"), read], [[0.0, 1.0]] * 100)
    failed = travel(store, [retry, *again], [[0.5, 10.0, 0.5, 1.0]] * 100, once)
    travel(store, [retry, *again], [[0.5, 10.0, 0.5, 1.0]] * 100, failed)
    travel(store, [Step("billing", "out", "invoices")], [[3.0]] * 100, failed)
    waited = await latency(client, "orders", "billing")
    assert (waited["count"], waited["latency"]["p50"]) == (100, pytest.approx(1, rel=BIN_ERROR))
    billed = await latency(client, "orders", "invoices")
    assert (billed["method"], billed["latency"]["p50"]) == ("exact", pytest.approx(16, rel=BIN_ERROR))
    worked = await latency(client, "billing", "invoices")
    assert (worked["method"], worked["latency"]["p50"]) == ("estimated", pytest.approx(15, rel=ESTIMATE_ERROR))
    around = await latency(client, "billing", "billing")
    assert (around["count"], around["latency"]["p50"]) == (100, pytest.approx(12, rel=ESTIMATE_ERROR))


async def test_queue_filled_by_the_broker_is_reached_when_its_exchange_is(client: Client, store: SQLiteStore) -> None:
    steps = [
        Step("shop", "out", "orders"),
        Step("billing", "in", "orders"),
        Step("billing", "out", "fanout", "rabbitmq"),
        Step("shipping", "in", "invoices", "rabbitmq"),
    ]
    travel(store, steps, [[0.0, 1.0, 2.0, 4.0]] * 10)
    for first, last, seconds in (
        ("billing", "invoices", 2),
        ("billing", "fanout", 2),
        ("fanout", "shipping", 4),
        ("invoices", "shipping", 4),
    ):
        answer = await latency(client, first, last)
        assert (answer["method"], answer["latency"]["p50"]) == ("exact", pytest.approx(seconds, rel=BIN_ERROR))


async def test_nodes_without_a_common_pathway_have_no_time(client: Client, store: SQLiteStore) -> None:
    """Both read from one queue, and the graph leads from shop to audit; the messages of the shop do not."""
    travel(store, [Step("shop", "out", "orders"), Step("billing", "in", "orders")], [[0.0, 1.0]])
    travel(store, [Step("importer", "out", "orders"), Step("audit", "in", "orders")], [[0.0, 1.0]])
    answer = await latency(client, "shop", "audit")
    assert (answer["method"], answer["count"], answer["pathways"]) == (None, 0, [])
    assert answer["latency"] == answer["at_least"] == answer["at_most"] == dict.fromkeys(answer["latency"])
    assert (await latency(client, "billing", "orders"))["method"] is None  # against the flow


async def test_hop_with_which_pathways_begin_has_no_time(client: Client, store: SQLiteStore) -> None:
    travel(store, SHOP[:2], [[0.0, 1.0]] * 10)
    answer = await latency(client, "shop", "orders")
    assert (answer["method"], answer["count"]) == ("exact", 10)
    assert answer["latency"] == dict.fromkeys(answer["latency"])


async def test_pathway_whose_beginning_is_unknown_is_estimated(client: Client, store: SQLiteStore) -> None:
    travel(store, SHOP[3:], [[1.0, 2.0, 4.0]] * 10, Travelers(77, [100.0] * 10))
    answer = await latency(client, "invoices", "mailing")
    assert (answer["method"], answer["latency"]["p50"]) == ("estimated", pytest.approx(7, rel=BIN_ERROR))
    assert answer["at_most"]["p50"] == pytest.approx(107, rel=BIN_ERROR)


async def test_node_is_named_by_id_name_kind_or_label(client: Client, store: SQLiteStore) -> None:
    travel(store, [Step("orders", "out", "orders", env="prod"), Step("billing", "in", "orders")], [[0.0, 1.0]])
    ids = {node["name"]: node["id"] for node in (await client.get("/api/map")).json()["nodes"]}
    answers = [
        await latency(client, first, last)
        for first, last in (
            ("service:orders", "billing"),
            ("orders (prod)", ids["billing"]),
            ("queue:orders", "service:billing"),
            ("orders (kafka)", "billing"),
        )
    ]
    assert [answer["first"]["kind"] for answer in answers] == ["service", "service", "queue", "queue"]
    assert {answer["last"]["id"] for answer in answers} == {ids["billing"]}
    status, path, problem = await refusal(client, first="orders", last="billing")
    assert (status, path) == (400, "first")
    assert problem.startswith("first must name one node, but 'orders' names 2: queue orders (kafka) is q")
    assert problem.count(" is ") == 2


async def test_names_mean_what_is_in_the_environment_that_is_given(client: Client, store: SQLiteStore) -> None:
    for env, queue, seconds in (("dev", "orders.dev", 1.0), ("prod", "orders", 2.0)):
        steps = [Step("shop", "out", queue, env=env), Step("billing", "in", queue, env=env)]
        travel(store, steps, [[0.0, seconds]])
    assert (await refusal(client, first="shop", last="billing"))[:2] == (400, "first")
    for env, seconds in (("dev", 1.0), ("prod", 2.0)):
        answer = (await client.get("/api/latency", params={"first": "shop", "last": "billing", "env": env})).json()
        assert (answer["first"]["where"], answer["last"]["where"], answer["count"]) == (env, env, 1)
        assert answer["latency"]["p50"] == pytest.approx(seconds, rel=BIN_ERROR)
    assert await refusal(client, first="orders", last="billing", env="dev") == (
        404,
        "first",
        "first must name a service or a queue of the time range in the environment 'dev', got 'orders'",
    )


async def test_missing_and_unknown_nodes_are_rejected(client: Client, store: SQLiteStore) -> None:
    travel(store, SHOP[:2], [[0.0, 1.0]])
    assert (await refusal(client, first="shop"))[:2] == (400, "last")
    assert await refusal(client, first="shop", last="nobody\x1b") == (
        404,
        "last",
        "last must name a service or a queue of the time range, got 'nobody�'",
    )


async def test_pathways_beyond_the_limit_are_left_out(
    client: Client, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for count, service in ((3, "a"), (5, "b"), (4, "c")):
        steps = [Step(service, "out", "orders"), Step("billing", "in", "orders")]
        travel(store, steps, [[0.0, 1.0]] * count)
    monkeypatch.setattr(between, "MOST_PATHWAYS", 2)
    answer = await latency(client, "orders", "billing")
    assert ([pathway["count"] for pathway in answer["pathways"]], answer["cut"]) == ([5, 4], {"pathways": 1})


async def test_hops_to_add_are_bounded(client: Client, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    travel(store, SHOP, [[0.0, 1.0, 1.0, 1.0, 1.0, 1.0]] * 10)
    monkeypatch.setattr(between, "MOST_ADDED_HOPS", 2)
    assert (await latency(client, "billing", "mailing"))["cut"] == {"pathways": 1}
    assert (await latency(client, "billing", "parcels"))["count"] == 10


def distribution(values: Sequence[float]) -> Distribution:
    bins, counts = np.unique([bin_index(value) for value in values], return_counts=True)
    return Distribution(bins.astype(np.int64), counts / counts.sum())


def mean(of: Distribution) -> float:
    return float(sum(bin_value(bin_) * share for bin_, share in zip(of.bins.tolist(), of.shares, strict=True)))


def test_mean_of_a_sum_is_the_sum_of_the_means() -> None:
    random = Random(4)
    one = distribution([random.lognormvariate(0, 2) for _ in range(1_000)])
    other = distribution([random.lognormvariate(-3, 1) for _ in range(1_000)])
    total = one.add(other)
    assert mean(total) == pytest.approx(mean(one) + mean(other), rel=0.001)
    assert total.shares.sum() == pytest.approx(1)
    assert (np.diff(total.bins) > 0).all()


def test_many_small_values_add_up_beside_a_large_one() -> None:
    total, small = distribution([1.0]), distribution([0.001])
    for _ in range(100):
        total = total.add(small)
    assert mean(total) == pytest.approx(1.1, rel=0.01)


def test_zero_adds_nothing() -> None:
    zero = Distribution(np.array([-47_001]), np.array([1.0]))
    some = distribution([0.5, 2.0])
    assert [part.tolist() for part in some.add(zero)] == [part.tolist() for part in some]
    assert [part.tolist() for part in zero.add(zero)] == [part.tolist() for part in zero]
    nothing = Distribution(np.empty(0, np.int64), np.empty(0))
    assert some.add(nothing) is nothing.add(some) is some


def test_distribution_with_too_many_bins_is_made_coarser() -> None:
    wide = Distribution(np.arange(10_000), np.full(10_000, 1e-4))
    total = wide.add(distribution([1e-30]))
    assert len(total.bins) <= 2 * MOST_BINS
    assert total.shares.sum() == pytest.approx(1)
