"""Each refused request gets its status, the path of what is wrong, and the problem."""

from __future__ import annotations

import gzip

import pytest
from msgspec.msgpack import encode as to_msgpack

from asyncdsm.agent.intake.errors import IntakeError
from asyncdsm.agent.intake.payload import read_report
from tests.agent.payloads import INTAKE, MSGPACK, Client, bucket, payload, point

FIELDS: dict[str, tuple[bytes, str, str]] = {
    "neither a service nor a bucket": (to_msgpack({"Stats": []}), "$.Service", "is missing"),
    "an unreadable service and no bucket": (payload(Service=5), "$.Service", "Expected `str | null`, got `int`"),
    "no stats": (to_msgpack({"Service": "s"}), "$", "missing required field `Stats`"),
    "stats are a text": (payload(Stats="x"), "$.Stats", "Expected `array | null`, got `str`"),
    "a list": (to_msgpack([1, 2]), "$", "Expected `object`, got `array`"),
    "not text": (payload(Service="@").replace(b"\xa1@", b"\xa1\xff"), "$.Service", "utf-8"),
    "nothing": (b"", "$", "Input data was truncated"),
    "not msgpack": (b"\xc1", "$", "invalid opcode"),
    "json": (b'{"Service": "x"}', "$", "Expected `object`, got `int`"),
    "more after the end": (payload() + b"\x00", "$", "trailing characters"),
    "cut off": (payload()[:-1], "$", "Input data was truncated"),
    "says it is a list of 4 billion": (b"\x81\xa5Stats\xdd\xff\xff\xff\xff", "$", "Input data was truncated"),
    "a deep nest in an unknown field": (b"\x81\xa1x" + b"\x91" * 1_000_000, "$", "recursion"),
    "a deep nest in a known field": (b"\x81\xa5Stats" + b"\x91" * 1_000_000, "$", "recursion"),
}


@pytest.mark.parametrize(("body", "path", "problem"), FIELDS.values(), ids=FIELDS.keys())
def test_body_of_which_nothing_can_be_used_is_refused(body: bytes, path: str, problem: str) -> None:
    with pytest.raises(IntakeError) as caught:
        read_report(body, "")
    assert (caught.value.status, caught.value.path) == (400, path)
    assert problem.casefold() in caught.value.problem.casefold()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"not gzip", "must be gzip"),
        (gzip.compress(payload())[:-4], "ends too early"),
        (gzip.compress(payload())[:20], "ends too early"),
        (gzip.compress(payload()) + b"more", "must be gzip"),
        (gzip.compress(payload())[:-8] + bytes(8), "must be gzip"),
    ],
    ids=["no gzip", "cut at the end", "cut in the middle", "more after it", "wrong checksum"],
)
def test_body_that_is_not_gzip_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(IntakeError, match=problem) as caught:
        read_report(body, "gzip")
    assert (caught.value.status, caught.value.path) == (400, "body")


def test_gzip_of_several_members_is_read() -> None:
    body = payload(bucket(point()))
    assert len(read_report(gzip.compress(body[:50]) + gzip.compress(body[50:]), "gzip").buckets) == 1


async def test_refusals_are_answered_with_path_and_problem(client: Client) -> None:
    for body, path, problem in FIELDS.values():
        response = await client.report(body)
        error = response.json()["error"]
        assert (response.status_code, error["path"]) == (400, path)
        assert problem.casefold() in error["problem"].casefold()
    assert (await client.topology())["services"] == []
    assert (await client.get("/api/health")).json()["payloads"] == 0
    assert (await client.report(payload(bucket(point())))).status_code == 202


@pytest.mark.parametrize(
    ("headers", "path"),
    [
        ({**MSGPACK, "Content-Encoding": "br"}, "Content-Encoding"),
        ({**MSGPACK, "Content-Encoding": "gzip, gzip"}, "Content-Encoding"),
        ({"Content-Type": "application/json"}, "Content-Type"),
        ({}, "Content-Type"),
    ],
)
async def test_wrong_headers_are_refused(client: Client, headers: dict[str, str], path: str) -> None:
    response = await client.post(INTAKE, content=payload(), headers=headers)
    assert (response.status_code, response.json()["error"]["path"]) == (415, path)


async def test_wrong_minutes_are_rejected_with_400(client: Client) -> None:
    wrong = ["0", "abc", "", "-1", "1.5", "10081", "٣", "0000000011441", "000000001" + "1" * 5_000]
    for minutes in wrong:
        response = await client.get("/api/topology", params={"minutes": minutes})
        assert (response.status_code, response.json()["error"]["path"]) == (400, "minutes")
        assert "must be a whole number from 1 to 10080" in response.json()["error"]["problem"]
    for right in (1, 1440, 10080):
        assert (await client.topology(right))["minutes"] == right
