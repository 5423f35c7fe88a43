"""Relays: one program per language that reads messages and sends them on, watched by that language's tracer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Relay:
    """A program in another language that reads messages and sends them on, watched by that language's tracer."""

    language: str
    brokers: frozenset[str]
    """Those at which its tracer takes part in Data Streams: kafka, rabbitmq, sqs."""
    install: Callable[[], list[str]]
    """Installs what the relay needs into the tests' cache the first time, and returns the command that runs it.

    The command takes SOURCE, TARGET and COUNT. SOURCE and TARGET are `kafka:TOPIC`, `rabbitmq:QUEUE`, `sqs:QUEUE_URL`
    or `-`. It prints `ready` when its consumer is in place, and `done` when all is handled and reported.
    """
    forgets: frozenset[str] = frozenset()
    """Brokers after whose messages the tracer has no pathway any more: what is sent next begins one."""


def make_environ(service: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a relay: this process's, without settings of tracers, and `environ`.

    `environ` says where its brokers and its agent are. An AWS is a local one, which takes any keys.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DD_", "_DD_"))}
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    regions = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
    settings = {"DD_SERVICE": service, "DD_DATA_STREAMS_ENABLED": "true"}
    return {**inherited, **keys, **regions, **environ, **settings}
