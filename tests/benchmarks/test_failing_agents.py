"""The agents of the benchmark `slow_agent` are in the trouble that they are named for."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

from benchmarks.failing_agents import hanging_agent, refusing_agent
from benchmarks.sink import sink


def connection_to(url: str, timeout: float) -> http.client.HTTPConnection:
    """Return a connection to an agent, which is opened by the first request."""
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout)


def test_hanging_agent_accepts_connections_and_never_answers() -> None:
    with hanging_agent() as url:
        for _ in range(3):
            client = connection_to(url, 0.1)
            client.request("POST", "/v0.1/pipeline_stats", b"body")
            with pytest.raises(TimeoutError):
                client.getresponse()
            client.close()


def test_hanging_agent_that_nobody_reached_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="nobody connected"), hanging_agent():
        pass


def test_refusing_agent_refuses_connections() -> None:
    with refusing_agent() as url, pytest.raises(ConnectionRefusedError):
        connection_to(url, 5).request("POST", "/v0.1/pipeline_stats", b"body")


def test_slow_agent_answers_when_its_time_has_passed() -> None:
    with sink(slow=True) as environ:
        url = environ["DD_TRACE_AGENT_URL"]
        hasty, patient = connection_to(url, 0.05), connection_to(url, 30)
        hasty.request("POST", "/v0.1/pipeline_stats", b"body")
        patient.request("POST", "/v0.1/pipeline_stats", b"body")
        with pytest.raises(TimeoutError):
            hasty.getresponse()
        assert patient.getresponse().status == 200
        hasty.close()
        patient.close()


def test_client_that_ends_in_the_middle_is_no_error_of_the_sink(capsys: pytest.CaptureFixture[str]) -> None:
    with sink() as environ:
        client = connection_to(environ["DD_TRACE_AGENT_URL"], 30)
        client.putrequest("POST", "/v0.1/pipeline_stats")
        client.putheader("Content-Length", "1000")
        client.endheaders(b"not all of it")
        client.close()
        healthy = connection_to(environ["DD_TRACE_AGENT_URL"], 30)
        healthy.request("POST", "/v0.1/pipeline_stats", b"body")
        assert healthy.getresponse().status == 200
        healthy.close()
    assert capsys.readouterr().err == ""
