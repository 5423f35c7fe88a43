"""Business transactions at the agent: what is read, what is kept, which ones are late, and what the API says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.answers import Transaction
from asyncdsm.agent.queries.transactions import find_transactions
from asyncdsm.agent.store import transactions as tables
from asyncdsm.agent.store.clickhouse import transaction_reader
from asyncdsm.agent.store.reports import AcceptedPayload, Report
from asyncdsm.agent.store.sqlite import store as stores
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.cli.main import main
from tests.agent.payloads import NOW, NOW_NS, SECOND_NS, Client, bucket, payload, point
from tests.agent.running import agent
from tests.agent.stores import AnyStore, OpenStore
from tests.intake import running_intake
from tests.transactions import Passed, write_names, write_records, write_transactions

# How many names and transactions there may be is a bound of SQLite's file; ClickHouse forgets by time alone.
in_memory = pytest.mark.parametrize("open_store", ["memory"], indirect=True)


@pytest.fixture
def store(open_store: OpenStore) -> AnyStore:
    """Keep transactions in a store of each kind."""
    return open_store(now=lambda: NOW)


def report_of(passed: Iterable[Passed], service: str = "shop", **more: Any) -> bytes:
    """Return the payload of a service whose transactions passed checkpoints."""
    return payload(bucket(**write_transactions(passed)), Service=service, **more)


def add(store: AnyStore, service: str, *passed: Passed) -> None:
    store.add(read_report(report_of(passed, service), ""))


def ago(seconds: float) -> int:
    """Return a time in nanoseconds, some seconds before `NOW`."""
    return NOW_NS - round(seconds * SECOND_NS)


def find(store: AnyStore, transaction_id: str) -> Transaction:
    (found,) = find_transactions(store, transaction_id).transactions
    return found


def read(fields: dict[str, Any]) -> Report:
    return read_report(payload(bucket(**fields)), "")


IDS = st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable())


@given(st.lists(st.builds(Passed, st.sampled_from(["ordered", "paid"]), st.integers(0, 2**63 - 1), IDS), max_size=20))
def test_agent_reads_what_a_tracer_writes(passed: list[Passed]) -> None:
    report = read(write_transactions(passed))
    assert [Passed(each.checkpoint, each.time_ns, each.id) for each in report.transactions] == passed
    assert report.unread == {}


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_any_bytes_are_read_or_counted_and_points_stay(records: bytes, names: bytes) -> None:
    fields = {"Transactions": records, "TransactionCheckpointIds": names}
    report = read_report(payload(bucket(point(), **fields)), "")
    assert len(report.buckets[0].points) == 1
    assert set(report.unread) <= {"Transactions", "TransactionCheckpointIds"}
    assert all(each.id and each.checkpoint for each in report.transactions)


RECORD, NAMES = write_records((1, NOW_NS, b"4711")), write_names({1: b"ordered"})


@pytest.mark.parametrize(
    ("records", "names", "unread"),
    [
        (RECORD + RECORD[:5], NAMES, {"Transactions": 1}),
        (RECORD + RECORD[:-1], NAMES, {"Transactions": 1}),
        (RECORD + write_records((2, NOW_NS, b"1")), NAMES, {"Transactions": 1}),
        (RECORD + write_records((1, NOW_NS, b"")), NAMES, {"Transactions": 1}),
        (RECORD, NAMES + b"\x02\xffpaid", {"TransactionCheckpointIds": 1}),
        (RECORD, NAMES + b"\x02", {"TransactionCheckpointIds": 1}),
    ],
)
def test_what_is_before_a_fault_is_kept(records: bytes, names: bytes, unread: dict[str, int]) -> None:
    report = read({"Transactions": records, "TransactionCheckpointIds": names})
    assert [(each.id, each.checkpoint) for each in report.transactions] == [("4711", "ordered")]
    assert report.unread == unread


@pytest.mark.parametrize("wrong", ["text", 5, [RECORD], {}])
def test_field_of_another_type_costs_only_itself(wrong: Any) -> None:
    report = read_report(payload(bucket(point(), Transactions=wrong, TransactionCheckpointIds=NAMES)), "")
    assert (len(report.buckets[0].points), report.transactions, report.unread) == (1, [], {"Transactions": 1})


def test_payload_with_too_many_transactions_is_read_up_to_the_limit() -> None:
    report = read({"Transactions": RECORD * 100_002, "TransactionCheckpointIds": NAMES})
    assert (len(report.transactions), report.unread) == (100_000, {"Transactions": 1})


def test_bucket_that_counts_by_origin_has_its_transactions_read() -> None:
    fields = write_transactions([Passed("ordered", NOW_NS, "4711")])
    report = read_report(payload(bucket(point(TimestampType="origin"), **fields)), "")
    assert [each.id for each in report.transactions] == ["4711"]


def test_steps_of_all_services_are_one_transaction_in_order_of_time(store: AnyStore) -> None:
    add(store, "billing", Passed("paid", ago(8), "4711"))
    add(store, "shop", Passed("ordered", ago(20), "4711"), Passed("ordered", ago(5), "4712"))
    found = find(store, "4711")
    steps = [(step.service, step.checkpoint, NOW - step.time, step.since_before) for step in found.steps]
    assert steps == [("shop", "ordered", 20, None), ("billing", "paid", 8, 12)]
    assert (found.service, found.checkpoint, NOW - found.first, NOW - found.last) == ("billing", "paid", 20, 8)
    assert find_transactions(store, "471").transactions == []


def test_same_payload_again_adds_no_step(store: AnyStore) -> None:
    for _ in range(2):
        add(store, "shop", Passed("ordered", ago(20), "4711"))
    assert len(find(store, "4711").steps) == 1


def test_id_that_tracers_cut_is_found_by_the_whole_one(store: AnyStore) -> None:
    add(store, "shop", Passed("ordered", ago(20), "x" * 255))
    assert find(store, "x" * 300).id == "x" * 255


def test_time_that_is_too_old_is_ignored_and_one_far_ahead_counts_as_now(store: AnyStore) -> None:
    add(store, "shop", Passed("ordered", ago(8 * 86_400), "old"), Passed("ordered", ago(-3600), "ahead"))
    assert find_transactions(store, "old").transactions == []
    assert find(store, "ahead").last == NOW


def test_transactions_survive_a_restart_and_a_kill(tmp_path: Path) -> None:
    def open_store() -> SQLiteStore:
        return SQLiteStore(tmp_path / "dsm.db", decode=read_report, now=lambda: NOW)

    store = open_store()
    bodies = [report_of([Passed("ordered", ago(9 - each), f"471{each}")]) for each in range(2)]
    store.add_all([AcceptedPayload(read_report(bodies[0], ""), "", bodies[0])])
    store.close()
    store = open_store()
    store.add_all([AcceptedPayload(read_report(bodies[1], ""), "", bodies[1])])
    store._closing()  # as a kill does: nothing is flushed
    store = open_store()
    assert [find(store, transaction_id).checkpoint for transaction_id in ("4710", "4711")] == ["ordered", "ordered"]
    store.close()


def test_old_transactions_are_deleted(open_store: OpenStore) -> None:
    now = [NOW]
    store = open_store(now=lambda: now[0], kept_seconds=3600)
    add(store, "shop", Passed("ordered", ago(20), "4711"))
    now[0] += 3000
    add(store, "shop", Passed("ordered", ago(-3000), "4712"))
    now[0] += 1000
    store.flush()
    answer = find_transactions(store, None)
    assert [each.id for each in answer.transactions] == ["4712"]


def test_service_with_too_many_transactions_loses_its_own_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MAX_TRANSACTIONS", 100)
    store = SQLiteStore(now=lambda: NOW)
    add(store, "quiet", Passed("ordered", ago(600), "quiet order"))
    add(store, "busy", *(Passed("ordered", ago(500 - number), f"busy {number}") for number in range(400)))
    store.flush()
    answer = find_transactions(store, None)
    assert len(answer.transactions) == 99
    assert {each.id for each in answer.transactions} == {"quiet order", *(f"busy {each}" for each in range(302, 400))}
    (problem,) = store.conditions.present()
    assert (problem["name"], problem["count"]) == ("transactions", 302)


def test_checkpoints_of_one_transaction_are_bounded(store: AnyStore) -> None:
    add(store, "shop", *(Passed("ordered", ago(500 - number), "4711") for number in range(300)))
    assert len(find(store, "4711").steps) == tables.MOST_STEPS


@in_memory
def test_names_of_one_service_are_bounded_and_leave_room_for_others(store: AnyStore) -> None:
    for first in (0, 200):
        names = range(first, first + 200)
        add(store, "shop", *(Passed(f"checkpoint {number}", ago(500 - number), f"from {first}") for number in names))
    add(store, "billing", Passed("paid", ago(1), "4711"))
    assert [len(find(store, each).steps) for each in ("from 0", "from 200", "4711")] == [200, 54, 1]
    store.flush()
    with store.read_transactions() as reader:
        assert sum(place.service == "shop" for place in reader.places().values()) == 254


@pytest.mark.parametrize("open_store", ["clickhouse"], indirect=True)
def test_service_with_many_names_leaves_places_to_others(store: AnyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction_reader, "MOST_PLACES_OF_SERVICE", 5)
    monkeypatch.setattr(transaction_reader, "MOST_PLACES", 10)
    add(store, "billing", Passed("paid", ago(600), "4711"))
    add(store, "shop", *(Passed(f"checkpoint {number}", ago(500 - number), "4712") for number in range(20)))
    with store.read_transactions() as reader:
        assert Counter(place.service for place in reader.places().values()) == {"billing": 1, "shop": 5}


def add_usual(store: AnyStore, count: int = 40) -> None:
    """Add transactions that were paid two seconds after they were ordered, and shipped ten seconds later."""
    add(store, "shop", *(Passed("ordered", ago(9000 - number), f"usual {number}") for number in range(count)))
    add(store, "billing", *(Passed("paid", ago(8998 - number), f"usual {number}") for number in range(count)))
    add(store, "shipping", *(Passed("shipped", ago(8988 - number), f"usual {number}") for number in range(count)))


def test_transaction_that_waits_much_longer_than_the_others_is_late_then_stuck(store: AnyStore) -> None:
    add_usual(store)
    add(store, "shop", *(Passed("ordered", ago(seconds), f"since {seconds}") for seconds in (59, 61, 599, 601)))
    states = {seconds: find(store, f"since {seconds}").state for seconds in (59, 61, 599, 601)}
    assert states == {59: "open", 61: "late", 599: "late", 601: "stuck"}
    assert (find(store, "since 61").usual_wait, find(store, "since 61").late_after) == (2, 60)
    answer = find_transactions(store, None)
    assert [each.id for each in answer.late] == ["since 61", "since 599", "since 601"]
    assert answer.longest == answer.late[::-1]


def test_what_is_late_follows_from_how_long_others_take_there(store: AnyStore) -> None:
    add(store, "shop", *(Passed("ordered", ago(9000 - number), f"usual {number}") for number in range(40)))
    add(store, "billing", *(Passed("paid", ago(8800 - number), f"usual {number}") for number in range(40)))
    add(store, "shop", Passed("ordered", ago(599), "599"), Passed("ordered", ago(601), "601"))
    assert (find(store, "599").state, find(store, "601").state) == ("open", "late")


def test_transaction_at_the_last_checkpoint_is_done(store: AnyStore) -> None:
    add_usual(store)
    assert (find(store, "usual 3").state, find(store, "usual 3").late_after) == ("done", None)


def add_shipped(store: AnyStore, first: int, until: int, *, mailed: range = range(0)) -> None:
    """Add orders that were shipped, one every ten seconds from `first` to `until` seconds ago, and some mailed."""
    shipped = range(first, until, -10)
    add(store, "shop", *(Passed("shipped", ago(each), f"of {each}") for each in shipped))
    add(store, "mailing", *(Passed("mailed", ago(each - 2), f"of {each}") for each in shipped if each in mailed))


@pytest.mark.parametrize("first", [3460, 6000, 20_000])
def test_orders_that_wait_for_a_service_that_is_down_are_stuck(store: AnyStore, first: int) -> None:
    add_shipped(store, first, 0, mailed=range(3301, 20_001))
    states = {seconds: find(store, f"of {seconds}").state for seconds in (3310, 3300, 610, 600, 70, 60, 50)}
    expected = {3310: "done", 3300: "stuck", 610: "stuck", 600: "late", 70: "late", 60: "open", 50: "open"}
    assert states == expected if first > 3460 else {**expected, 3310: "open"}
    assert len(find_transactions(store, None).late) == 100


def test_orders_lost_while_a_service_was_down_stay_stuck_when_it_is_back(store: AnyStore) -> None:
    add_shipped(store, 6000, 0, mailed=range(3301, 6001))
    add_shipped(store, 5, 0, mailed=range(5, 6))
    assert find(store, "of 2000").state == "stuck"
    add_shipped(store, 6000, 0, mailed=range(1001))
    assert find(store, "of 2000").state == "stuck"


def test_few_orders_that_a_failing_service_takes_make_no_end(store: AnyStore) -> None:
    add_shipped(store, 9000, 0, mailed=range(8001, 9001))
    add_shipped(store, 8000, 0, mailed=range(0, 8000, 100))
    assert find(store, "of 2010").state == "stuck"


def test_what_ended_before_a_service_was_added_behind_is_done(store: AnyStore) -> None:
    add_shipped(store, 9000, 0, mailed=range(401))
    states = {seconds: find(store, f"of {seconds}").state for seconds in (9000, 410, 30)}
    assert states == {9000: "done", 410: "done", 30: "done"}
    add_shipped(store, 395, 390)
    assert [each.id for each in find_transactions(store, None).late] == ["of 395"]


@pytest.mark.parametrize("share", [2, 3, 10])
def test_end_from_which_some_go_another_way_stays_an_end(store: AnyStore, share: int) -> None:
    """Of the orders that arrive, some are sent back, most of them a while later."""
    numbers = range(9000, 0, -10)
    add(store, "shop", *(Passed("arrived", ago(each), f"of {each}") for each in numbers))
    back = Random(share).sample(numbers, len(numbers) * 9 // (10 * share))
    add(store, "shop", *(Passed("sent back", ago(each * 0.9), f"of {each}") for each in back))
    waiting = next(each for each in numbers if each not in back and each < 5000)
    assert find(store, f"of {waiting}").state == "done"
    assert [each.checkpoint for each in find_transactions(store, None).late] == []


def test_end_after_which_one_order_went_on_stays_an_end(store: AnyStore) -> None:
    add_shipped(store, 9000, 0, mailed=range(5000, 5001))
    assert (find(store, "of 6000").state, find(store, "of 100").state) == ("done", "done")


def test_without_ten_others_nothing_is_late(store: AnyStore) -> None:
    add_usual(store, 9)
    add(store, "shop", Passed("ordered", ago(4000), "4711"))
    assert (find(store, "4711").state, find_transactions(store, None).late) == ("open", [])


def test_lists_say_what_they_leave_out(store: AnyStore) -> None:
    add_usual(store, 400)
    add(store, "shop", *(Passed("ordered", ago(300 + number), f"lost {number}") for number in range(130)))
    answer = find_transactions(store, None)
    assert (len(answer.transactions), len(answer.late)) == (100, 100)
    assert answer.cut == {"transactions": 430, "late": 30}
    assert [each.id for each in answer.longest] == [f"lost {number}" for number in range(129, 121, -1)]
    assert all(each.steps == [] for each in [*answer.transactions, *answer.late, *answer.longest])


async def test_api_answers_with_one_transaction_and_with_all(client: Client) -> None:
    assert (await client.get("/api/transactions", params={"id": "4711"})).json() == {"transactions": [], "late": []}
    await client.report(report_of([Passed("ordered", ago(9), "4711")], Env="prod"))
    summary = {
        "id": "4711",
        "state": "open",
        "service": "shop",
        "env": "prod",
        "checkpoint": "ordered",
        "first": NOW - 9,
        "last": NOW - 9,
        "late_after": None,
        "usual_wait": None,
        "lacks": [],
    }
    step = {"service": "shop", "env": "prod", "checkpoint": "ordered", "time": NOW - 9, "since_before": None}
    one = (await client.get("/api/transactions", params={"id": "4711"})).json()
    assert one == {"transactions": [{**summary, "steps": [step]}], "late": []}
    every = (await client.get("/api/transactions")).json()
    assert every == {"transactions": [{**summary, "steps": []}], "late": []}


async def test_api_refuses_an_empty_id(client: Client) -> None:
    response = await client.get("/api/transactions", params={"id": ""})
    assert (response.status_code, response.json()["error"]) == (400, {"path": "id", "problem": "id must not be empty"})


async def test_forwarded_payload_has_its_transactions() -> None:
    body = report_of([Passed("ordered", ago(9), "4711")])
    with running_intake() as intake:
        async with running_agent(forward=intake.url) as running, Client(base_url=running.url) as client:
            assert (await client.report(body)).status_code == 202
        assert [sent for *_, sent in intake.requests] == [body]


def test_command_prints_a_transaction(store: AnyStore, capsys: pytest.CaptureFixture[str]) -> None:
    add(store, "shop", Passed("ordered", ago(20), "4711"))
    add(store, "billing", Passed("paid\x1b[2J", ago(8), "4711"))
    with agent(store=store) as running:
        assert main(["transaction", "4711", "--url", running.url]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert main(["transaction", "--url", running.url]) == 0
        listed = capsys.readouterr().out
        assert main(["transaction", "4712", "--url", running.url]) == 1
    assert lines[0] == "Transaction 4711: open"
    assert [line.split()[:2] for line in lines[2:]] == [
        ["checkpoint", "service"],
        ["ordered", "shop"],
        ["paid�[2J", "billing"],
    ]
    assert [line.split("  ")[-1].strip() for line in lines[2:]] == ["since the one before", "–", "12 s"]
    assert "Late: none\n" in listed
    assert "\nTransactions: 1\n" in listed
    assert "\n4711  open   paid" in listed
    assert capsys.readouterr().err == "asyncdsm transaction: the agent knows no transaction 4712\n"


def test_command_says_what_is_usual_and_what_a_late_transaction_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    store = SQLiteStore(now=lambda: NOW)
    add_usual(store)
    add(store, "shop", Passed("ordered", ago(100), "4711"))
    with agent(store=store) as running:
        assert main(["transaction", "4711", "--url", running.url]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert main(["transaction", "usual 7", "--url", running.url]) == 0
    assert lines[0] == "Transaction 4711: late"
    assert lines[-2:] == [
        "Of those that went on from there, 95 % took at most 2 s; one is late after 60 s.",
        "It lacks paid (billing), shipped (shipping).",
    ]
    assert "lacks" not in capsys.readouterr().out


def test_command_says_how_many_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    store = SQLiteStore(now=lambda: NOW)
    add_usual(store, 1400)
    add(store, "shop", *(Passed("ordered", ago(300 + number), f"lost {number}") for number in range(130)))
    with agent(store=store) as running:
        assert main(["transaction", "--url", running.url]) == 0
    listed = capsys.readouterr().out
    assert listed.startswith("Late: the latest 100 of 130\nid")
    assert "\nLate for longest: 8\nid" in listed
    assert listed.index("Late for longest") < listed.index("\nlost 129  ") < listed.index("\nlost 122  ")
    assert "\nTransactions: the latest 100 of 1,530\nid" in listed
