"""One pipeline through all languages and all brokers is one connected path on one map."""

from __future__ import annotations

from itertools import pairwise
from uuid import uuid4

import anyio
import pytest

from tests.interop.brokers import Brokers
from tests.interop.chain import expected_hops, find_points, find_queues
from tests.interop.one_map import create_long_way
from tests.interop.pipelines import COUNT
from tests.interop.relays import ASYNCDSM, RELAYS
from tests.interop.running import Outcome, run_pipeline


async def run_long_way(brokers: Brokers) -> Outcome:
    return await run_pipeline(brokers, await create_long_way(brokers, f"-{uuid4().hex[:6]}"), COUNT)


@pytest.fixture(scope="module")
def long_way(brokers: Brokers) -> Outcome:
    return anyio.run(run_long_way, brokers)


def test_long_way_leads_through_every_tracer_and_every_broker(long_way: Outcome) -> None:
    assert {step.relay.language for step in long_way.steps} == {relay.language for relay in (ASYNCDSM, *RELAYS)}
    assert {step.target.partition(":")[0] for step in long_way.steps[:-1]} == {"kafka", "rabbitmq", "sqs"}


def test_map_has_one_connected_path_with_exact_counts(long_way: Outcome) -> None:
    hops, edges = expected_hops(long_way.steps), long_way.topology["edges"]
    assert sorted((edge["service"], edge["direction"], edge["type"], edge["count"]) for edge in edges) == sorted(
        (*hop, COUNT) for hop in hops
    )
    queues = find_queues(long_way.topology)
    assert [queues[writer] for writer in hops[::2]] == [queues[reader] for reader in hops[1::2]]
    assert len({*queues.values()}) == len(long_way.topology["queues"]) == len(long_way.steps) - 1


def test_pathway_is_one_from_the_first_service_to_the_last(long_way: Outcome) -> None:
    hops, points = expected_hops(long_way.steps), find_points(long_way.topology)
    assert {hop: len(found) for hop, found in points.items()} == dict.fromkeys(hops, 1)
    chain = [points[hop][0] for hop in hops]
    assert chain[0]["parent"] == "0"
    assert [before["hash"] for before, _ in pairwise(chain)] == [after["parent"] for _, after in pairwise(chain)]
    services = {service["name"]: service["lang"] for service in long_way.topology["services"]}
    assert services == {
        step.service: "python" if step.relay is ASYNCDSM else step.relay.language for step in long_way.steps
    }
