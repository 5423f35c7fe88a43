"""Business transactions whose checkpoints are passed in any order, are alternatives, or are passed again and again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random

import pytest

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.transactions import find_transactions
from tests.agent.payloads import NOW, NOW_NS, SECOND_NS, bucket, payload
from tests.agent.stores import AnyStore, OpenStore
from tests.transactions import Passed, write_transactions

BRANCHES = ("reported", "mailed", "booked")


@pytest.fixture
def store(open_store: OpenStore) -> AnyStore:
    """Keep transactions in a store of each kind."""
    return open_store(now=lambda: NOW)


def follow(store: AnyStore, orders: Mapping[str, tuple[float, Iterable[str]]]) -> None:
    """Let orders pass checkpoints: each a second after the one before, the first so many seconds ago."""
    passed = [
        Passed(checkpoint, NOW_NS - round((began - number) * SECOND_NS), order)
        for order, (began, checkpoints) in orders.items()
        for number, checkpoint in enumerate(checkpoints)
    ]
    store.add(read_report(payload(bucket(**write_transactions(passed)), Service="shop"), ""))


def states(store: AnyStore, *orders: str) -> list[str]:
    return [find_transactions(store, order).transactions[0].state for order in orders]


def lacks(store: AnyStore, order: str) -> set[str]:
    return {each.checkpoint for each in find_transactions(store, order).transactions[0].lacks}


def list_late(store: AnyStore) -> set[str]:
    """Return the ids of the late orders, once it is sure that the others among the latest are done."""
    answer = find_transactions(store, None)
    assert "late" not in answer.cut
    late = {each.id for each in answer.late}
    assert {each.state for each in answer.transactions if each.id not in late} <= {"done"}
    return late


def in_any_order(began: Iterable[int], branches: tuple[str, ...] = BRANCHES) -> Iterator[tuple[int, list[str]]]:
    """Yield when orders were made, and the checkpoints that they passed: first `ordered`, then the branches."""
    random = Random(4711)
    for each in began:
        yield each, ["ordered", *random.sample(branches, len(branches))]


def test_order_that_has_passed_all_is_done_whatever_came_last(store: AnyStore) -> None:
    follow(store, {f"a{n}": (9000 - n, ["ordered", "reported", "mailed"]) for n in range(40)})
    follow(store, {f"b{n}": (8000 - n, ["ordered", "mailed", "reported"]) for n in range(100)})
    follow(store, {"not mailed": (700, ["ordered", "reported"]), "not reported": (700, ["ordered", "mailed"])})
    assert states(store, "a7", "b7", "not mailed", "not reported") == ["done", "done", "stuck", "stuck"]
    assert list_late(store) == {"not mailed", "not reported"}
    assert [lacks(store, each) for each in ("not mailed", "not reported", "a7")] == [{"mailed"}, {"reported"}, set()]


def test_orders_that_miss_a_branch_are_stuck_and_the_others_done(store: AnyStore) -> None:
    """No checkpoint is the last one of half of the orders; for the last ones, the service behind `booked` is down."""
    follow(store, {f"{each}": passed for each, passed in enumerate(in_any_order(range(9000, 4000, -10)))})
    down = in_any_order(range(4000, 3000, -15), BRANCHES[:2])
    follow(store, {f"down {each}": passed for each, passed in enumerate(down)})
    assert list_late(store) == {f"down {each}" for each in range(67)}
    assert states(store, "0", "250", "499") == ["done"] * 3


def test_alternatives_each_have_their_end(store: AnyStore) -> None:
    """Each order is reported, sooner or later; most are mailed, some refunded."""
    random = Random(1)
    ways = [(*branch, "mailed") for branch in [("paid",)] * 4] + [("paid", "refunded")]
    orders = dict[str, tuple[float, Iterable[str]]]()
    for number in range(400):
        way = ["ordered", *random.choice(ways)]
        way.insert(random.randint(1, len(way)), "reported")
        orders[f"{number}"] = 9000 - 10 * number, way
    follow(store, orders)
    follow(store, {"lost": (900, ["ordered", "reported", "paid"]), "unpaid": (900, ["ordered", "reported"])})
    assert list_late(store) == {"lost", "unpaid"}
    assert (lacks(store, "lost"), lacks(store, "unpaid")) == (set(), {"paid"})  # mailed or refunded: none knows
    assert states(store, "0", "200", "399") == ["done"] * 3


def test_checkpoint_that_is_passed_again_changes_nothing(store: AnyStore) -> None:
    again = {"ordered": ["ordered", "paid", "paid", "mailed", "paid"], "lost": ["ordered", "paid", "paid", "paid"]}
    follow(store, {f"{n}": (9000 - n, ["ordered", "paid", "mailed"]) for n in range(40)})
    follow(store, {f"again {n}": (8000 - n, again["ordered"]) for n in range(60)})
    follow(store, {f"lost {n}": (2000 - n, again["lost"]) for n in range(20)})
    assert list_late(store) == {f"lost {n}" for n in range(20)}
    assert states(store, "again 0", "again 59", "1") == ["done"] * 3


def test_what_some_orders_do_later_makes_the_others_not_late(store: AnyStore) -> None:
    orders = [(began, way) for began, way in in_any_order(range(9000, 4000, -10))]
    usual = {f"{n}": (began, [*way, *(["reviewed"] if n % 5 == 0 else [])]) for n, (began, way) in enumerate(orders)}
    follow(store, usual)
    follow(store, {f"sent back {n}": (9000 - n, [*way, "sent back"]) for n, (_, way) in enumerate(orders[:3])})
    assert list_late(store) == set()


def test_orders_that_ended_before_a_checkpoint_was_added_stay_done(store: AnyStore) -> None:
    old, new = in_any_order(range(9000, 5000, -20)), in_any_order(range(5000, 1000, -20))
    follow(store, {f"old {each}": passed for each, passed in enumerate(old)})
    follow(store, {f"{each}": (began, [*way, "archived"]) for each, (began, way) in enumerate(new)})
    follow(store, {"lost": (900, ["ordered", *BRANCHES])})
    assert list_late(store) == {"lost"}


@pytest.mark.parametrize(("seconds", "state"), [(5, "open"), (300, "late"), (900, "stuck")])
def test_orders_whose_first_service_has_not_reported_are_not_done(store: AnyStore, seconds: float, state: str) -> None:
    """Nobody has mailed them; `ordered` is reported seconds later, or never."""
    follow(store, {f"{n}": (9000 - n, ["ordered", "paid", "mailed"]) for n in range(200)})
    follow(store, {f"early {n}": (seconds + n / 10, ["paid"]) for n in range(50)})
    assert states(store, "7", "early 7", "early 49") == ["done", state, state]


def test_orders_of_an_outage_of_reports_stay_late_after_it(store: AnyStore) -> None:
    """Their first checkpoint is never reported, and they failed; those after them are reported again."""
    follow(store, {f"{each}": passed for each, passed in enumerate(in_any_order(range(9000, 4000, -10)))})
    follow(store, {f"early {n}": (3000 - n / 10, ["reported"]) for n in range(40)})
    follow(store, {f"then {each}": passed for each, passed in enumerate(in_any_order(range(2900, 2700, -10)))})
    assert list_late(store) == {f"early {n}" for n in range(40)}


def test_first_orders_are_open_until_all_services_have_reported(store: AnyStore) -> None:
    follow(store, {f"{n}": (20 + n, ["paid"]) for n in range(20)})
    assert states(store, "0", "19") == ["open", "open"]
    follow(store, {f"{n}": (100 + n, ["ordered"]) for n in range(20)})
    follow(store, {f"before {n}": (100 + n, ["ordered", "paid"]) for n in range(20)})
    assert states(store, "0", "19", "before 0") == ["done"] * 3


@pytest.mark.parametrize("share", [0.1, 0.3, 0.45])
def test_alternative_that_leaves_out_a_checkpoint_is_done(store: AnyStore, share: float) -> None:
    """Some orders cost nothing, and are not paid; others are paid elsewhere, and neither ordered nor mailed here."""
    random = Random(2)
    orders = dict[str, tuple[float, Iterable[str]]]()
    for number in range(500):
        branches = random.sample(["reported", "mailed"], 2)
        free, paid = ["ordered", *branches], ["ordered", "paid", *branches]
        orders[f"{number}"] = 9000 - 10 * number, random.choices([free, ["paid"], paid], [share, share, 1 - share])[0]
    follow(store, orders)
    assert list_late(store) == set()


def test_rare_alternative_is_done(store: AnyStore) -> None:
    """Of the latest at a place, one was paid elsewhere, but there have been more of them."""
    random = Random(3)
    orders = dict[str, tuple[float, Iterable[str]]]()
    for number in range(600):
        way = ["ordered", *(["paid"] if (number - 590) % 40 else []), *random.sample(["reported", "mailed"], 2)]
        orders[f"{number}"] = 9000 - 10 * number, way
    follow(store, orders)
    assert list_late(store) == set()
    assert states(store, "30", "590", "591") == ["done"] * 3


def test_late_orders_stay_late_while_another_branch_is_slow(store: AnyStore) -> None:
    """First `mailed` comes last; then `reported` does, so none of the latest went on from there."""
    follow(store, {f"{n}": (9000 - n, ["ordered", "paid", "reported", "mailed"]) for n in range(200)})
    follow(store, {f"not mailed {n}": (8500 - n, ["ordered", "paid", "reported"]) for n in range(10)})
    follow(store, {f"then {n}": (2000 - n, ["ordered", "paid", "mailed", "reported"]) for n in range(200)})
    assert list_late(store) == {f"not mailed {n}" for n in range(10)}
    follow(store, {f"behind {n}": (1000 - n, ["ordered", "paid", "mailed"]) for n in range(200)})
    assert states(store, "not mailed 5", "behind 5", "7", "then 7") == ["stuck", "stuck", "done", "done"]
