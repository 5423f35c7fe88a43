"""The corpus: payloads that Datadog's tracers sent, and what is in them. `python -m tests.interop.record` writes it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from msgspec import Struct, to_builtins
from msgspec.json import decode

CORPUS = Path(__file__).parent / "corpus"


class SentPayload(Struct, frozen=True):
    """A payload as it was sent: those of its headers that the protocol has, and its body."""

    headers: dict[str, str]
    body: bytes

    @property
    def unpacked(self) -> bytes:
        """The body's MessagePack."""
        return gzip.decompress(self.body) if self.headers.get("content-encoding") == "gzip" else self.body


class RecordedPoint(Struct, frozen=True, order=True):
    """What all payloads of a recording together say of a point; the latencies in seconds, the size in bytes."""

    service: str
    tags: tuple[str, ...]
    parent: int
    hash: int
    count: int
    longest_edge: float
    longest_pathway: float
    largest_size: float
    negative: int
    """How many of the edge latencies are below zero: the consumer's clock was behind the producer's."""


class Recording(Struct, frozen=True):
    """What one tracer sent, the last of it at `recorded_at`, in seconds since the epoch."""

    lang: str
    tracer: str
    recorded_at: int
    backlogs: dict[str, int]
    """The highest offset of each backlog; the tags are sorted and joined by spaces."""
    points: list[RecordedPoint]
    payloads: list[SentPayload]


def write_recording(name: str, recording: Recording) -> None:
    """Write a recording into the corpus."""
    CORPUS.mkdir(exist_ok=True)
    text = json.dumps(to_builtins(recording), indent=1)
    (CORPUS / f"{name}.json").write_text(text + "\n", "utf-8")


def read_recordings() -> dict[str, Recording]:
    """Return all recordings by their name."""
    return {path.stem: decode(path.read_bytes(), type=Recording) for path in sorted(CORPUS.glob("*.json"))}
