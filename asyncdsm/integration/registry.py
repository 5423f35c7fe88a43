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
    from asyncdsm.integration.formats import lambda_events  # noqa: PLC0415  (msgspec and datetime: not without need)

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
    got = f"the class {_name_of(kind)}, not an object of it" if kind is client else _name_of(kind)
    all_of_it = "" if integration.is_wrapped_only else f"; instrument({package!r}) follows all of it"
    return f"wrap() got {got}: of {package} it takes {integration.wraps}{all_of_it}"


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


@functools.lru_cache(1)
def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points  # noqa: PLC0415  (slow: not before it is needed)

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}


@functools.lru_cache
def _load(name: str) -> Integration:
    loaded: Any = _entry_points()[name].load()
    return loaded if isinstance(loaded, Integration) else _OfModule(loaded, name)


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


class _OfModule(Integration):
    def __init__(self, module: Any, name: str) -> None:
        super().__init__()
        self.module, self.package = module, name
        self.versions = module.VERSIONS
        self.wraps = module.WRAPS
        self.is_wrapped_only = getattr(module, "ONLY_WRAPPED", False)
        self.wrap = module.wrap  # type: ignore[method-assign]
        self.instrument = module.instrument  # type: ignore[method-assign]
        self.uninstrument = module.uninstrument  # type: ignore[method-assign]
        self.pathway_of = module.pathway_of  # type: ignore[method-assign]
