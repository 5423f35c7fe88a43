"""nats-py: what is published carries a context, unless it is a reply, the server's own, or has no room."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import nats
import pytest
from multidict import CIMultiDict
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import BadSubjectError, MaxPayloadError
from nats.js import JetStreamContext
from nats.js.errors import BadRequestError, NoStreamResponseError

import asyncdsm
from asyncdsm import Pathway
from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.brokers.nats import MAX_PAYLOAD, NatsServer
from tests.integrations.nats.clients import Name, flush


async def receive(bare: Client, subject: str, send: Callable[[], Any]) -> Msg:
    """Return the message on a subject after `send`, as it is on the wire."""
    subscription = await bare.subscribe(subject)
    await flush(bare)
    await send()
    message = await subscription.next_msg(timeout=10)
    await subscription.unsubscribe()
    return message


async def test_caller_s_headers_are_not_changed_and_all_are_sent(
    client: Client, bare: Client, captured_streams: Captured, name: Name
) -> None:
    subject, headers = name(), {"Order": "4711", HEADER: "of another message"}
    message = await receive(bare, subject, lambda: client.publish(subject, b"body", headers=headers))
    assert headers == {"Order": "4711", HEADER: "of another message"}
    (made,) = captured_streams.produced(subject)
    sent = Pathway.decode_base64((message.headers or {})[HEADER])
    assert (message.data, message.headers) == (b"body", {"Order": "4711", HEADER: (message.headers or {})[HEADER]})
    assert sent is not None
    assert sent.hash == made.hash
    assert made.tags == ("direction:out", f"topic:{subject}", "type:nats")


async def test_request_carries_a_context_and_the_reply_is_no_hop(
    client: Client, captured_streams: Captured, name: Name
) -> None:
    subject, outer = name(), Pathway(5, 1, 1)

    async def answer(message: Msg) -> None:
        await message.respond(b"pong")

    await client.subscribe(subject, cb=answer)
    current.set_current(outer)
    for old_style in (False, True):
        assert (await client.request(subject, b"ping", timeout=10, old_style=old_style)).data == b"pong"
        assert asyncdsm.current_pathway() == outer
    assert [made.topic for made in captured_streams.checkpoints] == [subject] * 4
    assert [made.parent for made in captured_streams.produced()] == [5, 5]


@pytest.mark.parametrize("way", ["wrap", "instrument"])
@pytest.mark.parametrize("old_style", [False, True])
async def test_reply_goes_without_the_context_of_its_request(
    server: NatsServer, captured_streams: Captured, name: Name, way: str, old_style: bool
) -> None:
    """`respond` sends the headers of the request. With them, a reply as large as it may be ends the connection."""
    if way == "instrument":
        asyncdsm.instrument("nats")
    try:
        client, subject, asked = await nats.connect(server.url), name(), list[Any]()
        client = asyncdsm.wrap(client) if way == "wrap" else client

        async def answer(message: Msg) -> None:
            asked.append(message.headers)
            if message.data == b"by hand":
                own = {**(message.headers or {}), "own": "1"}
                await client.publish(message.reply, b"pong", headers=own)
                assert HEADER in own
            else:
                await message.respond(b"." * MAX_PAYLOAD)

        await client.subscribe(subject, cb=answer)
        reply = await client.request(subject, b"ping", timeout=10, old_style=old_style)
        assert (len(reply.data), reply.headers) == (MAX_PAYLOAD, None)
        assert (await client.request(subject, b"by hand", timeout=10)).headers == {"own": "1"}
        assert [list(headers) for headers in asked] == [[HEADER], [HEADER]]
        assert client.is_connected
        assert client.stats["reconnects"] == 0
        await client.close()
    finally:
        asyncdsm.uninstrument("nats")
    assert [made.topic for made in captured_streams.checkpoints] == [subject] * 4
    assert captured_streams.stats().not_propagated == 0


async def test_reply_keeps_the_headers_of_its_request_while_nothing_measures(
    server: NatsServer, bare: Client, name: Name
) -> None:
    client, subject, headers = asyncdsm.wrap(await nats.connect(server.url)), name(), {HEADER: "of another program"}

    async def answer(message: Msg) -> None:
        await message.respond(b"pong")

    await client.subscribe(subject, cb=answer)
    await flush(client)
    assert (await bare.request(subject, b"ping", timeout=10, headers=headers)).headers == headers
    await client.close()


async def test_reply_to_an_inbox_of_an_own_prefix_is_no_hop(
    server: NatsServer, captured_streams: Captured, name: Name
) -> None:
    client, subject = asyncdsm.wrap(await nats.connect(server.url, inbox_prefix=b"replies")), name()

    async def answer(message: Msg) -> None:
        await message.respond(b"pong")

    await client.subscribe(subject, cb=answer)
    await client.request(subject, b"ping", timeout=10)
    await client.close()
    assert [made.topic for made in captured_streams.checkpoints] == [subject] * 2


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (None, [True, True, False]),
        ({"name": "v" * 40}, [True, False, False]),
        ({"name": "ü" * 20}, [True, False, False]),
    ],
    ids=["no headers", "one header", "not ASCII"],
)
async def test_message_without_room_for_a_context_goes_without(
    client: Client, bare: Client, captured_streams: Captured, headers: dict[str, str] | None, expected: list[bool]
) -> None:
    """The server would end the connection: its limit counts headers, the client looks at the payload alone."""
    subject, has_context = "large", []
    for size in (MAX_PAYLOAD - 400, MAX_PAYLOAD - 100, MAX_PAYLOAD - 62):
        message = await receive(bare, subject, partial(client.publish, subject, b"." * size, headers=headers))
        assert len(message.data) == size
        has_context.append(HEADER in (message.headers or {}))
    assert has_context == expected
    assert client.is_connected
    assert len(captured_streams.produced()) == 3
    assert captured_streams.stats().not_propagated == expected.count(False)


async def test_forwarded_context_is_taken_off_a_message_without_room(
    client: Client, bare: Client, captured_streams: Captured, name: Name
) -> None:
    subject, headers = name(), {HEADER: Pathway(1, 1, 1).encode_base64()}
    message = await receive(bare, subject, lambda: client.publish(subject, b"." * (MAX_PAYLOAD - 70), headers=headers))
    assert message.headers is None
    assert captured_streams.stats().not_propagated == 1


async def test_header_with_two_values_keeps_both(
    client: Client, captured_streams: Captured, monkeypatch: pytest.MonkeyPatch, name: Name
) -> None:
    """nats-py sends what `items()` has; what it receives is a dict, with the last value."""
    headers, sent = CIMultiDict([("name", "first"), ("name", "second")]), []
    send_command = client._send_command

    async def note_command(command: bytes, *more: Any) -> None:
        sent.append(command)
        await send_command(command, *more)

    monkeypatch.setattr(client, "_send_command", note_command)
    await client.publish(name(), b"", headers=cast("dict[str, str]", headers))
    (command,) = sent
    assert b"name: first\r\nname: second\r\n" + HEADER.encode() in command
    assert len(headers) == 2


async def test_subject_that_begins_like_the_inboxes_counts(
    server: NatsServer, captured_streams: Captured, name: Name
) -> None:
    client = asyncdsm.wrap(await nats.connect(server.url, inbox_prefix=b"shop"))
    await client.publish("shopping.carts", b"")
    await client.publish("shop.carts", b"")
    await client.close()
    assert [made.topic for made in captured_streams.checkpoints] == ["shopping.carts"]


async def test_error_that_nobody_retrieves_is_logged_by_asyncio(js: JetStreamContext, name: Name) -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Queue[str]()
    loop.set_exception_handler(lambda _, context: told.put_nowait(context["message"]))
    future = await js.publish_async(name(), b"no stream takes this")
    await asyncio.wait([future], timeout=10)
    del future
    gc.collect()
    assert await asyncio.wait_for(told.get(), 10) == "Future exception was never retrieved"


async def test_stored_message_counts_when_the_server_has_it(
    js: JetStreamContext, captured_streams: Captured, name: Name
) -> None:
    subject = name()
    await js.add_stream(name=subject, subjects=[subject], max_msgs=2, discard="new")
    assert (await js.publish(subject, b"1")).seq == 1
    assert (await (await js.publish_async(subject, b"2"))).seq == 2
    for _ in range(2):
        with pytest.raises(Exception, match="maximum messages exceeded"):
            await js.publish(subject, b"3")
    with pytest.raises(NoStreamResponseError):
        await js.publish(name(), b"no stream has this subject")
    with pytest.raises(NoStreamResponseError):
        await (await js.publish_async(name(), b"nor this one"))
    assert [made.topic for made in captured_streams.produced()] == [subject] * 2


async def test_arguments_of_jetstream_s_publish_reach_the_client_in_any_form(
    js: JetStreamContext, bare: Client, captured_streams: Captured, name: Name
) -> None:
    subject, headers = name(), {"Nats-Msg-Id": "1"}
    await js.add_stream(name=subject, subjects=[subject])
    assert (await js.publish(subject, b"1", 5.0, subject, headers)).duplicate is None
    assert (await js.publish(subject=subject, payload=b"1", headers=headers)).duplicate is True
    assert (await (await js.publish_async(subject, b"1", 5.0, subject, headers))).duplicate is True
    assert headers == {"Nats-Msg-Id": "1"}
    with pytest.raises(BadRequestError, match="expected stream does not match"):
        await js.publish(subject, b"1", stream="another")
    stored = await bare.jetstream().get_msg(subject, 1)
    assert set(stored.headers or {}) == {"Nats-Msg-Id", "Nats-Expected-Stream", HEADER}
    assert len(captured_streams.produced()) == 3


async def test_stream_with_a_small_limit_takes_what_it_would_take_without_asyncdsm(
    js: JetStreamContext, bare: Client, captured_streams: Captured, name: Name
) -> None:
    subject = name()
    await js.add_stream(name=subject, subjects=[subject], max_msg_size=100)
    await js.publish(subject, b"." * 20)
    await js.publish(subject, b"." * 100)
    with pytest.raises(BadRequestError, match="message size exceeds maximum allowed"):
        await js.publish(subject, b"." * 101)
    stored = [await bare.jetstream().get_msg(subject, number) for number in (1, 2)]
    assert [HEADER in (message.headers or {}) for message in stored] == [True, False]
    assert len(captured_streams.produced()) == 2
    assert captured_streams.stats().not_propagated == 1


async def test_stores_of_keys_and_objects_are_left_alone(
    js: JetStreamContext, captured_streams: Captured, name: Name
) -> None:
    values = await js.create_key_value(bucket=name())
    await values.put("key", b"value")
    assert (await values.get("key")).value == b"value"
    watcher: Any = await values.watchall()
    entry = await watcher.updates()
    assert entry.value == b"value"
    await watcher.stop()
    objects = await js.create_object_store(bucket=name())
    await objects.put("file", b"content")
    assert (await objects.get("file")).data == b"content"
    assert captured_streams.checkpoints == []


async def test_ids_in_subjects_do_not_make_topics(client: Client, captured_streams: Captured) -> None:
    for number in range(4700, 4720):
        await client.publish(f"orders.{number}.created", b"")
    assert {made.topic for made in captured_streams.produced()} == {"orders.*.created"}


async def test_publishing_while_nothing_measures_changes_nothing(server: NatsServer, bare: Client, name: Name) -> None:
    client, subject = asyncdsm.wrap(await nats.connect(server.url)), name()
    message = await receive(bare, subject, lambda: client.publish(subject, b"body"))
    assert message.headers is None
    await client.close()


async def test_errors_of_the_client_are_the_program_s(client: Client, captured_streams: Captured) -> None:
    wrong: Any = client
    with pytest.raises(TypeError):
        await wrong.publish("subject", None)
    with pytest.raises(BadSubjectError):
        await client.publish("", b"")
    with pytest.raises(MaxPayloadError):
        await client.publish("subject", b"." * (MAX_PAYLOAD + 1))
    await asyncio.sleep(0)
    assert captured_streams.checkpoints == []
