"""Damaged payloads are accepted or refused, and never an error of the agent."""

from __future__ import annotations

import gzip
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.topology import topology
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.edge import Edge
from tests.agent.payloads import NOW, Client, ours, passed


def recorded(aggregator: Aggregator) -> None:
    parent = passed(aggregator, Edge("direction:out", "topic:orders", "type:kafka"), [0.0, 0.001, 2.5], size=100)
    passed(aggregator, Edge("direction:in", "group:g", "topic:orders", "type:kafka"), [0.1] * 5, parent=parent)
    aggregator.record_offset(("partition:0", "topic:orders", "type:kafka_produce"), 41)


(PACKED,) = ours(recorded)
UNPACKED = gzip.decompress(PACKED)
# Where, what to do there (take out, put in, replace), and with which byte.
CHANGES = st.lists(
    st.tuples(st.integers(0, len(UNPACKED) - 1), st.sampled_from("-+="), st.integers(0, 255)), min_size=1, max_size=6
)


def changed(body: bytes, changes: list[tuple[int, str, int]]) -> bytes:
    mutated = bytearray(body)
    for at, kind, byte in changes:
        here = at % (len(mutated) + 1)
        mutated[here : here + (kind != "+")] = b"" if kind == "-" else bytes([byte])
    return bytes(mutated)


def taken(body: bytes, encoding: str) -> bool:
    """Do everything that the agent does with a body, and return whether it was accepted."""
    store = SQLiteStore(now=lambda: NOW)
    try:
        store.add(read_report(body, encoding))
    except IntakeError as error:
        assert error.status in {400, 413}
        assert error.path
        assert error.problem
        return False
    topology(store, 1440)
    return True


def test_undamaged_payload_is_read() -> None:
    assert taken(PACKED, "gzip")
    assert taken(UNPACKED, "")


@settings(max_examples=300)
@given(changes=CHANGES)
def test_damaged_payload_is_read_or_refused(changes: list[tuple[int, str, int]]) -> None:
    taken(changed(UNPACKED, changes), "")


@given(changes=CHANGES)
def test_damaged_gzip_is_read_or_refused(changes: list[tuple[int, str, int]]) -> None:
    taken(changed(PACKED, changes), "gzip")


@given(body=st.binary(max_size=200), encoding=st.sampled_from(["", "gzip"]))
def test_arbitrary_bytes_are_read_or_refused(body: bytes, encoding: str) -> None:
    taken(body, encoding)


async def test_agent_accepts_payloads_after_damaged_ones(client: Client) -> None:
    chance = random.Random(7)
    answers = set[int]()
    for _ in range(150):
        changes = [
            (chance.randrange(len(UNPACKED)), chance.choice("-+="), chance.randrange(256))
            for _ in range(chance.randint(1, 3))
        ]
        response = await client.report(changed(UNPACKED, changes))
        answers.add(response.status_code)
        await client.topology()
    assert answers == {202, 400}
    assert (await client.report(PACKED, gzipped=True)).status_code == 202
