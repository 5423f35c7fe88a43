"""Errors planted in our own code: found are the functions that our hooks call, and each is made to raise in its turn.

A hook is a function of ours that somebody else has called: a client, its event loop, the user's program.
"""

from __future__ import annotations

import gc
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import asyncdsm

OURS = tuple(str(Path(asyncdsm.__file__).parents[1].joinpath(folder)) for folder in ("asyncdsm", "integrations"))

CANNOT_FAIL = {
    "core.counters.Counters.increment",
    "core.plain_checkpoint.record_not_propagated",
    "core.recorder.BaseRecorder.report_error",
    "core.recorder.report_hook_error",
    "asyncdsm_kombu.produce._replace_headers",
    "asyncdsm_aio_pika.consume._leave_callbacks_alone",
    "asyncdsm_nats.client._binding",
    "integration.batch_iterator.BatchIterator.__init__",
    "integration.batch.current_task",
    "integration.batch_iterator.BatchPathways.end_wait",
    "integration.batch_iterator.BatchIterator._is_within_loop",
    "integration.batch_iterator.BatchIterator._record_step",
    "integration.batch_iterator.BatchIterator._restore_previous",
    "integration.batch_iterator._calling_instruction",
    "core.current._Block",
    "core.current.restored",
    "core.current.suppress_nested_checkpoints",
    "core.current.allow_nested_checkpoints",
    "core.current.current_pathway",
    "core.current.set_current",
    "core.current.snapshot",
    "core.plain_checkpoint.report_hook_error",
}
"""They read or set a context variable, put an argument or a header in its place, look at a frame or add one to a
counter, and nothing more; or they keep errors from the program."""
USERS_OWN = {
    "integration.registry.wrap",
    "integration.formats.lambda_events._list_messages",
    "integration.lifetime.close_standby",
    "streams.DataStreams",
}
"""What the user has asked for by name: to start, to stop, to follow a client."""
GUARDS = {
    "asyncdsm_confluent.delivery_reports._take_report_and_call",
    "asyncdsm_confluent.delivery_reports.take_report",
    "asyncdsm_confluent.produce.count_produced",
    "asyncdsm_confluent.proxy._forward_method",
    "asyncdsm_confluent.proxy._wrap_callback",
    "asyncdsm_aiokafka.batches._reserve_room",
    "asyncdsm_kombu.consume._is_counted",
    "asyncdsm_kombu.consume.record_delivery",
    "asyncdsm_kombu.transports._is_channel_followed",
    "asyncdsm_kombu.transports.suppress_client_produce",
    "asyncdsm_kombu.produce.Publishing.finish_publishing",
    "asyncdsm_aio_pika.client._look_up_method",
    "asyncdsm_aio_pika.consume._clear_current",
    "asyncdsm_aio_pika.consume._ask_for_one",
    "asyncdsm_aio_pika.consume._record_answer",
    "asyncdsm_aio_pika.consume._record_next",
    "asyncdsm_aio_pika.consume.record_delivery",
    "asyncdsm_asgi.consume.consume_push",
    "asyncdsm_aiomqtt.consume._finish_last",
    "asyncdsm_aiomqtt.consume._record_message",
    "asyncdsm_aiomqtt.consume.count_message",
    "asyncdsm_nats.consume.Source.clear_current",
    "asyncdsm_nats.consume.Source.count_message",
    "asyncdsm_nats.consume._receive_batch",
    "asyncdsm_nats.consume._receive_next",
    "asyncdsm_eventhub.consume.Reception._count_events",
    "asyncdsm_eventhub.consume.count_event",
    "asyncdsm_pubsub.consume._count_message",
    "asyncdsm_pubsub.consume._record_response",
    "asyncdsm_redis.calls.begin_call",
    "asyncdsm_redis.consume.ReadCall.clear_current",
    "asyncdsm_redis.consume.ReadCall.finish_call",
    "asyncdsm_redis.consume.finish_reads",
    "asyncdsm_redis.pipeline_calls._finish_awaited",
    "asyncdsm_redis.produce.AddCall.clear_current",
    "asyncdsm_redis.produce.AddCall.finish_call",
    "asyncdsm_redis.produce.hide_context",
    "asyncdsm_servicebus.consume._record_message",
    "asyncdsm_servicebus.consume._record_messages",
    "asyncdsm_servicebus.consume.count_delivery",
    "asyncdsm_asgi.consume.read_body",
    "asyncdsm_asgi.middleware.DataStreamsMiddleware._start",
    "core.plain_checkpoint.finish_produce",
    "integration.hooks.guarded.<locals>",
    "integration.receive.receive_async",
    "integration.manual._explain",
    "integration.manual._record_offset",
}
"""Parts of hooks: they hold the guard themselves, or hand on what is somebody else's. What *they* call is planted."""

HAND_ON = {
    "integration.hooks.look_up_in_class.<locals>",
    "integration.hooks._call_own_attribute.<locals>",
    "integration.hooks._hook_for_object.<locals>",
    "integration.hooks._make_switchable.<locals>",
}
"""They call a hook with the arguments that they were given, and do nothing else."""


class Planted(RuntimeError):  # noqa: N818
    """The error that is planted."""


def is_among(error: BaseException) -> bool:
    """Say whether an error is the one that was planted, or comes of it."""
    below = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    chained = (*below, error.__cause__, error.__context__)
    return isinstance(error, Planted) or any(is_among(each) for each in chained if each is not None)


hits = 0
"""How often it was raised."""


def strike() -> None:
    """Raise it."""
    global hits  # noqa: PLW0603
    hits += 1
    raise Planted("planted")


def called_by_hooks(program: Callable[[], object]) -> dict[str, CodeType]:
    """Run a program; return the functions of ours that our hooks have called, by their names."""
    found = dict[str, CodeType]()

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and _is_function(frame) and not _is_among(frame, GUARDS) and _is_hook(frame.f_back):
            found[_name(frame.f_code)] = frame.f_code

    threading.setprofile(look)  # a worker is another thread
    sys.setprofile(look)
    try:
        program()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return dict(sorted(found.items()))


@contextmanager
def planted(code: CodeType) -> Iterator[None]:
    """Let every function with this code raise inside the block."""
    raising = _raising(code)
    changed = [(each, code, raising) for each in _functions_of(code)]
    for maker in _makers_of(code):  # what it makes from here on raises too
        parts = tuple(raising if part is code else part for part in maker.__code__.co_consts)
        changed.append((maker, maker.__code__, maker.__code__.replace(co_consts=parts)))
    assert changed, f"{code.co_qualname} is nobody's code any more"
    for function, _, planted in changed:
        for cached in gc.get_referrers(function):
            if hasattr(cached, "cache_clear"):
                cached.cache_clear()
        function.__code__ = planted
    try:
        yield
    finally:
        for function, before, _ in changed:
            function.__code__ = before


def _functions_of(code: CodeType) -> list[FunctionType]:
    return [each for each in gc.get_referrers(code) if isinstance(each, FunctionType) and each.__code__ is code]


def _makers_of(code: CodeType) -> list[FunctionType]:
    """Return the functions that a function stands in, if it does."""
    if "<locals>" not in code.co_qualname:
        return []
    functions = [each for each in gc.get_objects() if type(each) is FunctionType]  # a dead weak proxy has no class
    return [each for each in functions if any(part is code for part in each.__code__.co_consts)]


def _raising(code: CodeType) -> CodeType:
    """Return code that raises, and that closes over the same variables as what it stands in for."""
    names = code.co_freevars
    outer = [f"    {name} = None" for name in names]
    inner = [
        "from tests.chaos.planting import strike",
        "strike()",
        f"return ({''.join(f'{name}, ' for name in names)})",
    ]
    lines = ["def outer():", *outer, "    def planted(*_, **__):", *(f"        {line}" for line in inner)]
    made = dict[str, Any]()
    exec("\n".join([*lines, "    return planted"]), made)  # noqa: S102
    raising: CodeType = made["outer"]().__code__
    return raising


def _is_hook(frame: FrameType | None) -> bool:
    """Say whether a frame is a function of ours that somebody else has called, or the part of one."""
    if frame is None or not _is_function(frame):
        return False
    return not _is_ours(frame.f_back) or (_is_among(frame, GUARDS) and _is_hook(frame.f_back))


def _is_function(frame: FrameType) -> bool:
    """Say whether a frame is a function of ours that may fail: no module, no class's body, no part of a function."""
    is_named = frame.f_code.co_flags & inspect.CO_OPTIMIZED and not frame.f_code.co_name.startswith("<")
    return bool(is_named) and _is_ours(frame) and not _is_among(frame, CANNOT_FAIL | USERS_OWN)


def _is_ours(frame: FrameType | None) -> bool:
    """Say whether a frame is our code; what only hands a call on to a hook counts as its caller."""
    return frame is not None and frame.f_code.co_filename.startswith(OURS) and not _is_among(frame, HAND_ON)


def _is_among(frame: FrameType, names: set[str]) -> bool:
    name = _name(frame.f_code)
    return any(name == each or name.startswith(f"{each}.") for each in names)


def _name(code: CodeType) -> str:
    folder = next(folder for folder in OURS if code.co_filename.startswith(folder))
    path = Path(code.co_filename).relative_to(folder).with_suffix("")
    return ".".join([*path.parts, code.co_qualname])
