"""Manual checkpoints, for brokers without an integration. The signatures are those of `ddtrace.data_streams`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from asyncdsm.core import checkpoint, current, lag
from asyncdsm.core.checkpoint import ensure_recorder, report_hook_error
from asyncdsm.core.context import HEADER, LEGACY_HEADER, legacy_text
from asyncdsm.core.edge import Edge, EdgeCache
from asyncdsm.core.pathway import Pathway
from asyncdsm.core.values import check_name, check_tags
from asyncdsm.errors import MalformedValueError

CarrierGet = Callable[[str], str | bytes | None]
CarrierSet = Callable[[str, str], object]

# A technology if an edge has no further tags; otherwise the technology, the tags, and whether the checkpoint is manual.
# Two look-ups, by a string each, take 50 ns; a single one by a tuple takes 115.
_Kind = str | tuple[str, tuple[str, ...], bool]


class _Kinds(dict[_Kind, EdgeCache[str]]):
    """Edges by kind, then by target."""

    def __init__(self, direction: str) -> None:
        super().__init__()
        self._direction = direction

    def __missing__(self, kind: _Kind) -> EdgeCache[str]:
        typ, tags, is_manual = kind if isinstance(kind, tuple) else (kind, (), True)
        check_name("the type of a checkpoint", typ)
        for tag in tags:
            check_name("a tag of a checkpoint", tag)
        if len(self) >= _MOST_KINDS:
            self.clear()
        manual = ("manual_checkpoint:true",) if is_manual else ()
        edges = self[kind] = EdgeCache(
            partial(_make_edge, (f"direction:{self._direction}", f"type:{typ}", *manual, *tags))
        )
        return edges


_MOST_KINDS = 256
_out, _into = _Kinds("out"), _Kinds("in")


def _make_edge(tags: tuple[str, ...], target: str) -> Edge:
    return Edge(f"topic:{check_name('the target of a checkpoint', target)}", *tags)


def set_produce_checkpoint(
    typ: str, target: str, carrier_set: CarrierSet, tags: Iterable[str] | None = None
) -> Pathway | None:
    """Record that a message is produced to `target`, and call `carrier_set(key, text)` to put its context on it.

    Call it before the message is sent. `typ` is the technology (`kafka`, `nats`), `carrier_set` a function such as
    `headers.__setitem__`, `tags` are further strings of the form `name:value` that become part of the edge. Returns the
    pathway, or None while nothing measures. What `carrier_set` raises goes to the caller; an argument that cannot be
    used is counted as malformed and logged.
    """
    try:
        edges = _out[typ, check_tags(tags), True] if tags else _out[typ]
        pending = checkpoint.begin_produce(edges[target])
        if pending is None:
            return None
        text = pending.header.decode()
    except Exception as error:
        report_hook_error(_explain(error, typ, target, tags))
        return None
    try:
        carrier_set(HEADER, text)
    except TypeError:
        if callable(carrier_set):  # an error of the user's own function goes to the user
            raise
        report_hook_error(_not_callable("carrier_set", carrier_set, "headers.__setitem__"))
        return None
    checkpoint.finish_produce(pending)
    return pending.pathway


def set_consume_checkpoint(
    typ: str,
    source: str,
    carrier_get: CarrierGet,
    manual_checkpoint: bool = True,
    tags: Iterable[str] | None = None,
) -> Pathway | None:
    """Record that a message was consumed from `source`, and make its pathway the current one.

    `carrier_get(key)` returns what the message carries under a key, or None: a function such as `headers.get`.
    `manual_checkpoint=False` leaves out the tag that marks a checkpoint as made by hand. For the
    other arguments, the result and errors see `set_produce_checkpoint`.
    """
    try:
        if checkpoint.ensure_recorder() is None:
            return None
    except Exception as error:
        report_hook_error(error)
        return None
    try:
        header, legacy = carrier_get(HEADER), None
        if (header.__class__ is not str or not header) and _is_missing(header):
            header, legacy = None, carrier_get(LEGACY_HEADER)
    except TypeError:
        if callable(carrier_get):
            raise
        current.set_current(None)
        report_hook_error(_not_callable("carrier_get", carrier_get, "headers.get"))
        return None
    try:
        if legacy is not None and not _is_missing(legacy):
            header = legacy_text(legacy)
        edges = _into[typ, check_tags(tags), manual_checkpoint] if tags or not manual_checkpoint else _into[typ]
        return checkpoint.consume(edges[source], header)
    except Exception as error:
        current.set_current(None)
        report_hook_error(_explain(error, typ, source, tags))
        return None


def _is_missing(value: object) -> bool:
    """Say whether a value of a carrier is None or empty. An array, which has no truth value, counts as present."""
    try:
        return not value
    except Exception:
        return False


def _not_callable(name: str, carrier: object, example: str) -> MalformedValueError:
    kind = type(carrier).__name__
    return MalformedValueError(f"{name} must be a function, got {kind}: pass `{example}`, not the headers themselves")


def _explain(error: Exception, typ: object, target: object, tags: Iterable[object] | None) -> Exception:
    """Return an error that names the wrong argument of a checkpoint, or `error` itself if no argument is wrong."""
    if isinstance(error, MalformedValueError):
        return error
    try:
        check_name("the type of a checkpoint", typ)
        check_name("the target of a checkpoint", target)
        for tag in tags or ():
            check_name("a tag of a checkpoint", tag)
    except MalformedValueError as malformed:
        return malformed
    except Exception:  # such as tags whose iterator raises
        return error
    return error


def track_kafka_produce(topic: str, partition: int, offset: int, cluster_id: str | None = None) -> None:
    """Record the offset that the broker gave to a produced message. Never raises: a wrong value is counted and logged.

    `cluster_id` keeps topics of the same name in two clusters apart.
    """
    _record_offset(offset, lag.produced_tags, topic, partition, cluster_id)


def track_kafka_commit(group: str, topic: str, partition: int, offset: int, cluster_id: str | None = None) -> None:
    """Record the offset that a consumer group committed: the next one it will read.

    For the rest see `track_kafka_produce`.
    """
    _record_offset(offset, lag.committed_tags, group, topic, partition, cluster_id)


def track_transaction(transaction_id: str, checkpoint: str) -> None:
    """Record that a business transaction, such as an order, passes a named checkpoint now.

    `transaction_id` is what the business calls it: an order's number. `checkpoint` names the place in this program, and
    there are few of them: at most 254 in a process. Both are data that is sent to the agent; longer ones than 255 bytes
    are cut. Any thread may call it. Never raises: a wrong value is counted and logged. Does nothing while nothing
    measures.
    """
    try:
        recorder = ensure_recorder()
        if recorder is not None:
            recorder.record_transaction(transaction_id, checkpoint)
    except Exception as error:
        report_hook_error(error)


def _record_offset(offset: int, tags: Callable[..., tuple[str, ...]], *of: object) -> None:
    try:
        recorder = checkpoint.ensure_recorder()
        if recorder is not None:
            recorder.record_offset(tags(*of), offset)
    except TypeError as error:  # an unhashable value is not a name
        report_hook_error(MalformedValueError(f"an offset's topic, partition, group or cluster id: {error}"))
    except Exception as error:
        report_hook_error(error)
