"""The settings of asyncdsm, from environment variables (protocol §8) or from code.

Each setting is declared once, in `_Fields`. The class `Settings`, what the environment means, the errors,
`asyncdsm doctor` and the page `docs/settings.md` follow from the declarations.
"""

from collections.abc import Callable, Iterator, Mapping
from os.path import exists
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

from asyncdsm._internal import environment, otlp_environment
from asyncdsm._internal.otlp_kinds import (
    AGENT,
    ATTRIBUTES,
    COMPRESSION,
    DESTINATIONS,
    HEADERS,
    OTLP,
    OTLP_URL,
    PROTOCOL,
    PROTOCOL_NAME,
    TEMPORALITY,
    TIMEOUT,
)
from asyncdsm._internal.setting_kinds import (
    AGENT_URL,
    COUNT,
    EXTRACTORS,
    FLAG,
    HEADER,
    NON_EMPTY_STRING,
    PATTERNS,
    SECONDS,
    SECRET,
    STRING,
    Kind,
)
from asyncdsm._internal.transaction_extractor import TransactionExtractor
from asyncdsm.errors import SettingError as SettingError  # noqa: PLC0414  (some programs import it from here)

DEFAULT_SERVICE = "unnamed-python-service"

Environ = Mapping[str, str]
SocketExists = Callable[[str], bool]
Find = Callable[[Environ, SocketExists], tuple[Any, str] | None]


class Setting:
    """The declaration of one setting."""

    def __init__(
        self, kind: Kind, sentence: str, *variables: str, optional: bool = False, find: Find | None = None
    ) -> None:
        """Declare a setting.

        The first of the environment variables that is more than spaces wins. `DD_TAGS:env` is the pair `env` in the
        value of `DD_TAGS`. `find`, if given, reads the variables instead, and returns the value and what it comes from.
        `optional` says that None is allowed.
        """
        self.kind: Kind = kind
        self.sentence: str = sentence
        self.variables: tuple[str, ...] = variables
        self.optional: bool = optional
        self.find: Find = find or self._find_first

    def _find_first(self, environ: Environ, _: SocketExists) -> tuple[Any, str] | None:
        if found := environment.first_text(environ, self.variables):
            text, variable = found
            return self.kind.parse(variable, text), variable
        return None


def _otlp_setting(kind: Kind, sentence: str, *variables: str, optional: bool = False) -> Setting:
    """Declare a setting of OTLP, whose variables are read only where OTLP is on."""
    find = otlp_environment.find_where_on(kind, *variables)
    return Setting(kind, sentence, *variables, optional=optional, find=find)


class _Fields(NamedTuple):
    # A named tuple, because `dataclasses` would make `import asyncdsm` a quarter slower.
    enabled: Annotated[
        bool,
        Setting(FLAG, "Whether messages are measured. If not, asyncdsm touches no message.", "DD_DATA_STREAMS_ENABLED"),
    ] = True
    service: Annotated[
        str,
        Setting(
            NON_EMPTY_STRING,
            "The name of this service on the map.",
            "DD_SERVICE",
            "OTEL_SERVICE_NAME",
            "DD_TAGS:service",
            "OTEL_RESOURCE_ATTRIBUTES:service.name",
        ),
    ] = DEFAULT_SERVICE
    env: Annotated[
        str | None,
        Setting(
            STRING,
            "The environment of this service, such as `prod`. It is part of a pathway's hash.",
            "DD_ENV",
            "DD_TAGS:env",
            "OTEL_RESOURCE_ATTRIBUTES:deployment.environment.name",
            "OTEL_RESOURCE_ATTRIBUTES:deployment.environment",
            optional=True,
        ),
    ] = None
    version: Annotated[
        str | None,
        Setting(
            STRING,
            "The version of this service.",
            "DD_VERSION",
            "DD_TAGS:version",
            "OTEL_RESOURCE_ATTRIBUTES:service.version",
            optional=True,
        ),
    ] = None
    hostname: Annotated[
        str,
        Setting(
            STRING,
            "The name of this host, which payloads carry. `Settings.from_environ` asks the system for it.",
            "DD_HOSTNAME",
        ),
    ] = ""
    primary_tag: Annotated[
        str | None,
        Setting(STRING, "A tag of your choice that payloads carry.", "DD_PRIMARY_TAG", optional=True),
    ] = None
    agent_url: Annotated[
        str,
        Setting(
            AGENT_URL,
            "Where payloads are sent to: the URL of an Agent, or of Datadog's intake if `api_key` is set.",
            environment.URL_VARIABLE,
            *environment.HOST_VARIABLES,
            *environment.PORT_VARIABLES,
            environment.SITE_VARIABLE,
            find=environment.find_agent_url,
        ),
    ] = f"http://localhost:{environment.DEFAULT_PORT}"
    api_key: Annotated[
        str | None,
        Setting(
            SECRET,
            "The key for delivery to Datadog without an Agent.",
            environment.KEY_VARIABLE,
            optional=True,
            find=environment.find_api_key,
        ),
    ] = None
    agent_token: Annotated[
        str | None,
        Setting(
            SECRET,
            "The token that `asyncdsm agent --token` requires. A password in `agent_url` is used instead, if there is "
            "one.",
            "ASYNCDSM_AGENT_TOKEN",
            optional=True,
        ),
    ] = None
    external_env: Annotated[
        str | None,
        Setting(
            HEADER,
            "What Datadog's admission controller tells this container about itself, for the Agent.",
            "DD_EXTERNAL_ENV",
            optional=True,
        ),
    ] = None
    bucket_seconds: Annotated[
        float,
        Setting(
            SECONDS,
            "The length of a bucket, which is the finest resolution in time.",
            "DD_DATA_STREAMS_BUCKET_DURATION_SECONDS",
        ),
    ] = 10.0
    flush_seconds: Annotated[
        float,
        Setting(SECONDS, "How often finished buckets are delivered.", "_DD_TRACE_STATS_WRITER_INTERVAL"),
    ] = 10.0
    request_seconds: Annotated[
        float,
        Setting(SECONDS, "How long one request to the Agent may take before it is tried again."),
    ] = 10.0
    shutdown_seconds: Annotated[
        float,
        Setting(SECONDS, "How long the last delivery may take when the program ends."),
    ] = 5.0
    max_points: Annotated[
        int,
        Setting(
            COUNT,
            "How many distinct pairs of an edge and its parent, and how many offsets, a bucket keeps. Further "
            "checkpoints are counted as dropped.",
        ),
    ] = 10_000
    max_outbox_bytes: Annotated[
        int,
        Setting(
            COUNT, "How many bytes of payloads may wait for delivery. If there are more, the oldest ones are dropped."
        ),
    ] = 32 * 1024 * 1024
    max_header_bytes: Annotated[
        int,
        Setting(COUNT, "The longest context header that is read, in bytes. Those of today have 28."),
    ] = 256
    transaction_extractors: Annotated[
        tuple[TransactionExtractor, ...],
        Setting(
            EXTRACTORS,
            "Which headers hold the id of a business transaction, and which checkpoint it passes there: JSON as for "
            "Datadog's tracers.",
            "DD_DATA_STREAMS_TRANSACTION_EXTRACTORS",
        ),
    ] = ()
    topic_patterns: Annotated[
        tuple[str, ...],
        Setting(
            PATTERNS,
            "The topics of messages whose names have ids in them, as NATS' subjects and MQTT's topics do: the first "
            "pattern that a name matches is its topic. Without a match, what looks like an id is replaced.",
            "ASYNCDSM_TOPIC_PATTERNS",
        ),
    ] = ()
    redis_without_context: Annotated[
        tuple[str, ...],
        Setting(
            PATTERNS,
            "The Redis streams whose entries get no field with the context, since somebody reads them without "
            "asyncdsm and would see it. The entries are counted all the same.",
            "ASYNCDSM_REDIS_WITHOUT_CONTEXT",
        ),
    ] = ()
    max_transaction_bytes: Annotated[
        int,
        Setting(
            COUNT,
            "How many bytes of business transactions' checkpoints may wait to be put into a payload; each has its id's "
            "length and 10. Further ones are counted as dropped.",
        ),
    ] = 4 * 1024 * 1024
    destinations: Annotated[
        tuple[str, ...] | None,
        Setting(
            DESTINATIONS,
            "Where payloads go. Without it: to `otlp_endpoint` if there is one, to the Agent if it has an address or "
            "there is no such endpoint.",
            otlp_environment.DESTINATIONS_VARIABLE,
            optional=True,
            find=otlp_environment.find_destinations,
        ),
    ] = None
    otlp_endpoint: Annotated[
        str | None,
        Setting(
            OTLP_URL,
            "The URL that OTLP metrics are posted to. The second variable gets `/v1/metrics` at its end.",
            otlp_environment.METRICS_ENDPOINT,
            otlp_environment.BASE_ENDPOINT,
            optional=True,
            find=otlp_environment.find_endpoint,
        ),
    ] = None
    otlp_protocol: Annotated[
        str,
        _otlp_setting(PROTOCOL, "How it is spoken.", *otlp_environment.specific_variables("PROTOCOL")),
    ] = PROTOCOL_NAME
    otlp_headers: Annotated[
        tuple[tuple[str, str], ...],
        _otlp_setting(HEADERS, "Further headers, such as a key.", *otlp_environment.specific_variables("HEADERS")),
    ] = ()
    otlp_compression: Annotated[
        str,
        _otlp_setting(COMPRESSION, "How bodies are compressed.", *otlp_environment.specific_variables("COMPRESSION")),
    ] = "gzip"
    otlp_seconds: Annotated[
        float,
        _otlp_setting(
            TIMEOUT,
            "How long one request may take before it is tried again. In the variables, 1000 or more are milliseconds.",
            *otlp_environment.specific_variables("TIMEOUT"),
        ),
    ] = 10.0
    otlp_certificate: Annotated[
        str | None,
        _otlp_setting(
            NON_EMPTY_STRING,
            "A file of certificates that are trusted, instead of the system's.",
            *otlp_environment.specific_variables("CERTIFICATE"),
            optional=True,
        ),
    ] = None
    otlp_client_certificate: Annotated[
        str | None,
        _otlp_setting(
            NON_EMPTY_STRING,
            "A file with the certificate that the endpoint asks for, and those that lead to it.",
            *otlp_environment.specific_variables("CLIENT_CERTIFICATE"),
            optional=True,
        ),
    ] = None
    otlp_client_key: Annotated[
        str | None,
        _otlp_setting(
            NON_EMPTY_STRING,
            "A file with the key of that certificate, without a password; not needed if that file has it too.",
            *otlp_environment.specific_variables("CLIENT_KEY"),
            optional=True,
        ),
    ] = None
    otlp_temporality: Annotated[
        str,
        _otlp_setting(
            TEMPORALITY,
            "Whether each payload has all counts since the start, or only those since the one before (`lowmemory` is "
            "`delta`).",
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        ),
    ] = "cumulative"
    resource_attributes: Annotated[
        tuple[tuple[str, str], ...],
        _otlp_setting(ATTRIBUTES, "Further attributes of this process, for OTLP.", "OTEL_RESOURCE_ATTRIBUTES"),
    ] = ()


SETTINGS: Mapping[str, Setting] = {
    name: annotation.__metadata__[0] for name, annotation in _Fields.__annotations__.items()
}
"""The declarations, by the name of the field."""


class Settings(_Fields):
    """All settings. `Settings()` has the defaults; `Settings.from_environ(os.environ)` reads the environment.

    Raises SettingError if a value is not allowed.
    """

    __slots__ = ()

    if not TYPE_CHECKING:  # for a type checker, the arguments are the fields above

        def __new__(cls, *values: Any, **given: Any) -> Self:  # values: when it is copied or unpickled
            settings = super().__new__(cls, *values, **given)
            for (name, setting), value in zip(SETTINGS.items(), settings, strict=True):
                setting.kind.check(name, value, optional=setting.optional)
            return settings

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"

    def choose_destinations(self) -> tuple[str, ...]:
        """Return where payloads go: to the "agent", over "otlp", or both. The first one is the main one."""
        if self.destinations is not None:
            return tuple(sorted(self.destinations))
        if self.otlp_endpoint is None:
            return (AGENT,)
        return (OTLP,) if self.agent_url == self._field_defaults["agent_url"] else (AGENT, OTLP)

    def shown(self) -> dict[str, Any]:
        """Return the settings by name, without secrets: no key, no token, no password in a URL."""
        return {name: SETTINGS[name].kind.show(value) for name, value in zip(self._fields, self, strict=True)}

    @classmethod
    def from_environ(
        cls,
        environ: Mapping[str, str],
        *,
        hostname: Callable[[], str] | None = None,
        socket_exists: Callable[[str], bool] = exists,
        **explicit: Any,
    ) -> Self:
        """Return the settings that the environment variables give (protocol §8); keyword arguments win over them.

        A variable that is empty, or has only spaces, counts as not set. Raises SettingError, which names the variable.
        """
        found = {name: value for name, value, _ in _find_settings(environ, socket_exists)}
        found.setdefault("hostname", (hostname or _hostname)())
        is_told = environment.read_text(environ, otlp_environment.DESTINATIONS_VARIABLE)
        if explicit.keys() & {"agent_url", "otlp_endpoint"} and not is_told:
            found.pop("destinations", None)  # the environment alone does not say it
        return cls(**{**found, **explicit})


def sources(environ: Mapping[str, str], *, socket_exists: Callable[[str], bool] = exists) -> dict[str, str]:
    """Return, for each setting that is not a default, the environment variables that it comes from.

    Raises SettingError.
    """
    return {name: source for name, _, source in _find_settings(environ, socket_exists)}


def _find_settings(environ: Environ, socket_exists: SocketExists) -> Iterator[tuple[str, Any, str]]:
    """Yield the name, the value and the source of each setting that the environment gives."""
    for name, setting in SETTINGS.items():
        if found := setting.find(environ, socket_exists):
            yield name, *found


def _hostname() -> str:
    from socket import gethostname  # noqa: PLC0415  (slow to import; not needed before a start)

    return gethostname()
