"""Delivers what was measured to an agent: encodes it, buffers it, sends it again after a failure, and counts it."""
