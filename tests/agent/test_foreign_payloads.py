"""What Datadog's tracers really sent, from the corpus, and a ddtrace that runs. .NET's is in the encodings, by hand."""

from __future__ import annotations

import pytest
from anyio import to_thread

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.payloads import INTAKE, Client
from tests.agent.recordings import Recording, read_recordings
from tests.differential.process import run

RECORDINGS = read_recordings()
WITHIN = 0.02
"""The corpus has the upper ends of a tracer's bins, the map the middles of its own."""


@pytest.fixture(params=RECORDINGS)
def recording(request: pytest.FixtureRequest) -> Recording:
    """Return what one of the tracers sent."""
    return RECORDINGS[request.param]


@pytest.fixture
def store(recording: Recording) -> SQLiteStore:
    """Keep what the agent takes; it is always the time of the recording."""
    return SQLiteStore(now=lambda: recording.recorded_at)


def test_corpus_has_every_tracer_that_runs_in_the_tests() -> None:
    assert {recording.lang for recording in RECORDINGS.values()} == {"go", "javascript", "jvm", "python"}


async def test_map_shows_exactly_what_a_tracer_sent(recording: Recording, client: Client) -> None:
    for payload in recording.payloads:
        assert (await client.post(INTAKE, content=payload.body, headers=payload.headers)).status_code == 202
    shown, health = await client.topology(), (await client.get("/api/health")).json()
    points = {int(point["hash"]): point for point in shown["pathways"]}
    sizes = {(edge["service"], tuple(sorted(edge["tags"]))): edge["payload_size"]["max"] for edge in shown["edges"]}
    assert len(points) == len(sizes) == len(recording.points)
    for point in recording.points:
        found = points[point.hash]
        assert (found["service"], tuple(sorted(found["tags"]))) == (point.service, point.tags)
        assert (int(found["parent"]), found["count"]) == (point.parent, point.count)
        # Where a pathway begins, tracers send latencies of zero, which are none.
        assert (found["edge_latency"]["max"] or 0.0) == pytest.approx(point.longest_edge, rel=WITHIN)
        assert (found["pathway_latency"]["max"] or 0.0) == pytest.approx(point.longest_pathway, rel=WITHIN)
        assert (found["pathway_latency"]["max"] is None) == (point.parent == 0 and point.longest_pathway == 0)
        assert (sizes[point.service, point.tags] or 0.0) == pytest.approx(point.largest_size, rel=WITHIN)
    assert (health["refused"], health["unread"], health["payloads"]) == (0, {}, len(recording.payloads))
    assert health["negative_latencies"] == 2 * sum(point.negative for point in recording.points)


def test_offsets_are_read_exactly_as_a_tracer_sent_them(recording: Recording) -> None:
    highest = dict[str, int]()
    for payload in recording.payloads:
        report = read_report(payload.unpacked, "")
        assert report.lang == recording.lang
        for backlog in (backlog for bucket in report.buckets for backlog in bucket.backlogs):
            tags = " ".join(sorted(backlog[0]))
            highest[tags] = max(backlog[1], highest.get(tags, 0))
    assert highest == recording.backlogs


async def test_real_ddtrace_payload_is_accepted() -> None:
    async with running_agent() as agent, Client(base_url=agent.url, timeout=30) as client:
        await to_thread.run_sync(
            lambda: run("sender.py", DD_DATA_STREAMS_ENABLED="true", DD_SERVICE="theirs", DD_TRACE_AGENT_URL=agent.url)
        )
        shown = await client.topology()
        assert [service["name"] for service in shown["services"]] == ["theirs"]
        assert [(edge["direction"], edge["queue"], edge["count"]) for edge in shown["edges"]] == [
            ("in", "orders", 1),
            ("out", "orders", 1),
        ]
        (pathway,) = (await client.get("/api/pathways", params={"service": "theirs"})).json()["pathways"]
        assert [hop["direction"] for hop in pathway["hops"]] == ["out", "in"]
