"""Names from outside, as they may leave this process."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(4096)
def wire_text(text: str) -> str:
    """Return a text with `?` for what has no bytes in UTF-8: the lone surrogates that JSON and the environment bring.

    Equal texts that are met again are one object: edges have most of their tags in common. (Not by `sys.intern`, which
    keeps them for ever on early releases of Python 3.12.)
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
