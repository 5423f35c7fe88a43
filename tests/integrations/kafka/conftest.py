"""The ways to follow confluent-kafka's clients, as in the tests of confluent-kafka alone."""

from __future__ import annotations

from tests.integrations.confluent.conftest import way

__all__ = ["way"]
