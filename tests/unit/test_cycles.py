"""A pathway that goes in circles ends; one that does not is as it was, however long it is."""

from __future__ import annotations

from itertools import pairwise

from asyncdsm import Pathway
from asyncdsm.core.cycles import MOST_ROUNDS, MOST_WATCHED
from asyncdsm.core.edge import Edge
from asyncdsm.testing import Captured, ManualClock, capture
from tests import by_hand


def edges(name: str) -> tuple[Edge, Edge]:
    return Edge("direction:out", f"topic:{name}", "type:t"), Edge("direction:in", f"topic:{name}", "type:t")


def pass_on(out: Edge, into: Edge, clock: ManualClock, seconds: float = 0.002) -> None:
    """Produce a message, and consume it later."""
    header = by_hand.produce(out)
    clock.advance(seconds)
    by_hand.consume(into, header)


def points(captured: Captured) -> int:
    return len({(made.tags, made.hash) for made in captured.checkpoints})


def test_endless_requests_and_replies_make_a_bounded_number_of_points() -> None:
    clock, counts = ManualClock(), list[int]()
    jobs, replies = edges("jobs"), edges("replies")
    with capture(now=clock) as captured:
        for rounds in range(300):
            pass_on(*jobs, clock)
            pass_on(*replies, clock)
            if rounds >= 150:
                counts.append(points(captured))
    assert counts[0] <= 3 * 4 * (MOST_ROUNDS + 1)
    assert len(set(counts)) == 1, "points are added for ever"
    assert len(captured.checkpoints) == 1200


def test_pipeline_of_a_hundred_queues_in_one_process_is_one_pathway() -> None:
    clock = ManualClock()
    with capture(now=clock) as captured:
        for number in range(100):
            pass_on(*edges(str(number)), clock)
    made = captured.checkpoints
    assert all(after.follows(before) for before, after in pairwise(made))
    assert made[-1].pathway_latency > 0.19


def test_retry_through_the_same_queue_keeps_its_parents() -> None:
    clock = ManualClock()
    with capture(now=clock) as captured:
        for _ in range(MOST_ROUNDS - 1):
            pass_on(*edges("jobs"), clock)
    made = captured.checkpoints
    assert all(after.follows(before) for before, after in pairwise(made))


def test_pathways_that_meet_on_an_edge_keep_their_parents() -> None:
    """As messages of one batch do, each of which came by a way of its own."""
    clock, (out, into) = ManualClock(), edges("meeting")
    sent = clock.now_ns
    with capture(now=clock) as captured:
        for number in range(1, 200):
            clock.advance(0.002)
            by_hand.consume(into, Pathway(number, sent, sent).encode_base64())
            by_hand.produce(out)
    assert [made.parent for made in captured.consumed()] == list(range(1, 200))


def test_message_after_the_last_round_starts_a_pathway_at_its_sending() -> None:
    clock, jobs = ManualClock(), edges("jobs")
    with capture(now=clock) as captured:
        for _ in range(MOST_ROUNDS + 1):
            pass_on(*jobs, clock, 0.5)
    last = captured.consumed()[-1]
    assert (last.parent, last.edge_latency, last.pathway_latency) == (0, 0.5, 0.5)


def test_watched_pathways_are_bounded() -> None:
    clock, jobs = ManualClock(), edges("jobs")
    with capture(now=clock) as captured:
        for number in range(2 * MOST_WATCHED):
            by_hand.consume(jobs[1], Pathway(number + 1, clock.now_ns, clock.now_ns).encode_base64())
            by_hand.produce(jobs[0])
            clock.advance(0.001)
        cycles = captured._cycles
        assert len(cycles._steps) == MOST_WATCHED


def test_replies_of_a_hundred_branches_on_one_queue_keep_their_parents() -> None:
    """One message goes to many services, which count for themselves; what they answer started at the same moment."""
    clock, (tasks, _), (done, answers) = ManualClock(), edges("tasks"), edges("answers")
    started = clock.now_ns
    with capture(now=clock) as captured:
        for number in range(100):
            clock.advance(0.003)
            by_hand.produce(tasks)
            answer = Pathway(1000 + number, started, clock.now_ns)
            clock.advance(0.003)
            by_hand.consume(answers, answer.encode_base64())
            by_hand.produce(done)
    assert [made.parent for made in captured.consumed()] == list(range(1000, 1100))
    assert all(made.pathway_latency > 0 for made in captured.consumed())
