"""Actors of dramatiq: a message for each order, and another one for each invoice.

DD_SERVICE=billing BROKER=redis://localhost:6379/0 dramatiq dramatiq_billing
"""

from __future__ import annotations

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker

import asyncdsm

# Before the actors. Each process of the worker measures for itself, from its start to its end.
broker: dramatiq.Broker = asyncdsm.wrap(RedisBroker(url=os.environ.get("BROKER", "redis://localhost:6379/0")))
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="billing")
def bill_order(order: int) -> None:
    """Bill an order, and have it shipped: the next message's parent is this one."""
    ship_order.send(order)


@dramatiq.actor(queue_name="shipping")
def ship_order(order: int) -> None:
    """Ship an order."""
    print("shipped", order)
