"""Data Streams for async Python: follow every message, and see where the time goes."""

from asyncdsm._version import __version__
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
