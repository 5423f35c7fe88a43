"""The tasks of the Celery worker. Celery takes the broker's address from CELERY_BROKER_URL."""

from __future__ import annotations

from typing import Any

from celery import Celery

app: Any = Celery("tasks")


@app.task(ignore_result=True)
def ship(order: int) -> None:
    """Ship an order."""
    print(f"shipped order {order}")
