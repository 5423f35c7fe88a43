"""`Integration`: the base class of integrations. Each follows the clients of one package."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from asyncdsm._internal.log import warn_once
from asyncdsm._internal.mocks import is_mock
from asyncdsm.core.pathway import Pathway
from asyncdsm.integration.hooks import Hooks


class Integration:
    """Follows the clients of one package. A subclass says which objects are clients, and puts hooks on them.

    The entry point (group `asyncdsm.integrations`) is named after the package, and leads to an instance.
    """

    package: str
    """The package's import name: `asyncdsm.instrument("nats")`."""
    versions: tuple[str, str]
    """The first and the last `major.minor` of the package that the integration was tested with."""
    wraps: str
    """The objects that `wrap` takes, for error messages: "a connection"."""
    is_wrapped_only: bool = False
    """Whether a client is followed only if the user wraps it; `instrument` then does nothing."""

    def __init__(self, hooks: Hooks | None = None) -> None:
        """`hooks` is given by an integration whose other modules ask whether they are on the classes."""
        self.hooks: Hooks = Hooks() if hooks is None else hooks
        """The hooks on the package's classes. `uninstrument` removes them."""

    def is_client(self, client: object) -> bool:
        """Say whether an object is one that `wrap` takes: usually an `isinstance`."""
        raise NotImplementedError

    def follow(self, client: Any) -> Any:
        """Put hooks on one client. Return the client, or the object that replaces it. A second call changes nothing."""
        raise NotImplementedError

    def hook_classes(self) -> None:
        """Put hooks on the package's classes, so that every client is followed. A second call changes nothing."""
        raise NotImplementedError

    def unhook_classes(self) -> None:
        """Undo what `hook_classes` did beyond `self.hooks`, which are removed already."""

    def pathway_of(self, message: Any) -> Pathway | None:
        """Return the pathway of a consumed message, and record nothing. None if it is not a message of this package."""
        del message
        return None

    def installed_version(self) -> str:
        """Import the package and return its `__version__`, or "" without one. Raises what the import raises.

        Override it for a package that tells its version elsewhere. An unknown version is not checked.
        """
        return str(getattr(import_module(self.package), "__version__", ""))

    def wrap(self, client: Any) -> Any | None:
        """Follow one client; return it, or the object that replaces it. None for an object that is not a client.

        A mock of a client is returned as it is: its hooks would be among the calls that its test looks at.
        """
        if not self.is_client(client):
            return None
        if is_mock(client):
            return client
        self.check_version()
        return self.follow(client)

    def instrument(self) -> None:
        """Follow every client of the package."""
        if not self.is_wrapped_only:
            self.check_version()
            self.hook_classes()

    def uninstrument(self) -> None:
        """Undo `instrument`. Clients that were wrapped one by one stay wrapped."""
        self.hooks.remove()
        self.unhook_classes()

    def check_version(self) -> None:
        """Warn once about an installed version outside of those that were tested."""
        installed = self.installed_version()
        first, last = (_split_version(version) for version in self.versions)
        if installed and not first <= _split_version(installed) <= last:
            warn_once(
                f"version-{self.package}",
                "asyncdsm was not tested with %s %s, only with %s to %s: it instruments what it can",
                self.package,
                installed,
                *self.versions,
            )


def _split_version(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
