"""Fixtures of the interop tests: the brokers, and the outcome of each pipeline."""

from __future__ import annotations

import anyio
import pytest

from tests.brokers.aws import Aws
from tests.brokers.kafka import Kafka
from tests.brokers.rabbitmq import RabbitMQ
from tests.interop.brokers import Brokers
from tests.interop.pipelines import BROKERS, run_at_all_brokers
from tests.interop.relays import RELAYS
from tests.interop.running import Outcome


@pytest.fixture(scope="session")
def brokers(kafka: Kafka, rabbitmq: RabbitMQ, ministack: Aws) -> Brokers:
    return Brokers(kafka, rabbitmq, ministack)


@pytest.fixture(scope="session", params=RELAYS, ids=lambda relay: relay.language)
def outcomes(request: pytest.FixtureRequest, brokers: Brokers) -> dict[str, Outcome | Exception]:
    """What became of a relay's pipelines, by broker; they ran side by side."""
    request.param.install()  # first, so that a pipeline's seconds are its own
    return anyio.run(run_at_all_brokers, brokers, request.param)


@pytest.fixture(params=BROKERS)
def outcome(request: pytest.FixtureRequest, outcomes: dict[str, Outcome | Exception]) -> Outcome:
    """What became of a pipeline; an error if one of its programs failed."""
    found = outcomes[request.param]
    if isinstance(found, Exception):
        raise found
    return found
