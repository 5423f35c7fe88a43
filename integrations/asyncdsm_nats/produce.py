"""Messages that are published: by core NATS, as a request, or to JetStream.

The context is put into a copy of the headers. A message to JetStream counts when the server has stored it, any other
one when the client has taken it.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from nats.js.errors import APIError

from asyncdsm._internal.futures import peek_exception
from asyncdsm.integration import (
    HEADER,
    PendingProduce,
    begin_produce,
    ensure_recorder,
    finish_produce,
    guarded,
    mark_async,
    record_not_propagated,
    report_hook_error,
    suppress_nested_checkpoints,
)
from asyncdsm_nats.subjects import is_left_out, out_edges, topics

LINE_BYTES = 12
"""The first and the last line of a message's headers: `NATS/1.0`, and an empty one."""
FIELD_BYTES = 4
"""What the wire adds to a header: a colon, a space, and the end of the line."""
CONTEXT_BYTES = len(HEADER) + FIELD_BYTES + 40
"""The room that a context may take. Those of today have 28 bytes."""
HEADERS_AT = 4
"""Where the headers are among the arguments of `JetStreamContext.publish` and `publish_async`."""
TOO_LARGE = 10054
"""The error of a stream whose `max_msg_size` is smaller than the message."""


def hook_publish(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `Client.publish`, which `request` calls too. **Hot**."""

    async def publish(
        client: Any,
        /,
        subject: Any,
        payload: Any = b"",
        reply: Any = "",
        headers: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        pending = None
        try:
            if (headers or subject[:1] != "$") and ensure_recorder() is not None:
                pending, headers = begin_message(client, subject, payload, headers)
        except Exception as error:
            report_hook_error(error)
        if args or kwargs:
            result = await original(client, subject, payload, reply, headers, *args, **kwargs)
        else:  # saves 0.4 µs
            result = await original(client, subject, payload, reply, headers)
        if pending is not None:
            finish_produce(pending)
        return result

    return mark_async(publish)


def hook_store(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `JetStreamContext.publish`, which waits until the server has stored the message."""

    async def publish(context: Any, /, *args: Any, **kwargs: Any) -> Any:
        call = _prepare_store(context, args, kwargs)
        if call is None:
            return await original(context, *args, **kwargs)
        with suppress_nested_checkpoints():
            try:
                answer = await original(context, *call.args, **call.kwargs)
            except APIError as error:
                if error.err_code != TOO_LARGE:
                    raise
                # The stream may take it without our header. It has stored nothing.
                answer = await original(context, *args, **kwargs)
                record_not_propagated()
        finish_produce(call.pending)
        return answer

    return mark_async(publish)


def hook_store_later(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `JetStreamContext.publish_async`, which returns a future: the message counts when that has a result."""

    async def publish_async(context: Any, /, *args: Any, **kwargs: Any) -> Any:
        call = _prepare_store(context, args, kwargs)
        if call is None:
            return await original(context, *args, **kwargs)
        with suppress_nested_checkpoints():
            future = await original(context, *call.args, **call.kwargs)
        future.add_done_callback(partial(_finish_stored, call.pending))
        return future

    return mark_async(publish_async)


@guarded
def _finish_stored(pending: PendingProduce, future: Future[Any]) -> None:
    if not future.cancelled() and peek_exception(future) is None:
        finish_produce(pending)


class _StoreCall(NamedTuple):
    """The arguments of a message to JetStream with its context, and its checkpoint."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    pending: PendingProduce


@guarded
def _prepare_store(context: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _StoreCall | None:
    """Return what to call in place of a call with these arguments; None for a message that does not count."""
    if ensure_recorder() is None:
        return None
    subject = args[0] if args else kwargs["subject"]
    payload = args[1] if len(args) > 1 else kwargs.get("payload", b"")
    is_positional = len(args) > HEADERS_AT
    headers = args[HEADERS_AT] if is_positional else kwargs.get("headers")
    pending, headers = begin_message(context._nc, subject, payload, headers)
    if pending is None:
        return None
    if is_positional:
        return _StoreCall((*args[:HEADERS_AT], headers, *args[HEADERS_AT + 1 :]), kwargs, pending)
    return _StoreCall(args, {**kwargs, "headers": headers}, pending)


def measure_headers(headers: dict[str, str]) -> int:
    """Return the bytes that headers take, without the first and the last line."""
    size = 0
    for name, value in headers.items():
        field = name + value
        size += (len(field) if field.isascii() else len(field.encode())) + FIELD_BYTES
    return size


def copy_without_context(headers: Any) -> Any:
    """Return a copy of headers that has no context: the caller's own stay as they are."""
    copied = {**headers} if isinstance(headers, dict) else headers.copy()  # some have a name more than once
    if HEADER in copied:
        del copied[HEADER]
    return copied


def begin_message(client: Any, subject: str, payload: bytes, headers: Any) -> tuple[PendingProduce | None, Any]:
    """Return the checkpoint for `finish_produce`, and the headers to send. **Hot**.

    The headers of a message that a layer above counts are the caller's. A message that does not count goes without a
    context: `Msg.respond` replies with the headers of the request. So does one without room for it, or for a server
    before 2.2, which takes no headers; that one counts.
    """
    if is_left_out(subject, client):
        return None, (copy_without_context(headers) or None) if headers and HEADER in headers else headers
    others: Any = {}
    size = len(payload)
    if headers:
        others = copy_without_context(headers)
        size += measure_headers(others)
    # The server ends the connection that sends it too large a message; the client looks at the payload alone.
    fits = size + LINE_BYTES + CONTEXT_BYTES <= client._max_payload and client._server_info.get("headers", False)
    pending = begin_produce(out_edges[topics[subject]], size, len(HEADER) + FIELD_BYTES if fits else None)
    if pending is None:
        return None, headers
    if fits:
        others[HEADER] = pending.header.decode()
    else:
        record_not_propagated()
    return pending, others or None
