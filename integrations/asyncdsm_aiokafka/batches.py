"""Batches that the caller builds: `create_batch`, `append`, `send_batch`.

A record's parent is known when it is appended, but its topic only when the batch is sent. So a record is appended with
a placeholder of the context's size, which keeps the batch's count of its bytes right, and its contents are kept.
`send_batch` builds the batch again, with the contexts, and replaces the builder inside the caller's object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from asyncdsm.integration import (
    HEADER,
    Hooks,
    PendingProduce,
    Snapshot,
    after,
    ensure_recorder,
    finish_produce,
    guarded,
    report_hook_error,
    restored,
    snapshot,
)
from asyncdsm.integration.formats.kafka_headers import Header, copy_headers
from asyncdsm.integration.formats.kafka_records import add_context
from asyncdsm.integration.formats.transactions import KAFKA_PRODUCE, extract_from_pairs
from asyncdsm_aiokafka.client import client_of

_PLACEHOLDER = (HEADER, b"-" * 28)  # not a context for anybody who reads it, should it ever be sent


class AppendedRecord(NamedTuple):
    """A record as it was appended, and what was current in the program then."""

    key: bytes | None
    value: bytes | None
    headers: list[Header]
    args: tuple[Any, ...]
    more: dict[str, Any]
    """The other arguments: the timestamp, and what a later release of the client takes."""
    current: Snapshot


class BatchContents:
    """Keeps the records of one batch until the batch is sent."""

    def __init__(self, batch: Any) -> None:
        self.records: list[AppendedRecord] = []
        self._batch = batch
        # Records are serialized here, once: building the batch again must not call the caller's serializers again.
        self._serializers = [getattr(batch, name, None) for name in ("_key_serializer", "_value_serializer")]
        self.hook_batch()

    @guarded
    def hook_batch(self) -> None:
        """Put a hook around the batch's `append`."""
        Hooks().put(self._batch, "append", self._hook_append)
        self._set_serializers(None, None)

    def unhook_batch(self) -> None:
        """Restore the batch's own `append`."""
        vars(self._batch).pop("append", None)
        self._set_serializers(*self._serializers)

    @guarded
    def detach(self) -> None:
        """Remove this object from its batch, which was sent."""
        vars(self._batch).pop("_asyncdsm", None)

    def _hook_append(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Hook `BatchBuilder.append`: reserve room for the context, and keep the record."""

        def append(batch: Any, /, *args: Any, key: Any, value: Any, headers: Any = None, **more: Any) -> Any:
            if getattr(batch, "_closed", False):  # `closed()` came with aiokafka 0.14
                return None
            key, value = (
                part if serialize is None else serialize(part)
                for serialize, part in zip(self._serializers, (key, value), strict=True)
            )
            given: list[Header] = list(headers or ())
            current = snapshot()
            metadata = original(batch, *args, key=key, value=value, headers=_reserve_room(given), **more)
            if metadata is not None:
                more["timestamp"] = metadata.timestamp
                self.records.append(AppendedRecord(key, value, given, args, more, current))
            return metadata

        return append

    def add_contexts(self, accumulator: Any, topic: str) -> list[PendingProduce]:
        """Build the batch again for this topic, each record with its own context; return the checkpoints to count."""
        client, fresh = client_of(accumulator._cluster), accumulator.create_builder()
        all_pending = list[PendingProduce]()
        for key, value, given, args, more, current in self.records:
            with restored(current):
                pending, headers = add_context(client, topic, key, value, given)
            fresh.append(*args, key=key, value=value, headers=headers, **more)
            if pending is not None:
                all_pending.append(pending)
        if fresh.record_count() == self._batch.record_count():
            self._batch._builder = fresh._builder
        return all_pending

    def _set_serializers(self, key: Any, value: Any) -> None:
        if hasattr(self._batch, "_key_serializer"):  # since aiokafka 0.11
            self._batch._key_serializer, self._batch._value_serializer = key, value


def _reserve_room(headers: list[Header]) -> list[Header]:
    try:
        return [*copy_headers(headers, 0)[0], _PLACEHOLDER]
    except (TypeError, ValueError):  # the client rejects them
        return headers
    except Exception as error:
        report_hook_error(error)
        return headers


@after
def observe_create_batch(batch: Any, _producer: Any, /, *_args: Any, **_more: Any) -> None:
    """Observe `AIOKafkaProducer.create_batch`."""
    if ensure_recorder() is not None:
        batch._asyncdsm = BatchContents(batch)


def hook_send_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOKafkaProducer.send_batch`."""

    async def send_batch(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        contents = _take_contents(*args, **kwargs)
        all_pending = None if contents is None else _add_contexts(contents, self, *args, **kwargs)
        try:
            future = await original(self, *args, **kwargs)
        except BaseException:
            if contents is not None:
                contents.hook_batch()  # it may be sent again, elsewhere
            raise
        if contents is not None:
            contents.detach()
        for pending in all_pending or ():
            finish_produce(pending)
        if KAFKA_PRODUCE and all_pending and contents is not None:
            for record in contents.records:
                extract_from_pairs(KAFKA_PRODUCE, record.headers)
        return future

    return send_batch


@guarded
def _take_contents(batch: Any = None, *_args: Any, **_more: Any) -> BatchContents | None:
    contents: BatchContents | None = getattr(batch, "_asyncdsm", None)
    if contents is not None:
        contents.unhook_batch()
    return contents


@guarded
def _add_contexts(
    contents: BatchContents, producer: Any, /, _batch: Any = None, topic: Any = None, *_args: Any, **_more: Any
) -> list[PendingProduce]:
    return contents.add_contexts(producer._message_accumulator, topic)
