"""One command of a client: what is to be done before and after it. All commands pass a client's `execute_command`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from asyncdsm.integration import mark_async, receive_async, report_hook_error
from asyncdsm_redis.commands import find_stream_command
from asyncdsm_redis.consume import ReadCall
from asyncdsm_redis.produce import AddCall, begin_entry

Call = AddCall | ReadCall


def begin_call(client: Any, args: tuple[Any, ...]) -> Call | None:
    """Return what is to be done for a command. None for one that is none of streams, or does not count. **Hot**."""
    try:
        name = find_stream_command(args)
        if name is None:
            return None
        return begin_entry(args) if name == "XADD" else ReadCall(client, name, args)
    except Exception as error:
        report_hook_error(error)
        return None


def hook_execute(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `execute_command` of a client that blocks. **Hot**."""

    def execute_command(client: Any, /, *args: Any, **options: Any) -> Any:
        call = begin_call(client, args)
        if call is None:
            return original(client, *args, **options)
        call.clear_current()
        return call.finish_call(original(client, *call.args, **options))

    return execute_command


def hook_execute_async(original: Callable[..., Any]) -> Callable[..., Any]:
    """Hook `execute_command` of an asyncio client. **Hot**."""

    def execute_command(client: Any, /, *args: Any, **options: Any) -> Any:
        call = begin_call(client, args)
        if call is None:
            return original(client, *args, **options)
        return receive_async(partial(original, client, *call.args, **options), call.clear_current, call.finish_call)

    return mark_async(execute_command)
