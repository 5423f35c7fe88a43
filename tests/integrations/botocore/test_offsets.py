"""How far behind the reading of a Kinesis shard is."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import Any

import pytest
from asyncdsm_botocore import kinesis_reader
from asyncdsm_botocore.consume import RecentEntries
from asyncdsm_botocore.kinesis_reader import Shard
from asyncdsm_botocore.produce import STATE_KEY
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError

from asyncdsm.core.lag import current_lags
from asyncdsm.testing import Captured
from tests.brokers.aws import Aws
from tests.integrations.botocore.clients import wrapped_client


def test_lag_of_a_shard_is_reported_while_its_client_lives(moto: Aws, captured_streams: Captured) -> None:
    name, _ = moto.stream()
    kinesis = wrapped_client(moto, "kinesis")
    (shard,) = {kinesis.put_record(StreamName=name, Data=b"x", PartitionKey="p")["ShardId"] for _ in range(3)}
    iterator = kinesis.get_shard_iterator(
        StreamName=name, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]  # fmt: skip
    for _ in range(2):
        answer = kinesis.get_records(ShardIterator=iterator, Limit=1)
        iterator = answer["NextShardIterator"]
        (lag,) = [lag for lag in current_lags() if lag.topic == name]
        assert (lag.partition, lag.unit) == (0, "milliseconds")
        assert lag.behind == answer["MillisBehindLatest"]
    del kinesis
    gc.collect()
    assert [lag for lag in current_lags() if lag.topic == name] == []


def test_throttled_read_leaves_the_lag_unchanged(ministack: Aws, captured_streams: Captured) -> None:
    name, _ = ministack.stream()
    kinesis = wrapped_client(ministack, "kinesis")
    shard = kinesis.put_record(StreamName=name, Data=b"x", PartitionKey="p")["ShardId"]
    place = {"StreamName": name, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
    iterator = kinesis.get_shard_iterator(**place)["ShardIterator"]
    answer = kinesis.get_records(ShardIterator=iterator)
    before = [lag for lag in current_lags() if lag.topic == name]
    assert len(before) == 1
    refusal = {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "slow"}}
    response = (AWSResponse("", 400, {}, None), refusal)
    kinesis.meta.events.register("before-call.kinesis.GetRecords", lambda **_: response)
    with pytest.raises(ClientError, match="slow"):
        kinesis.get_records(ShardIterator=answer["NextShardIterator"])
    assert [lag for lag in current_lags() if lag.topic == name] == before


def test_shard_that_is_no_longer_read_reports_no_lag(
    captured_streams: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A closed shard has no next iterator; the iterator of a shard that nobody reads expires."""
    reader, answer = kinesis_reader.KinesisReader(), SimpleNamespace(status_code=200)

    def read(name: str, **parsed: Any) -> None:
        context = {STATE_KEY: kinesis_reader.Shard("stream", name)}
        reader.after_get_records(
            parsed={"Records": [], "MillisBehindLatest": 5, **parsed}, http_response=answer, context=context
        )

    for name in ("shardId-000000000001", "shardId-000000000002"):
        read(name, NextShardIterator=f"next of {name}")
    assert [(lag.partition, lag.behind, lag.unit) for lag in reader.lags()] == [
        (1, 5, "milliseconds"),
        (2, 5, "milliseconds"),
    ]
    read("shardId-000000000001")
    assert [lag.partition for lag in reader.lags()] == [2]
    monkeypatch.setattr(kinesis_reader, "ITERATOR_SECONDS", -1.0)
    assert list(reader.lags()) == []


def test_cache_of_iterators_is_bounded() -> None:
    memory, shard = RecentEntries[str, Shard](100), Shard("stream", "shardId-000000000003")
    for number in range(1000):
        memory.put(str(number), shard)
    remembered = [number for number in range(1000) if memory.lookup(str(number))]
    assert 50 <= len(remembered) <= 100
    assert remembered[-1] == 999
    assert shard.number == 3
    assert Shard("stream", "other").number == -1
