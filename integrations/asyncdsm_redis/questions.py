"""Asking one server how far consumer groups are behind, over a connection of its own that is closed at once.

The connections of the program are left alone: a pool may be bounded, and all that it has may be needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, NamedTuple

PATIENCE = 5.0
"""How many seconds a server may take to answer."""
_NOT_PASSED_ON = ("cache", "event_dispatcher", "himport", "maint_notifications", "retry")
# What the names of those arguments of connections begin with that lead back to the pool which made them; and what was
# not answered is asked again at the next flush.

Store = Callable[[str, list[Any]], object]
"""Takes a stream, and what the server says of its groups: nothing if it does not answer, or does not have it."""


class Package(NamedTuple):
    """The package that a client is from, redis or valkey, and whether the client is for asyncio."""

    name: str
    is_async: bool

    def connect(self, connections: Any) -> Any:
        """Return a client for one server: that of a pool of connections, or of a node of a cluster."""
        arguments = {
            key: value for key, value in connections.connection_kwargs.items() if not key.startswith(_NOT_PASSED_ON)
        }
        arguments["socket_timeout"] = PATIENCE
        if "host" in arguments:
            arguments["socket_connect_timeout"] = PATIENCE
        part = ".asyncio" if self.is_async else ""
        make_pool = import_module(f"{self.name}{part}.connection").ConnectionPool
        pool = make_pool(connection_class=connections.connection_class, max_connections=1, **arguments)
        return getattr(import_module(f"{self.name}{part}.client"), self.name.capitalize())(connection_pool=pool)

    @property
    def refusal(self) -> type[Exception]:
        """The error by which a server says that it has no such stream, or that another node has it."""
        error: type[Exception] = import_module(f"{self.name}.exceptions").ResponseError
        return error

    def find_slot(self, stream: str) -> int:
        """Return the hash slot of a stream: a node of a cluster has some of these."""
        slot: int = import_module(f"{self.name}.crc").key_slot(stream.encode())
        return slot


def find_package(client: Any) -> Package:
    """Return the package of a client, a cluster's client, or a pipeline: their classes may be a program's own."""
    names = (cls.__module__ for cls in type(client).__mro__)
    module = next(name for name in names if name.startswith(("redis.", "valkey.")))
    return Package(module.partition(".")[0], ".asyncio." in module)


def find_servers(connections: Any, streams: list[str], package: Package) -> Iterator[tuple[Any, list[str]]]:
    """Yield each server with those of the streams that it has, the server as a pool of connections or as a node.

    None is the server of streams of which the client of a cluster does not know, now, who has them.
    `connections` is a pool, whose only server has all of them; or what manages the nodes of a cluster, or has that.
    """
    nodes = getattr(connections, "nodes_manager", connections)
    if not hasattr(nodes, "get_node_from_slot"):
        yield connections, streams
        return
    by_server = dict[str, tuple[Any, list[str]]]()
    for stream in streams:
        node = _find_node(nodes, package.find_slot(stream))
        by_server.setdefault(getattr(node, "name", ""), (node, []))[1].append(stream)
    for node, owned in by_server.values():
        yield node if package.is_async else _find_pool(node, package), owned


def _find_node(nodes: Any, slot: int) -> Any:
    try:
        return nodes.get_node_from_slot(slot)
    except Exception:  # nobody has the slot; or the client is just learning who has it
        return None


def _find_pool(node: Any, package: Package) -> Any:
    """Return the pool of a node's client; None where the client that blocks has not connected to it yet."""
    return getattr(getattr(node, f"{package.name}_connection", None), "connection_pool", None)


async def ask_async(client: Any, streams: list[str], store: Store, refusal: type[Exception]) -> None:
    """Ask about the groups of some streams, and store what the server says. It raises nothing."""
    try:
        with _waiting_for_answers(streams, store) as waiting:
            async with asyncio.timeout(PATIENCE):
                while waiting:
                    groups = []
                    with suppress(refusal):
                        groups = await client.execute_command("XINFO GROUPS", waiting[-1])
                    store(waiting.pop(), groups)
    finally:
        await client.connection_pool.disconnect()


def ask_blocking(client: Any, streams: list[str], store: Store, refusal: type[Exception]) -> None:
    """Do the same with a client that blocks."""
    try:
        with _waiting_for_answers(streams, store) as waiting:
            while waiting:
                groups = []
                with suppress(refusal):
                    groups = client.execute_command("XINFO GROUPS", waiting[-1])
                store(waiting.pop(), groups)
    finally:
        client.connection_pool.disconnect()


@contextmanager
def _waiting_for_answers(streams: list[str], store: Store) -> Iterator[list[str]]:
    """Yield a list of the streams, from which the block takes those that are answered.

    An error ends the block, and nothing is stored for the streams that are left.
    """
    waiting = list(streams)
    with suppress(Exception):
        yield waiting
    for stream in waiting:
        store(stream, [])
