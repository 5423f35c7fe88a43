"""azure-servicebus: the clients that block are followed as those of asyncio are."""

from __future__ import annotations

from datetime import UTC, datetime
from threading import Thread
from typing import Any

from azure.servicebus import ServiceBusClient, ServiceBusMessage

import asyncdsm
from asyncdsm.testing import Captured
from tests.brokers.azure import AzureServer
from tests.integrations.servicebus.clients import Name, context_of, deliveries


def test_blocking_client_is_followed_in_every_way(
    servicebus: AzureServer, captured_streams: Captured, name: Name
) -> None:
    queue, seen = name(), list[int]()

    def note() -> None:
        pathway = asyncdsm.current_pathway()
        seen.append(0 if pathway is None else pathway.hash)

    with (
        asyncdsm.wrap(ServiceBusClient.from_connection_string(servicebus.connection_string)) as client,
        client.get_queue_sender(queue) as sender,
        client.get_queue_receiver(queue, max_wait_time=1) as receiver,
    ):
        message = ServiceBusMessage("one")
        sender.send_messages(message)
        assert message.application_properties is None
        mixed: list[Any] = [ServiceBusMessage("two"), {"body": "three"}]
        sender.send_messages(mixed)
        batch = sender.create_message_batch()
        batch.add_message(ServiceBusMessage("four"))
        sender.send_messages(batch)
        sender.schedule_messages(ServiceBusMessage("five"), datetime.now(UTC))
        messages = receiver.receive_messages()
        note()
        for message in receiver.receive_messages(2, max_wait_time=5):
            note()
            messages.append(message)
        receiver.defer_message(messages[-1])
        messages += receiver.receive_deferred_messages(messages[-1].sequence_number or 0)
        note()
        for message in receiver:
            note()
            messages.append(message)
            receiver.complete_message(message)
        assert asyncdsm.current_pathway() is None
    assert [str(each) for each in messages] == ["one", "two", "three", "three", "four", "five"]
    sent, read = captured_streams.produced(queue), captured_streams.consumed(queue)
    assert (len(sent), [made.hash for made in read]) == (5, seen)
    assert [getattr(context_of(each), "hash", None) for each in messages] == [made.parent for made in read]
    assert [made.parent for made in read] == [sent[number].hash for number in (0, 1, 2, 2, 3, 4)]
    assert deliveries(captured_streams) == {queue: (1, 0)}


def test_messages_in_threads_have_their_own_parent(
    servicebus: AzureServer, captured_streams: Captured, name: Name
) -> None:
    queue, target = name(), name()
    with (
        asyncdsm.wrap(ServiceBusClient.from_connection_string(servicebus.connection_string)) as client,
        client.get_queue_sender(queue) as sender,
    ):
        sender.send_messages([ServiceBusMessage(str(number)) for number in range(20)])

        def work() -> None:
            with client.get_queue_receiver(queue, max_wait_time=1) as receiver, client.get_queue_sender(target) as to:
                for message in receiver:
                    to.send_messages(ServiceBusMessage(str(message)))
                    receiver.complete_message(message)

        threads = [Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    forwarded = captured_streams.produced(target)
    assert len(forwarded) == len(captured_streams.consumed(queue)) == 20
    assert {made.parent for made in forwarded} == {made.hash for made in captured_streams.consumed(queue)}
