"""Shared by the tests of aiomqtt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aiomqtt import Client, Message, ProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from asyncdsm.core.context import HEADER
from tests.brokers.mosquitto import Mosquitto

Name = Callable[[], str]


def make_client(broker: Mosquitto, protocol: ProtocolVersion = ProtocolVersion.V5, **options: Any) -> Client:
    """Return a client that is not followed yet."""
    return Client("127.0.0.1", broker.port, protocol=protocol, **options)


async def take(client: Client, count: int = 1) -> list[Message]:
    """Return the next messages of a client."""
    taken = list[Message]()
    async with asyncio.timeout(20):
        async for message in client.messages:
            taken.append(message)
            if len(taken) == count:
                break
    return taken


async def end_tasks(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: `wait_for`, with which the client waits, may lose it before Python 3.12."""
    async with asyncio.timeout(20):
        while not all(task.done() for task in tasks):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=0.1)


def user_properties(message: Message) -> list[tuple[str, str]]:
    """Return the user properties of a message."""
    found: list[tuple[str, str]] = getattr(message.properties, "UserProperty", [])
    return found


def context_of(message: Message) -> str:
    """Return the context that a message carries."""
    (context,) = [value for name, value in user_properties(message) if name == HEADER]
    return context


def make_properties(*pairs: tuple[str, str]) -> Properties:
    """Return properties of a message, with these user properties."""
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    for pair in pairs:
        properties.UserProperty = pair
    return properties
