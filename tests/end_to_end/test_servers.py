"""Real servers, one worker or several: every parent is right, and what was recorded last is delivered too."""

from __future__ import annotations

import asyncio
import shutil
import signal
from pathlib import Path

import pytest

from tests.brokers.kafka import Kafka
from tests.end_to_end.shop import REQUESTS, ROOT, Server, Shop, gunicorn, hypercorn, opened, uvicorn


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def blockbuster() -> None:
    """Let the tests' own event loop wait for processes."""


SERVERS: dict[str, tuple[Server, int]] = {
    "uvicorn": (uvicorn(), 1),
    "uvicorn, 4 workers": (uvicorn("--workers", "4"), 4),
    "gunicorn, 2 workers": (gunicorn(2), 2),
    "hypercorn, on trio": (hypercorn, 1),
}
STARTS = {"the middleware": {}, "asyncdsm run": {"BARE": "1"}}


def start(shop: Shop, server: Server, how: str) -> None:
    """Start a shop that has the middleware, or one without a word of asyncdsm under `asyncdsm run`."""
    shop.start(server, run=["-m", "asyncdsm", "run"] if how == "asyncdsm run" else [], **STARTS[how])


@pytest.mark.parametrize(
    ("name", "how"),
    [(name, how) for name in SERVERS for how in STARTS if (name, how) != ("hypercorn, on trio", "asyncdsm run")],
)
async def test_requests_and_messages_each_have_their_own_pathway(kafka: Kafka, name: str, how: str) -> None:
    server, workers = SERVERS[name]
    async with opened(kafka) as shop:
        start(shop, server, how)
        await shop.ready()
        assert await shop.order() == REQUESTS
        confirmations = await shop.records(shop.confirmations, REQUESTS * workers)  # every worker confirms all
        orders = await shop.records(shop.orders, REQUESTS)
        await shop.stop()
        assert shop.counted() == {
            "in http": REQUESTS,
            f"out {shop.orders}": REQUESTS,
            f"in {shop.orders}": REQUESTS * workers,
            f"out {shop.confirmations}": REQUESTS * workers,
        }
        for records in (orders, confirmations):
            assert all(named == origin for named, origin in shop.first_of(records))


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("uvicorn", "the middleware"),
        ("uvicorn", "asyncdsm run"),
        ("uvicorn, 4 workers", "the middleware"),
        ("gunicorn, 2 workers", "the middleware"),
    ],
)
async def test_server_that_ends_under_load_delivers_everything(kafka: Kafka, name: str, how: str) -> None:
    async with opened(kafka) as shop:
        start(shop, SERVERS[name][0], how)
        await shop.ready()
        load = asyncio.create_task(shop.order(2 * REQUESTS))
        await shop.records(shop.orders, 20)
        await shop.records(shop.confirmations, 1)  # on a busy machine, its consumer may start later than its requests
        await shop.stop()
        taken = await load
        sent, confirmed = len(await shop.records(shop.orders)), len(await shop.records(shop.confirmations))
        counted = shop.counted()
        assert 20 <= taken <= sent
        assert (counted[f"out {shop.orders}"], counted[f"out {shop.confirmations}"]) == (sent, confirmed)


@pytest.mark.parametrize("how", STARTS)
async def test_reloaded_server_goes_on_measuring(kafka: Kafka, tmp_path: Path, how: str) -> None:
    """The code changes while it is served: the old process delivers what it has, the new one goes on."""
    shutil.copytree(ROOT / "tests" / "end_to_end" / "apps", tmp_path / "tests" / "end_to_end" / "apps")
    async with opened(kafka, tmp_path) as shop:
        start(shop, uvicorn("--reload"), how)
        await shop.ready()
        assert await shop.order(20) == 20
        await shop.records(shop.confirmations, 20)
        (tmp_path / "tests" / "end_to_end" / "apps" / "__init__.py").write_text("# changed\n")
        async with asyncio.timeout(20):
            while not shop.counted():  # what the first process delivers when it ends
                await asyncio.sleep(0.05)
        await shop.ready()
        assert await shop.order(10) == 10
        await shop.records(shop.confirmations, 20 + 30)  # the new process confirms all from the beginning
        await shop.stop(signal.SIGINT)
        assert shop.counted()[f"out {shop.orders}"] == 30
        assert shop.counted()[f"out {shop.confirmations}"] == 50
