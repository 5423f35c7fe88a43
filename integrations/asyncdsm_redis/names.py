"""Streams and consumer groups: their names as strings, their topics, and their edges."""

from __future__ import annotations

from typing import Any

from asyncdsm.integration import EdgeCache, TopicNames, make_in_edges, make_out_edges

topics: TopicNames = TopicNames(separator=":", one="*", rest=">")
"""The topics by stream: a program may put ids into the names of its streams."""

out_edges: EdgeCache[str] = make_out_edges("redis")
"""The edges of adding entries, by topic."""
in_edges: EdgeCache[tuple[str, str]] = make_in_edges("redis")
"""The edges of reading, by topic and consumer group, "" without one."""


_BYTES = (bytes, bytearray, memoryview)  # a tuple: a union would be made anew at each call, which takes 0.5 µs


def as_text(name: Any) -> str:
    """Return a name, or another argument of a command, as a string: the client takes bytes and numbers, too."""
    if isinstance(name, str):
        return name
    if isinstance(name, _BYTES):
        return bytes(name).decode(errors="backslashreplace")
    return str(name)


def measure(value: Any) -> int:
    """Return how many bytes a field's name or value takes. **Hot**."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode(errors="surrogatepass"))
    if isinstance(value, bytes):
        return len(value)
    return value.nbytes if isinstance(value, memoryview) else len(repr(value))
