"""A program that uses ddtrace as its users do: it consumes one message and produces another, then ends."""

from __future__ import annotations

from ddtrace.data_streams import set_consume_checkpoint, set_produce_checkpoint


def main() -> None:
    """Pass a message on: from `orders` to `invoices`. What is left to send, ddtrace sends on the way out."""
    order = dict[str, str]()
    set_produce_checkpoint("kafka", "orders", order.__setitem__)
    set_consume_checkpoint("kafka", "orders", order.get)


if __name__ == "__main__":
    main()
