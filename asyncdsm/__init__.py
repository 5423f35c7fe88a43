"""Data Streams for async Python: follow every message, and see where the time goes."""

from asyncdsm._version import __version__

TYPE_CHECKING = False  # to import typing's would take twenty times as long as all that happens here
if TYPE_CHECKING:
    from asyncdsm.checkpoint import current_pathway
    from asyncdsm.integration import UnknownClientError, instrument, uninstrument, using, wrap
    from asyncdsm.lag import Lag
    from asyncdsm.lambda_events import consume_lambda_event
    from asyncdsm.lifetime import lifespan
    from asyncdsm.manual import (
        set_consume_checkpoint,
        set_produce_checkpoint,
        track_kafka_commit,
        track_kafka_produce,
    )
    from asyncdsm.pathway import Pathway
    from asyncdsm.settings import SettingError, Settings
    from asyncdsm.stats import Stats
    from asyncdsm.streams import AlreadyRunningError, DataStreams

__all__ = [
    "AlreadyRunningError",
    "DataStreams",
    "Lag",
    "Pathway",
    "SettingError",
    "Settings",
    "Stats",
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
    "uninstrument",
    "using",
    "wrap",
]

_HOMES = {
    "checkpoint": ("current_pathway",),
    "integration": ("UnknownClientError", "instrument", "uninstrument", "using", "wrap"),
    "lag": ("Lag",),
    "lambda_events": ("consume_lambda_event",),
    "lifetime": ("lifespan",),
    "manual": ("set_consume_checkpoint", "set_produce_checkpoint", "track_kafka_commit", "track_kafka_produce"),
    "pathway": ("Pathway",),
    "settings": ("SettingError", "Settings"),
    "stats": ("Stats",),
    "streams": ("AlreadyRunningError", "DataStreams"),
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
