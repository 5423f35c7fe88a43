"""Messages that are sent: one, several, a batch, or at a later time.

The context is on a copy of the message. A message counts when Service Bus has taken it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from azure.servicebus import ServiceBusMessage, ServiceBusMessageBatch
from azure.servicebus.exceptions import MessageSizeExceededError

from asyncdsm.integration import ensure_recorder, guarded, is_async
from asyncdsm_servicebus.batches import Departure, departures_of
from asyncdsm_servicebus.edges import out_edges
from asyncdsm_servicebus.messages import begin_message, without_context


class SendCall(NamedTuple):
    """The arguments for the client, and the messages among them that count."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    departures: list[Departure]
    is_batch: bool = False

    def count_all(self, *, is_propagated: bool = True) -> None:
        """Count the messages, which Service Bus has taken: with their contexts or without."""
        for departure in self.departures:
            (departure if is_propagated else departure._replace(is_propagated=False)).count_sent()


def hook_send(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `ServiceBusSender.send_messages`."""
    return _hook_call(original, "message")


def hook_schedule(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `ServiceBusSender.schedule_messages`."""
    return _hook_call(original, "messages", _note_schedule)


def _hook_call(
    original: Callable[..., Any], name: str, note: Callable[..., object] = lambda *_args, **_more: None
) -> Callable[..., Any]:
    """Hook a method whose first argument is called `name`. `note` is called with the caller's own arguments after it.

    What is too large may fit without contexts: it is sent again as the caller gave it, since nothing was stored.
    """

    def send(sender: Any, /, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = _read_iterator(name, args, kwargs)
        call = _prepare_send(sender, name, args, kwargs)
        if call is None:
            return original(sender, *args, **kwargs)
        try:
            result = original(sender, *call.args, **call.kwargs)
        except MessageSizeExceededError:
            if call.is_batch:
                raise
            bare_args, bare_kwargs = _remove_contexts(name, args, kwargs) or (args, kwargs)
            result = original(sender, *bare_args, **bare_kwargs)
            call.count_all(is_propagated=False)
        else:
            call.count_all()
        note(*args, **kwargs)
        return result

    async def send_async(sender: Any, /, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = _read_iterator(name, args, kwargs)
        call = _prepare_send(sender, name, args, kwargs)
        if call is None:
            return await original(sender, *args, **kwargs)
        try:
            result = await original(sender, *call.args, **call.kwargs)
        except MessageSizeExceededError:
            if call.is_batch:
                raise
            bare_args, bare_kwargs = _remove_contexts(name, args, kwargs) or (args, kwargs)
            result = await original(sender, *bare_args, **bare_kwargs)
            call.count_all(is_propagated=False)
        else:
            call.count_all()
        note(*args, **kwargs)
        return result

    return send_async if is_async(original) else send


def _read_iterator(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with a list in the place of an iterator, which can be read only once.

    Raises what the iterator raises, as the client would.
    """
    message = args[0] if args else kwargs.get(name)
    return _replace(name, args, kwargs, list(message)) if isinstance(message, Iterator) else (args, kwargs)


def _replace(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], message: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return ((message, *args[1:]), kwargs) if args else (args, {**kwargs, name: message})


@guarded
def _prepare_send(sender: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> SendCall | None:
    """Return what to call in place of a call with these arguments; None for one that stays as it is."""
    if ensure_recorder() is None or not (args or name in kwargs):
        return None
    message: Any = args[0] if args else kwargs.get(name)
    edge = out_edges[sender.entity_name]
    if isinstance(message, ServiceBusMessageBatch):
        return SendCall(args, kwargs, departures_of(message, edge), is_batch=True)
    prepared = [begin_message(edge, each) for each in ([message] if _is_single(message) else message)]
    departures = [Departure(pending) for pending, _ in prepared if pending is not None]
    messages = [each for _, each in prepared]
    return SendCall(*_replace(name, args, kwargs, messages[0] if _is_single(message) else messages), departures)


@guarded
def _remove_contexts(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Return the arguments to send in place of the caller's own, without contexts that were received with messages."""
    message: Any = args[0] if args else kwargs.get(name)
    bare = without_context(message) if _is_single(message) else [without_context(each) for each in message]
    return _replace(name, args, kwargs, bare)


def _is_single(message: Any) -> bool:
    return isinstance(message, Mapping) or not isinstance(message, Iterable)


@guarded
def _note_schedule(messages: Any, schedule_time_utc: Any, *_args: Any, **_more: Any) -> None:
    """Note on the caller's messages when they will be delivered, as the client does on what it is given."""
    for message in [messages] if isinstance(messages, ServiceBusMessage) else messages:
        if isinstance(message, ServiceBusMessage):
            message.scheduled_enqueue_time_utc = schedule_time_utc
