"""The handlers on an emitter of botocore's events: each once, whoever puts it there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from asyncdsm_botocore import eventbridge, kinesis, sns, sqs

Handler = Callable[..., None]

_SERVICES: Mapping[str, Callable[[], Mapping[str, Handler]]] = {
    "eventbridge": eventbridge.handlers,
    "kinesis": kinesis.handlers,
    "sns": sns.handlers,
    "sqs": sqs.handlers,
}
"""What makes the handlers of each service, by their events' names."""


class Switch:
    """Handlers that `instrument` has put on a client act while it is on."""

    is_on: bool = False

    def act(self, handler: Handler, **event: Any) -> None:
        """Call a handler, or do not."""
        if self.is_on:
            handler(**event)


instrumented: Switch = Switch()


def follow(emitter: Any, service: str | None) -> None:
    """Put the handlers of a service there to stay, those of all services on a session's emitter."""
    for event, handler in _handlers(service):
        emitter.unregister(event, unique_id=_unique_id(event))  # one that the switch would turn off
        emitter.register_last(event, handler, unique_id=_unique_id(event))


def follow_while_instrumented(emitter: Any, service: str | None) -> None:
    """Put the handlers of a service there, for as long as the switch is on; those that are there already stay."""
    for event, handler in _handlers(service):
        emitter.register_last(event, partial(instrumented.act, handler), unique_id=_unique_id(event))


def _handlers(service: str | None) -> list[tuple[str, Handler]]:
    made = [handlers() for name, handlers in _SERVICES.items() if service in (None, name)]
    return [item for handlers in made for item in handlers.items()]


def _unique_id(event: str) -> str:
    return f"asyncdsm-{event}"
