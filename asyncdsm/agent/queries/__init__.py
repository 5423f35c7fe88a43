"""Queries to the store: the topology, the drawn map, pathways, series over time and lag."""
