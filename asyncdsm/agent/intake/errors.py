"""`IntakeError`: why a payload is refused."""

from __future__ import annotations

from asyncdsm.errors import AsyncDSMError


class IntakeError(AsyncDSMError, ValueError):
    """A payload is refused: `path` names the part of the request, and `status` is the HTTP status of the answer."""

    def __init__(self, path: str, problem: str, status: int = 400) -> None:
        super().__init__(f"{path}: {problem}")
        self.path: str = path
        self.problem: str = problem
        self.status: int = status
