"""What tracers send to the agent: unpacked, checked, queued for the store, and forwarded."""
