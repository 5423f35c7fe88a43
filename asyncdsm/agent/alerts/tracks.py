"""The states of one rule at its places over time: ok, pending, firing or unknown, and since when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from asyncdsm.agent.alerts.readings import MOST_PLACES, explain_nothing, missing_place, read_values
from asyncdsm.agent.alerts.rules import Rule
from asyncdsm.agent.alerts.view import Reading, View

State = Literal["ok", "pending", "firing", "unknown"]
Reason = Literal["over", "rule changed", "rule removed"]
Key = tuple[str, ...]
SEVEREST_FIRST: tuple[State, ...] = ("firing", "pending", "unknown", "ok")
FORGET_SECONDS = 86_400.0
"""How long a silence is remembered at a place that is no longer on the map."""
SETTLE_SECONDS = 120.0
"""How long after a rule is watched nothing is known of the time before: services that waited for an agent report again
by then, and values of the last minute are of a minute that was watched."""


class Track(NamedTuple):
    """A rule at one place: the last reading, the state, and since when that is so (seconds since the epoch)."""

    reading: Reading
    state: State
    since: float
    """While it is pending or firing: since when the rule is broken."""
    fine_since: float | None = None
    """While it is firing: since when the rule is not broken any more, None if it is."""
    last_message: float | None = None
    """Of a rule about silence: when the last message or report came, as far as that is known."""
    or_earlier: bool = False
    """While it is pending or firing: whether the rule may have been broken before `since`, when nobody looked."""


class Event(NamedTuple):
    """An alert that begins or ends."""

    begins: bool
    track: Track
    began: float
    """Since when the rule was broken, in seconds since the epoch."""
    or_earlier: bool
    """Whether it may have been broken before that, when nobody looked."""
    reason: Reason = "over"
    """Why it ends."""


class RuleTracks:
    """All places of a rule. It must be advanced in regular intervals."""

    def __init__(self, rule: Rule, replaced: RuleTracks | None = None) -> None:
        """Watch a rule, which was changed if it has `replaced` another one: then alerts go on where it is broken."""
        self.rule: Rule = rule
        self.tracks: dict[Key, Track] = {}
        self.problem: str = "it has not been evaluated yet"
        """Why there is no place, if there is none."""
        self._settled_at: float | None = None
        # One that was never advanced has nothing but what it was to take over itself.
        self._replaced: RuleTracks | None = (replaced._replaced or replaced) if replaced else None

    def evaluate(self, view: View, now: float) -> list[Event]:
        """Look at the map at a moment in seconds since the epoch; return which alerts begin and end."""
        readings = read_values(self.rule, view)
        self.problem = "" if readings else explain_nothing(self.rule, view)
        if not readings and not any(self.tracks):  # nothing that is, or was, on the map
            readings = missing_place(self.rule, view)
        return self.advance(readings, now)

    def advance(self, readings: Iterable[Reading], now: float) -> list[Event]:
        """Take the readings of a moment; return which alerts begin and end."""
        self._settled_at = now + SETTLE_SECONDS if self._settled_at is None else self._settled_at
        found = {reading.key: reading for reading in readings}
        told, ended = self._take_over(found)
        for key, track in self.tracks.items():
            if key not in found and self._is_remembered(track, now):
                found[key] = track.reading._replace(value=None)
        before, after = self.tracks, dict[Key, Track]()
        for key, reading in list(found.items())[:MOST_PLACES]:
            after[key] = self._advance_one(before.get(key), reading, now)
        self.tracks = after
        return [*ended, *_compare(told, after)]

    def end_all(self, reason: Reason) -> list[Event]:
        """Return the ends of all alerts, as a webhook is told them that hears nothing more of this rule."""
        return [event._replace(reason=reason) for event in _compare(self.tracks, {})]

    def _take_over(self, found: Mapping[Key, Reading]) -> tuple[Mapping[Key, Track], list[Event]]:
        """After a change of the rule, keep the tracks of places where it is broken.

        Returns the tracks that the webhook knows, and the ends of alerts at other places.
        """
        replaced, self._replaced = self._replaced, None
        if replaced is None:
            return self.tracks, []
        is_alike = replaced.rule.when == self.rule.when
        # A silent place may not be on the map any more.
        is_remembered = self.rule.kind.is_remembered and is_alike and replaced.rule.where == self.rule.where
        kept = {
            key: track
            for key, track in replaced.tracks.items()
            if (is_alike and self._breaks(found.get(key))) or (is_remembered and key not in found)
        }
        self.tracks = kept
        if replaced.rule.webhook != self.rule.webhook:
            return {}, []
        return kept, [event._replace(reason="rule changed") for event in _compare(replaced.tracks, kept)]

    def _breaks(self, reading: Reading | None) -> bool:
        return reading is not None and reading.value is not None and self.rule.is_broken_by(reading.value)

    def worst(self) -> list[Track]:
        """Return all places, the severest state first, and within it the highest value."""
        return sorted(
            self.tracks.values(), key=lambda each: (SEVEREST_FIRST.index(each.state), -(each.reading.value or 0))
        )

    def _is_remembered(self, track: Track, now: float) -> bool:
        """Tell whether a place that is not on the map any more is still watched."""
        if not self.rule.kind.is_remembered:
            return track.state == "firing"
        age = float("inf") if track.last_message is None else now - track.last_message
        return bool(track.reading.key) and (age < FORGET_SECONDS or self.rule.names_one)

    def _advance_one(self, before: Track | None, reading: Reading, now: float) -> Track:
        last_message = None
        if self.rule.kind.is_remembered:
            known = before.last_message if before else None
            last_message = known if reading.value is None else now - reading.value
            reading = reading._replace(value=None if last_message is None else max(0.0, now - last_message))
        if self._breaks(reading):
            return self._break(before, reading, now, last_message)
        if before is not None and before.state == "firing":
            fine_since = now if before.fine_since is None else before.fine_since
            if now - fine_since < self.rule.hold_seconds:
                return Track(reading, "firing", before.since, fine_since, last_message, before.or_earlier)
        state: State = "unknown" if reading.value is None else "ok"
        since = before.since if before is not None and before.state == state else now
        return Track(reading, state, since, None, last_message)

    def _break(self, before: Track | None, reading: Reading, now: float, last_message: float | None) -> Track:
        """Return the track of a place where the rule is broken now."""
        if before is not None and before.state in {"pending", "firing"}:
            since, or_earlier = before.since, before.or_earlier
        elif self.rule.is_silence:
            since, or_earlier = now - (reading.value or 0.0), reading.at_least
        else:
            is_new = before is None or before.state == "unknown"
            since, or_earlier = now, is_new and self._settled_at is not None and now < self._settled_at
        is_firing = (before is not None and before.state == "firing") or now - since >= self.rule.hold_seconds
        return Track(reading, "firing" if is_firing else "pending", since, None, last_message, or_earlier)


def _compare(before: Mapping[Key, Track], after: Mapping[Key, Track]) -> Iterator[Event]:
    """Yield the alerts that begin and those that end between two moments."""
    for key, track in after.items():
        if track.state == "firing" and not _is_firing(before.get(key)):
            yield Event(True, track, track.since, track.or_earlier)
    for key, track in before.items():
        if _is_firing(track) and not _is_firing(after.get(key)):
            gone = track._replace(reading=track.reading._replace(value=None))
            yield Event(False, after.get(key, gone), track.since, track.or_earlier)


def _is_firing(track: Track | None) -> bool:
    return track is not None and track.state == "firing"
