"""Metrics for Prometheus: what passes each edge, how far consumers lag, and the agent's own state."""
