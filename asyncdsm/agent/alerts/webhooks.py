"""Posts messages to webhooks: in order, tried again within bounds, and each one counted as delivered or dropped.

The path of a webhook's URL is often a secret, so that only its host is ever shown.
"""

from __future__ import annotations

import ssl
from collections import deque
from http import HTTPStatus
from urllib.parse import urlsplit

import anyio
import httpx2
from anyio.abc import TaskGroup

from asyncdsm._internal.log import pluralize, warn_each_minute
from asyncdsm._version import __version__
from asyncdsm.agent.store.conditions import Conditions
from asyncdsm.core.counters import Counters, Stats
from asyncdsm.delivery.exporters.http import (
    HandshakeGuard,
    describe_error,
    parse_retry_after,
    quiet_requests,
    read_answer,
    split_credentials,
)

ATTEMPTS = 5
FIRST_DELAY = 1.0
"""Seconds before the second attempt; before each one after that, twice as many."""
LONGEST_DELAY = 60.0
REQUEST_SECONDS = 10.0
MOST_WAITING = 100
"""How many messages wait for one webhook. The oldest are dropped."""
END_SECONDS = 1.0
"""How long messages are still sent while the agent ends."""
_TEMPORARY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
_HEADERS = {"Content-Type": "application/json", "User-Agent": f"asyncdsm/{__version__}"}


class Webhooks:
    """Sends messages to webhooks, each of which has a queue of its own: one that hangs holds up no other."""

    def __init__(self, conditions: Conditions) -> None:
        """`conditions` gets what was not delivered, as the problem `webhook`."""
        self._conditions = conditions
        self._counters = Counters()
        self._queues: dict[str, deque[bytes]] = {}
        self._tasks: TaskGroup | None = None
        self._client: httpx2.AsyncClient | None = None
        self._opening = anyio.Lock()
        self._changed = anyio.Event()

    def stats(self) -> Stats:
        """Return how many messages were recorded and delivered, are pending, and were dropped."""
        return self._counters.to_stats()

    def enqueue_message(self, url: str, body: bytes) -> None:
        """Send a message soon, as long as `run` runs. It must be called on the event loop."""
        self._counters.record(1)
        if self._tasks is None:
            self._drop(url, "shutdown", "the agent ends")
            return
        is_sending = url in self._queues
        queue = self._queues.setdefault(url, deque())
        queue.append(body)
        if len(queue) > MOST_WAITING:
            queue.popleft()
            self._drop(url, "queue", "too many messages wait for it")
        if not is_sending:
            self._tasks.start_soon(self._send_queue, url)

    async def run(self, stop: anyio.Event) -> None:
        """Send messages until `stop` is set. Those that are left after a second are dropped."""
        try:
            async with anyio.create_task_group() as self._tasks:
                await stop.wait()
                with anyio.move_on_after(END_SECONDS):
                    await self._wait_for_queues()
                self._tasks.cancel_scope.cancel()
        finally:
            self._tasks = None
            with anyio.CancelScope(shield=True):
                self._drop_all()
                if self._client is not None:
                    await self._client.aclose()

    async def _wait_for_queues(self) -> None:
        """Wait until nothing is left to send."""
        while self._queues:
            self._changed = anyio.Event()
            await self._changed.wait()

    async def _send_queue(self, url: str) -> None:
        """Send what waits for a webhook, and end."""
        queue = self._queues[url]
        while queue:
            body = queue.popleft()
            problem: str | None = "the agent ended"
            cause = "shutdown"
            try:
                cause, problem = await self._send(url, body)
            finally:
                self._count(url, cause, problem)
        del self._queues[url]
        self._changed.set()

    async def _send(self, url: str, body: bytes) -> tuple[str, str | None]:
        """Post a message, up to `ATTEMPTS` times. Return why it was dropped, and None instead if it was delivered."""
        problem = ""
        for attempt in range(ATTEMPTS):
            status, retry_after, problem = await self._post(url, body)
            if 200 <= status < 300:
                return "", None
            if status and status < 500 and status not in _TEMPORARY:
                return "refused", problem
            self._note(url, problem)
            if attempt < ATTEMPTS - 1:
                delay = FIRST_DELAY * 2**attempt if retry_after is None else retry_after
                await anyio.sleep(min(delay, LONGEST_DELAY))
        return "attempts", f"{problem}, after {ATTEMPTS} attempts"

    async def _post(self, url: str, body: bytes) -> tuple[int, float | None, str]:
        """Post a message once. Return the HTTP status (0 without an answer), when to try again, and the problem."""
        try:
            address, auth = split_credentials(url)
            client = await self._open_client()
            with quiet_requests(), anyio.fail_after(REQUEST_SECONDS):
                async with (
                    HandshakeGuard() as guard,
                    client.stream(
                        "POST", address, content=body, auth=auth, headers=_HEADERS, extensions={"trace": guard.trace}
                    ) as answer,
                ):
                    await read_answer(answer)
        except TimeoutError:
            return 0, None, f"no answer within {REQUEST_SECONDS:g} s"
        except Exception as error:  # an error of the client must not end the messages to other webhooks
            return 0, None, describe_error(error)
        retry_after = parse_retry_after(answer.headers.get("Retry-After"))
        return answer.status_code, retry_after, f"HTTP status {answer.status_code}"

    async def _open_client(self) -> httpx2.AsyncClient:
        """Return the client, which is made for the first message. It uses a proxy if the environment names one."""
        async with self._opening:  # several webhooks may be told at once
            if self._client is None:
                context = await anyio.to_thread.run_sync(ssl.create_default_context)  # it reads from the disk
                self._client = httpx2.AsyncClient(verify=context, timeout=REQUEST_SECONDS)
            return self._client

    def _count(self, url: str, cause: str, problem: str | None) -> None:
        if problem is None:
            self._counters.deliver(1)
        else:
            self._drop(url, cause, problem)

    def _drop(self, url: str, cause: str, problem: str) -> None:
        self._counters.drop(cause, 1)
        self._note(url, problem)
        warn_each_minute(
            f"webhook {url}", "asyncdsm agent could not tell the webhook at %s of an alert: %s", show_host(url), problem
        )

    def _drop_all(self) -> None:
        left = sum(map(len, self._queues.values()))
        for url, queue in self._queues.items():
            for _ in queue:
                self._drop(url, "shutdown", f"the agent ended before it had sent {pluralize(left, 'message')}")
        self._queues = {}

    def _note(self, url: str, problem: str) -> None:
        self._conditions.note("webhook", f"the webhook at {show_host(url)} does not take messages: {problem}")


def show_host(url: str) -> str:
    """Return what may be shown of a webhook's URL: its host and port."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
