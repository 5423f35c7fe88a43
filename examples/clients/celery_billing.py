"""A Celery app: a task for each order, which sends another task for each invoice.

DD_SERVICE=billing BROKER=amqp://localhost celery -A celery_billing worker
"""

from __future__ import annotations

import os
from typing import Any

from celery import Celery

import asyncdsm

app: Any = asyncdsm.wrap(Celery("celery_billing", broker=os.environ.get("BROKER", "amqp://localhost")))
app.conf.task_routes = {"ship_order": {"queue": "shipping"}, "bill_order": {"queue": "billing"}}
asyncdsm.DataStreams().stand_by()  # measures in every process that has something to measure, from then on


@app.task(name="bill_order", ignore_result=True)  # type: ignore[untyped-decorator]
def bill_order(order: int) -> None:
    """Bill an order, and have it shipped: the next task's parent is this one."""
    ship_order.delay(order)


@app.task(name="ship_order", ignore_result=True)  # type: ignore[untyped-decorator]
def ship_order(order: int) -> None:
    """Ship an order."""
    print("shipped", order)
