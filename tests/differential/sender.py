"""A program that uses ddtrace as its users do: it produces a message and consumes it, then ends."""

from __future__ import annotations

from importlib import import_module
from typing import Any

ddtrace: Any = import_module("ddtrace.data_streams")


def main() -> None:
    """Make the two checkpoints of one message. What is left to send, ddtrace sends on the way out."""
    order = dict[str, str]()
    ddtrace.set_produce_checkpoint("kafka", "orders", order.__setitem__)
    ddtrace.set_consume_checkpoint("kafka", "orders", order.get)


if __name__ == "__main__":
    main()
