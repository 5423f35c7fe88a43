"""Each receiver in turn. Tests of them are marked `receivers`: they need programs that `nox -s receivers` builds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import pytest

from tests.brokers.receivers import RANGES_OF_DELTAS, Receiver, collector, prometheus_2, prometheus_3, victoriametrics


@contextmanager
def collector_before(prometheus: Callable[[str], AbstractContextManager[Receiver]]) -> Iterator[Receiver]:
    """Run a Collector that writes to a Prometheus."""
    with prometheus("--web.enable-remote-write-receiver") as behind, collector(str(behind.http.base_url)) as server:
        yield behind._replace(endpoint=f"http://127.0.0.1:{server.port}/v1/metrics", server=server)


@contextmanager
def victoriametrics_of_deltas() -> Iterator[Receiver]:
    """Run a VictoriaMetrics for services that send what has come since the last time."""
    with victoriametrics() as receiver:
        yield receiver._replace(dialect=RANGES_OF_DELTAS, temporality="delta")


KINDS: dict[str, Callable[[], AbstractContextManager[Receiver]]] = {
    "collector": partial(collector_before, prometheus_3),
    "collector, Prometheus 2": partial(collector_before, prometheus_2),
    "prometheus": prometheus_3,
    "victoriametrics": victoriametrics,
    "victoriametrics, deltas": victoriametrics_of_deltas,
}


@pytest.fixture(params=KINDS, scope="module")
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    """A receiver of each kind, one for all tests of a file."""
    with KINDS[request.param]() as receiver:
        yield receiver


@pytest.fixture(params=[kind for kind in KINDS if "deltas" not in kind])
def fresh_receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    """A receiver of each kind, one for each test, to which services send all that they have counted."""
    with KINDS[request.param]() as receiver:
        yield receiver
