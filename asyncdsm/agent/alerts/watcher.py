"""Evaluates the rules of a file, and those of the page, in regular intervals; reads the file again if it changes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from time import monotonic

import anyio
from anyio import to_thread
from msgspec.structs import replace

from asyncdsm._internal.log import info, pluralize, warn, warn_each_minute
from asyncdsm.agent.alerts.messages import write_message
from asyncdsm.agent.alerts.page_rules import PageRules
from asyncdsm.agent.alerts.rule_file import NO_RULES, RuleFile, read_rule_file
from asyncdsm.agent.alerts.rules import Rule, needed_minutes
from asyncdsm.agent.alerts.summary import summarize_rules
from asyncdsm.agent.alerts.tracks import Event, RuleTracks
from asyncdsm.agent.alerts.view import View
from asyncdsm.agent.alerts.webhooks import Webhooks
from asyncdsm.agent.queries.answers import AlertCounts, Alerts
from asyncdsm.agent.queries.history_reader import HistoryReader
from asyncdsm.agent.queries.left_queues import add_left_queues
from asyncdsm.agent.queries.quiet_services import mark_quiet_services
from asyncdsm.agent.queries.time_ranges import last_minutes
from asyncdsm.agent.queries.topology import topology_of
from asyncdsm.agent.store.protocol import Store
from asyncdsm.errors import RulesError
from asyncdsm.map.topology import Topology

EVERY_SECONDS = 10.0
"""How often rules are evaluated: as often as services report."""
_SHARE_OF_TIME = 0.05
# How much of the time is spent on it at most: with a large map, rules are evaluated less often.

FileState = tuple[int, int, int] | None
"""What changes when a file is written or replaced; None for a file that is not there."""
Messages = list[tuple[Rule, Event]]


class AlertWatcher:
    """The rules of one agent, and their states. States are in memory only: they begin anew with the agent."""

    def __init__(self, store: Store, path: Path | None, page: PageRules | None = None) -> None:
        """Read the rules from a file, if there is one; do this in a worker thread. Raises RulesError."""
        self._store, self._path = store, path
        self._histories = HistoryReader(store)
        self.page: PageRules = page or PageRules(None)
        """The rules that are written on the page."""
        self._file_state = None if path is None else _stat_file(path)
        self.file: RuleFile = NO_RULES if path is None else read_rule_file(path)
        """What the file of `--rules` has."""
        self._page_version = self.page.version
        self._watched = [RuleTracks(rule) for rule in self._all_rules()]
        self._began = store.now()
        self._webhooks = Webhooks(store.conditions)
        self._wake = anyio.Event()
        self._must_read = False
        self.answer: Alerts = summarize_rules(self._watched, None)
        """The rules with their states, as they were evaluated last."""

    def counts(self) -> AlertCounts:
        """Return how many rules and alerts there are, and what became of the messages to webhooks."""
        rules, sent = self.answer.rules, self._webhooks.stats()
        return AlertCounts(
            rules=len(rules),
            firing=sum(rule.firing for rule in rules),
            recorded=sent.recorded,
            delivered=sent.delivered,
            pending=sent.pending,
            dropped=dict(sent.dropped_by),
        )

    @property
    def has_rules(self) -> bool:
        """Whether there is a file of rules, or any rule on the page."""
        return self._path is not None or bool(self.page.tables())

    def wake(self) -> None:
        """Evaluate the rules at once, since those of the page were changed."""
        self._wake.set()

    def reload(self) -> None:
        """Read the file again, and evaluate the rules, at once."""
        self._must_read = True
        self._wake.set()

    async def run(self, stop: anyio.Event) -> None:
        """Evaluate the rules, and send messages to webhooks, until `stop` is set, and then for a second at most."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_evaluating)
            await self._webhooks.run(stop)
            tasks.cancel_scope.cancel()

    async def _keep_evaluating(self) -> None:
        while True:
            self._wake, began = anyio.Event(), monotonic()
            self._send_messages(await to_thread.run_sync(self._evaluate_safely))
            with anyio.move_on_after(max(EVERY_SECONDS, (monotonic() - began) / _SHARE_OF_TIME)):
                await self._wake.wait()

    def _send_messages(self, messages: Messages) -> None:
        for rule, event in messages:
            if rule.webhook is not None:
                self._webhooks.enqueue_message(rule.webhook, write_message(rule, event, self._store.now()))

    def _evaluate_safely(self) -> Messages:
        """Evaluate the rules. If that fails, alerts stay as they are, and `/api/health` says so."""
        try:
            messages = [*self._read_again(), *self._evaluate()]
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            self._store.conditions.note("alerts", f"the rules could not be evaluated: {problem}")
            warn_each_minute("alerts", "asyncdsm agent could not evaluate its rules: %s", problem, error=error)
            return []
        return messages

    def _evaluate(self) -> Messages:
        if not self._watched:
            self.answer = summarize_rules([], None)
            return []
        now = self._store.now()
        view = View.of(self._topology(), "present", self._began)
        messages = [(tracks.rule, event) for tracks in self._watched for event in tracks.evaluate(view, now)]
        self.answer = summarize_rules(self._watched, now)
        return messages

    def _topology(self) -> Topology:
        """Return the topology, for rules about silence with the services that are quiet, as the page has them.

        Its latencies are those of the last minute, also of a hop that changed within it: a page shows at once that the
        trouble is over, but an alert must not end before its last message is a minute old.
        """
        time_range = last_minutes(self._store, self._minutes())
        topology = topology_of(self._store, time_range, pathway_latencies=False, whole_minute=True)
        if any(tracks.rule.when == "unread" for tracks in self._watched):
            # Only the queues: of a hop that left the map, rules about silence remember how long nothing has passed it.
            topology = replace(topology, queues=add_left_queues(topology, self._store, time_range).queues)
        is_about_silence = any(tracks.rule.kind.is_remembered for tracks in self._watched)
        return mark_quiet_services(topology, self._histories, time_range) if is_about_silence else topology

    def _minutes(self) -> int:
        return min(needed_minutes(tracks.rule for tracks in self._watched), self._store.kept_seconds // 60)

    def _all_rules(self) -> list[Rule]:
        return [*self.file.rules, *self.page.rules(self.file)]

    def _read_again(self) -> Messages:
        """Take the rules that have changed since. Rules that are as before keep their states.

        Returns what webhooks are told that hear nothing more of an alert.
        """
        is_read, version = self._read_file(), self.page.version
        if not is_read and version == self._page_version:
            return []
        self._page_version = version
        return self._use_rules(self._all_rules())

    def _read_file(self) -> bool:
        """Read the file again if it has changed or `reload` was called. If it has errors, the rules stay."""
        if self._path is None:
            return False
        state = _stat_file(self._path)
        if state == self._file_state and not self._must_read:
            return False
        self._file_state, self._must_read = state, False
        try:
            self.file = read_rule_file(self._path)
        except RulesError as error:
            self._report_errors(error)
            return False
        self._store.conditions.clear("rules")
        info("asyncdsm agent has read its rules again: %s", pluralize(len(self.file.rules), "rule"))
        return True

    def _use_rules(self, rules: Iterable[Rule]) -> Messages:
        before = {tracks.rule.name: tracks for tracks in self._watched}
        self._watched, messages = [], Messages()
        for rule in rules:
            known = before.pop(rule.name, None)
            is_same = known is not None and known.rule == rule
            self._watched.append(known if known is not None and is_same else RuleTracks(rule, known))
            if known is not None and known.rule.webhook != rule.webhook:
                messages += [(known.rule, event) for event in known.end_all("rule changed")]
        gone = [(tracks.rule, event) for tracks in before.values() for event in tracks.end_all("rule removed")]
        return [*messages, *gone]

    def _report_errors(self, error: RulesError) -> None:
        first, *others = str(error).splitlines()
        more = f" (and {pluralize(len(others), 'more problem')})" if others else ""
        self._store.conditions.note("rules", f"the rules before are still in force, because of errors: {first}{more}")
        for line in str(error).splitlines():
            warn("asyncdsm agent keeps the rules that it has, because the file has an error: %s", line)


def _stat_file(path: Path) -> FileState:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
