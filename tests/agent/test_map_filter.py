"""What of the map is drawn: the neighbors of a node, and what a filter finds or hides."""

from __future__ import annotations

import pytest
from httpx2 import Response

from asyncdsm.agent.store.sqlite.store import SQLiteStore
from tests.agent.maps import MapStore
from tests.agent.payloads import Client

ALL = {"shop", "orders", "billing", "invoices", "shipping", "http", "mails"}


@pytest.fixture
def maps(store: SQLiteStore) -> MapStore:
    """Return http → shop → orders → billing → invoices → shipping, of which shipping is staging; and mails alone."""
    maps = MapStore(store)
    maps.passed("shop", "in", "", kind="http", parent=0, env="prod")
    maps.passed("shop", "out", "orders", env="prod", tags=["kafka_cluster_id:c1"])
    maps.passed("billing", "in", "orders", group="billing", env="prod", tags=["kafka_cluster_id:c1"])
    maps.passed("billing", "out", "invoices", env="prod", tags=["kafka_cluster_id:c2"])
    maps.passed("shipping", "in", "invoices", group="shipping", env="staging", tags=["kafka_cluster_id:c2"])
    maps.passed("shipping", "out", "mails", kind="sqs", env="staging")
    return maps


async def ask_map(client: Client, **query: str) -> Response:
    return await client.get("/api/map", params=query)


async def shown_names(client: Client, **query: str) -> set[str]:
    """Return the names of the nodes that are shown, having checked that exactly the links between them are drawn."""
    answer = (await ask_map(client, **query)).json()
    shown = {node["id"]: node["name"] or node["where"] for node in answer["nodes"] if node["shown"]}
    for link in answer["links"]:
        assert bool(link["points"]) == ({link["from"], link["to"]} <= shown.keys())
    assert len(answer["nodes"]) == len(ALL)
    assert len(answer["edges"]) == 6
    return set(shown.values())


async def node_id(client: Client, name: str) -> str:
    nodes: list[dict[str, str]] = (await ask_map(client)).json()["nodes"]
    return next(node["id"] for node in nodes if node["name"] == name)


@pytest.mark.usefixtures("maps")
async def test_whole_map_is_shown_by_default(client: Client) -> None:
    assert await shown_names(client) == ALL


@pytest.mark.usefixtures("maps")
async def test_focus_shows_a_node_and_its_neighbors_up_to_some_steps_away(client: Client) -> None:
    orders = await node_id(client, "orders")
    assert await shown_names(client, focus=orders) == {"shop", "orders", "billing"}
    two = {"shop", "orders", "billing", "http", "invoices"}
    assert await shown_names(client, focus=orders, steps="2") == two
    assert await shown_names(client, focus=orders, steps="3") == {*two, "shipping"}


@pytest.mark.usefixtures("maps")
async def test_focus_on_a_node_that_is_gone_shows_everything(client: Client) -> None:
    assert await shown_names(client, focus="nowhere") == ALL


@pytest.mark.usefixtures("maps")
async def test_focus_does_not_reach_beyond_what_is_hidden(client: Client) -> None:
    orders = await node_id(client, "orders")
    assert await shown_names(client, focus=orders, steps="3", hide="cluster:c2") == {
        "shop",
        "orders",
        "billing",
        "http",
    }
    assert await shown_names(client, focus=orders, hide="cluster:c1") == {"shop", "orders", "billing"}


@pytest.mark.usefixtures("maps")
async def test_words_find_names_and_their_neighbors(client: Client) -> None:
    assert await shown_names(client, find="Invo") == {"billing", "invoices", "shipping"}
    assert await shown_names(client, find="shop mails") == {"http", "shop", "orders", "shipping", "mails"}
    assert await shown_names(client, find="nothing") == set()


@pytest.mark.usefixtures("maps")
async def test_word_with_a_minus_hides_names(client: Client) -> None:
    assert await shown_names(client, find="-orders") == ALL - {"orders"}
    assert await shown_names(client, find="invoices -ship") == {"billing", "invoices"}


@pytest.mark.usefixtures("maps")
async def test_node_that_only_hidden_ones_are_linked_to_is_hidden(client: Client) -> None:
    assert await shown_names(client, hide="env:staging") == ALL - {"shipping", "mails"}
    assert await shown_names(client, hide="type:http,type:sqs") == ALL - {"http", "mails"}
    assert await shown_names(client, hide="env:prod,env:staging") == set()


@pytest.mark.usefixtures("maps")
async def test_name_with_a_comma_is_percent_encoded(client: Client, maps: MapStore) -> None:
    maps.passed("odd", "out", "mails", kind="sqs", env="a,b%c", parent=0)
    answer = (await ask_map(client, hide="env:a%2Cb%25c")).json()
    assert [node["name"] for node in answer["nodes"] if not node["shown"]] == ["odd"]


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"steps": "0"}, "steps"),
        ({"steps": "4"}, "steps"),
        ({"steps": "x"}, "steps"),
        ({"hide": "name:x"}, "hide"),
        ({"hide": "env"}, "hide"),
        ({"find": "x" * 4_001}, "find"),
    ],
)
async def test_wrong_filter_is_rejected_with_400(client: Client, query: dict[str, str], path: str) -> None:
    response = await ask_map(client, **query)
    assert (response.status_code, response.json()["error"]["path"]) == (400, path)


@pytest.mark.parametrize(
    ("most", "expected"),
    [
        (2, {"orders", "billing"}),  # the busiest hop
        (3, {"orders", "billing", "invoices"}),  # the busiest one from there
        (4, {"orders", "billing", "invoices", "shop"}),
        (7, ALL),
    ],
)
async def test_most_important_nodes_are_the_busiest_and_hang_together(
    client: Client, maps: MapStore, most: int, expected: set[str]
) -> None:
    maps.passed("billing", "in", "orders", group="billing", env="prod", tags=["kafka_cluster_id:c1"], seconds=[0.1] * 9)
    maps.passed("billing", "out", "invoices", env="prod", tags=["kafka_cluster_id:c2"], seconds=[0.1] * 5)
    maps.passed("shop", "out", "orders", env="prod", tags=["kafka_cluster_id:c1"], seconds=[0.1] * 3)
    maps.passed("shipping", "out", "mails", kind="sqs", env="staging", seconds=[0.1] * 4)
    assert await shown_names(client, most=str(most)) == expected


@pytest.mark.usefixtures("maps")
async def test_number_of_nodes_goes_with_a_filter(client: Client) -> None:
    assert len(await shown_names(client, most="2", hide="env:prod")) == 2
    assert len(await shown_names(client, most="100", hide="env:prod")) == 3


@pytest.mark.parametrize("most", ["0", "-1", "many", "10001", ""])
async def test_number_of_nodes_that_is_none_is_refused(client: Client, most: str) -> None:
    answer = await ask_map(client, most=most)
    assert answer.status_code == 400
    assert answer.json()["error"]["path"] == "most"
