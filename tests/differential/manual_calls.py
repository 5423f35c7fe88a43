"""A service of a ddtrace user: its manual checkpoints before, while and after asyncdsm measures. Prints what came."""

from __future__ import annotations

import json
import sys
from typing import Any

import ddtrace.auto  # noqa: F401
from ddtrace import data_streams

import asyncdsm
from asyncdsm.delivery.exporters.memory import MemoryExporter

theirs: Any = data_streams
set_consume_checkpoint, set_produce_checkpoint = theirs.set_consume_checkpoint, theirs.set_produce_checkpoint
"""Held, as a program holds them that imports them by name."""


def order() -> dict[str, Any]:
    """Consume one message and produce one, by ddtrace's names; return the header and what the calls returned."""
    headers: dict[str, str] = {}
    consumed = set_consume_checkpoint("nats", "orders", {"dd-pathway-ctx-base64": "AAAAAAAAAAGcyI63xGicyI63xGg="}.get)
    produced = set_produce_checkpoint("nats", "invoices", headers.__setitem__, ["exchange:bills"])
    return {
        "header": headers.get("dd-pathway-ctx-base64"),
        "hashes": [None if context is None else context.hash for context in (consumed, produced)],
        "encoded": None if produced is None else produced.encode_b64(),
    }


exporter = MemoryExporter()
answers = {"before": order()}
with asyncdsm.DataStreams(asyncdsm.Settings(service="s"), exporter=exporter):
    answers["meanwhile"] = order()
answers["after"] = order()
points = [point for payload in exporter.payloads for bucket in payload.stats or [] for point in bucket.stats or []]
answers["points"] = {"tags": [[*(point.edge_tags or []), point.hash, point.parent_hash] for point in points]}
json.dump(answers, sys.stdout)
