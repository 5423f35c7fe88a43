"""The tables of clients in the manual: the releases that each was tested with, and how the clients compare."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncdsm.integration.registry import list_packages, load_integration

ROOT = Path(__file__).parents[2]
PAGES = {
    "azure.eventhub": "eventhub",
    "azure.servicebus": "servicebus",
    "botocore": "aws",
    "google.cloud.pubsub_v1": "pubsub",
    "google.pubsub_v1": "pubsub",
    "httpx2": "httpx",
    "kafka": "kafka-python",
    "starlette": "asgi",
    "valkey": "redis",
}
"""The pages of packages that have none of their own name."""


def page_of(package: str) -> str:
    return PAGES.get(package, package.replace("_", "-"))


@pytest.mark.parametrize("package", list_packages())
def test_table_of_clients_names_the_tested_releases(package: str) -> None:
    page = page_of(package)
    table = [line.split(" | ") for line in ROOT.joinpath("docs/clients/index.md").read_text("utf-8").splitlines()]
    (releases,) = [cells[2] for cells in table if cells[0].startswith("| [") and f"({page}.md)" in cells[0]]
    assert set(load_integration(package).versions) <= set(releases.replace(",", "").split())


@pytest.mark.parametrize("package", list_packages())
def test_each_client_is_compared_in_every_respect(package: str) -> None:
    lines = ROOT.joinpath("docs/clients/compared.md").read_text("utf-8").splitlines()
    rows = [line.strip("|").split("|") for line in lines if f"]({page_of(package)}.md) |" in line]
    assert rows
    assert {len(row) for row in rows} == {6}
