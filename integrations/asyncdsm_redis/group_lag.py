"""How far consumer groups are behind: what `XINFO GROUPS` says, which is asked at a flush and never for a message.

Each pool of connections is asked in a task of its own, or in a thread if its clients block, over a connection of its
own: a pool may be bounded, and all its connections may be needed.
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

MAX_GROUPS = 100
"""How many groups of one pool are asked about; beyond, the one that was read longest ago is forgotten."""
ASK_EVERY = 5.0
"""The seconds between two askings, at least. `streams.lag()` may be called at any time."""
PATIENCE = 5.0
"""How many seconds the server may take to answer."""
_OF_THE_POOL_ALONE = ("cache", "event_dispatcher", "himport", "maint_notifications")
# What the names of those arguments of connections begin with that lead back to the pool which made them.


class PoolLags:
    """The consumer groups that are read over one pool of connections, and how far each is behind."""

    def __init__(self, client: Any) -> None:
        self._make_client = next(cls for cls in type(client).__mro__ if cls.__name__ in ("Redis", "Valkey"))
        self._make_pool = next(cls for cls in type(client.connection_pool).__mro__ if cls.__name__ == "ConnectionPool")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_async = ".asyncio." in self._make_client.__module__
        self._asked_at = 0.0
        self._asking: asyncio.Task[None] | Thread | None = None
        self.lags: dict[tuple[str, str], Lag | None] = {}
        """What the server said last, by stream and group; None if it did not say."""

    def note(self, stream: str, group: str) -> None:
        """Note that a group has read a stream."""
        if self._is_async:
            self._loop = asyncio.get_running_loop()
        known = self.lags.pop((stream, group), None)
        make_room(self.lags, MAX_GROUPS)
        self.lags[stream, group] = known

    def ask(self, pool: Any) -> None:
        """Have the server asked, unless it is being asked or was just now. Waits for nothing."""
        if self._asking is not None or monotonic() - self._asked_at < ASK_EVERY or not self.lags:
            return
        self._asked_at = monotonic()
        arguments = {
            key: value for key, value in pool.connection_kwargs.items() if not key.startswith(_OF_THE_POOL_ALONE)
        }
        arguments["socket_timeout"] = PATIENCE
        if "host" in arguments:
            arguments["socket_connect_timeout"] = PATIENCE
        own_pool = self._make_pool(connection_class=pool.connection_class, max_connections=1, **arguments)
        client: Any = self._make_client(connection_pool=own_pool)
        if not self._is_async:
            self._asking = thread = Thread(
                target=self._ask_blocking, args=(client,), name="asyncdsm-redis", daemon=True
            )
            Context().run(thread.start)
        elif self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._start_task, client, context=Context())

    def _start_task(self, client: Any) -> None:
        self._asking = asyncio.get_running_loop().create_task(self._ask_async(client))

    async def _ask_async(self, client: Any) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                for stream in self._find_streams():
                    self._store(stream, await client.execute_command("XINFO GROUPS", stream))
        except Exception:
            self._forget()
        finally:
            self._asking = None
            await client.connection_pool.disconnect()

    def _ask_blocking(self, client: Any) -> None:
        try:
            for stream in self._find_streams():
                self._store(stream, client.execute_command("XINFO GROUPS", stream))
        except Exception:
            self._forget()
        finally:
            self._asking = None
            client.connection_pool.disconnect()

    def _find_streams(self) -> list[str]:
        return sorted({stream for stream, _ in list(self.lags)})

    def _store(self, stream: str, groups: Any) -> None:
        """Store what the server says of the groups of a stream. It says None where entries were trimmed or deleted."""
        for each in groups:
            group, behind = as_text(each["name"]), each.get("lag")  # servers before 7.0 have none
            if (stream, group) in self.lags:
                is_known = isinstance(behind, int) and behind >= 0
                self.lags[stream, group] = Lag(group, stream, None, behind, seen_ns=time_ns()) if is_known else None

    def _forget(self) -> None:
        """Report no numbers that are out of date: the server has not answered, or a stream is gone."""
        for key in list(self.lags):
            self.lags[key] = None


class GroupLags:
    """The consumer groups by pool: a source of lag."""

    def __init__(self) -> None:
        self._pools: WeakKeyDictionary[Any, PoolLags] = WeakKeyDictionary()

    def note(self, client: Any, stream: str, group: str) -> None:
        """Note that a group has read a stream. A client of a cluster has no single pool, and is not asked."""
        pool = getattr(client, "connection_pool", None)
        if pool is None:
            return
        lags = self._pools.get(pool)
        if lags is None:
            lags = self._pools[pool] = PoolLags(client)
        lags.note(stream, group)

    def lags(self) -> Iterator[Lag]:
        """Return what the servers said last, and have them asked again."""
        for reference in self._pools.keyrefs():  # a list made at once: other threads read meanwhile
            pool = reference()
            lags = None if pool is None else self._pools.get(pool)
            if lags is not None:
                yield from [lag for lag in list(lags.lags.values()) if lag is not None]
                lags.ask(pool)

    def forget(self) -> None:
        """Forget all pools: a forked child has none of their loops and threads."""
        self._pools = WeakKeyDictionary()


_lags = GroupLags()
add_lag_source(_lags)
call_in_forked_child(_lags.forget)


@guarded
def note_group(client: Any, stream: str, group: str) -> None:
    """Note that a group has read a stream, so that its lag is asked for."""
    _lags.note(client, stream, group)
