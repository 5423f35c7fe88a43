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
from asyncdsm.agent.store.store import Store
from asyncdsm.core.histogram import bin_index
from asyncdsm.delivery.sketch import encode
from asyncdsm.map.strings import plain_text
from asyncdsm.map.terminal import LONGEST_NAME, MapTable, duration_cell
from asyncdsm.map.topology import Topology
from tests.agent.payloads import NOW, bucket, payload, point

WHOLE_IN_CAPTION = " · end to end: since the first one"
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
    store = Store(now=lambda: NOW)
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


@pytest.mark.parametrize("width", [80, 160])
def test_table_fits_the_width(width: int) -> None:
    lines = drawn(shown(*SHOP), width)
    assert all(cell_len(line) <= width for line in lines)
    whole = ["p50", "p99"] if width == 160 else []
    title, *above, head, rule, _, _, _, caption = lines
    rows = lines[-4:-1]
    assert title.strip() == "3 services, 2 queues"
    assert [line.split() for line in above] == [["end", "to"]] * bool(whole)
    assert head.split() == [
        "service",
        "queue",
        "group",
        "msg/s",
        "hop",
        "p50",
        "p99",
        *(["end"] if whole else []),
        *whole,
        "lag",
    ]
    assert set(rule) == {"─"}
    assert caption.strip() == "hop: since the previous checkpoint" + WHOLE_IN_CAPTION * bool(whole)
    assert [row.split()[0][:5] for row in rows] == ["order", "payme", "wareh"]
    assert ["→" in row for row in rows] == [True, False, False]
    assert ["←" in row for row in rows] == [False, True, True]
    assert rows[0].split()[-2 - 2 * len(whole) :] == ["799", "µs", *["1.61", "ms"] * len(whole)]
    assert rows[2].split()[-4 - 2 * len(whole) :] == ["9.04", "s", "9.04", "s", *["17.9", "s"] * len(whole)]


def test_numbers_are_never_cut() -> None:
    topology = shown(edge("s" * 40, 0.123, "q" * 40, "g" * 40))
    lag = {"lag": 1_234_567, "lag_seconds": 185.0, "lag_trend": "falling behind"}
    busy = replace(topology.edges[0], **lag, present=replace(topology.edges[0].present, rate=12_345.67))
    (row,) = drawn(replace(topology, edges=[busy]), 80)[-2:-1]
    assert row.rstrip().endswith("1,234,567, 3 min ▲")
    assert " 12345.7 " in row
    assert "sss…" in row
    assert row.count(" ms ") == 2  # those from end to end are left out


@pytest.mark.parametrize(
    ("width", "left_out"),
    [(160, []), (100, []), (80, ["since"]), (66, ["since", "end"]), (55, ["since", "end", "group"])],
)
def test_columns_are_left_out_before_services_and_queues_are_cut(width: int, left_out: list[str]) -> None:
    topology = shown(edge("shop", 0.123, "orders-new", "g1"), edge("shipping", 0.123, "orders-old", "group-12"))
    *above, _, one, other, _ = drawn(with_slower_edges(topology), width)
    rows, head = [one, other], above[-1]
    assert [name for name in ("since", "end", "group") if name not in head.split()] == left_out
    assert sorted(row.split()[0] for row in rows) == ["shipping", "shop"]
    assert sorted(row.split()[2] for row in rows) == ["orders-new", "orders-old"]


def test_long_names_have_twelve_cells_at_80_columns() -> None:
    topology = shown(edge("s" * 40, 0.123, "q" * 40, "g" * 40))
    (row,) = drawn(with_slower_edges(topology), 80)[-2:-1]
    assert all(len(name) >= 12 for name in (row.split()[0], row.split()[2]))


def test_one_service_and_one_queue_are_singular() -> None:
    assert drawn(shown(edge("shop", 1)))[0].strip() == "1 service, 1 queue"


def test_names_are_not_cut_where_there_is_room() -> None:
    (row,) = drawn(shown(edge("payment-and-billing-service", 1, "orders.created.events.v1", "group-of-billing")))[-2:-1]
    assert row.split()[:4] == ["payment-and-billing-service", "←", "orders.created.events.v1", "group-of-billing"]


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


def test_escape_sequences_in_names_are_replaced_in_a_coloured_table() -> None:
    colored = "\n".join(drawn(shown(edge("\x1b[32mgreen", 1)), color=True))
    assert "\x1b[32m" not in colored
    assert "�[32mgreen" in colored


def test_long_names_are_cut() -> None:
    assert plain_text("x" * LONGEST_NAME, LONGEST_NAME) == "x" * LONGEST_NAME
    assert plain_text("x" * (LONGEST_NAME + 1), LONGEST_NAME) == "x" * LONGEST_NAME + "…"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
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
