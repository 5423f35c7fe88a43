"""The example with checkpoints by hand: each order is the parent of its invoice."""

from __future__ import annotations

import json

from redis import Redis

from asyncdsm.agent.http.server import RunningAgent
from asyncdsm.core.context import HEADER
from tests.examples.programs import COUNT, check_pathways, has_counted, make_headers, running_example, wait_until


def test_program_on_redis_sends_an_invoice_for_each_order(redis: str, agent: RunningAgent) -> None:
    with Redis.from_url(redis) as client:
        client.delete("orders", "invoices")
        for number in range(COUNT):
            client.rpush("orders", json.dumps({"headers": make_headers(number), "body": number}))
        with running_example(
            agent, "-m", "examples.clients.by_hand_billing", DD_SERVICE="billing", REDIS=redis
        ) as billing:
            wait_until(lambda: has_counted(agent, in_=COUNT, out=COUNT), billing)
        invoices = [json.loads(invoice) for invoice in client.lrange("invoices", 0, -1)]
        client.delete("invoices")
    assert [invoice["body"] for invoice in invoices] == list(range(COUNT))
    assert all(HEADER in invoice["headers"] for invoice in invoices)
    check_pathways(agent, "in orders", "out invoices")
