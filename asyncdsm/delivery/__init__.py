"""Getting what was measured to an agent: encoded, buffered, sent again after a failure, and counted."""
