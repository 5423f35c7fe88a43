"""Agreement with ddtrace itself, which runs in processes of its own."""
