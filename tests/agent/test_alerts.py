"""Alerts of a running agent: their states over time, its API, webhooks, and a file of rules that changes."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import pytest
from anyio import to_thread
from anyio.streams.text import TextReceiveStream

from asyncdsm._internal import log
from asyncdsm.agent.alerts import watcher, webhooks
from asyncdsm.agent.http.server import running_agent
from asyncdsm.agent.queries.answers import Alerts
from asyncdsm.errors import RulesError
from tests.agent.payloads import Client
from tests.agent.test_forward import listening
from tests.agent.test_lag import COMMITTED, PRODUCED, START
from tests.agent.test_lag import Clock as Offsets
from tests.brokers.process import free_port
from tests.intake import HANG, RESET, Intake

LATE = """
[[rule]]
name = "g falls behind"
when = "lag"
group = "g"
above = 100
for = "1 min"
severity = "critical"
"""


evaluations: list[Alerts] = []
"""What each evaluation of the rules that is over has found."""


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluate and retry soon, and log every warning."""
    evaluate = watcher.AlertWatcher._evaluate

    def evaluate_and_keep(self: watcher.AlertWatcher) -> watcher.Messages:
        try:
            return evaluate(self)
        finally:
            evaluations.append(self.answer)

    monkeypatch.setattr(watcher.AlertWatcher, "_evaluate", evaluate_and_keep)
    monkeypatch.setattr(watcher, "EVERY_SECONDS", 0.02)
    monkeypatch.setattr(webhooks, "FIRST_DELAY", 0.01)
    log.forget_warnings()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rules.toml"


class Watched(NamedTuple):
    """An agent whose time the test sets, and a client of it."""

    client: Client
    offsets: Offsets

    async def rules_after(self, seconds: float, behind: int | None = None) -> list[dict[str, Any]]:
        """Let time pass, then let a group be some messages behind; return the rules as they were evaluated then."""
        self.offsets.now += seconds
        if behind is not None:
            committed = 1_000 * int(self.offsets.now - START)  # the highest offset of a bucket counts
            offsets = {PRODUCED: committed + behind - 1, COMMITTED: committed}
            await to_thread.run_sync(self.offsets.report, START, offsets)
        done = len(evaluations)
        # The next evaluation to end may have begun before this report, the second has not.
        return (await self.alerts(lambda _: len(evaluations) >= done + 2))["rules"]  # type: ignore[no-any-return]

    async def alerts(self, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        return await self.answer("/api/alerts", is_so)

    async def health(self, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        return await self.answer("/api/health", is_so)

    async def answer(self, path: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return an answer as soon as it is as expected."""
        with anyio.fail_after(30):
            while not is_so(answer := (await self.client.get(path)).json()):
                await anyio.sleep(0.02)
        return answer  # type: ignore[no-any-return]


@asynccontextmanager
async def watching(path: Path, rules: str) -> AsyncIterator[Watched]:
    """Run an agent with a file of rules."""
    await anyio.Path(path).write_text(rules)
    offsets = await to_thread.run_sync(Offsets)
    async with running_agent(store=offsets.store, rules=path) as agent, Client(base_url=agent.url) as client:
        yield Watched(client, offsets)


async def states(watched: Watched, seconds: float, behind: int | None = None) -> tuple[str, list[str]]:
    (rule,) = await watched.rules_after(seconds, behind)
    return rule["state"], [alert["state"] for alert in rule["alerts"]]


async def test_alert_begins_and_ends_after_the_time_of_its_rule(path: Path) -> None:
    async with watching(path, LATE) as watched:
        assert await states(watched, 1) == ("unknown", [])
        assert await states(watched, 1, 100) == ("ok", [])
        assert await states(watched, 1, 101) == ("pending", ["pending"])
        assert await states(watched, 59) == ("pending", ["pending"])
        (rule,) = await watched.rules_after(1)
        began = watched.offsets.now - 60
        (alert,) = rule.pop("alerts")
        assert rule == {
            "name": "g falls behind",
            "severity": "critical",
            "condition": "lag above 100 messages for 60 s, group g",
            "unit": "messages",
            "state": "firing",
            "since": began,
            "problem": "",
            "firing": 1,
            "more": 0,
        }
        (node,) = alert.pop("nodes")
        assert alert == {
            "place": "orders → group g",
            "text": "orders → group g: lag is 101 messages, above 100 messages",
            "state": "firing",
            "value": 101.0,
            "since": began,
            "or_earlier": False,
            "edges": [],
        }
        assert node.startswith("q")
        assert (await watched.client.get("/api/health")).json()["alerts"]["firing"] == 1
        assert "asyncdsm_agent_alerts_firing 1.0\n" in (await watched.client.get("/api/metrics")).text


async def test_agent_without_rules_has_no_alerts(client: Client) -> None:
    assert (await client.get("/api/alerts")).json() == {"evaluated": None, "rules": []}
    assert "alerts" not in (await client.get("/api/health")).json()


async def test_agent_does_not_start_with_errors_in_its_rules(path: Path) -> None:
    await anyio.Path(path).write_text("[[rule]]\n")
    with pytest.raises(RulesError, match="rule 1: name must be"):
        async with running_agent(rules=path):
            pass


async def test_changed_file_is_read_again_and_rules_that_stay_keep_their_state(path: Path) -> None:
    async with watching(path, LATE) as watched:
        assert await states(watched, 1, 500) == ("pending", ["pending"])
        await anyio.Path(path).write_text(LATE + LATE.replace("falls", "is").replace("100", "1_000"))
        await watched.alerts(lambda answer: len(answer["rules"]) == 2)
        first, second = await watched.rules_after(60)
        assert (first["state"], second["state"]) == ("firing", "ok")


async def test_broken_new_file_keeps_the_old_rules_and_is_a_problem_until_it_is_mended(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(path, LATE) as watched:
        broken = anyio.Path(path.with_suffix(".new"))
        await broken.write_text("[[rule]]\nname = 7\n")
        await broken.replace(path)  # at once: the agent may read a file while it is written
        health = await watched.health(lambda health: health["status"] == "degraded")
        (problem,) = health["problems"]
        assert problem["name"] == "rules"
        assert problem["problem"] == (
            f"the rules before are still in force, because of errors: {path}: rule 1: name must be a string "
            "of 1 to 100 printable characters, got 7 (and 1 more problem)"
        )
        assert caplog.text.count("asyncdsm agent keeps the rules that it has, because the file has an error") == 2
        assert [rule["name"] for rule in await watched.rules_after(1)] == ["g falls behind"]
        await anyio.Path(path).unlink()
        await watched.health(lambda health: "No such file or directory" in health["problems"][0]["problem"])
        await anyio.Path(path).write_text(LATE.replace("falls", "is"))
        await watched.health(lambda health: health["status"] == "ok")
        assert [rule["name"] for rule in await watched.rules_after(1)] == ["g is behind"]


async def messages(watched: Watched, intake: Intake, count: int) -> list[dict[str, Any]]:
    """Return what the webhook accepted, as soon as that is a number of messages."""
    await watched.health(lambda health: health["alerts"]["delivered"] == count)
    return [json.loads(body) for body in intake.accepted]


def with_webhook(url: str, rules: str = LATE) -> str:
    return f'webhook = "{url}/services/T0/hush?key=hush"\n{rules}'


async def test_webhook_gets_a_message_when_an_alert_begins_and_when_it_ends(path: Path) -> None:
    async with listening() as intake, watching(path, with_webhook(intake.url)) as watched:
        await watched.rules_after(1, 500)
        began = watched.offsets.now
        await watched.rules_after(60)
        (begun,) = await messages(watched, intake, 1)
        text = begun.pop("text")
        assert text.startswith(
            "CRITICAL g falls behind: orders → group g: lag is 500 messages, above 100 messages, since "
        )
        assert text.endswith(" or earlier")  # it was so when the agent began to look
        shared = {"rule": "g falls behind", "severity": "critical", "place": "orders → group g", "unit": "messages"}
        older = {"or_earlier": True}
        assert begun == {"event": "begins", **shared, "value": 500.0, "since": began, **older, "at": began + 60}
        await watched.rules_after(1, 0)
        await watched.rules_after(60)
        _, ended = await messages(watched, intake, 2)
        assert ended.pop("text") == "OK g falls behind: orders → group g, over after at least 2.02 min"
        times = {"since": began, "at": began + 121}
        assert ended == {"event": "ends", "reason": "over", **shared, "value": 0.0, **times, **older}
    ((method, target, headers, _), _) = intake.requests
    assert (method, target) == ("POST", "/services/T0/hush?key=hush")
    assert headers["content-type"] == "application/json"


async def test_alert_of_a_rule_that_is_removed_ends(path: Path) -> None:
    async with listening() as intake, watching(path, with_webhook(intake.url)) as watched:
        await fire(watched)
        await anyio.Path(path).write_text(LATE.replace("falls", "is"))
        _, ended = await messages(watched, intake, 2)
        assert (ended["event"], ended["rule"], ended["value"]) == ("ends", "g falls behind", None)
        assert ended["reason"] == "rule removed"
        assert (
            ended["text"]
            == "RULE REMOVED g falls behind: its alert for orders → group g ends here, after at least 60 s"
        )


async def test_alert_goes_on_where_a_changed_rule_is_broken_and_else_ends(path: Path) -> None:
    async with listening() as intake, watching(path, with_webhook(intake.url)) as watched:
        await fire(watched)
        await messages(watched, intake, 1)
        await anyio.Path(path).write_text(with_webhook(intake.url, LATE.replace("above = 100", "above = 499")))
        rule = await changed(watched, "499")
        assert (rule["state"], rule["firing"]) == ("firing", 1)
        await anyio.Path(path).write_text(with_webhook(intake.url, LATE.replace("above = 100", "above = 500")))
        assert (await changed(watched, "500 messages"))["state"] == "ok"
        _, ended = await messages(watched, intake, 2)
        assert (ended["event"], ended["reason"]) == ("ends", "rule changed")
        assert (
            ended["text"]
            == "RULE CHANGED g falls behind: its alert for orders → group g ends here, after at least 60 s"
        )


async def test_webhook_that_a_rule_loses_is_told_and_another_gets_the_alert(path: Path) -> None:
    async with listening() as intake, listening() as other, watching(path, with_webhook(intake.url)) as watched:
        await fire(watched)
        await messages(watched, intake, 1)
        await anyio.Path(path).write_text(with_webhook(other.url))
        (begun,) = await messages(watched, other, 3)
        assert begun["event"] == "begins"
        _, ended = await messages(watched, intake, 3)
        assert (ended["event"], ended["reason"]) == ("ends", "rule changed")
        await anyio.Path(path).write_text(LATE)
        _, ended = await messages(watched, other, 4)
        assert (ended["event"], ended["reason"]) == ("ends", "rule changed")
        assert [rule["firing"] for rule in await watched.rules_after(1)] == [1]


async def changed(watched: Watched, condition: str) -> dict[str, Any]:
    """Return the rule as soon as it has another condition."""
    (rule,) = (await watched.alerts(lambda answer: condition in answer["rules"][0]["condition"]))["rules"]
    return rule  # type: ignore[no-any-return]


async def fire(watched: Watched) -> None:
    """Let the alert of the rule begin."""
    await watched.rules_after(1, 500)
    await watched.rules_after(60)


async def test_message_is_tried_again_until_the_webhook_takes_it(path: Path) -> None:
    async with listening() as intake, watching(path, with_webhook(intake.url)) as watched:
        intake.answers = [500, RESET, 429, 200]
        await fire(watched)
        (begun,) = await messages(watched, intake, 1)
        assert begun["event"] == "begins"
        counted = (await watched.client.get("/api/health")).json()
    assert len(intake.requests) == 4
    assert counted["alerts"] == {"rules": 1, "firing": 1, "recorded": 1, "delivered": 1, "pending": 0, "dropped": {}}
    (problem,) = counted["problems"]
    host = intake.url.removeprefix("http://")
    assert (problem["name"], problem["count"]) == ("webhook", 3)
    assert problem["problem"] == f"the webhook at {host} does not take messages: HTTP status 429"


@pytest.mark.parametrize(
    ("answer", "cause", "problem"),
    [
        (404, "refused", "HTTP status 404"),
        (302, "refused", "HTTP status 302"),
        (503, "attempts", "HTTP status 503, after 5 attempts"),
        (HANG, "attempts", "no answer within 0.05 s, after 5 attempts"),
    ],
)
async def test_message_that_is_not_taken_is_counted_as_dropped(
    answer: int | str, cause: str, problem: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "REQUEST_SECONDS", 0.05)
    async with listening() as intake, watching(path, with_webhook(intake.url)) as watched:
        intake.answer = answer
        await fire(watched)
        health = await watched.health(lambda health: health["alerts"]["dropped"] == {cause: 1})
    assert health["problems"][0]["problem"].endswith(f" does not take messages: {problem}")
    assert len(intake.requests) == {"refused": 1, "attempts": 5}[cause]


async def test_webhook_that_nobody_serves_does_not_hold_up_another_nor_the_agent(path: Path) -> None:
    other = LATE.replace("g falls", "group falls") + 'webhook = "http://127.0.0.1:{}/hush"\n'
    async with listening() as intake:
        rules = with_webhook(intake.url) + other.format(free_port())
        async with watching(path, rules) as watched:
            await fire(watched)
            await messages(watched, intake, 1)
            health = await watched.health(lambda health: health["alerts"]["dropped"] == {"attempts": 1})
            assert health["alerts"]["firing"] == 2


async def test_messages_that_wait_are_bounded_and_end_with_the_agent(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(webhooks, "MOST_WAITING", 2)
    monkeypatch.setattr(webhooks, "END_SECONDS", 0.05)
    many = "".join(LATE.replace("g falls", f"g{number} falls") for number in range(5))
    async with listening() as intake:
        intake.answer = HANG
        async with watching(path, with_webhook(intake.url, many)) as watched:
            await fire(watched)
            health = await watched.health(lambda health: health["alerts"]["recorded"] == 5)
            counted = health["alerts"]
            assert counted["recorded"] == counted["pending"] + sum(counted["dropped"].values())
            assert counted["dropped"]["queue"] >= 2
    assert "asyncdsm agent could not tell the webhook at 127.0.0.1" in caplog.text


@pytest.mark.parametrize("answer", [200, 404, 503, RESET, None])
async def test_secrets_of_a_webhook_are_never_shown(
    answer: int | str | None, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with listening() as intake:
            intake.answer = answer or 200
            url = intake.url if answer else f"http://127.0.0.1:{free_port()}"
            async with watching(path, with_webhook(url.replace("//", "//user-hush:pass-hush@"))) as watched:
                await fire(watched)
                await watched.health(lambda health: health["alerts"]["recorded"] > health["alerts"]["pending"])
                shown = [(await watched.client.get(f"/api/{name}")).text for name in ("health", "alerts", "metrics")]
    assert answer is None or intake.requests[0][2]["authorization"].startswith("Basic ")
    assert any(record.name.startswith("httpcore2") for record in caplog.records)
    assert "hush" not in caplog.text
    assert "hush" not in "".join(shown)


async def test_markup_in_names_is_escaped_in_the_text_of_a_message(path: Path) -> None:
    rules = LATE.replace('"g falls behind"', '"<!channel> & all"')
    async with listening() as intake, watching(path, with_webhook(intake.url, rules)) as watched:
        await fire(watched)
        (begun,) = await messages(watched, intake, 1)
    assert begun["rule"] == "<!channel> & all"
    assert begun["text"].startswith("CRITICAL &lt;!channel&gt; &amp; all: ")


def write_unnoticed(path: Path, text: str) -> None:
    """Write to a file and leave its time as it was, so that only a signal tells that it changed."""
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


async def test_program_reads_its_rules_again_at_a_signal_and_ends_with_an_error_for_wrong_ones(path: Path) -> None:
    await anyio.Path(path).write_text(LATE)
    command = [sys.executable, "-m", "asyncdsm", "agent", "--port", "0", "--rules", str(path)]
    async with await anyio.open_process(command, stderr=None) as process:
        try:
            assert process.stdout is not None
            output = ""
            with anyio.fail_after(60):
                async for part in TextReceiveStream(process.stdout):
                    output += part
                    if output.endswith("\n"):
                        break
            async with Client(base_url=output.split()[-1]) as client:
                await to_thread.run_sync(write_unnoticed, path, LATE.replace("falls", "fells"))
                process.send_signal(signal.SIGHUP)
                with anyio.fail_after(30):
                    while "g fells behind" not in (await client.get("/api/alerts")).text:
                        await anyio.sleep(0.02)
        finally:
            process.terminate()
            assert await process.wait() == 0
    await anyio.Path(path).write_text("[[rule]]\n")
    done = await anyio.run_process(command, check=False)
    lines = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert [line.partition(" must")[0] for line in lines] == [
        f"asyncdsm agent: {path}: rule 1: name",
        f"asyncdsm agent: {path}: rule 1: when",
    ]
