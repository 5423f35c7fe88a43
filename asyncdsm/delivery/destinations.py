"""Makes the destinations: the agent, an OTLP endpoint, or both."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from asyncdsm.core.aggregator import Aggregator
from asyncdsm.core.spans import Exemplars
from asyncdsm.delivery.agent_packer import AgentPacker
from asyncdsm.delivery.destination import Destination
from asyncdsm.delivery.outbox import Outbox
from asyncdsm.delivery.retry import Delivery
from asyncdsm.settings import Settings

if TYPE_CHECKING:
    from asyncdsm.delivery.exporters import Exporter


def make_agent_destination(
    aggregator: Aggregator, settings: Settings, make_exporter: Callable[[], Exporter]
) -> Destination:
    """Return the delivery to the agent, or to what an exporter of the program's own delivers to."""
    counters = aggregator.counters
    outbox = Outbox(settings.max_outbox_bytes, counters)
    packer = AgentPacker(aggregator, settings, outbox)
    return Destination(packer, outbox, Delivery(outbox, counters, settings.request_seconds), counters, make_exporter)


def make_otlp_destination(aggregator: Aggregator, settings: Settings, exemplars: Exemplars) -> Destination:
    """Return the delivery over OTLP. The aggregator must have counters for it."""
    from asyncdsm.delivery.otlp.packer import OtlpPacker  # noqa: PLC0415  (only where it is on)

    counters = aggregator.otlp_counters
    assert counters is not None  # noqa: S101
    outbox = Outbox(settings.max_outbox_bytes, counters, is_cumulative=settings.otlp_temporality == "cumulative")
    # A second request at exit would count twice: OTLP has no id by which a receiver could tell.
    delivery = Delivery(outbox, counters, settings.otlp_seconds, hedges=False, receiver="the OTLP endpoint")

    def make_exporter() -> Exporter:
        from asyncdsm.delivery.otlp.exporter import OtlpExporter  # noqa: PLC0415

        return OtlpExporter(settings, counters)

    return Destination(
        OtlpPacker(aggregator, settings, outbox, counters, exemplars), outbox, delivery, counters, make_exporter
    )
