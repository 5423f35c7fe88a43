"""`asyncdsm check`: evaluates the rules of a file once over the map of an agent, for cron and CI."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import httpx2
from msgspec import to_builtins

from asyncdsm._internal.log import pluralize
from asyncdsm.agent.alerts.rule_file import read_rules
from asyncdsm.agent.alerts.rules import Rule, needed_minutes
from asyncdsm.agent.alerts.summary import summarize_rules
from asyncdsm.agent.alerts.tracks import RuleTracks
from asyncdsm.agent.alerts.view import View
from asyncdsm.agent.queries.answers import AlertRule, Alerts
from asyncdsm.cli.agent_client import NoAnswerError, fetch_topology, open_client
from asyncdsm.errors import RulesError
from asyncdsm.map.topology import Topology

DAY_MINUTES = 1440
KEPT, BROKEN, UNKNOWN = 0, 1, 2
"""The exit codes: all rules are kept; one is broken; that cannot be told."""


def check_rules(path: Path, url: str, token: str | None, minutes: int, *, as_json: bool) -> int:
    """Print which rules of a file are broken; return the exit code."""
    try:
        rules = read_rules(path)
        with open_client(url, token) as client:
            answer = _evaluate_rules(rules, client, minutes)
    except (RulesError, NoAnswerError) as error:
        lines = f"{error}{getattr(error, 'hint', '')}".splitlines()
        print("\n".join(f"asyncdsm check: {line}" for line in lines), file=sys.stderr)
        return UNKNOWN
    print(json.dumps(to_builtins(answer), indent=2) if as_json else _write_lines(answer))
    states = {rule.state for rule in answer.rules}
    return BROKEN if "firing" in states else UNKNOWN if "unknown" in states else KEPT


def _evaluate_rules(rules: list[Rule], client: httpx2.Client, minutes: int) -> Alerts:
    """Return the rules with their states over the last `minutes`, or more for what is silent. Raises NoAnswerError."""
    recent = fetch_topology(client, minutes)
    needed = needed_minutes(rules)
    longer = _fetch_longer(client, max(needed, minutes)) if any(rule.is_silence for rule in rules) else recent
    views = {is_silence: _view_of(topology) for is_silence, topology in ((False, recent), (True, longer))}
    watched = [RuleTracks(rule if rule.is_silence else replace(rule, for_seconds=0.0)) for rule in rules]
    for tracks in watched:
        tracks.evaluate(views[tracks.rule.is_silence], recent.to)
    return summarize_rules(watched, recent.to)


def _fetch_longer(client: httpx2.Client, needed: int) -> Topology:
    """Return the topology of a day, so that what has been silent for hours is there; or of what the rules need.

    Raises NoAnswerError.
    """
    try:
        return fetch_topology(client, max(needed, DAY_MINUTES))
    except NoAnswerError as error:
        if error.rejected != "minutes":
            raise
        return fetch_topology(client, needed)  # the agent keeps less than a day


def _view_of(topology: Topology) -> View:
    """Return a view of an answer, which is watched for at least as long as there is data in it."""
    seen = [service.last_seen for service in topology.services if service.last_seen is not None]
    return View.of(topology, "range", min([topology.to - topology.seconds, *seen]))


def _write_lines(answer: Alerts) -> str:
    """Return a line for each place at which a rule is broken or unknown, or one that says that all are kept."""
    lines = [line for rule in answer.rules if rule.state != "ok" for line in _list_places(rule)]
    return "\n".join(lines) or f"{pluralize(len(answer.rules), 'rule')} checked: none is broken"


def _list_places(rule: AlertRule) -> list[str]:
    if rule.state == "unknown":
        return [f"UNKNOWN {rule.name}: {rule.problem}"]
    begin = f"{rule.severity.upper()} {rule.name}:"
    more = [f"{begin} and {rule.more} more"] if rule.more else []
    return [*(f"{begin} {alert.text}" for alert in rule.alerts), *more]
