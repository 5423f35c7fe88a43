"""Delivers what was measured over OTLP: metrics with exponential histograms, posted to an OpenTelemetry endpoint."""
