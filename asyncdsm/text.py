"""Names from outside, as they may leave this process."""

from __future__ import annotations


def wire_text(text: str) -> str:
    """Return a text with `?` for what has no bytes in UTF-8: lone surrogates, which JSON may bring."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
