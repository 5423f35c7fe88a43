"""One pipeline through all languages and all brokers is one connected path on one map."""

from __future__ import annotations

from uuid import uuid4

import anyio
import pytest

from tests.interop import java
from tests.interop.brokers import Brokers
from tests.interop.chain import Hop, count_hashes, count_parents, expected_hops, find_points, find_queues
from tests.interop.one_map import create_long_way
from tests.interop.pipelines import COUNT
from tests.interop.relays import ASYNCDSM, RELAYS
from tests.interop.running import Outcome, run_pipeline

LANGS = {ASYNCDSM: "python", java.RELAY: "jvm"}
"""What payloads say, where it is not the name of the relay."""


async def run_long_way(brokers: Brokers) -> Outcome:
    return await run_pipeline(brokers, await create_long_way(brokers, f"-{uuid4().hex[:6]}"), COUNT)


@pytest.fixture(scope="module")
def long_way(brokers: Brokers) -> Outcome:
    for relay in RELAYS:
        relay.install()  # first, since a pipeline must not wait for it
    return anyio.run(run_long_way, brokers)


def test_long_way_leads_through_every_tracer_and_every_broker(long_way: Outcome) -> None:
    assert {step.relay.language for step in long_way.steps} == {relay.language for relay in (ASYNCDSM, *RELAYS)}
    assert {step.target.partition(":")[0] for step in long_way.steps[:-1]} == {"kafka", "rabbitmq", "sqs"}


def test_map_has_one_connected_path_with_exact_counts(long_way: Outcome) -> None:
    hops, queues = expected_hops(long_way.steps), find_queues(long_way.topology)
    counts = dict.fromkeys(queues, 0.0)
    for edge in long_way.topology["edges"]:
        counts[Hop(edge["service"], edge["direction"], edge["type"])] += edge["count"]
    assert counts == dict.fromkeys(hops, COUNT)
    assert [queues[writer] for writer in hops[::2]] == [queues[reader] for reader in hops[1::2]]
    assert [len(queues[hop]) for hop in hops] == [1] * len(hops)
    assert len(long_way.topology["queues"]) == len(long_way.steps) - 1


def test_pathways_are_whole_from_the_first_service_to_the_last(long_way: Outcome) -> None:
    points, before = find_points(long_way.topology), {"0": float(COUNT)}
    for hop in expected_hops(long_way.steps):
        assert count_parents(points[hop]) == before, hop
        before = count_hashes(points[hop])


def test_map_knows_the_language_of_each_service(long_way: Outcome) -> None:
    services = {service["name"]: service["lang"] for service in long_way.topology["services"]}
    assert services == {step.service: LANGS.get(step.relay, step.relay.language) for step in long_way.steps}
