"""The middleware that `wrap` and `instrument` add to Starlette and FastAPI apps."""

from __future__ import annotations

from copy import copy
from typing import Any

import pytest
from asyncdsm_asgi import DataStreamsMiddleware
from fastapi import FastAPI
from starlette.applications import Starlette

import asyncdsm
from asyncdsm.core.context import HEADER
from asyncdsm.testing import Captured
from tests.integrations.asgi.apps import CONTEXT, Handler, request, run_lifespan_of


async def test_copy_of_an_instrumented_app_gets_its_own_middleware(captured_streams: Captured) -> None:
    asyncdsm.instrument("starlette")
    try:
        app = Starlette()
        await request(app)
        other = copy(app)
        other.middleware_stack = Handler()
        (answer, *_) = await request(other)
        assert answer["status"] == 204
    finally:
        asyncdsm.uninstrument("starlette")


@pytest.mark.parametrize("kind", [Starlette, FastAPI])
async def test_instrumented_app_counts_once_until_uninstrument(kind: Any, captured_streams: Captured) -> None:
    app = kind()
    original = Starlette.__call__
    asyncdsm.instrument("starlette")
    asyncdsm.instrument("starlette")
    try:
        async with run_lifespan_of(app):
            await request(app, {HEADER: CONTEXT})
        assert len(captured_streams.consumed()) == 1
    finally:
        asyncdsm.uninstrument("starlette")
    assert Starlette.__call__ is original


@pytest.mark.parametrize("started", [False, True])
async def test_wrapped_app_counts_before_and_after_it_started(started: bool, captured_streams: Captured) -> None:
    app = FastAPI()
    if started:
        await request(app, {HEADER: CONTEXT})
    assert asyncdsm.wrap(app) is app
    await request(app, {HEADER: CONTEXT})
    assert len(captured_streams.consumed()) == 1


async def test_middleware_within_middleware_counts_once(captured_streams: Captured) -> None:
    await request(DataStreamsMiddleware(DataStreamsMiddleware(Handler())), {HEADER: CONTEXT})
    assert len(captured_streams.consumed()) == 1


async def test_unknown_argument_of_a_later_release_reaches_the_app(
    monkeypatch: pytest.MonkeyPatch, captured_streams: Captured
) -> None:
    got = list[Any]()

    async def call(self: Any, scope: Any, receive: Any, send: Any, *args: Any, **kwargs: Any) -> None:
        got.append((args, kwargs))

    monkeypatch.setattr(Starlette, "__call__", call)
    asyncdsm.instrument("starlette")
    app: Any = Starlette()
    try:
        await app({"type": "http"}, None, None, "fourth", later=1)
        await app({"type": "http"}, None, None)
    finally:
        asyncdsm.uninstrument("starlette")
    assert got == [(("fourth",), {"later": 1}), ((), {})]
