"""Pipelines of redis-py and valkey-py: results and errors do not show the field, and each read stands alone."""

from __future__ import annotations

from typing import Any

import pytest

import asyncdsm
from asyncdsm.testing import Captured
from tests.integrations.redis.clients import FIELD, Name, Package, entries_of


@pytest.mark.parametrize("transaction", [True, False])
@pytest.mark.parametrize("wrong", [("XREAD", "COUNT"), ("XREADGROUP",), ("XADD", "s"), ("XCLAIM", "s")])
async def test_each_read_of_a_pipeline_stands_alone(
    client: Any, captured_streams: Captured, name: Name, wrong: tuple[str, ...], *, transaction: bool
) -> None:
    """A transaction with a malformed command adds and reads nothing."""
    stream = name()
    await client.xadd(stream, {"a": 1})
    pipeline = client.pipeline(transaction=transaction).execute_command(*wrong)
    if transaction:
        with pytest.raises(Exception, match=r"wrong number|syntax error|EXECABORT"):
            await pipeline.xread({stream: 0}).execute()
        assert captured_streams.consumed() == []
        return
    refused, read, seen = await pipeline.xread({stream: 0}).xrange(stream).execute(raise_on_error=False)
    assert isinstance(refused, Exception)
    assert [fields for _, fields in entries_of(read)] == [fields for _, fields in seen] == [{b"a": b"1"}]
    assert len(captured_streams.consumed(stream)) == 1


def test_each_read_of_a_pipeline_that_blocks_stands_alone(
    blocking: Any, captured_streams: Captured, name: Name
) -> None:
    stream = name()
    blocking.xadd(stream, {"a": 1})
    pipeline = blocking.pipeline(transaction=False).execute_command("XREAD", "COUNT").xread({stream: 0}).xrange(stream)
    refused, read, seen = pipeline.execute(raise_on_error=False)
    assert isinstance(refused, Exception)
    assert [fields for _, fields in entries_of(read)] == [fields for _, fields in seen] == [{b"a": b"1"}]
    assert len(captured_streams.consumed(stream)) == 1


def make_naming_pipeline(base: Any) -> Any:
    """Return a class of asyncio pipelines whose results have names."""

    class NamingPipeline(base):  # type: ignore[misc]
        async def execute(self, raise_on_error: bool = True) -> dict[str, Any]:
            results = await super().execute(raise_on_error)
            return {f"result {number}": result for number, result in enumerate(results)}

    return NamingPipeline


@pytest.mark.parametrize("is_wrapped", [True, False])
async def test_pipeline_whose_results_are_no_list_counts_once(
    package: Package, captured_streams: Captured, name: Name, *, is_wrapped: bool
) -> None:
    stream, bare = name(), package.connect()
    await bare.ping()
    pipeline = make_naming_pipeline(package.classes[3])(bare.connection_pool, bare.response_callbacks, True, None)
    if is_wrapped:
        assert type(asyncdsm.wrap(pipeline)).__name__ == "NamingPipeline"
    else:
        asyncdsm.instrument(package.name)
    try:
        results = await pipeline.xadd(stream, {"a": 1}).xrange(stream).xread({stream: 0}).execute()
    finally:
        asyncdsm.uninstrument(package.name)
    assert list(results) == ["result 0", "result 1", "result 2"]
    assert FIELD not in str(results)
    assert [made.topic for made in captured_streams.checkpoints] == [stream] * 2
    await bare.aclose()


def test_pipeline_that_blocks_and_whose_results_are_no_list_counts_once(
    package: Package, captured_streams: Captured, name: Name
) -> None:
    base: Any = package.classes[1]

    class TuplePipeline(base):  # type: ignore[misc]
        def execute(self, raise_on_error: bool = True) -> tuple[Any, ...]:
            return tuple(super().execute(raise_on_error))

    stream, bare = name(), package.connect_blocking()
    pipeline = asyncdsm.wrap(TuplePipeline(bare.connection_pool, bare.response_callbacks, True, None))
    results = pipeline.xadd(stream, {"a": 1}).xread({stream: 0}).execute()
    assert (type(results), FIELD in str(results)) == (tuple, False)
    assert [made.topic for made in captured_streams.checkpoints] == [stream] * 2
    bare.close()


@pytest.mark.parametrize("transaction", [True, False])
async def test_error_of_a_pipeline_names_the_command_as_the_program_gave_it(
    client: Any, bare: Any, name: Name, *, transaction: bool
) -> None:
    text, errors = name(), list[str]()
    await bare.set(text, "no stream")
    for each in (client, bare):
        with pytest.raises(Exception, match="WRONGTYPE") as caught:
            await each.pipeline(transaction=transaction).xadd(text, {"a": 1}).execute()
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert f"XADD {text} * a 1)" in errors[0]


@pytest.mark.parametrize("transaction", [True, False])
def test_error_of_a_pipeline_that_blocks_names_the_command_as_the_program_gave_it(
    blocking: Any, name: Name, *, transaction: bool
) -> None:
    blocking.set(text := name(), "no stream")
    with pytest.raises(Exception, match="WRONGTYPE") as caught:
        blocking.pipeline(transaction=transaction).xadd(text, {"a": 1}).execute()
    assert f"XADD {text} * a 1)" in str(caught.value)
