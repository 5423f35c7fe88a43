"""The ways in which FastStream's brokers for NATS, Redis and MQTT pass messages on."""

from __future__ import annotations

import random
from collections.abc import Callable
from string import ascii_lowercase
from typing import Any

from faststream.nats import JStream, PullSub
from faststream.redis import ListSub, StreamSub

GROUP = "workers"


def make_name() -> str:
    """Return a fresh name without digits, which could look like an id."""
    return "".join(random.choices(ascii_lowercase, k=14))


class Way:
    """One way of subscribing and publishing."""

    def __init__(
        self,
        kind: str,
        source: Callable[[str], dict[str, Any]],
        target: Callable[[str], dict[str, Any]],
        *,
        has_group: bool = False,
    ) -> None:
        """`source` and `target` make the arguments of `subscriber` and `publish`."""
        self.kind, self.source, self.target, self.has_group = kind, source, target, has_group


_streams: dict[str, JStream] = {}


def _stored(name: str) -> JStream:
    return _streams.setdefault(name, JStream(name, subjects=[name]))


def _subject(name: str) -> dict[str, Any]:
    return {"subject": name}


def _topic(name: str) -> dict[str, Any]:
    return {"topic": name}


def _push(name: str) -> dict[str, Any]:
    return {"subject": name, "stream": _stored(name), "queue": GROUP, "deliver_policy": "all"}


def _grouped(name: str) -> dict[str, Any]:
    return {"stream": StreamSub(name, group=GROUP, consumer="one", polling_interval=20)}


WAYS = {
    "core": Way("nats", _subject, _subject),
    "queue": Way("nats", lambda name: {"subject": name, "queue": GROUP}, _subject, has_group=True),
    "push": Way("nats", _push, lambda name: {"subject": name, "stream": name}, has_group=True),
    "pull": Way(
        "nats",
        lambda name: {"subject": name, "stream": _stored(name), "durable": GROUP, "pull_sub": PullSub(timeout=0.2)},
        lambda name: {"subject": name, "stream": name},
        has_group=True,
    ),
    "channel": Way("redis", lambda name: {"channel": name}, lambda name: {"channel": name}),
    "list": Way("redis", lambda name: {"list": ListSub(name, polling_interval=0.02)}, lambda name: {"list": name}),
    "stream": Way(
        "redis",
        lambda name: {"stream": StreamSub(name, last_id="0", polling_interval=20)},
        lambda name: {"stream": name},
    ),
    "group": Way("redis", _grouped, lambda name: {"stream": name}, has_group=True),
    "mqtt": Way("mqtt", _topic, _topic),
    "shared": Way("mqtt", lambda name: {"topic": name, "shared": GROUP}, _topic, has_group=True),
}
