"""The receiver of Datadog's own Agent: takes what asyncdsm sends, and passes it to the intake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from asyncdsm import DataStreams, Settings, set_produce_checkpoint
from asyncdsm.cli.main import main
from asyncdsm.delivery import retry
from tests.intake import Intake, running_intake
from tests.interop.receiver import datadog_receiver

CHECKPOINTS = 10


class Receiver(NamedTuple):
    """Where the receiver listens, and the intake that it forwards to."""

    url: str
    intake: Intake


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_intake() as intake, datadog_receiver(intake.url) as url:
        yield Receiver(url, intake)


def measured_streams(url: str) -> DataStreams:
    """Deliver some checkpoints to an agent, and return what counted them."""
    with DataStreams(Settings(service="shop", agent_url=url)) as streams:
        for number in range(CHECKPOINTS):
            set_produce_checkpoint("kafka", f"orders-{number}", dict[str, str]().__setitem__)
    return streams


def test_every_checkpoint_arrives_at_the_intake(receiver: Receiver) -> None:
    stats = measured_streams(receiver.url).stats
    assert (stats.recorded, stats.delivered, stats.dropped) == (CHECKPOINTS, CHECKPOINTS, 0)
    assert receiver.intake.counted() == CHECKPOINTS
    ((method, path, headers, _),) = receiver.intake.requests
    assert (method, path) == ("POST", "/api/v0.1/pipeline_stats")
    assert (headers["content-type"], headers["content-encoding"]) == ("application/msgpack", "gzip")
    assert headers["datadog-meta-lang"] == "python"
    assert headers["via"].startswith("trace-agent ")


@pytest.mark.parametrize("refusal", [429, 500, 502, 503])
def test_payload_that_the_intake_refuses_for_now_is_sent_again(
    receiver: Receiver, refusal: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.02)
    receiver.intake.answers = [refusal]
    stats = measured_streams(receiver.url).stats
    assert (stats.delivered, stats.dropped) == (CHECKPOINTS, 0)
    first, second = (body for *_, body in receiver.intake.requests)
    assert first == second
    assert receiver.intake.counted() == CHECKPOINTS


def test_doctor_finds_the_endpoint(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DD_SERVICE", "shop")
    monkeypatch.setenv("DD_TRACE_AGENT_URL", receiver.url)
    assert main(["doctor", "--json"]) == 0
    agent = json.loads(capsys.readouterr().out)["agent"]
    assert agent == {"answers": True, "lists_endpoint": True, "problem": None, "status": 200, "version": "7.85.4"}
