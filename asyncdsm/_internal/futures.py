"""Looking at futures that belong to the program."""

from __future__ import annotations

from typing import Any


def peek_exception(future: Any) -> BaseException | None:
    """Return the error of a future that is done, or None.

    asyncio logs an error that the program does not retrieve; `future.exception()` would count as retrieving it.
    """
    try:
        error: BaseException | None = future._exception
    except AttributeError:  # a future of another kind
        error = future.exception()
    return error
