"""What every AWS of the tests offers, whichever program it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from boto3.session import Session


@dataclass(frozen=True)
class Aws:
    """A running AWS, reached at `endpoint`; its own calls are made by a client that nobody follows.

    `created` removes what the tests have created.
    """

    endpoint: str
    created: list[Callable[[], object]] = field(default_factory=list)
    _clients: dict[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """What a client is made with."""
        return {
            "endpoint_url": self.endpoint,
            "region_name": "us-east-1",
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test",
        }

    def bare(self, service: str) -> Any:
        """Return a client that is not wrapped, the same each time."""
        if service not in self._clients:
            session: Any = Session()
            self._clients[service] = session.client(service, **self.options)
        return self._clients[service]

    def queue(self, **attributes: str) -> str:
        """Create a queue that nobody used before and return its URL."""
        suffix = ".fifo" if "FifoQueue" in attributes else ""
        return self.create_queue(_name("queue") + suffix, attributes)

    def create_queue(self, name: str, attributes: Mapping[str, str] | None = None) -> str:
        """Create a queue of this name and return its URL."""
        sqs = self.bare("sqs")
        url: str = sqs.create_queue(QueueName=name, Attributes=attributes or {})["QueueUrl"]
        self.created.append(lambda: sqs.delete_queue(QueueUrl=url))
        return url

    def topic(self, *queues: str, raw: bool = False, **subscription: str) -> str:
        """Create a topic that delivers to these queues and return its ARN."""
        sns = self.bare("sns")
        arn: str = sns.create_topic(Name=_name("topic"))["TopicArn"]
        self.created.append(lambda: sns.delete_topic(TopicArn=arn))
        attributes = {**subscription, "RawMessageDelivery": json.dumps(raw)}
        for queue in queues:
            sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=self._arn(queue), Attributes=attributes)
        return arn

    def stream(self) -> tuple[str, str]:
        """Create a stream of one shard and return its name and its ARN."""
        kinesis, name = self.bare("kinesis"), _name("stream")
        kinesis.create_stream(StreamName=name, ShardCount=1)
        self.created.append(lambda: kinesis.delete_stream(StreamName=name))
        kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        return name, kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]

    def rule(self, queue: str) -> str:
        """Let the default bus deliver events to a queue; return the source that they must have."""
        events, name = self.bare("events"), _name("source")
        events.put_rule(Name=name, EventPattern=json.dumps({"source": [name]}))
        self.created.append(lambda: events.delete_rule(Name=name, Force=True))
        events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": self._arn(queue)}])
        self.created.append(lambda: events.remove_targets(Rule=name, Ids=["queue"]))
        return name

    def on_queue(self, queue: str, count: int = 1) -> list[dict[str, Any]]:
        """Read what really stands on a queue, with all attributes."""
        sqs, found = self.bare("sqs"), list[dict[str, Any]]()
        for _ in range(20):
            answer = sqs.receive_message(
                QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1, MessageAttributeNames=["All"]
            )
            found += answer.get("Messages", [])
            if len(found) >= count:
                break
        return found

    def _arn(self, queue: str) -> str:
        answer = self.bare("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        arn: str = answer["Attributes"]["QueueArn"]
        return arn


@contextmanager
def users_own(endpoint: str) -> Iterator[Aws]:
    """Use an AWS that runs already, and remove what the tests created on it."""
    aws = Aws(endpoint)
    try:
        yield aws
    finally:
        for remove in reversed(aws.created):
            with suppress(Exception):
                remove()


def _name(kind: str) -> str:
    return f"{kind}-{uuid4().hex[:12]}"
