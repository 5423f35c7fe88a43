"""The pathway of a message, as a value."""

from __future__ import annotations

from typing import NamedTuple

from asyncdsm.core.context import decode_context, decode_header, encode_context, encode_header


class Pathway(NamedTuple):
    """The chain of checkpoints that a message has passed. A message carries its times in milliseconds (protocol §3)."""

    hash: int
    """The name of the chain: an unsigned 64-bit number."""
    pathway_start_ns: int
    """When its first checkpoint was made, in nanoseconds since the epoch."""
    edge_start_ns: int
    """When its last checkpoint was made, in nanoseconds since the epoch."""

    def encode(self) -> bytes:
        """Return the context as bytes: 20 for today's timestamps."""
        return encode_context(*self)

    def encode_base64(self) -> str:
        """Return the base64 text that a message carries under the key `dd-pathway-ctx-base64`."""
        return self.wire().decode("ascii")

    def wire(self) -> bytes:
        """Return that text as ASCII bytes, as Kafka carries it."""
        return encode_header(*self)

    @classmethod
    def decode(cls, data: bytes) -> Pathway | None:
        """Read a context from its bytes; None for anything malformed, never an exception."""
        context = decode_context(data)
        return None if context is None else cls(*context)

    @classmethod
    def decode_base64(cls, text: str | bytes) -> Pathway | None:
        """Read a context from its base64 text; None for anything malformed, never an exception."""
        context = decode_header(text)
        return None if context is None else cls(*context)
