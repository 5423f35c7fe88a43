"""The rules of a pathway (protocol §5), through the checkpoints that adapters call."""

from __future__ import annotations

import asyncio
from contextvars import copy_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import checkpoint, current
from asyncdsm.core.edge import Edge
from asyncdsm.testing import Captured, ManualClock, capture
from tests import by_hand

IN = Edge("direction:in", "group:g", "topic:orders", "type:kafka")
OUT = Edge("direction:out", "topic:invoices", "type:kafka")
SECOND = 1_000_000_000


@pytest.fixture
def clock(manual_clock: ManualClock) -> ManualClock:
    return manual_clock


def header_of(clock: ManualClock, hash_: int = 77, began: float = 5.0, sent: float = 2.0) -> str:
    now = clock.now_ns
    return Pathway(hash_, now - round(began * SECOND), now - round(sent * SECOND)).encode_base64()


def test_consume_continues_the_pathway_of_its_message(captured_streams: Captured, clock: ManualClock) -> None:
    pathway = by_hand.consume(IN, header_of(clock), 200)
    (made,) = captured_streams.consumed("orders")
    assert (made.parent, made.edge_latency, made.pathway_latency, made.size) == (77, 2.0, 5.0, 200)
    assert asyncdsm.current_pathway() == pathway == Pathway(made.hash, clock.now_ns - 5 * SECOND, clock.now_ns)


def test_produce_has_the_last_consume_as_its_parent(captured_streams: Captured, clock: ManualClock) -> None:
    consumed = by_hand.consume(IN, header_of(clock))
    clock.advance(0.5)
    first = by_hand.produce(OUT)
    clock.advance(0.25)
    by_hand.produce(OUT)
    one, two = captured_streams.produced("invoices")
    assert consumed is not None
    assert one.parent == two.parent == consumed.hash
    assert (one.edge_latency, two.edge_latency) == (0.5, 0.75)  # both from the consume, not from each other
    assert one.pathway_latency == 5.5
    assert first is not None
    assert Pathway.decode_base64(first) == Pathway(one.hash, clock.now_ns - round(5.75 * SECOND), one.time_ns)


def test_produce_without_a_consume_begins_a_pathway(captured_streams: Captured) -> None:
    by_hand.produce(OUT)
    (made,) = captured_streams.produced()
    assert (made.parent, made.edge_latency, made.pathway_latency) == (0, 0.0, 0.0)


def test_message_without_a_context_begins_a_pathway_at_the_brokers_time(
    captured_streams: Captured, clock: ManualClock
) -> None:
    by_hand.consume(IN, header_of(clock))
    by_hand.consume(IN, None, broker_ns=clock.now_ns - 3 * SECOND)
    made = captured_streams.consumed()[-1]
    assert (made.parent, made.edge_latency, made.pathway_latency) == (0, 3.0, 3.0)


def test_context_from_the_future_is_malformed(captured_streams: Captured, clock: ManualClock) -> None:
    by_hand.consume(IN, header_of(clock, began=0, sent=-61))
    assert captured_streams.consumed()[0].parent == 0
    assert captured_streams.stats().malformed == 1


def test_context_from_a_clock_slightly_ahead_measures_zero(captured_streams: Captured, clock: ManualClock) -> None:
    by_hand.consume(IN, header_of(clock, began=-1, sent=-1))
    made = captured_streams.consumed()[0]
    assert (made.parent, made.edge_latency, made.pathway_latency) == (77, 0.0, 0.0)


@given(header=st.one_of(st.binary(max_size=300), st.text(max_size=300)))
def test_header_of_any_kind_raises_nothing(header: str | bytes) -> None:
    with capture() as captured:
        assert by_hand.consume(IN, header) is not None
        assert len(captured.consumed()) == 1


def test_using_restores_the_previous_pathway(captured_streams: Captured) -> None:
    inside = Pathway(5, 1, 1)
    with current.restored(inside):
        by_hand.produce(OUT)
    assert asyncdsm.current_pathway() is None
    assert captured_streams.produced()[0].parent == 5


def test_checkpoint_while_nothing_measures_does_nothing() -> None:
    assert by_hand.consume(IN, "x") is None
    assert by_hand.produce(OUT) is None
    assert asyncdsm.set_produce_checkpoint("kafka", "t", lambda *_: pytest.fail("called")) is None
    assert asyncdsm.set_consume_checkpoint("kafka", "t", lambda _: pytest.fail("called")) is None


@pytest.mark.parametrize("tasks", [1, 2, 10, 100, 1000])
async def test_concurrent_tasks_each_have_their_own_pathway(
    tasks: int, captured_streams: Captured, clock: ManualClock, anyio_backend_name: str
) -> None:
    import anyio

    async def follow(number: int) -> None:
        consumed = by_hand.consume(IN, header_of(clock, hash_=number))
        for _ in range(number % 4 + 1):
            await anyio.lowlevel.checkpoint()
        header = by_hand.produce(OUT)
        assert header is not None
        assert consumed is not None
        sent[Pathway.decode_base64(header)] = consumed.hash  # type: ignore[index]

    sent: dict[Pathway, int] = {}
    async with anyio.create_task_group() as group:
        for number in range(1, tasks + 1):
            group.start_soon(follow, number)
    made = captured_streams.produced()
    assert {point.hash: point.parent for point in made} == {pathway.hash: parent for pathway, parent in sent.items()}
    assert len({point.parent for point in made}) == tasks


def test_manual_functions_have_the_signatures_of_ddtrace(captured_streams: Captured) -> None:
    carrier: dict[str, str] = {}
    asyncdsm.set_produce_checkpoint("dd-streams", "queue, with comma", carrier.__setitem__, tags=["exchange:x"])
    assert list(carrier) == ["dd-pathway-ctx-base64"]
    asyncdsm.set_consume_checkpoint("dd-streams", "queue, with comma", carrier.get)
    out, into = captured_streams.checkpoints
    assert out.tags == (
        "direction:out", "exchange:x", "manual_checkpoint:true", "topic:queue, with comma", "type:dd-streams",
    )  # fmt: skip
    assert into.follows(out)


def test_manual_checkpoints_have_the_hashes_of_the_vectors() -> None:
    with capture(service="weblog", env="system-tests") as captured:
        carrier: dict[str, str] = {}
        asyncdsm.set_produce_checkpoint("dd-streams", "system-tests-queue", carrier.__setitem__)
        asyncdsm.set_consume_checkpoint("dd-streams", "system-tests-queue", carrier.get)
    assert [made.hash for made in captured.checkpoints] == [2925617884093644655, 9012955179260244489]


def test_manual_offsets_are_recorded_as_backlogs(captured_streams: Captured) -> None:
    asyncdsm.track_kafka_produce("orders", 3, 41, "cluster")
    asyncdsm.track_kafka_commit("billing", "orders", 3, 40)
    assert captured_streams.backlogs == {
        ("kafka_cluster_id:cluster", "partition:3", "topic:orders", "type:kafka_produce"): 41,
        ("consumer_group:billing", "partition:3", "topic:orders", "type:kafka_commit"): 40,
    }


def test_edge_used_by_another_service_gets_new_points() -> None:
    edge = Edge("direction:out", "topic:t")
    hashes = set()
    for service in ("one", "two"):
        with capture(service=service) as captured:
            by_hand.produce(edge)
            hashes.add(captured.checkpoints[0].hash)
    assert len(hashes) == 2


async def test_task_made_before_a_consume_does_not_see_its_pathway(
    captured_streams: Captured, anyio_backend_name: str
) -> None:
    before = copy_context()
    by_hand.consume(IN, None)
    assert before.run(asyncdsm.current_pathway) is None
    if anyio_backend_name == "asyncio":
        assert await asyncio.to_thread(asyncdsm.current_pathway) == asyncdsm.current_pathway()


async def test_message_counted_by_a_layer_is_not_counted_below(captured_streams: Captured) -> None:
    with current.suppress_nested_checkpoints():
        assert asyncdsm.current_pathway() is None
    came = Pathway(77, 1, 1)
    current.set_current(came)
    with current.suppress_nested_checkpoints():
        assert asyncdsm.current_pathway() == came
        assert checkpoint.begin_produce(OUT) is None
        assert by_hand.produce(OUT) is None
        with current.suppress_nested_checkpoints():
            assert checkpoint.begin_produce(OUT) is None
            later = copy_context()
        assert checkpoint.begin_produce(OUT) is None
    assert asyncdsm.current_pathway() == came
    assert by_hand.produce(OUT) is not None
    assert later.run(asyncdsm.current_pathway) == came  # of a task that was made inside and lives on
    later.run(by_hand.produce, OUT)
    assert [made.parent for made in captured_streams.produced()] == [came.hash] * 2
