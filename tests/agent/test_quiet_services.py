"""A service that went quiet, as the topology, the terminal, an alert and `asyncdsm check` tell of it: all the same."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import anyio
import pytest
from anyio import run_process
from msgspec.json import decode
from rich.console import Console

from asyncdsm.agent.http.server import RunningAgent, running_agent
from asyncdsm.cli.map import FORMATS
from asyncdsm.cli.top import draw_page
from asyncdsm.map.strings import format_moment
from asyncdsm.map.text import write_text
from asyncdsm.map.topology import Topology
from tests.agent.payloads import Client
from tests.agent.test_map_command import DOT, MERMAID, SVG
from tests.browser.troubled_shop import STOPPED, TroubledShop

RULES = '[[rule]]\nname = "shipping is down"\nwhen = "missing"\nservice = "shipping"\nenv = "*"\nfor = "1 min"\n'
SILENCE = re.compile(r"shipping:? has not reported for ([\d.]+) min")


@pytest.fixture(scope="module")
def shop() -> TroubledShop:
    """Return a shop in which shipping stopped twelve minutes ago."""
    shop = TroubledShop()
    shop.report_all()
    return shop


@pytest.fixture
async def agent(shop: TroubledShop) -> AsyncIterator[RunningAgent]:
    """Run an agent to which the shop has reported."""
    async with running_agent(store=shop.store) as agent:
        yield agent


async def topology_of(url: str) -> Topology:
    async with Client(base_url=url, timeout=30) as client:
        return decode((await client.get("/api/topology")).content, type=Topology)


async def test_quiet_service_stays_in_the_topology_with_its_hops(shop: TroubledShop, agent: RunningAgent) -> None:
    topology = await topology_of(agent.url)
    quiet = {service.name: service.quiet_since for service in topology.services}
    since = quiet.pop("shipping")
    assert since == pytest.approx(shop.begin + STOPPED, abs=60)
    assert quiet == {"shop": None, "billing": None, "mailing": None}
    (hop,) = [edge for edge in topology.edges if edge.service == "shipping"]
    assert (hop.queue, hop.count, hop.present.state, hop.present.since) == ("invoices", 0, "idle", since)


async def test_terminal_says_which_service_is_quiet_and_since_when(agent: RunningAgent) -> None:
    topology = await topology_of(agent.url)
    (since,) = [each.quiet_since for each in topology.services if each.quiet_since is not None]
    text = write_text(topology)
    assert text.startswith("4 services (1 quiet), 5 queues")
    assert re.search(rf"^shipping has not reported for [\d.]+ min, since {format_moment(since)}$", text, re.MULTILINE)
    console = Console(width=160, height=40, force_terminal=True, color_system="standard")
    with console.capture() as captured:
        console.print(draw_page(topology, agent.url, "", "12:00:00", 40))
    shown = captured.get()
    assert "⚠ shipping has not reported for" in shown
    assert re.search("\x1b\\[2m *shipping", shown)  # dimmed


async def test_drawings_say_which_service_is_quiet_and_which_queue_nobody_reads(agent: RunningAgent) -> None:
    topology = await topology_of(agent.url)
    (since,) = [each.quiet_since for each in topology.services if each.quiet_since is not None]
    quiet = f"quiet since {format_moment(since)}"
    dot, mermaid, svg = (FORMATS[format_](topology) for format_ in ("dot", "mermaid", "svg"))
    assert f'[shape=box, style="filled,dashed", label="shipping\\n{quiet}"]' in dot
    assert '[shape=cylinder, style="filled,dashed", label="dead-letters (kafka)\\nnot read"]' in dot
    assert (dot.count("quiet since"), dot.count("not read")) == (1, 2)
    assert f'["shipping, {quiet.replace(":", "#58;")}"]:::silent' in mermaid
    assert '(["dead#45;letters (kafka), not read"]):::silent' in mermaid
    for text, line in ((dot, DOT), (mermaid, MERMAID)):
        assert [each for each in text.splitlines() if not line.fullmatch(each)] == []
    drawn = ElementTree.fromstring(svg)  # noqa: S314
    silent = [group for group in drawn.iterfind(f"{SVG}g") if "silent" in (group.get("class") or "").split()]
    below = {group.findtext(f"{SVG}title"): group.findall(f"{SVG}text")[1].text for group in silent}
    unread = {f"{queue} (kafka), not read": "kafka, not read" for queue in ("dead-letters", "invoices")}
    assert below == {f"shipping, {quiet}": quiet} | unread
    assert len([path for path in drawn.iterfind(f"{SVG}path") if "idle" in (path.get("class") or "").split()]) == 1


async def test_alert_check_and_terminal_tell_the_same_time(shop: TroubledShop, tmp_path: Path) -> None:
    await anyio.Path(rules := tmp_path / "rules.toml").write_text(RULES)
    async with running_agent(store=shop.store, rules=rules) as agent, Client(base_url=agent.url) as client:
        # As if the agent had been running for an hour: before that, nothing could have arrived.
        agent.alerts._began -= 3600
        agent.alerts.reload()
        alerts: list[dict[str, str]] = []
        with anyio.fail_after(20):
            while not alerts:
                await anyio.sleep(0.1)
                alerts = (await client.get("/api/alerts")).json()["rules"][0]["alerts"]
        command = [sys.executable, "-m", "asyncdsm", "check", "--rules", str(rules), "--url", agent.url]
        checked = (await run_process(command, check=False)).stdout.decode()
        texts = [alerts[0]["text"], checked, write_text(await topology_of(agent.url))]
        minutes = [float(found[1]) for found in map(SILENCE.search, texts) if found]
        assert len(minutes) == len(texts), texts
        assert max(minutes) - min(minutes) < 0.5, texts  # each is of another moment
