"""Data Streams for async Python: follow every message, and see where the time goes."""

from asyncdsm._version import __version__

TYPE_CHECKING = False  # to import typing's would take twenty times as long as all that happens here
if TYPE_CHECKING:
    from asyncdsm._internal.transaction_extractor import TransactionExtractor
    from asyncdsm.core.counters import Stats
    from asyncdsm.core.current import current_pathway
    from asyncdsm.core.lag import Lag
    from asyncdsm.core.pathway import Pathway
    from asyncdsm.errors import AlreadyRunningError, AsyncDSMError, SettingError, UnknownClientError
    from asyncdsm.integration.formats.lambda_events import consume_lambda_event
    from asyncdsm.integration.lifetime import lifespan
    from asyncdsm.integration.manual import (
        set_consume_checkpoint,
        set_produce_checkpoint,
        track_kafka_commit,
        track_kafka_produce,
        track_transaction,
    )
    from asyncdsm.integration.registry import instrument, uninstrument, using, wrap
    from asyncdsm.settings import Settings
    from asyncdsm.streams import DataStreams

__all__ = [
    "AlreadyRunningError",
    "AsyncDSMError",
    "DataStreams",
    "Lag",
    "Pathway",
    "SettingError",
    "Settings",
    "Stats",
    "TransactionExtractor",
    "UnknownClientError",
    "__version__",
    "consume_lambda_event",
    "current_pathway",
    "instrument",
    "lifespan",
    "set_consume_checkpoint",
    "set_produce_checkpoint",
    "track_kafka_commit",
    "track_kafka_produce",
    "track_transaction",
    "uninstrument",
    "using",
    "wrap",
]

_HOMES = {
    "_internal.transaction_extractor": ("TransactionExtractor",),
    "core.current": ("current_pathway",),
    "core.counters": ("Stats",),
    "core.lag": ("Lag",),
    "core.pathway": ("Pathway",),
    "errors": ("AlreadyRunningError", "AsyncDSMError", "SettingError", "UnknownClientError"),
    "integration.formats.lambda_events": ("consume_lambda_event",),
    "integration.lifetime": ("lifespan",),
    "integration.manual": (
        "set_consume_checkpoint",
        "set_produce_checkpoint",
        "track_kafka_commit",
        "track_kafka_produce",
        "track_transaction",
    ),
    "integration.registry": ("instrument", "uninstrument", "using", "wrap"),
    "settings": ("Settings",),
    "streams": ("DataStreams",),
}
"""The modules of the public names. Each is imported when one of its names is first asked for."""


if not TYPE_CHECKING:  # a type checker knows the names, and that there are no others

    def __getattr__(name: str) -> object:
        from importlib import import_module  # noqa: PLC0415

        home = next((home for home, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
