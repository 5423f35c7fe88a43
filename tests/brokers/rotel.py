"""rotel, a receiver of OTLP that forwards what it gets, as PyPI packages it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.brokers.process import bundled, free_port, serving


@contextmanager
def rotel(forward_to: str) -> Iterator[str]:
    """Run a rotel for as long as the block lasts; yield its address. It forwards metrics to this address, over HTTP.

    It writes no files and no Prometheus remote write, so tests look at what it forwards.
    """

    def command(port: int) -> list[str]:
        return [
            bundled("rotel", "rotel-agent"),
            "start",
            f"--otlp-http-endpoint=127.0.0.1:{port}",
            f"--otlp-grpc-endpoint=127.0.0.1:{free_port()}",
            "--exporter=otlp",
            f"--otlp-exporter-endpoint={forward_to}",
            "--otlp-exporter-protocol=http",
            "--batch-timeout=100ms",
            "--pid-file=rotel.pid",
            "--log-file=rotel.log",
        ]

    with serving(command) as port:
        yield f"http://127.0.0.1:{port}"
