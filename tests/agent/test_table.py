"""The table in the terminal: what it shows, at which width, and what a name from outside can do to it."""

from __future__ import annotations

import io

import pytest
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from asyncdsm.agent.intake.payload import read_report
from asyncdsm.agent.queries.topology import topology
from asyncdsm.agent.store.sqlite.store import SQLiteStore
from asyncdsm.core.histogram import bin_index
from asyncdsm.delivery.sketch import encode
from asyncdsm.map.name_cell import fit_name
from asyncdsm.map.strings import format_count
from asyncdsm.map.terminal import MapTable, duration_cell
from asyncdsm.map.topology import Topology
from tests.agent.maps import MapStore
from tests.agent.payloads import NOW, bucket, payload, point

BOLD_RED = "\x1b[1;31m"


def edge(service: str, seconds: float, queue: str = "orders", group: str | None = None) -> bytes:
    """Return a payload of one edge."""
    tags = [
        "type:kafka",
        f"topic:{queue}",
        f"direction:{'in' if group else 'out'}",
        *([f"group:{group}"] if group else []),
    ]
    latency, way = encode({bin_index(seconds): 4}), encode({bin_index(2 * seconds): 4})
    return payload(bucket(point(EdgeTags=tags, EdgeLatency=latency, PathwayLatency=way)), Service=service)


def shown(*payloads: bytes) -> Topology:
    store = SQLiteStore(now=lambda: NOW)
    for body in payloads:
        store.add(read_report(body, ""))
    return topology(store, 10)


def drawn(topology: Topology, width: int = 160, *, color: bool = False) -> list[str]:
    """Return the lines of the table."""
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=color,
        color_system="standard" if color else None,
        legacy_windows=False,
    )
    console.print(MapTable(topology))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def with_slower_edges(topology: Topology) -> Topology:
    """Return a topology whose hops all became slower just now."""
    edges = [replace(edge, present=replace(edge.present, state="slower", since=NOW)) for edge in topology.edges]
    return replace(topology, edges=edges)


SHOP = [
    edge("order-service", 0.0008, "orders.created.events.v1"),
    edge("payment-and-billing-service", 0.3, "orders.created.events.v1", "payment-and-billing-group"),
    edge("warehouse", 9.0, "parcels", "warehouse-group"),
]


WIDE = """
3 services, 2 queues
                                                                                                          end to
from               to               type      group           messages   msg/s  time in     p50     p99  end p50    lag
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
order-service   →  orders.…ents.v1  kafka                       12.3 k  1234.5  service       –       –        –
payment…ervice  →  parcels          rabbitmq                     1,200   120.0  service  799 µs  799 µs  1.61 ms
orders.…nts.v1  →  payment…service  kafka     payment…-group     1,200   120.0  queue    298 ms  298 ms   599 ms  1,234
parcels         →  warehouse        rabbitmq                         7     0.7  queue    9.04 s  9.04 s   17.9 s
time in queue: since sent · in service: since received · end to end: since the pathway began · –: a pathway begins
"""
NARROW = """
3 services, 2 queues
from                  to                  msg/s  time in     p50     p99    lag
────────────────────────────────────────────────────────────────────────────────
order-service      →  orders.c…vents.v1  1234.5  service       –       –
payment-…-service  →  parcels             120.0  service  799 µs  799 µs
orders.c…vents.v1  →  payment-…-service   120.0  queue    298 ms  298 ms  1,234
parcels            →  warehouse             0.7  queue    9.04 s  9.04 s
time in queue: since sent · in service: since received · –: a pathway begins
"""


def shop_today() -> Topology:
    """Return a shop, whose payment reads from Kafka and writes to RabbitMQ, with a group that lags."""
    maps = MapStore()
    maps.passed("order-service", "out", "orders.created.events.v1", parent=0, seconds=[0.0] * 12_345)
    group = "payment-and-billing-group"
    maps.passed("payment-and-billing-service", "in", "orders.created.events.v1", group=group, seconds=[0.3] * 1_200)
    maps.passed("payment-and-billing-service", "out", "parcels", kind="rabbitmq", seconds=[0.0008] * 1_200)
    maps.passed("warehouse", "in", "parcels", kind="rabbitmq", seconds=[9.0] * 7)
    found = topology(maps.store, 10)
    return replace(found, edges=[replace(edge, lag=1_234 if edge.group else None) for edge in found.edges])


@pytest.mark.parametrize(("width", "table"), [(120, WIDE), (80, NARROW)])
def test_table_of_a_shop(width: int, table: str) -> None:
    assert "\n".join(line.rstrip() for line in drawn(shop_today(), width)) == table.strip("\n")


@pytest.mark.parametrize("width", [60, 70, 80, 100, 120, 160, 200])
def test_table_fits_the_width_and_numbers_are_never_cut(width: int) -> None:
    busy = shop_today()
    edges = [replace(edge, present=replace(edge.present, rate=12_345.67)) for edge in busy.edges]
    lines = drawn(with_slower_edges(replace(busy, edges=edges)), width)
    assert all(cell_len(line) <= width for line in lines)
    assert sum(" 12345.7 " in line for line in lines) == 4
    assert sum(" 1,234" in line for line in lines) == 1
    assert sum("9.04 s" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("width", "left_out"),
    [
        (160, []),
        (109, ["since"]),
        (84, ["since", "messages"]),
        (74, ["since", "messages", "end"]),
        (65, ["since", "messages", "end", "group"]),
    ],
)
def test_columns_are_left_out_before_services_and_queues_are_cut(width: int, left_out: list[str]) -> None:
    topology = shown(edge("shop", 0.123, "orders-new", "g1"), edge("shipping", 0.123, "orders-old", "group-12"))
    lines = drawn(with_slower_edges(topology), width)
    (head,), rows = ([line.split() for line in lines if word in line] for word in ("msg/s", "orders-"))
    assert [name for name in ("since", "messages", "end", "group") if name not in head] == left_out
    assert sorted((row[0], row[2]) for row in rows) == [("orders-new", "shop"), ("orders-old", "shipping")]


def test_long_names_have_twelve_cells_at_80_columns_and_keep_both_ends() -> None:
    names = "orders.created.events.version-2", "orders-service-of-the-new-shop"
    topology = shown(edge(names[1], 0.123, names[0], "group-of-orders-7"))
    (row,) = drawn(with_slower_edges(topology), 80)[-2:-1]
    cells = row.split()[0], row.split()[2]
    for name, cell in zip(names, cells, strict=False):
        begin, _, end = cell.partition("…")
        assert len(cell) >= 12
        assert name.startswith(begin)
        assert name.endswith(end)
        assert min(len(begin), len(end)) >= 5


def test_redelivered_and_dead_lettered_have_columns_where_an_edge_has_some() -> None:
    tags = ["type:rabbitmq", "topic:orders", "direction:in"]
    facts = [{"EdgeTags": tags, "Redelivered": 3, "DeadLettered": 1}]
    reads = payload(bucket(point(EdgeTags=tags), AsyncdsmFacts=facts), Service="billing")
    silent = edge("shop", 0.1)
    head = drawn(shown(reads, silent))[1:3]
    assert [part in " ".join(head) for part in ("rede-", "livered", "dead-", "lettered")] == [True] * 4
    (row,) = [line for line in drawn(shown(reads, silent)) if "billing" in line]
    assert "3, 75 %" in row
    assert "1, 25 %" in row
    assert "lettered" not in " ".join(drawn(shown(silent)))
    assert "lettered" not in " ".join(drawn(shown(reads, silent), width=60))


def test_hop_with_which_pathways_begin_has_no_times() -> None:
    maps = MapStore()
    maps.passed("shop", "out", "orders", parent=0, seconds=[0.0] * 9)
    *_, row, caption = drawn(topology(maps.store, 10))
    assert row.split()[-5:] == ["service", "–", "–", "–", "–"]
    assert caption.rstrip().endswith("–: a pathway begins")


def test_messages_that_begin_a_pathway_do_not_change_the_latency_of_others_on_their_edge() -> None:
    maps = MapStore()
    maps.passed("shop", "out", "orders", parent=0, seconds=[0.0] * 90)
    maps.passed("shop", "out", "orders", parent=7, seconds=[0.25] * 10)
    (edge,) = topology(maps.store, 10).edges
    assert (edge.count, edge.present.count, edge.lag) == (100, 100, None)
    assert edge.edge_latency.p50 == edge.present.edge_latency.p50 == pytest.approx(0.25, rel=0.008)
    assert edge.present.label == "252 ms"


TWO_ENVIRONMENTS = """
4 services, 1 queue · kafka
                                                                          end to
from         to       group    messages  msg/s  time in     p50     p99  end p50
─────────────────────────────────────────────────────────────────────────────────
env prod
shop      →  orders                   3    0.3  service       –       –        –
orders    →  billing  billing         3    0.3  queue    498 ms  498 ms      1 s
env test
shop      →  orders                   3    0.3  service       –       –        –
orders    →  billing  billing         3    0.3  queue    498 ms  498 ms      1 s
time in queue: since sent · in service: since received · end to end: since the
pathway began · –: a pathway begins
"""


def test_environments_have_a_heading_each() -> None:
    maps = MapStore()
    for env in ("test", "prod"):
        maps.passed("shop", "out", "orders", parent=0, seconds=[0.0] * 3, env=env)
        maps.passed("billing", "in", "orders", group="billing", seconds=[0.5] * 3, env=env)
    assert "\n".join(line.rstrip() for line in drawn(topology(maps.store, 10), 82)) == TWO_ENVIRONMENTS.strip("\n")


def test_clusters_have_a_heading_each_if_there_is_one_environment() -> None:
    maps = MapStore()
    for cluster in ("lkc-1a2b3c4d", "lkc-1a9z9z9z"):
        maps.passed("shop", "out", "orders", parent=0, tags=[f"kafka_cluster_id:{cluster}"])
    lines = drawn(topology(maps.store, 10))
    assert [line.strip() for line in lines if "cluster" in line] == ["cluster lkc-1a2…", "cluster lkc-1a9…"]
    assert "cluster" not in lines[0]


def test_type_and_cluster_and_environment_that_are_the_same_everywhere_are_in_the_title() -> None:
    maps = MapStore()
    maps.passed("shop", "out", "orders", parent=0, env="prod", tags=["kafka_cluster_id:lkc-1a2b3c4d"])
    title, *_ = drawn(topology(maps.store, 10))
    assert title.strip() == "1 service, 1 queue · kafka · cluster lkc-1a2b3c4d · env prod"


@pytest.mark.parametrize("width", [110, 220])
def test_type_is_shown_whole_where_there_is_room(width: int) -> None:
    latency = encode({bin_index(0.01): 4})
    tags = ["type:google-pubsub", "topic:orders", "direction:out"]
    other = payload(bucket(point(EdgeTags=tags, EdgeLatency=latency, PathwayLatency=latency)), Service="shop")
    lines = drawn(shown(edge("shop", 0.01), other), width)
    assert sum("google-pubsub " in line for line in lines) == 1


def test_one_service_and_one_queue_are_singular() -> None:
    assert drawn(shown(edge("shop", 1)))[0].strip() == "1 service, 1 queue · kafka"


def test_names_are_not_cut_where_there_is_room() -> None:
    (row,) = drawn(shown(edge("payment-and-billing-service", 1, "orders.created.events.v1", "group-of-billing")))[-2:-1]
    assert row.split()[:4] == ["orders.created.events.v1", "→", "payment-and-billing-service", "group-of-billing"]


@pytest.mark.parametrize("width", [20, 80, 160])
def test_empty_topology_is_an_empty_table(width: int) -> None:
    assert drawn(shown(), width)[0].strip()[:10] == "0 services"


def test_slowest_hop_is_bold_red() -> None:
    topology = shown(*SHOP, edge("fast", 1e-6))
    bold = [line for line in drawn(topology, color=True) if BOLD_RED in line]
    assert len(bold) == 1
    assert "warehouse" in bold[0]


HOSTILE = [
    "[red]red[/red]",
    "[/]",
    "[link=http://evil.example]here[/link]",
    "\x1b[31m\x1b]0;title\x07\x1b[2J",
    "\x9b31m",
    "two\nlines\r\ttab",
    "x" * 1_000,
    "\u202eright to left",
    "\x00",
    ":smile:",
    "宽" * 50,
]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
@pytest.mark.parametrize("width", [80, 160])
def test_hostile_names_are_printable(name: str, width: int) -> None:
    ordinary = len(drawn(shown(edge("a", 1, "b", "c")), width))
    lines = drawn(shown(edge(name, 1, name, name)), width)
    assert len(lines) == ordinary
    assert all(cell_len(line) <= width for line in lines)
    assert all(character.isprintable() for line in lines for character in line)


def test_markup_in_names_is_shown_literally() -> None:
    assert any("[red]red[/red]" in line for line in drawn(shown(edge("[red]red[/red]", 1))))
    assert any(":smile:" in line for line in drawn(shown(edge(":smile:", 1))))


def test_escape_sequences_in_names_are_replaced_in_a_colored_table() -> None:
    colored = "\n".join(drawn(shown(edge("\x1b[32mgreen", 1)), color=True))
    assert "\x1b[32m" not in colored
    assert "�[32mgreen" in colored


@pytest.mark.parametrize(
    ("name", "width", "fitted"),
    [
        ("orders", 6, "orders"),
        ("orders-service", 7, "ord…ice"),
        ("orders-service", 8, "orde…ice"),
        ("orders", 2, "o…"),
        ("orders", 1, "…"),
        ("orders", 0, ""),
        ("宽宽宽宽宽", 7, "宽…宽"),
        ("\u2068\u05d0\u05d1\u05d2\u05d3\u05d4\u05d5\u2069", 5, "\u2068\u05d0\u05d1…\u05d4\u05d5\u2069"),
    ],
)
def test_long_names_lose_their_middle(name: str, width: int, fitted: str) -> None:
    assert fit_name(name, width) == fitted


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0, "0 µs"),
        (850e-6, "850 µs"),
        (999.4e-6, "999 µs"),
        (999.7e-6, "1 ms"),
        (0.0123456, "12.3 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1 s"),
        (3.14159, "3.14 s"),
        (119.9, "120 s"),
        (252.0, "4.2 min"),
        (7_199.0, "120 min"),
        (25_200.0, "7 h"),
    ],
)
def test_duration_has_three_digits_and_a_unit(seconds: float | None, text: str) -> None:
    assert duration_cell(seconds) == Text(text)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (9_999, "9,999"), (12_345, "12.3 k"), (4_500_000, "4.5 M"), (2e9, "2 G")]
)
def test_count_has_three_digits_and_a_unit_if_it_is_large(value: float, text: str) -> None:
    assert format_count(value) == text
