"""A program that uses ddtrace as its users do: it produces a message and consumes it, then ends."""

from __future__ import annotations

from ddtrace.data_streams import set_consume_checkpoint, set_produce_checkpoint


def main() -> None:
    """Make the two checkpoints of one message. What is left to send, ddtrace sends on the way out."""
    order = dict[str, str]()
    set_produce_checkpoint("kafka", "orders", order.__setitem__)
    set_consume_checkpoint("kafka", "orders", order.get)


if __name__ == "__main__":
    main()
