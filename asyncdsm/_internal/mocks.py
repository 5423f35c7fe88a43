"""Recognises mocks of clients, as the tests of users create them."""

from __future__ import annotations

import sys


def is_mock(client: object) -> bool:
    """Return whether an object is a mock of `unittest.mock`, whatever its `__class__` says.

    A mock with a `spec` looks like a client. asyncdsm leaves it alone: it carries no messages, and its test would
    see the calls of asyncdsm.
    """
    mock = getattr(sys.modules.get("unittest.mock"), "NonCallableMock", None)
    return mock is not None and issubclass(type(client), mock)
