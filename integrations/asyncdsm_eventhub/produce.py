"""Events that are sent. Everything passes `send` of one of the client's producers: an event counts when it returns.

In buffered mode that is when the buffer is sent, and not when an event is put there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from azure.eventhub import EventDataBatch
from azure.eventhub.exceptions import EventHubError

from asyncdsm.integration import Edge, begin_produce, guarded, is_async
from asyncdsm_eventhub.edges import out_edges
from asyncdsm_eventhub.events import Departure, departure_of, prepare_event, without_context

TOO_LARGE = ValueError, EventHubError
"""What the client raises for events that are too large, and for much else."""

_departures: WeakKeyDictionary[Any, list[Departure]] = WeakKeyDictionary()


class SendCall(NamedTuple):
    """What a producer is to send, and the events of it that count."""

    payload: Any
    departures: list[Departure]
    is_batch: bool = False


@guarded
def _shrink(call: SendCall, error: Exception) -> SendCall | None:
    """Return the same call without contexts; None where that cannot help."""
    if call.is_batch or (not isinstance(error, ValueError) and "size" not in str(error)):
        return None
    payload = call.payload
    made = [without_context(each) for each in payload] if isinstance(payload, list) else without_context(payload)
    return SendCall(made, [each._replace(is_propagated=False) for each in call.departures])


@guarded
def _count_sent(call: SendCall) -> None:
    """Count the events of a call, which Event Hubs has taken."""
    for departure in call.departures:
        departure.count_sent()


def hook_send(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `send` of the client's producers."""

    def send(producer: Any, /, event_data: Any, *args: Any, **kwargs: Any) -> Any:
        call = _begin(producer, event_data)
        if call is None:
            return original(producer, event_data, *args, **kwargs)
        try:
            result = original(producer, call.payload, *args, **kwargs)
        except TOO_LARGE as error:
            call = _shrink(call, error)
            if call is None:
                raise
            result = original(producer, call.payload, *args, **kwargs)
        _count_sent(call)
        return result

    async def send_async(producer: Any, /, event_data: Any, *args: Any, **kwargs: Any) -> Any:
        call = _begin(producer, event_data)
        if call is None:
            return await original(producer, event_data, *args, **kwargs)
        try:
            result = await original(producer, call.payload, *args, **kwargs)
        except TOO_LARGE as error:
            call = _shrink(call, error)
            if call is None:
                raise
            result = await original(producer, call.payload, *args, **kwargs)
        _count_sent(call)
        return result

    return send_async if is_async(original) else send


@guarded
def _begin(producer: Any, given: Any) -> SendCall | None:
    """Return what to send in place of what a producer was given; None for what it will refuse.

    The client's callbacks get what is in a batch or a list then: the caller's own events.
    """
    edge = out_edges[producer._client.eventhub_name]
    if isinstance(given, EventDataBatch):
        return SendCall(given, _departures_of(given, edge), is_batch=True)
    if isinstance(given, list):
        prepared = [prepare_event(edge, each) for each in given]
        departures = [each for each in map(departure_of, prepared) if each is not None]
        if len(departures) == len(prepared):
            given[:] = [departure.original for departure in departures]
        return SendCall(prepared, departures)
    made = prepare_event(edge, given)
    departure = departure_of(made)
    return None if departure is None else SendCall(made, [departure])


def _departures_of(batch: Any, edge: Edge) -> list[Departure]:
    """Return the departures of a batch, which may be sent again. What was added unobserved goes without contexts."""
    departures, events = _departures.setdefault(batch, []), batch._internal_events
    for index in range(len(departures), len(events)):
        departure = departure_of(events[index])
        if departure is None:
            departure = Departure(begin_produce(edge), events[index], is_propagated=False)
        events[index] = departure.original
        departures.append(departure)
    return departures
