"""How an installed integration is found, and what a user calls: wrap, instrument, uninstrument, using."""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from asyncdsm._internal.log import warn_once
from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.pathway import Pathway
from asyncdsm.errors import UnknownClientError
from asyncdsm.integration.base import Integration

ENTRY_POINTS = "asyncdsm.integrations"

Client = TypeVar("Client")


def wrap(client: Client) -> Client:
    """Follow the messages of this one client, and return it. Wrapping it again changes nothing.

    The page of each client says which objects are clients. An object of a C extension takes no hooks, so `wrap` returns
    a proxy for it: always use what `wrap` returns. Nothing is measured until a DataStreams runs.

    Raises UnknownClientError for an object that no installed integration knows; the message says what to pass instead.
    """
    failed = False
    for integration in _load_imported():
        try:
            if (wrapped := integration.wrap(client)) is not None:
                return wrapped  # type: ignore[no-any-return]
        except Exception as error:
            failed = True
            report_hook_error(error)
    if failed:  # perhaps in the integration that knows it: the client is not followed
        return client
    raise UnknownClientError(_explain_unknown(client))


def instrument(name: str | None = None) -> None:
    """Follow the messages of every installed client, or of one package: `instrument("aiokafka")`.

    Clients that exist already are followed too, where the package allows it. httpx is left alone: wrap its clients.

    Raises UnknownClientError for a name without integration, ImportError for a client that is not installed.
    """
    for integration in _load_named(name):
        integration.instrument()


def uninstrument(name: str | None = None) -> None:
    """Undo `instrument` for every package, or for one: restore its classes. Clients that were wrapped stay followed.

    Raises UnknownClientError for a name without integration.
    """
    for integration in _load_named(name):
        integration.uninstrument()


def list_packages() -> list[str]:
    """Return the packages that have an integration, whether the packages themselves are installed or not."""
    return list(_entry_points())


def load_integration(name: str) -> Integration:
    """Return the integration of an installed package. Raises what importing it raises."""
    return _load(name)


def is_installed(name: str) -> bool:
    """Say whether a package can be imported. Kombu replaces its own module, which then has no spec."""
    from importlib.util import find_spec  # noqa: PLC0415

    try:
        return sys.modules.get(name) is not None or find_spec(name) is not None
    except ModuleNotFoundError:  # a package within another one, which is not there
        return False


@contextmanager
def using(message: Any) -> Iterator[Pathway | None]:
    """Make the pathway of a consumed message the current one inside the block: `with asyncdsm.using(message):`.

    For messages that are handed to other tasks and threads: gather, queues, worker pools. Afterwards the previous
    pathway is current again. The block gets the pathway, or None while nothing measures.

    An object that no integration knows as a consumed message has no pathway: inside the block none is current,
    `streams.stats.malformed` counts the object, and a warning names its type once. Under `asyncdsm.testing` it raises
    UnknownClientError.
    """
    pathway = pathway_of(message)
    with current.restored(pathway):
        yield pathway


def pathway_of(message: Any) -> Pathway | None:
    """Return the pathway of a consumed message, from the message alone. None while nothing measures.

    None too for an object that no integration knows as a consumed message: see `using`.
    """
    recorder = checkpoint.ensure_recorder()
    if recorder is None:
        return None
    for integration in _load_imported():
        try:
            context = integration.pathway_of(message)
        except Exception as error:
            report_hook_error(error)
            return None
        if context is not None:
            return Pathway(*context)
    from asyncdsm.integration.formats import lambda_events  # noqa: PLC0415  (not without need)

    try:
        context = lambda_events.find_lambda_pathway(message)
    except Exception as error:  # such as a proxy whose target is gone
        report_hook_error(error)
        return None
    if context is not None:
        return Pathway(*context)
    problem = f"not a consumed message: {_qualified_name(type(message))}; known: {_list_known()}"
    if recorder.strict:
        raise UnknownClientError(problem)
    recorder.counters.increment("malformed")
    warn_once(f"unknown-message-{_qualified_name(type(message))}", "asyncdsm.using() got an object that is %s", problem)
    return None


def _explain_unknown(client: object) -> str:
    """Explain why `wrap` cannot take an object, and what it takes instead."""
    if isinstance(client, Awaitable):
        return f"wrap() got {_qualified_name(type(client))}: await it first, as in asyncdsm.wrap(await connect(...))"
    kind = client if isinstance(client, type) else type(client)
    modules = [f"{base.__module__}." for base in kind.__mro__]
    package = next((name for name in _entry_points() if any(each.startswith(f"{name}.") for each in modules)), None)
    if package is None:
        return f"no integration for {_qualified_name(kind)}; known: {_list_known()}"
    integration = _load(package)
    got = f"the class {_qualified_name(kind)}, not an object of it" if kind is client else _qualified_name(kind)
    all_of_it = "" if integration.is_wrapped_only else f"; instrument({package!r}) follows all of it"
    return f"wrap() got {got}: of {package} it takes {integration.wraps}{all_of_it}"


def _qualified_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


@functools.lru_cache(1)
def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points  # noqa: PLC0415  (slow: not before it is needed)

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


@functools.lru_cache
def _load(name: str) -> Integration:
    integration = _entry_points()[name].load()
    if not isinstance(integration, Integration):
        problem = f"must lead to an instance of a subclass of asyncdsm.integration.Integration, got {integration!r}"
        raise TypeError(f"the entry point {name!r} of {ENTRY_POINTS} {problem}")
    return integration


def _load_imported() -> Iterator[Integration]:
    """Yield the integrations of the packages that are imported: no object of any other package can exist."""
    for name in _entry_points():
        if name in sys.modules:
            try:
                yield _load(name)
            except Exception as error:  # perhaps an untested version: the other clients are still followed
                warn_once(f"load-{name}", "asyncdsm cannot load its integration of %s: %r", name, error)


def _load_named(name: str | None) -> list[Integration]:
    if name is None:
        return [_load(known) for known in _entry_points() if is_installed(known)]
    if name not in _entry_points():
        raise UnknownClientError(f"no integration named {name!r}; known: {_list_known()}")
    return [_load(name)]


def _list_known() -> str:
    return ", ".join(sorted(_entry_points())) or "none"
