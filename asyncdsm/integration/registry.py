"""What an integration is, how one is found, and what a user calls: wrap, instrument, using."""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from asyncdsm._internal.log import warn_once
from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.pathway import Context, Pathway
from asyncdsm.errors import UnknownClientError
from asyncdsm.integration.formats import lambda_events

ENTRY_POINTS = "asyncdsm.integrations"

Client = TypeVar("Client")


class Integration(Protocol):
    """A module that knows one client, found through the entry-point group `asyncdsm.integrations`.

    The entry point is named after the package that it hooks.
    """

    VERSIONS: tuple[str, str]
    """The first and the last `major.minor` of the client that it was tested with."""

    WRAPS: str
    """What `wrap` takes, for the error that says so: "a client object"."""

    def wrap(self, client: Any) -> Any | None:
        """Put the hooks on one object; return it, or what stands in for it. None for one that is not this client's."""

    def instrument(self) -> None:
        """Put the hooks on every object."""

    def uninstrument(self) -> None:
        """Restore the classes to what they were."""

    def pathway_of(self, message: Any) -> Context | None:
        """Return the pathway of a consumed message, from the message alone; None if it is not this client's."""


def wrap(client: Client) -> Client:
    """Follow the messages of this one client, and return it. Wrapping it again does nothing more.

    A client that takes no hooks, as C's objects do not, gets one that stands in for it: use what is returned.

    Raises UnknownClientError for an object that no installed integration knows.
    """
    failed = False
    for integration in _loadable():
        try:
            if (wrapped := integration.wrap(client)) is not None:
                return wrapped  # type: ignore[no-any-return]
        except Exception as error:
            failed = True
            report_hook_error(error)
    if failed:  # perhaps by the one that knows it: it goes unfollowed
        return client
    raise UnknownClientError(_why_unknown(client))


def instrument(name: str | None = None) -> None:
    """Follow the messages of every client that is installed, or of one: `instrument("aiokafka")`.

    Raises UnknownClientError for a name without integration, ImportError for a client that is not installed.
    """
    for integration in _named(name):
        integration.instrument()


def uninstrument(name: str | None = None) -> None:
    """Undo `instrument`: classes are what they were before."""
    for integration in _named(name):
        integration.uninstrument()


def names() -> list[str]:
    """Return the packages that an integration is installed for, whether they are installed themselves or not."""
    return list(_entry_points())


def integration_of(name: str) -> Integration:
    """Return the integration of a package, which must be installed itself. Raises what its import raises."""
    return _load(name)


def is_installed(name: str) -> bool:
    """Say whether a package can be imported. What has put itself in its module's place, as Kombu has, has no spec."""
    from importlib.util import find_spec  # noqa: PLC0415

    return sys.modules.get(name) is not None or find_spec(name) is not None


@contextmanager
def using(message: Any) -> Iterator[Pathway | None]:
    """Make this consumed message's pathway the current one inside the block: for gather, queues and worker pools.

    An object that is not a consumed message of a client known here has no pathway: none is current inside the block,
    `streams.stats.malformed` counts it, and a warning names its type once. Under `asyncdsm.testing` it raises
    UnknownClientError.
    """
    pathway = pathway_of(message)
    with current.restored(pathway):
        yield pathway


def pathway_of(message: Any) -> Pathway | None:
    """Return the pathway of a consumed message, from the message alone. None while nothing runs.

    None too for an object that is not a consumed message of a client known here: see `using`.
    """
    aggregator = checkpoint.ensure_recorder()
    if aggregator is None:
        return None
    for integration in _loadable():
        try:
            context = integration.pathway_of(message)
        except Exception as error:
            report_hook_error(error)
            return None
        if context is not None:
            return Pathway(*context)
    try:
        context = lambda_events.pathway_of(message)
    except Exception as error:  # such as a proxy that leads to nothing here
        report_hook_error(error)
        return None
    if context is not None:
        return Pathway(*context)
    problem = f"not a consumed message: {_name_of(type(message))}; known: {_known()}"
    if aggregator.strict:
        raise UnknownClientError(problem)
    aggregator.counters.increment("malformed")
    warn_once(f"unknown-message-{_name_of(type(message))}", "asyncdsm.using() got %s", problem)
    return None


def check_version(name: str, installed: str, versions: tuple[str, str]) -> None:
    """Warn once about a client outside of the versions that an integration was tested with."""
    first, last = (_numbers(version) for version in versions)
    if not first <= _numbers(installed) <= last:
        warn_once(
            f"version-{name}",
            "%s %s is outside of %s to %s, the versions tested: hooked as far as it fits",
            name,
            installed,
            *versions,
        )


def _why_unknown(client: object) -> str:
    """Say why `wrap` cannot take an object, and what it takes instead."""
    if isinstance(client, Awaitable):
        return f"wrap() got {_name_of(type(client))}: await it first, as in asyncdsm.wrap(await connect(...))"
    kind = client if isinstance(client, type) else type(client)
    roots = {base.__module__.partition(".")[0] for base in kind.__mro__}
    package = next((name for name in _entry_points() if name in roots), None)
    if package is None:
        return f"no integration for {_name_of(kind)}; known: {_known()}"
    integration = _load(package)
    taken = getattr(integration, "WRAPS", "a client object")  # somebody else's integration may lack it
    got = f"the class {_name_of(kind)}, not an object of it" if kind is client else _name_of(kind)
    all_of_it = "" if getattr(integration, "ONLY_WRAPPED", False) else f"; instrument({package!r}) follows all of it"
    return f"wrap() got {got}: of {package} it takes {taken}{all_of_it}"


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())


@functools.lru_cache(1)
def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points  # noqa: PLC0415  (slow: not before it is needed)

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


@functools.lru_cache
def _load(name: str) -> Integration:
    integration: Integration = _entry_points()[name].load()
    return integration


def _loadable() -> Iterator[Integration]:
    """The integrations whose client is in use: no object exists of a client that was never imported."""
    for name in _entry_points():
        if name in sys.modules:
            try:
                yield _load(name)
            except Exception as error:  # a version far outside of those it knows: the other clients go on
                warn_once(f"load-{name}", "the integration of %s cannot be loaded: %r", name, error)


def _named(name: str | None) -> list[Integration]:
    if name is None:
        return [_load(known) for known in _entry_points() if is_installed(known)]
    if name not in _entry_points():
        raise UnknownClientError(f"no integration named {name!r}; known: {_known()}")
    return [_load(name)]


def _known() -> str:
    return ", ".join(sorted(_entry_points())) or "none"
