"""How a client gets the body of a shared answer: compressed if it takes that, and not at all if it has it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from asyncdsm.agent.http.shared_answers import Body


def body_response(request: Request, body: Body) -> Response:
    """Return the response with a body, or one that says that the client has it (304)."""
    headers = {"ETag": body.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    known = [tag.strip() for tag in ",".join(request.headers.getlist("If-None-Match")).split(",")]
    if body.tag in known:
        return Response(status_code=304, headers=headers)
    if body.compressed is not None and _takes_gzip(",".join(request.headers.getlist("Accept-Encoding"))):
        return Response(body.compressed, headers={**headers, "Content-Encoding": "gzip"}, media_type="application/json")
    return Response(body.plain, headers=headers, media_type="application/json")


def _takes_gzip(accepted: str) -> bool:
    """Return whether a client takes gzip, by its header `Accept-Encoding` (RFC 9110 §12.5.3)."""
    for coding in accepted.lower().split(","):
        name, _, weight = coding.partition(";")
        if name.strip() in {"gzip", "x-gzip"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
