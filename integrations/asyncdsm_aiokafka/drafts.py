"""Batches that the caller builds: `create_batch`, `append`, `send_batch`.

A record's parent is known when it is appended, its topic only when the batch is sent. So a record is appended with a
placeholder of the context's size, which keeps the batch's own idea of its size true, and remembered; `send_batch`
builds the batch again, with the contexts, and swaps the inside of the caller's object.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from asyncdsm import checkpoint
from asyncdsm.aggregate import Sample
from asyncdsm.hooks import hook_failed
from asyncdsm.pathway import HEADER, Context
from asyncdsm_aiokafka.client import client_of
from asyncdsm_aiokafka.produce import Header, addressed, without_ours

_PLACEHOLDER = (HEADER, b"-" * 28)
"""No context for anybody who reads it, should it ever stay."""


class Record(NamedTuple):
    """A record as it was appended, and where the program stood then."""

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[Header]
    standing: Context | None


class Draft:
    """Stands in for one batch's `append` until the batch is sent."""

    def __init__(self, batch: Any) -> None:
        self.records: list[Record] = []
        self._batch, self._append = batch, batch.append
        # Serialized here, once: the second building must not call the caller's serializers again.
        self._serializers = [getattr(batch, name, None) for name in ("_key_serializer", "_value_serializer")]
        self.stand_in()

    def stand_in(self) -> None:
        """Take the place of the batch's `append`."""
        self._batch.append = self.append
        self._set_serializers(None, None)

    def step_aside(self) -> None:
        """Give the batch its own `append` back."""
        self._batch.__dict__.pop("append", None)
        self._set_serializers(*self._serializers)

    def append(self, *, timestamp: Any, key: Any, value: Any, headers: Sequence[Header] | None = ()) -> Any:
        """Do what `BatchBuilder.append` does, and remember the record."""
        if self._batch._closed:  # `closed()` came with aiokafka 0.14
            return None
        key_bytes, value_bytes = (
            part if serialize is None else serialize(part)
            for serialize, part in zip(self._serializers, (key, value), strict=True)
        )
        given = list(headers or ())
        metadata = self._append(
            timestamp=timestamp,
            key=key_bytes,
            value=value_bytes,
            headers=_with_room(given),
        )
        if metadata is not None:
            standing = checkpoint.standing()
            self.records.append(Record(metadata.timestamp, key_bytes, value_bytes, given, standing))
        return metadata

    def address(self, accumulator: Any, topic: str) -> list[Sample]:
        """Build the batch again for this topic, each record with its own context; return the checkpoints to count."""
        client, fresh = client_of(accumulator._cluster), accumulator.create_builder()
        samples = list[Sample]()
        for record in self.records:
            with checkpoint.continuing(record.standing):
                sample, headers = addressed(client, topic, record.key, record.value, record.headers)
            fresh.append(timestamp=record.timestamp, key=record.key, value=record.value, headers=headers)
            if sample is not None:
                samples.append(sample)
        if fresh.record_count() == self._batch.record_count():
            self._batch._builder = fresh._builder
        return samples

    def _set_serializers(self, key: Any, value: Any) -> None:
        if hasattr(self._batch, "_key_serializer"):  # since aiokafka 0.11
            self._batch._key_serializer, self._batch._value_serializer = key, value


def _with_room(headers: list[Header]) -> list[Header]:
    try:
        return [*without_ours(headers), _PLACEHOLDER]
    except Exception as error:
        hook_failed(error)
        return headers


def create_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOKafkaProducer.create_batch`."""

    def create_batch(self: Any) -> Any:
        batch = original(self)
        try:
            if checkpoint.running() is not None:
                batch._asyncdsm = Draft(batch)
        except Exception as error:
            hook_failed(error)
        return batch

    return create_batch


def send_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOKafkaProducer.send_batch`."""

    async def send_batch(self: Any, batch: Any, topic: str, *args: Any, **kwargs: Any) -> Any:
        draft: Draft | None = getattr(batch, "_asyncdsm", None)
        samples: list[Sample] = []
        if draft is not None:
            try:
                draft.step_aside()
                samples = draft.address(self._message_accumulator, topic)
            except Exception as error:
                hook_failed(error)
        try:
            future = await original(self, batch, topic, *args, **kwargs)
        except BaseException:
            if draft is not None:
                draft.stand_in()  # it may be sent again, elsewhere
            raise
        batch.__dict__.pop("_asyncdsm", None)
        for sample in samples:
            checkpoint.count(sample)
        return future

    return send_batch
