"""A shop of three services, for the tests of the page."""

from __future__ import annotations

from tests.agent.maps import MapStore, now


class Shop:
    """A map to which a test adds hops; it is empty at first."""

    def __init__(self) -> None:
        self.maps: MapStore = MapStore(now=now)

    def begin(self) -> None:
        """Add an order on its way from shop to shipping; billing takes 0.4 s."""
        self.maps.passed("shop", "out", "orders", parent=0, seconds=[0.0] * 9)
        self.maps.passed("billing", "in", "orders", group="billing", seconds=[0.004] * 9)
        self.maps.passed("billing", "out", "invoices", seconds=[0.4] * 9)
        self.maps.passed("shipping", "in", "invoices", group="shipping", seconds=[0.002] * 9)
