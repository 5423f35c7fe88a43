"""Pipelines of asyncdsm and Datadog's tracers for other languages, each a real program that its tracer watches."""
