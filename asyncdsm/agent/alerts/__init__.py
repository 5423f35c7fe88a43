"""Alerts: rules from a file, evaluated over the topology, with their states and the messages to webhooks."""
