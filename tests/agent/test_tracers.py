"""Payloads of real tracers are read as they came and with one bad field at a time, and a real ddtrace is answered."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from anyio import to_thread
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.msgpack import decode, encode

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.topology import topology
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.histogram import bin_index
from tests.agent.encodings import ENCODINGS
from tests.agent.payloads import GZIP, INTAKE, Client, bins_of, bucket, payload, point, sketch
from tests.agent.recordings import read_recordings
from tests.agent.test_mutations import UNPACKED


def captured() -> Iterator[tuple[str, bytes]]:
    """Yield names and unpacked payloads: those of the corpus, and those in odd encodings."""
    yield "asyncdsm", UNPACKED
    yield from ENCODINGS.items()
    for name, recording in RECORDINGS.items():
        for number, sent in enumerate(recording.payloads):
            yield f"{name}-{number}", sent.unpacked


RECORDINGS = read_recordings()
PAYLOADS = dict(captured())
NAMES = st.sampled_from(sorted(PAYLOADS))
_SHORT = st.text(max_size=3)
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(max_size=20),
    st.binary(max_size=40),
    st.recursive(
        st.none() | _SHORT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_SHORT, inner, max_size=3),
        max_leaves=8,
    ),
)


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of everything below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


def points_of(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the points of all buckets of a payload."""
    return [item for each in whole["Stats"] for item in each.get("Stats") or ()]


WITH_POINTS = [name for name, body in PAYLOADS.items() if points_of(decode(body))]


def changed(body: bytes, path: tuple[str | int, ...], change: Any) -> bytes:
    """Return a payload in which what is at a path is replaced, or missing where `change` is `...`."""
    whole = decode(body)
    inner = whole
    for key in path[:-1]:
        inner = inner[key]
    if change is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = change
    return encode(whole)


def intact(body: bytes, path: tuple[str | int, ...]) -> set[tuple[Any, ...]]:
    """Return which points and backlogs of a payload have nothing of a path in them."""
    buckets = decode(body)["Stats"] or []
    found = set[tuple[Any, ...]]()
    for index, whole in enumerate(buckets):
        for name in ("Stats", "Backlogs"):
            for place, item in enumerate(whole.get(name) or ()):
                here = ("Stats", index, name, place)
                if path[: len(here)] != here[: len(path)] and item.get("TimestampType") != "origin":
                    tags = tuple(sorted(item.get("EdgeTags" if name == "Stats" else "Tags") or ()))
                    found.add((tags, item["Hash"], item["ParentHash"]) if name == "Stats" else (tags, item["Value"]))
    return found


def read(body: bytes) -> set[tuple[Any, ...]]:
    buckets = read_report(body, "").buckets
    return {item for bucket in buckets for item in (*map(tuple, bucket.points), *bucket.backlogs)}


@pytest.mark.parametrize("name", PAYLOADS)
def test_real_payload_is_read_whole(name: str) -> None:
    report = read_report(PAYLOADS[name], "")
    assert not report.unread
    assert read(PAYLOADS[name]) == intact(PAYLOADS[name], ("nowhere",))


@settings(max_examples=400, deadline=None)
@given(name=NAMES, data=st.data())
def test_one_bad_value_costs_nothing_else(name: str, data: st.DataObject) -> None:
    body = PAYLOADS[name]
    path = data.draw(st.sampled_from([path for path in places(decode(body)) if path != ("Stats",)]))
    odd = changed(body, path, data.draw(JUNK | st.just(...)))
    assert intact(body, path) <= read(odd)
    store = SQLiteStore()
    store.add(read_report(odd, ""))
    topology(store, 60)
    store.flush()


@settings(max_examples=200, deadline=None)
@given(name=NAMES, data=st.data())
def test_extra_fields_change_nothing(name: str, data: st.DataObject) -> None:
    whole = decode(PAYLOADS[name])
    for level in (whole, *whole["Stats"], *points_of(whole)):
        level["Extra"] = data.draw(JUNK)
    assert read(encode(whole)) == read(PAYLOADS[name])


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(WITH_POINTS), at=st.integers(0, 4_000), byte=st.integers(0, 255))
def test_damaged_sketch_costs_nothing_else(name: str, at: int, byte: int) -> None:
    whole = decode(PAYLOADS[name])
    first = points_of(whole)[0]
    damaged = bytearray(first["EdgeLatency"])
    damaged[at % len(damaged)] = byte
    first["EdgeLatency"] = bytes(damaged)
    report = read_report(encode(whole), "")
    assert read(encode(whole)) == read(PAYLOADS[name])
    assert set(report.unread) <= {"EdgeLatency"}


JAVASCRIPT = sketch(gamma=1.02020202020202, offset=0, contiguousBinCounts=[3], contiguousBinIndexOffset=-69)
"""In sketches that round up, bin -69 is for values from 0.2524 to 0.2576 (gamma^-70 to gamma^-69... by its writer)."""


def stands_for(lang: str, data: bytes) -> float:
    """Return the median that the agent shows for a sketch of one bin."""
    store = SQLiteStore()
    store.add(read_report(payload(bucket(point(EdgeLatency=data), Start=int(store.now()) * 10**9), Lang=lang), ""))
    (edge,) = topology(store, 10).edges
    return edge.edge_latency.p50 or 0.0


@pytest.mark.parametrize("lang", ["javascript", "python"])
def test_sketch_that_rounds_up_is_read_one_bin_lower(lang: str) -> None:
    gamma = 1.02020202020202
    middle = 2 * gamma**-69 / (1 + gamma)  # of the bin from gamma^-70 to gamma^-69
    assert stands_for(lang, JAVASCRIPT) == pytest.approx(middle, rel=0.009)
    assert stands_for("go", JAVASCRIPT) == pytest.approx(middle * gamma, rel=0.009)


def test_sketch_with_the_protocol_mapping_is_read_unchanged_for_every_language() -> None:
    data = sketch(binCounts={bin_index(0.25): 3})
    for lang in ("javascript", "python", "go", "java"):
        assert stands_for(lang, data) == pytest.approx(0.25, rel=0.008)


def test_real_sketches_with_negative_latencies_keep_every_count() -> None:
    (sent,) = RECORDINGS["javascript-behind"].payloads
    report = read_report(sent.unpacked, "")
    assert report.negatives == 2 * sum(point.negative for point in RECORDINGS["javascript-behind"].points) > 0
    assert sum(bins_of(report).values()) == sum(bins_of(report, 1).values())


async def test_version_and_process_tags_of_a_service_are_shown(client: Client) -> None:
    for version in ("1.0", "1.1"):
        body = payload(bucket(point()), Service="s", Env="e", Version=version, ProcessTags=["entrypoint.name:main"])
        await client.report(body)
    await client.report(payload(bucket(point(), Start=1), Service="t", Version=None, ProcessTags=None))
    first, second = (await client.topology())["services"]
    assert (first["version"], first["process_tags"], first["lang"]) == ("1.1", ["entrypoint.name:main"], "go")
    assert (second["version"], second["process_tags"]) == ("", [])


PROGRAM = """
import logging, time
logging.basicConfig(level=logging.WARNING)
import ddtrace.auto
from ddtrace.data_streams import set_produce_checkpoint
set_produce_checkpoint("kafka", "orders", {}.__setitem__)
time.sleep(4)
"""


async def test_real_ddtrace_does_not_warn_of_this_agent() -> None:
    async with running_agent() as agent, Client(base_url=agent.url, timeout=30) as client:
        settings = {"DD_TRACE_AGENT_URL": agent.url, "DD_DATA_STREAMS_ENABLED": "true", "DD_SERVICE": "theirs"}
        done = await to_thread.run_sync(
            lambda: subprocess.run(
                [sys.executable, "-c", PROGRAM],
                env={**os.environ, **settings, "DD_EXCEPTION_REPLAY_ENABLED": "true"},
                capture_output=True,
                text=True,
                timeout=120,
                check=True,
            )
        )
        assert done.stderr == ""
        assert [service["name"] for service in (await client.topology())["services"]] == ["theirs"]


async def test_debugger_requests_of_a_tracer_are_accepted(client: Client) -> None:
    for path in (await client.get("/info")).json()["endpoints"]:
        if path != INTAKE:
            assert (await client.post(path, content=b"x")).status_code == 200


async def test_captured_payloads_are_accepted_with_their_headers(client: Client) -> None:
    for name, body in PAYLOADS.items():
        answer = await client.post(INTAKE, content=gzip.compress(body), headers={**GZIP, "Datadog-Entity-ID": "in-1"})
        assert answer.status_code == 202, (name, answer.text)
    assert (await client.get("/api/health")).json()["unread"] == {}
