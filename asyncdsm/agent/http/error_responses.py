"""The answers to requests that are refused: JSON that says what is wrong with which part of the request."""

from __future__ import annotations

from msgspec.json import encode
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.queries.answers import ErrorAnswer, ErrorDetail
from asyncdsm.agent.queries.parameters import ApiError


def error_response(error: ApiError) -> Response:
    """Return the answer to a request that is refused."""
    body = ErrorAnswer(error=ErrorDetail(path=error.code, problem=error.message))
    return Response(encode(body), error.status, media_type="application/json")


async def bad_request(_: Request, error: Exception) -> Response:
    """Answer a request that raised an ApiError, or whose payload the intake refuses."""
    if isinstance(error, IntakeError):
        return error_response(ApiError(error.status, error.path, error.problem))
    assert isinstance(error, ApiError)  # noqa: S101  (the handler is registered for these two)
    return error_response(error)


async def store_unavailable(_: Request, error: Exception) -> Response:
    """Answer a request for which the store's file could not be read."""
    return error_response(ApiError(503, "store", str(error)))


async def client_disconnected(_: Request, __: Exception) -> Response:
    """Answer a client that disconnected in the middle of its body. Nobody reads this answer."""
    return Response(status_code=400)


async def not_found(request: Request, error: Exception) -> Response:
    """Answer a request for a path or with a method that the agent does not serve."""
    assert isinstance(error, HTTPException)  # noqa: S101  (the handler is registered for 404 and 405)
    message = f"the agent does not serve {request.method} for this path"
    response = error_response(ApiError(error.status_code, request.url.path[:100], message))
    response.headers.update(error.headers or {})
    return response
