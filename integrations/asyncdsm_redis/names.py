"""Streams and consumer groups: their names as strings, their topics, and their edges."""

from __future__ import annotations

from typing import Any

from asyncdsm.integration import Edge, EdgeCache, TopicNames

topics: TopicNames = TopicNames(separator=":", one="*", rest=">")
"""The topics by stream: a program may put ids into the names of its streams."""


def _make_group_edge(key: tuple[str, str]) -> Edge:
    topic, group = key
    tags = (f"group:{group}",) if group else ()
    return Edge("direction:in", f"topic:{topic}", "type:redis", *tags)


out_edges: EdgeCache[str] = EdgeCache(lambda topic: Edge("direction:out", f"topic:{topic}", "type:redis"))
"""The edges of adding entries, by topic."""
in_edges: EdgeCache[tuple[str, str]] = EdgeCache(_make_group_edge)
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
