"""The endpoint of rules as they are written: those of the page are added, replaced and removed here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import anyio
from anyio import to_thread
from msgspec import DecodeError, convert
from msgspec.json import decode, encode
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from asyncdsm.agent.alerts.kinds import list_kinds
from asyncdsm.agent.alerts.page_rules import RuleRefusedError, version_of
from asyncdsm.agent.alerts.watcher import AlertWatcher
from asyncdsm.agent.queries.answers import RuleFields, WrittenRule, WrittenRules
from asyncdsm.agent.queries.parameters import ApiError, required_parameter, unique_parameters

MOST_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0


class RuleEndpoint:
    """Lists the rules of an agent, and changes those of the page."""

    def __init__(self, alerts: AlertWatcher) -> None:
        self._alerts = alerts

    def route(self) -> list[Route]:
        """Return the routes, one for each method."""
        handlers = {"GET": self.list_rules, "POST": self.add, "PUT": self.replace, "DELETE": self.remove_named}
        return [Route("/api/rules", self._answer(handlers), methods=list(handlers))]

    def _answer(
        self, handlers: Mapping[str, Callable[[Request], Awaitable[None]]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            handler = handlers.get(request.method, self.list_rules)  # HEAD is answered as GET is
            try:
                await handler(request)
            except RuleRefusedError as error:
                raise ApiError(error.status, error.field, str(error)) from None
            except OSError as error:
                raise ApiError(503, "rules", f"the file of rules cannot be written: {error.strerror}") from None
            return Response(encode(self._rules()), media_type="application/json")

        return answer

    async def list_rules(self, request: Request) -> None:
        """List the rules."""

    async def add(self, request: Request) -> None:
        """Add the rule that the body has. Raises ApiError, RuleRefusedError and OSError."""
        table = await _read_table(request)
        await self._change(lambda: self._alerts.page.add(table, self._taken()))

    async def replace(self, request: Request) -> None:
        """Replace the rule `name` by that of the body. Raises ApiError, RuleRefusedError and OSError."""
        (name, version), table = _name_and_version(request), await _read_table(request)
        await self._change(lambda: self._alerts.page.replace(name, table, self._taken(), version))

    async def remove_named(self, request: Request) -> None:
        """Remove the rule `name`. Raises ApiError, RuleRefusedError and OSError."""
        name, version = _name_and_version(request)
        await self._change(lambda: self._alerts.page.remove_rule(name, self._taken(), version))

    async def _change(self, change: Callable[[], None]) -> None:
        await to_thread.run_sync(change)  # it writes to a disk
        self._alerts.wake()

    def _taken(self) -> set[str]:
        return {rule.name for rule in self._alerts.file.rules}

    def _rules(self) -> WrittenRules:
        taken = self._taken()
        written = [_written("file", table, in_force=True) for table in self._alerts.file.tables]
        written += [
            _written("page", table, in_force=table["name"] not in taken) for table in self._alerts.page.tables()
        ]
        return WrittenRules(kept=self._alerts.page.is_kept, rules=written, kinds=list_kinds())


def _written(source: Literal["file", "page"], table: dict[str, Any], *, in_force: bool) -> WrittenRule:
    return WrittenRule(source=source, in_force=in_force, version=version_of(table), rule=_fields(table))


def _fields(table: dict[str, Any]) -> RuleFields:
    """Return the fields of a rule. The path of a webhook is often a secret."""
    shown = {**table, "webhook": urlsplit(table["webhook"]).hostname} if "webhook" in table else table
    return convert(shown, RuleFields)


def _name_and_version(request: Request) -> tuple[str, str | None]:
    """Return which rule is to be changed, and in which version its sender knows it, if that is said."""
    parameters = unique_parameters(request.query_params.multi_items())
    return required_parameter(parameters, "name"), parameters.get("version")


async def _read_table(request: Request) -> dict[str, Any]:
    """Return the rule of a body. Raises ApiError."""
    body = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BODY_BYTES:
                    raise ApiError(413, "body", f"body must have at most {MOST_BODY_BYTES} bytes")
        return decode(bytes(body), type=dict[str, str | int | float | None])
    except TimeoutError:
        raise ApiError(408, "body", f"body must arrive within {BODY_SECONDS:g} s") from None
    except (DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ApiError(400, "body", f"body must be a JSON object of strings and numbers: {error}") from None
