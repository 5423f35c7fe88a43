"""Batches that the caller builds: `create_batch`, `append`, `send_batch`.

A record's parent is known when it is appended, its topic only when the batch is sent. So a record is appended with a
placeholder of the context's size, which keeps the batch's own idea of its size true, and remembered; `send_batch`
builds the batch again, with the contexts, and swaps the inside of the caller's object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from asyncdsm.core import checkpoint, current
from asyncdsm.core.checkpoint import report_hook_error
from asyncdsm.core.pathway import HEADER, Context
from asyncdsm.core.recorder import Sample
from asyncdsm.integration.hooks import Hooks, after
from asyncdsm_aiokafka.client import client_of
from asyncdsm_aiokafka.produce import Header, addressed, without_ours

_PLACEHOLDER = (HEADER, b"-" * 28)
"""No context for anybody who reads it, should it ever stay."""


class Record(NamedTuple):
    """A record as it was appended, and what was current in the program then."""

    key: bytes | None
    value: bytes | None
    headers: list[Header]
    args: tuple[Any, ...]
    more: dict[str, Any]
    """The other arguments: the timestamp, and what a later release of the client takes."""
    standing: Context | None


class Draft:
    """Remembers the records of one batch until the batch is sent."""

    def __init__(self, batch: Any) -> None:
        self.records: list[Record] = []
        self._batch = batch
        # Serialized here, once: the second building must not call the caller's serializers again.
        self._serializers = [getattr(batch, name, None) for name in ("_key_serializer", "_value_serializer")]
        self.hook_batch()

    def hook_batch(self) -> None:
        """Put a hook around the batch's `append`."""
        Hooks().put(self._batch, "append", self._append)
        self._set_serializers(None, None)

    def unhook_batch(self) -> None:
        """Give the batch its own `append` back."""
        vars(self._batch).pop("append", None)
        self._set_serializers(*self._serializers)

    def forget_batch(self) -> None:
        """Leave nothing with a batch that was sent."""
        vars(self._batch).pop("_asyncdsm", None)

    def _append(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Hook `BatchBuilder.append`: leave room for the context, and remember the record."""

        def append(batch: Any, *args: Any, key: Any, value: Any, headers: Any = None, **more: Any) -> Any:
            if getattr(batch, "_closed", False):  # `closed()` came with aiokafka 0.14
                return None
            key, value = (
                part if serialize is None else serialize(part)
                for serialize, part in zip(self._serializers, (key, value), strict=True)
            )
            given: list[Header] = list(headers or ())
            standing = current.snapshot()
            metadata = original(batch, *args, key=key, value=value, headers=_with_room(given), **more)
            if metadata is not None:
                more["timestamp"] = metadata.timestamp
                self.records.append(Record(key, value, given, args, more, standing))
            return metadata

        return append

    def address(self, accumulator: Any, topic: str) -> list[Sample]:
        """Build the batch again for this topic, each record with its own context; return the checkpoints to count."""
        client, fresh = client_of(accumulator._cluster), accumulator.create_builder()
        samples = list[Sample]()
        for key, value, given, args, more, standing in self.records:
            with current.restored(standing):
                sample, headers = addressed(client, topic, key, value, given)
            fresh.append(*args, key=key, value=value, headers=headers, **more)
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
    except (TypeError, LookupError):
        return headers  # the client refuses them


@after
def note_batch(batch: Any, _producer: Any, *_args: Any, **_more: Any) -> None:
    """Observe `AIOKafkaProducer.create_batch`."""
    if checkpoint.ensure_recorder() is not None:
        batch._asyncdsm = Draft(batch)


def send_batch(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `AIOKafkaProducer.send_batch`."""

    async def send_batch(self: Any, *args: Any, **kwargs: Any) -> Any:
        draft, samples = None, list[Sample]()
        try:
            batch, topic = _batch_and_topic(*args, **kwargs)
            draft = getattr(batch, "_asyncdsm", None)
            if draft is not None:
                draft.unhook_batch()
                samples = draft.address(self._message_accumulator, topic)
        except Exception as error:
            report_hook_error(error)
        try:
            future = await original(self, *args, **kwargs)
        except BaseException:
            if draft is not None:
                draft.hook_batch()  # it may be sent again, elsewhere
            raise
        if draft is not None:
            draft.forget_batch()
        for sample in samples:
            checkpoint.finish_produce(sample)
        return future

    return send_batch


def _batch_and_topic(batch: Any = None, topic: Any = None, *_args: Any, **_more: Any) -> tuple[Any, Any]:
    return batch, topic
