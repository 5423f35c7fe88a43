"""Receivers of OTLP that answer PromQL: Prometheus 3, VictoriaMetrics, and OpenTelemetry's Collector before the first.

`nox -s receivers` builds their programs with Go, and names their folder in RECEIVERS.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import httpx2

from tests.brokers.process import BrokerError, free_port, memory, serving

FOLDER = os.environ.get("RECEIVERS", "")
EXAMPLES = Path(__file__).parents[2] / "examples" / "otlp"


def find_built(name: str) -> str:
    """Return the path of a program that `nox -s receivers` has built. Raises BrokerError if it is missing."""
    program = Path(FOLDER, name)
    if not FOLDER or not os.access(program, os.X_OK):
        raise BrokerError(f"RECEIVERS is no folder with the program {name}: run `nox -s receivers`, which builds it")
    return str(program)


class Server:
    """A server that can be killed and started again, on its old port and with its old data."""

    def __init__(self, command: Callable[[int], Sequence[str]], folder: str) -> None:
        self._command, self._folder, self._running = command, folder, ExitStack()
        self.port: int = free_port()

    def start(self) -> None:
        """Start it, and return when it listens."""
        self._running.enter_context(serving(self._command, folder=self._folder, port=self.port))

    def kill(self) -> None:
        """Kill it, as a machine that loses power would."""
        self._running.close()


class Dialect(NamedTuple):
    """How one asks for sums over all processes, given the name of a metric and its selector."""

    counter: str
    """Of a counter, all that was ever counted."""
    histogram: str
    """Of a histogram likewise, as `histogram_quantile` takes it."""
    increase: str
    """Of a counter, what was counted in the last so many seconds, which are given too."""
    recent: str
    """Of a histogram, what was counted in the last minute; empty if it cannot tell."""


NATIVE = Dialect("sum(%s)", "sum(%s)", "sum(increase(%s[%ss]))", "sum(rate(%s[1m]))")
RANGES = Dialect("sum(%s)", "sum by (vmrange) (%s_bucket)", "sum(increase(%s[%ss]))", "")
RANGES_OF_DELTAS = Dialect(
    "sum(sum_over_time(%s[1h]))",
    "sum by (vmrange) (sum_over_time(%s_bucket[1h]))",
    "sum(sum_over_time(%s[%ss]))",
    "sum by (vmrange) (sum_over_time(%s_bucket[1m]))",
)


class Receiver(NamedTuple):
    """Where a service sends its metrics, and where one asks for them."""

    endpoint: str
    server: Server
    """What takes OTLP."""
    http: httpx2.Client
    """A client of what answers PromQL."""
    dialect: Dialect = NATIVE
    temporality: str = "cumulative"
    """What a service is told to send."""
    flush: str = ""
    """The path that makes it answer with what it has got so far; empty if it does that anyhow."""

    def ask(self, query: str, **options: Any) -> list[Any]:
        """Return the answer to a query; with `start`, `end` and `step`, of a range."""
        path = "/api/v1/query_range" if options else "/api/v1/query"
        if self.flush:
            self.http.get(self.flush).raise_for_status()
        answer = self.http.get(path, params={"query": query, **options})
        if answer.status_code == httpx2.codes.SERVICE_UNAVAILABLE:
            return []  # it reads its data
        found: list[Any] = answer.raise_for_status().json()["data"]["result"]
        return found

    def value_of(self, query: str) -> float | None:
        """Return the one value that a query has."""
        found = self.ask(query)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None


@contextmanager
def prometheus_3(*options: str) -> Iterator[Receiver]:
    """Run a Prometheus 3 that takes OTLP, with the example's configuration, for as long as the block lasts."""
    configuration = f"--config.file={EXAMPLES / 'prometheus.yml'}"
    with _prometheus(find_built("prometheus"), configuration, "--web.enable-otlp-receiver", *options) as receiver:
        yield receiver


@contextmanager
def prometheus_2(*options: str) -> Iterator[Receiver]:
    """Run Debian's Prometheus, which takes no OTLP, for as long as the block lasts."""
    program = shutil.which("prometheus")
    if program is None:
        raise BrokerError("prometheus is missing: apt-get install -y --no-install-recommends prometheus")
    configuration, histograms = f"--config.file={os.devnull}", "--enable-feature=native-histograms"
    with _prometheus(program, configuration, histograms, *options) as receiver:
        yield receiver


@contextmanager
def _prometheus(program: str, *options: str) -> Iterator[Receiver]:
    def command(port: int) -> list[str]:
        return [program, f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.path=data", *options]

    with _running(command) as server, _client(server.port) as http:
        yield Receiver(f"{http.base_url}/api/v1/otlp/v1/metrics", server, http)


@contextmanager
def victoriametrics(*options: str) -> Iterator[Receiver]:
    """Run a VictoriaMetrics that names metrics as Prometheus does, and answers at once, while the block lasts."""
    program = find_built("victoria-metrics")

    def command(port: int) -> list[str]:
        listen = f"-httpListenAddr=127.0.0.1:{port}"
        return [program, listen, "-opentelemetry.usePrometheusNaming", "-search.latencyOffset=0s", *options]

    with _running(command) as server, _client(server.port) as http:
        yield Receiver(f"{http.base_url}/opentelemetry/v1/metrics", server, http, RANGES, flush="/internal/force_flush")


@contextmanager
def scraping_victoriametrics(configuration: Path) -> Iterator[str]:
    """Run a VictoriaMetrics that scrapes what this file of Prometheus says; yield its address."""
    with victoriametrics(f"-promscrape.config={configuration}") as receiver:
        yield str(receiver.http.base_url)


@contextmanager
def collector(prometheus: str) -> Iterator[Server]:
    """Run a Collector with the example's configuration, which writes to this Prometheus, while the block lasts."""
    program, text = find_built("otelcol"), (EXAMPLES / "collector.yaml").read_text()

    def command(port: int) -> list[str]:
        here = text.replace("0.0.0.0:4318", f"127.0.0.1:{port}").replace("http://prometheus:9090", prometheus)
        # Its own metrics would want a port, which is the same for all.
        return [program, f"--config=yaml:{here}", "--config=yaml:service::telemetry::metrics::level: none"]

    with _running(command) as server:
        yield server


@contextmanager
def _running(command: Callable[[int], Sequence[str]]) -> Iterator[Server]:
    with TemporaryDirectory(prefix="asyncdsm-", dir=memory()) as folder:
        server = Server(command, folder)
        server.start()
        try:
            yield server
        finally:
            server.kill()


def _client(port: int) -> httpx2.Client:
    return httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20)
