"""Rules that are written on the page: added, replaced and removed by the API, kept over a restart, beside a file's."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from asyncdsm.agent.alerts.page_rules import PageRules, RuleRefusedError
from asyncdsm.agent.alerts.rule_file import MOST_RULES, parse_rule_file, read_rules
from asyncdsm.agent.http.server import running_agent
from tests.agent.maps import MapStore, now
from tests.agent.payloads import Client

QUIET = {"name": "no orders", "when": "quiet", "queue": "orders", "for": "10 min"}
SLOW = {"name": "slow", "when": "time in service", "above": "1 ms", "service": "billing", "severity": "critical"}
FILE = '[[rule]]\nname = "of the file"\nwhen = "lag"\nabove = 10\nwebhook = "https://hooks.example/SECRET"\n'


@pytest.fixture
def maps() -> MapStore:
    """Return a map on which billing takes 250 ms."""
    maps = MapStore(now=now)
    maps.passed("shop", "out", "orders", parent=0)
    maps.passed("billing", "in", "orders", group="billing")
    maps.passed("billing", "out", "invoices")
    return maps


@asynccontextmanager
async def serving(
    maps: MapStore, tmp_path: Path, *, kept: bool = True, token: str | None = None
) -> AsyncIterator[Client]:
    await anyio.Path(rules := tmp_path / "rules.toml").write_text(FILE)
    page_rules = tmp_path / "page.toml" if kept else None
    async with (
        running_agent(store=maps.store, rules=rules, page_rules=page_rules, token=token) as agent,
        Client(base_url=agent.url) as client,
    ):
        yield client


def written(answer: Any) -> list[tuple[str, str]]:
    return [(each["source"], each["rule"]["name"]) for each in answer.json()["rules"]]


async def state_of(client: Client, name: str) -> dict[str, Any]:
    """Return a rule of `/api/alerts` once it is evaluated."""
    with anyio.fail_after(20):
        while True:
            for rule in (await client.get("/api/alerts")).json()["rules"]:
                if rule["name"] == name and rule["state"] != "unknown":
                    return dict(rule)
            await anyio.sleep(0.05)


async def test_rule_is_added_evaluated_at_once_replaced_and_removed(maps: MapStore, tmp_path: Path) -> None:
    async with serving(maps, tmp_path) as client:
        added = await client.post("/api/rules", json=SLOW)
        assert (added.status_code, written(added)) == (200, [("file", "of the file"), ("page", "slow")])
        assert added.json()["kept"] is True
        assert (await state_of(client, "slow"))["state"] == "firing"
        replaced = await client.put(
            "/api/rules", params={"name": "slow"}, json={**SLOW, "name": "fine", "above": "1 h"}
        )
        assert written(replaced)[1:] == [("page", "fine")]
        assert (await state_of(client, "fine"))["state"] == "ok"
        removed = await client.delete("/api/rules", params={"name": "fine"})
        assert written(removed) == [("file", "of the file")]


async def test_rules_survive_a_restart_in_a_file_for_the_owner_alone(maps: MapStore, tmp_path: Path) -> None:
    odd = {**QUIET, "name": 'a "name" \\ ☃', "queue": "a\x00\x7f\n*"}
    async with serving(maps, tmp_path) as client:
        for rule in (SLOW, odd):
            assert (await client.post("/api/rules", json=rule)).status_code == 200
    path = tmp_path / "page.toml"
    assert stat.S_IMODE((await anyio.Path(path).stat()).st_mode) == 0o600
    checked = await to_thread.run_sync(read_rules, path)  # as `asyncdsm check` does
    assert [rule.name for rule in checked] == ["slow", odd["name"]]
    async with serving(maps, tmp_path) as client:
        rules = (await client.get("/api/rules")).json()["rules"]
        assert [each["rule"] for each in rules[1:]] == [SLOW, odd]
        assert (await state_of(client, "slow"))["state"] == "firing"


async def test_rules_without_a_file_end_with_the_agent(maps: MapStore, tmp_path: Path) -> None:
    async with serving(maps, tmp_path, kept=False) as client:
        answer = await client.post("/api/rules", json=SLOW)
        assert (answer.json()["kept"], written(answer)[1:]) == (False, [("page", "slow")])
    async with serving(maps, tmp_path, kept=False) as client:
        assert written(await client.get("/api/rules")) == [("file", "of the file")]


@pytest.mark.parametrize(
    ("rule", "field", "problem"),
    [
        ({**SLOW, "above": "soon"}, "above", 'above must be a duration such as "500 ms"'),
        ({**SLOW, "above": 3, "quantile": "p98"}, "above", "; quantile must be one of"),
        ({**SLOW, "group": "x"}, "group", 'group does not apply to when = "time in service"'),
        ({**SLOW, "team": "x"}, "team", '"team" is unknown'),
        ({"name": "x"}, "when", "when must be one of"),
        ({**QUIET, "for": None}, "for", "it is missing"),
        ({**SLOW, "webhook": "ftp://x/SECRET"}, "webhook", "webhook must be an http:// or https:// URL"),
        ({**SLOW, "above": True}, "body", "body must be a JSON object of strings and numbers"),
        ([], "body", "body must be a JSON object"),
    ],
)
async def test_error_names_the_field_and_what_is_allowed(
    maps: MapStore, tmp_path: Path, rule: Any, field: str, problem: str
) -> None:
    async with serving(maps, tmp_path) as client:
        answer = await client.post("/api/rules", json=rule)
        error = answer.json()["error"]
        assert (answer.status_code, error["path"]) == (400, field)
        assert problem in error["problem"]
        assert "SECRET" not in error["problem"]
        assert written(await client.get("/api/rules")) == [("file", "of the file")]


async def test_rules_of_the_file_and_names_that_are_taken_are_refused(maps: MapStore, tmp_path: Path) -> None:
    async with serving(maps, tmp_path) as client:
        await client.post("/api/rules", json=SLOW)
        await client.post("/api/rules", json=QUIET)
        of_file = {**SLOW, "name": "of the file"}
        for answer, status in (
            (await client.post("/api/rules", json=of_file), 409),
            (await client.post("/api/rules", json=SLOW), 409),
            (await client.put("/api/rules", params={"name": "of the file"}, json=SLOW), 409),
            (await client.put("/api/rules", params={"name": "slow"}, json=of_file), 409),
            (await client.put("/api/rules", params={"name": "slow"}, json=QUIET), 409),
            (await client.delete("/api/rules", params={"name": "of the file"}), 409),
            (await client.delete("/api/rules", params={"name": "nobody"}), 404),
            (await client.put("/api/rules", params={"name": "nobody"}, json=SLOW), 404),
            (await client.delete("/api/rules"), 400),
            (await client.post("/api/rules", content=b"x" * 70_000), 413),
        ):
            assert (answer.status_code, answer.json()["error"]["path"]) == (
                status,
                "body" if status == 413 else "name",
            )
        assert written(await client.get("/api/rules"))[1:] == [("page", "slow"), ("page", "no orders")]


async def test_second_of_two_changes_of_one_version_is_refused(maps: MapStore, tmp_path: Path) -> None:
    async with serving(maps, tmp_path) as client:
        added = (await client.post("/api/rules", json=SLOW)).json()["rules"][-1]
        first, second = {**SLOW, "above": "2 ms"}, {**SLOW, "severity": "warning"}
        known = {"name": "slow", "version": added["version"]}
        assert (await client.put("/api/rules", params=known, json=first)).status_code == 200
        for refused in (
            await client.put("/api/rules", params=known, json=second),
            await client.delete("/api/rules", params=known),
        ):
            assert (refused.status_code, refused.json()["error"]["path"]) == (409, "version")
            assert "somebody else has changed this rule" in refused.json()["error"]["problem"]
        shown = (await client.get("/api/rules")).json()["rules"][-1]
        assert (shown["rule"], shown["version"] != added["version"]) == (first, True)
        known["version"] = shown["version"]
        assert (await client.put("/api/rules", params=known, json=second)).json()["rules"][-1]["rule"] == second
        assert (await client.put("/api/rules", params={"name": "slow"}, json=first)).status_code == 200  # the last wins
        known["version"] = (await client.get("/api/rules")).json()["rules"][-1]["version"]
        assert written(await client.delete("/api/rules", params=known)) == [("file", "of the file")]


async def test_webhook_is_part_of_the_version(maps: MapStore, tmp_path: Path) -> None:
    async with serving(maps, tmp_path) as client:
        versions = set[str]()
        for path in ("one", "other"):
            rule = {**SLOW, "webhook": f"https://hooks.example/{path}"}
            await client.delete("/api/rules", params={"name": "slow"})
            answer = (await client.post("/api/rules", json=rule)).json()["rules"][-1]
            assert answer["rule"]["webhook"] == "hooks.example"
            versions.add(answer["version"])
        assert len(versions) == 2


async def test_rule_whose_name_the_file_takes_is_not_in_force(maps: MapStore, tmp_path: Path) -> None:
    async with serving(maps, tmp_path) as client:
        await client.post("/api/rules", json=SLOW)
        await client.post("/api/rules", json=QUIET)
        await anyio.Path(tmp_path / "page.toml").write_text(
            (await anyio.Path(tmp_path / "page.toml").read_text()).replace('"slow"', '"of the file"')
        )
    async with serving(maps, tmp_path) as client:
        shown = (await client.get("/api/rules")).json()["rules"]
        assert [(each["source"], each["rule"]["name"], each["in_force"]) for each in shown] == [
            ("file", "of the file", True),
            ("page", "of the file", False),
            ("page", "no orders", True),
        ]


async def test_webhook_is_never_shown_and_stays_until_it_is_removed(maps: MapStore, tmp_path: Path) -> None:
    secret = {**SLOW, "webhook": "https://hooks.example/T0/SECRET"}
    async with serving(maps, tmp_path) as client:
        answers = [
            await client.post("/api/rules", json=secret),
            await client.put("/api/rules", params={"name": "slow"}, json={**SLOW, "above": "2 s"}),
        ]
        assert [each.json()["rules"][1]["rule"]["webhook"] for each in answers] == ["hooks.example"] * 2
        assert not any("SECRET" in each.text for each in [*answers, await client.get("/api/alerts")])
        assert "SECRET" in await anyio.Path(tmp_path / "page.toml").read_text()
        gone = await client.put("/api/rules", params={"name": "slow"}, json={**SLOW, "webhook": None})
        assert "webhook" not in gone.json()["rules"][1]["rule"]


async def test_only_who_has_the_token_may_change_rules(maps: MapStore, tmp_path: Path) -> None:
    token = "a-token-of-the-agent"  # noqa: S105
    async with serving(maps, tmp_path, token=token) as client:
        assert (await client.post("/api/rules", json=SLOW)).status_code == 401
        assert (await client.get("/api/rules")).status_code == 401
        headers = {"Authorization": f"Bearer {token}"}
        assert (await client.post("/api/rules", json=SLOW, headers=headers)).status_code == 200
        foreign = {**headers, "Origin": "https://elsewhere.example"}
        assert (await client.delete("/api/rules", params={"name": "slow"}, headers=foreign)).status_code == 403


async def test_file_that_cannot_be_written_is_an_error_and_changes_nothing(maps: MapStore, tmp_path: Path) -> None:
    async with (
        running_agent(store=maps.store, page_rules=tmp_path / "gone" / "page.toml") as agent,
        Client(base_url=agent.url) as client,
    ):
        answer = await client.post("/api/rules", json=SLOW)
        assert (answer.status_code, answer.json()["error"]["path"]) == (503, "rules")
        assert (await client.get("/api/rules")).json()["rules"] == []


def test_webhook_at_the_top_of_the_file_is_that_of_the_page_too() -> None:
    page = PageRules(None)
    page.add(SLOW, ())
    page.add({**QUIET, "webhook": "https://own.example/"}, ())
    file = parse_rule_file(f'webhook = "https://all.example/"\n{FILE}', "rules.toml")
    assert [rule.webhook for rule in page.rules(file)] == ["https://all.example/", "https://own.example/"]


def test_number_of_rules_is_bounded() -> None:
    page = PageRules(None)
    for number in range(MOST_RULES - 1):
        page.add({**QUIET, "name": str(number)}, {"of the file"})
    with pytest.raises(RuleRefusedError, match=f"at most {MOST_RULES} rules"):
        page.add(QUIET, {"of the file"})
