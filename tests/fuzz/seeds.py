"""Where the fuzzers begin: for each target, what is as it should be, and what was once found to be a fault."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode

from msgspec.msgpack import encode as to_msgpack

from asyncdsm import Pathway
from asyncdsm.core.context import HEADER, LEGACY_HEADER
from tests.agent.payloads import bucket, payload, point, sketch
from tests.transactions import Passed, write_transactions

CONTEXT = Pathway(99, 1_700_000_000_000_000_000, 1_700_000_001_000_000_000)
TEXT = CONTEXT.encode_base64()
CARRIER = json.dumps({"x-datadog-trace-id": "1", HEADER: TEXT})
IN_BASE64 = b64encode(CARRIER.encode()).decode()
ATTRIBUTES = {"_datadog": {"DataType": "Binary", "BinaryValue": IN_BASE64}}
NOTIFICATION = {
    "Type": "Notification",
    "TopicArn": "arn:aws:sns:eu-west-1:1:orders",
    "Message": "{}",
    "Timestamp": "2026-01-02T03:04:05.678Z",
    "MessageAttributes": {"_datadog": {"Type": "Binary", "Value": IN_BASE64}},
}
EVENT = {"version": "0", "detail-type": "order", "time": "2026-01-02T03:04:05Z"}
EVENT_OF_BRIDGE = {**EVENT, "detail": {"order": 1, "_datadog": json.loads(CARRIER)}}
PUBSUB = {
    "message": {"attributes": {HEADER: TEXT}, "publishTime": "2026-01-02T03:04:05.123456789Z"},
    "subscription": "s",
}
CLOUD = {"specversion": "1.0", "type": "order.made", "source": "/shop", "id": "1", "ddpathwayctxbase64": TEXT}
SQS = {
    "eventSource": "aws:sqs",
    "eventSourceARN": "arn:aws:sqs:us-east-2:1:q",
    "body": "{}",
    "attributes": {"SentTimestamp": "1699999999000"},
    "messageAttributes": {"_datadog": {"dataType": "String", "stringValue": CARRIER}},
}
KINESIS = {
    "eventSource": "aws:kinesis",
    "eventSourceARN": "arn:aws:kinesis:us-east-2:1:stream/s",
    "kinesis": {"data": IN_BASE64, "partitionKey": "1", "approximateArrivalTimestamp": 1e300},
}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


SEEDS: dict[str, list[bytes]] = {
    "pathway": [CONTEXT.encode(), TEXT.encode(), Pathway(1, 0, 0).encode(), b"\xff" * 26],
    "kafka": [
        (1_700_000_000_000).to_bytes(8, "little") + b"\x01\x01" + TEXT.encode() + b"value",
        (1 << 62).to_bytes(8, "little") + b"\x00\x01" + CONTEXT.encode(),
    ],
    "amqp": [
        to_msgpack({HEADER: TEXT, "n": 1, "t": {"a": [b"1", "2", 3.5, None]}}),
        to_msgpack({LEGACY_HEADER: b"\1"}),
    ],
    "sqs": [
        _json({"a": ATTRIBUTES, "b": json.dumps(NOTIFICATION), "s": {"SentTimestamp": "1700000000000"}}),
        _json(NOTIFICATION),
        _json(EVENT_OF_BRIDGE),
        _json({"Type": "Notification", "Message": json.dumps(EVENT_OF_BRIDGE)}),
        _json({"MessageId": "1", "ReceiptHandle": "1", "Body": CARRIER, "MessageAttributes": ATTRIBUTES}),
    ],
    "sns": [_json(NOTIFICATION), _json(EVENT_OF_BRIDGE)],
    "kinesis": [
        _json({"order": 1, "_datadog": json.loads(CARRIER)}),
        b64encode(_json({"order": 1, "m": 1e300})),
        b" {} \n",
        b'{"n": 1e999, "_datadog": 5}',
    ],
    "http": [
        bytes([kind]) + b"a" * 40 + body
        for kind, body in enumerate(
            [
                _json(NOTIFICATION),
                _json(PUBSUB),
                _json(EVENT_OF_BRIDGE),
                _json(CLOUD),
                _json([CLOUD, CLOUD]),
                b"2026-01-02T03:04:05Z",
                TEXT.encode(),
                TEXT.encode(),
            ]
        )
    ],
    "lambda_event": [
        _json({"Records": [SQS, KINESIS]}),
        _json({"Records": [{"EventSource": "aws:sns", "Sns": NOTIFICATION}]}),
        _json(EVENT_OF_BRIDGE),
        _json({"Records": [{**SQS, "eventSourceARN": "\ud800"}]}),
    ],
    "intake": [
        payload(bucket(point(), point(Hash=8, ParentHash=7), Backlogs=[{"Tags": ["type:kafka_commit"], "Value": 5}])),
        gzip.compress(payload(bucket(point())), mtime=0),
        payload(bucket(**write_transactions([Passed("ordered", 1_700_000_000_000_000_000, "4711")]))),
    ],
    "sketch": [
        sketch(contiguousBinCounts=[1, 0, 2], contiguousBinIndexOffset=1300, zeros=2),
        sketch(binCounts={1338: 1, -40_000: 2}),
        sketch(gamma=1.02, offset=0, binCounts={-20_000: 1, 20_000: 1}),
    ],
    "settings": [
        b"DD_SERVICE=shop\nDD_ENV=prod\nDD_TRACE_AGENT_URL=http://agent:8126\nDD_DATA_STREAMS_ENABLED=true",
        b"DD_AGENT_HOST=fe80::1\nDD_TRACE_AGENT_PORT=9126\nOTEL_RESOURCE_ATTRIBUTES=service.name=a%20b,x=y",
        b"DD_API_KEY=secret\nDD_SITE=datadoghq.eu\nDD_EXTERNAL_ENV=it-false\nDD_HOSTNAME=h\xe9",
        b"DD_TRACE_AGENT_URL=unix:///run/apm.socket\n_DD_TRACE_STATS_WRITER_INTERVAL=2.5",
        b"DD_TRACE_AGENT_URL=http://agent\xc6\x8e_p://ageue",
    ],
    "answer": [b"120", b"nan", b"Wed, 21 Oct 2015 07:28:00 GMT", b"0::/docker/" + b"0123456789abcdef" * 4],
    "url": [b"", b"a:b", b"?", b"#", b"@", b"://", b"/", b"\xed\xa0\x80"],
}
