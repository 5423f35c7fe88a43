"""How far consumer groups are behind: what `XINFO GROUPS` says, which is asked at a flush and never for a message.

Each server is asked in a task of its own, or in a thread if its clients block.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import Context
from threading import Thread
from time import monotonic, time_ns
from typing import Any
from weakref import WeakKeyDictionary

from asyncdsm._internal.bounds import make_room
from asyncdsm._internal.forks import call_in_forked_child
from asyncdsm.integration import Lag, add_lag_source, guarded
from asyncdsm_redis.names import as_text
from asyncdsm_redis.questions import ask_async, ask_blocking, find_package, find_servers

MAX_GROUPS = 100
"""How many groups of one pool or cluster are asked about; beyond, the one that was read longest ago is forgotten."""
ASK_EVERY = 5.0
"""The seconds between two askings, at least. `streams.lag()` may be called at any time."""


class ReadGroups:
    """The consumer groups that are read over one pool of connections, or in one cluster, and how far each is behind."""

    def __init__(self, client: Any) -> None:
        self._package = find_package(client)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked_at = 0.0
        self._asking: set[asyncio.Task[None] | Thread] = set()
        self.lags: dict[tuple[str, str], Lag | None] = {}
        """What the servers said last, by stream and group; None if they did not say."""

    def note(self, stream: str, group: str) -> None:
        """Note that a group has read a stream."""
        if self._package.is_async:
            self._loop = asyncio.get_running_loop()
        known = self.lags.pop((stream, group), None)
        make_room(self.lags, MAX_GROUPS)
        self.lags[stream, group] = known

    def ask(self, connections: Any) -> None:
        """Have the servers asked, unless that is being done or was just now. Waits for nothing."""
        if self._asking or monotonic() - self._asked_at < ASK_EVERY or not self.lags:
            return
        self._asked_at = monotonic()
        streams = sorted({stream for stream, _ in list(self.lags)})
        for server, owned in find_servers(connections, streams, self._package):
            if server is None:
                for stream in owned:
                    self._store(stream, [])
            else:
                self._ask_server(self._package.connect(server), owned)

    def _ask_server(self, client: Any, streams: list[str]) -> None:
        if not self._package.is_async:
            self._start_thread(client, streams)
        elif self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._start_task, client, streams, context=Context())

    def _start_task(self, client: Any, streams: list[str]) -> None:
        asking = ask_async(client, streams, self._store, self._package.refusal)
        task = asyncio.get_running_loop().create_task(asking)
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    def _start_thread(self, client: Any, streams: list[str]) -> None:
        def ask() -> None:
            try:
                ask_blocking(client, streams, self._store, self._package.refusal)
            finally:
                self._asking.discard(thread)

        thread = Thread(target=ask, name="asyncdsm-redis", daemon=True)
        self._asking.add(thread)
        Context().run(thread.start)

    def _store(self, stream: str, groups: list[Any]) -> None:
        """Store what a server says of the groups of a stream; those of which it says nothing have no number any more.

        It says None where entries were trimmed or deleted. Servers before 7.0 say nothing.
        """
        told = {as_text(each["name"]): each.get("lag") for each in groups}
        for key in list(self.lags):
            if key[0] == stream:
                self.lags[key] = _make_lag(stream, key[1], told.get(key[1]))


def _make_lag(stream: str, group: str, behind: Any) -> Lag | None:
    is_known = isinstance(behind, int) and behind >= 0
    return Lag(group, stream, None, behind, seen_ns=time_ns(), type="redis") if is_known else None


class GroupLags:
    """The consumer groups by pool or cluster: a source of lag."""

    def __init__(self) -> None:
        self._groups: WeakKeyDictionary[Any, ReadGroups] = WeakKeyDictionary()

    def note(self, client: Any, stream: str, group: str) -> None:
        """Note that a group has read a stream."""
        connections = _find_connections(client)
        if connections is None:
            return
        groups = self._groups.get(connections)
        if groups is None:
            groups = self._groups[connections] = ReadGroups(client)
        groups.note(stream, group)

    def lags(self) -> Iterator[Lag]:
        """Return what the servers said last, and have them asked again."""
        for reference in self._groups.keyrefs():  # a list made at once: other threads read meanwhile
            connections = reference()
            groups = None if connections is None else self._groups.get(connections)
            if groups is not None:
                yield from [lag for lag in list(groups.lags.values()) if lag is not None]
                groups.ask(connections)

    def forget(self) -> None:
        """Forget all of them: a forked child has none of their loops and threads."""
        self._groups = WeakKeyDictionary()


def _find_connections(client: Any) -> Any:
    """Return the pool of a client or a pipeline; for those of a cluster, what knows its nodes. None without either.

    It lives as long as the client, and pipelines have it in common.
    """
    owners = (getattr(client, "cluster_client", None), getattr(client, "_client", None), client)
    owner = next((each for each in owners if hasattr(each, "nodes_manager")), None)
    if owner is None:
        return getattr(client, "connection_pool", None)
    nodes = owner.nodes_manager
    return nodes if type(nodes).__weakrefoffset__ else owner  # asyncio's cannot be weakly referenced


_lags = GroupLags()
add_lag_source(_lags)
call_in_forked_child(_lags.forget)


@guarded
def note_group(client: Any, stream: str, group: str) -> None:
    """Note that a group has read a stream, so that its lag is asked for."""
    _lags.note(client, stream, group)
