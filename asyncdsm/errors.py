"""Every error that asyncdsm raises, in one tree: `except AsyncDSMError` catches them all.

::

    AsyncDSMError
    ├── SettingError                a setting has a value that it cannot have
    ├── AlreadyRunningError         a second DataStreams was started
    ├── UnknownClientError          no integration knows a client
    ├── MalformedValueError         a client or a message handed over an unusable value
    ├── PayloadError                bytes are not a Data Streams payload
    ├── SketchError                 bytes are not a sketch
    ├── DeliveryError               a payload was not delivered
    │   ├── TemporaryDeliveryError  … now; worth another try
    │   ├── NoEndpointError         … because the Agent has no Data Streams endpoint
    │   └── PayloadRefusedError     … and another try would end the same way
    ├── OptionError                 an option of the local agent has a value that it cannot have
    ├── RulesError                  a file of alert rules has errors
    ├── StoreError                  the local agent cannot use its store's file
    ├── StoreFullError              the local agent's store has no room left
    ├── StoreUnavailableError       the local agent's store cannot be read or written at present
    │   └── StoreLimitError         … since a statement is too large for its server
    └── UnixSocketError             the local agent cannot listen on its Unix socket

Each error is also an instance of the built-in exception that fits it best, where there is one.
"""

from __future__ import annotations


class AsyncDSMError(Exception):
    """Base class of every error of asyncdsm."""


class SettingError(AsyncDSMError, ValueError):
    """A setting has a value that it cannot have. The message names the setting, what is allowed, and the value."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        """`name` is a field of `Settings` or an environment variable; `value` must not show a secret."""
        super().__init__(f"{name} must be {allowed}, got {value!r}")
        self.name: str = name


class AlreadyRunningError(AsyncDSMError, RuntimeError):
    """A second DataStreams was started while one is running."""


class UnknownClientError(AsyncDSMError, TypeError):
    """No installed integration knows this object, or no integration has this name."""


class MalformedValueError(AsyncDSMError, ValueError):
    """A client, a message or a call handed over an unusable value.

    asyncdsm counts these and logs them. They never reach the user's program.
    """


class PayloadError(AsyncDSMError, ValueError):
    """Bytes are not a payload of protocol §6. The message names the path of the field, and the problem."""


class SketchError(AsyncDSMError, ValueError):
    """Bytes are not a sketch that asyncdsm can read. The message names the problem."""


class DeliveryError(AsyncDSMError):
    """A payload was not delivered."""


class TemporaryDeliveryError(DeliveryError):
    """A payload was not delivered now, but may be later: connection errors, timeouts, HTTP status 408, 429 or 5xx."""

    def __init__(self, problem: str, retry_after: float | None = None, hint: str = "") -> None:
        """`retry_after` is the number of seconds that the receiver asks the sender to wait, None if it does not.

        `hint` is what to do about it, empty if that is not known; the message ends with it.
        """
        super().__init__(f"{problem}; {hint}" if hint else problem)
        self.retry_after: float | None = retry_after
        self.hint: str = hint


class NoEndpointError(DeliveryError):
    """The Agent has no Data Streams endpoint (HTTP status 404): it is older than 7.34, or not an Agent."""


class PayloadRefusedError(DeliveryError):
    """The receiver refuses this payload. Another try would end the same way."""


class OptionError(AsyncDSMError, ValueError):
    """An option of `asyncdsm agent` has a value that it cannot have. The message names the option."""


class RulesError(AsyncDSMError, ValueError):
    """A file of alert rules cannot be read, or has errors. The message has a line for each of them."""

    def __init__(self, path: str, problems: list[str]) -> None:
        """`problems` name rule and field, and must not show a secret."""
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))
        self.problems: list[str] = problems


class StoreError(AsyncDSMError):
    """The local agent cannot use its store's file. The message names the file and the reason."""


class StoreFullError(AsyncDSMError):
    """The local agent's store has no room left: the disk is full, or the store's own limit is reached."""


class StoreUnavailableError(AsyncDSMError):
    """The local agent's store cannot be read or written at present: its server does not answer, or reports an error."""


class StoreLimitError(StoreUnavailableError):
    """A statement of the local agent's store is beyond a limit of its server: of memory, rows, bytes or time."""


class UnixSocketError(AsyncDSMError):
    """The local agent cannot listen on its Unix socket. The message names the path and the reason."""
