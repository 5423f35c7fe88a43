"""Names, numbers and times as a person reads them, in plain strings."""

from __future__ import annotations

from time import localtime, strftime
from unicodedata import bidirectional, east_asian_width

from asyncdsm.map.topology import Present

RIGHT_TO_LEFT = {"R", "AL", "AN"}
_ISOLATE, _END = "\u2068", "\u2069"


def plain(name: str, longest: int = 200) -> str:
    """Return a name from outside in one line, with nothing in it that a terminal or a browser would obey.

    What cannot be printed, controls of writing direction among it, is replaced by `�`; what is longer than `longest`
    characters is cut; a name of spaces only is quoted. A name that is written from right to left is isolated, so that
    it does not change the order of what stands beside it (Unicode's bidirectional algorithm, UAX #9).
    """
    cut = "".join(character if character.isprintable() else "�" for character in name[:longest])
    shown = f'"{cut}"' if cut.isspace() else cut
    return isolated(shown + ("…" if len(name) > longest else ""))


def isolated(text: str) -> str:
    """Return a string, between isolating characters if any of it is written from right to left."""
    if any(bidirectional(character) in RIGHT_TO_LEFT for character in text):
        return f"{_ISOLATE}{text}{_END}"
    return text


def without_isolation(text: str) -> str:
    """Return a string without the isolating characters of `isolated`."""
    return text.replace(_ISOLATE, "").replace(_END, "")


def duration_text(seconds: float | None) -> str:
    """Return seconds as a person reads them: `850 µs`, `12 ms`, `3.1 s`, `4.2 min`, `7 h`; empty for None."""
    if seconds is None:
        return ""
    # Below each limit, three digits do not round up to 1000.
    for limit, unit, length in ((999.5e-6, "µs", 1e-6), (0.9995, "ms", 1e-3), (120, "s", 1), (7200, "min", 60)):
        if seconds < limit:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds / 3600:.3g} h"


def clock_text(seconds: float) -> str:
    """Return the local time of day of a moment in seconds since the epoch, as in `14:05:20`."""
    return strftime("%H:%M:%S", localtime(seconds))


def present_text(present: Present) -> str:
    """Return what a hop is like now, as in `5 ms, p99 30 s, 12/s, slower since 14:05:20`."""
    since = "" if present.since is None else f" since {clock_text(present.since)}"
    if present.state == "idle":
        return f"idle{since}"
    tail = f"p99 {present.tail}" if present.tail else ""
    change = f"{present.state}{since}" if since else ""
    return ", ".join(filter(None, (present.label, tail, f"{present.rate:.3g}/s", change)))


def change_text(present: Present) -> str:
    """Return since when a hop is slower, faster or idle, as in `slower 14:05:20`; empty if it is steady."""
    return "" if present.since is None else f"{present.state} {clock_text(present.since)}"


def cut_to_cells(name: str, cells: int) -> str:
    """Return a name cut to a width in cells: Chinese, Japanese and Korean characters take two cells each."""
    used = 0
    for at, character in enumerate(name):
        used += 2 if east_asian_width(character) in "WF" else 1
        if used > cells:
            return plain(name, max(1, at - 1))
    return plain(name)
