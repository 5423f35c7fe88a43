"""Mocks that pass for a client, as users' tests make them."""

from __future__ import annotations

import sys


def is_mock(client: object) -> bool:
    """Say whether an object is a mock of `unittest.mock`, whatever class it says that it is of.

    One with a `spec` passes for a client. It is left as it is: calls made on it would be among those that its test
    looks at, and it has nothing to follow.
    """
    mock = getattr(sys.modules.get("unittest.mock"), "NonCallableMock", None)
    return mock is not None and issubclass(type(client), mock)
