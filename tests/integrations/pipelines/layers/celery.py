"""Programs on Celery, which stands on Kombu; each has its worker in this process."""

from __future__ import annotations

from time import monotonic, sleep
from typing import Any

from celery import Celery, signals
from celery.contrib.testing.worker import start_worker

from asyncdsm.core import current
from asyncdsm.core.context import HEADER
from tests.brokers.aws import Aws
from tests.brokers.azure import AzureServer
from tests.brokers.kafka import Kafka
from tests.brokers.pubsub import PubSubServer
from tests.integrations.pipelines.layers import transports
from tests.integrations.pipelines.layers.log import COUNT, PATIENCE_SECONDS, SENDER, Follow, Log, name
from tests.integrations.pipelines.layers.transports import Transport


def celery_on_memory(_: None, follow: Follow) -> Log:
    """Celery in memory."""
    return _celery(Transport("memory://", {"polling_interval": 0.05}), follow)


def celery_on_redis(url: str, follow: Follow) -> Log:
    """Celery on redis-py, with threads."""
    return _celery(Transport(url, {}), follow, pool="threads")


def celery_on_sqs(aws: Aws, follow: Follow, pool: str = "solo") -> Log:
    """Celery on boto3."""
    return _celery(transports.sqs(aws), follow, pool)


def celery_on_servicebus(server: AzureServer, follow: Follow) -> Log:
    """Celery on azure-servicebus."""
    with transports.servicebus(server) as transport:
        return _celery(transport, follow)


def celery_on_kafka(kafka: Kafka, follow: Follow) -> Log:
    """Celery on confluent-kafka."""
    return _celery(transports.kafka(kafka), follow)


def celery_on_pubsub(server: PubSubServer, follow: Follow) -> Log:
    """Celery on google-cloud-pubsub."""
    with transports.pubsub(server) as transport:
        return _celery(transport, follow)


def _celery(transport: Transport, follow: Follow, pool: str = "solo") -> Log:
    log, unique = Log(), name()
    app: Any = Celery(unique, broker=transport.url, set_as_current=False)
    app.conf.update(
        broker_transport_options=transport.options,
        task_default_queue=unique,
        worker_redirect_stdouts=False,
        worker_enable_remote_control=False,
    )
    follow(app)

    @app.task(shared=False, bind=True, ignore_result=True)  # type: ignore[untyped-decorator]
    def task(self: Any) -> None:
        log.note(self.request.get("came_with"))

    def keep_context(request: Any, **_: Any) -> None:
        request.request_dict["came_with"] = request.message.headers[HEADER]

    def leave_logging_alone(**_: Any) -> None:
        """A worker sets up no logging where somebody listens to this."""

    signals.setup_logging.connect(leave_logging_alone)
    signals.task_received.connect(keep_context)
    worker: Any = start_worker(app, pool=pool, perform_ping_check=False, concurrency=2)
    try:
        with app, worker:
            with current.restored(SENDER):
                for _ in range(COUNT):
                    task.delay()
            deadline = monotonic() + PATIENCE_SECONDS
            while len(log) < COUNT:
                assert monotonic() < deadline, f"{len(log)} of {COUNT} tasks ran"
                sleep(0.02)
    finally:
        signals.task_received.disconnect(keep_context)
    return log
