"""Strings that are safe to show and easy to read: names from outside, durations and times."""

from __future__ import annotations

from time import localtime, strftime
from unicodedata import bidirectional, east_asian_width

from asyncdsm.map.graphemes import cut_clusters, joins_emoji, split_clusters

NOTHING = "–"
"""What stands for a figure that there is not: a latency where a pathway begins, the count of what nobody counted."""
HOP_ARROW = "→"
"""What stands between the two ends of a hop, in the direction in which messages travel."""
LONGEST_SECONDS = 365 * 86_400
RIGHT_TO_LEFT = {"R", "AL", "AN"}
_MONTHS = "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"  # in any locale
_ISOLATE, _END = "\u2068", "\u2069"


def plain_text(name: str, longest: int = 200) -> str:
    """Return a name from outside in one line, with nothing in it that a terminal or a browser would obey.

    Characters that cannot be printed, such as controls of the writing direction, are replaced by `�`. A name that is
    longer than `longest` characters is cut, but not within an emoji of several or between a letter and its accent, and
    one of spaces only is quoted. A name that is written from right to
    left is isolated, so that it does not change the order of the text next to it (Unicode's bidirectional algorithm,
    UAX #9).
    """
    cut = cut_clusters(name, longest)
    if not cut.isprintable():
        shown_at = (each.isprintable() or joins_emoji(cut, index) for index, each in enumerate(cut))
        cut = "".join(each if is_shown else "�" for each, is_shown in zip(cut, shown_at, strict=True))
    shown = f'"{cut}"' if cut.isspace() else cut
    return isolate_text(shown + ("…" if len(name) > longest else ""))


def isolate_text(text: str) -> str:
    """Return a string, put between isolating characters if any of it is written from right to left."""
    if any(bidirectional(character) in RIGHT_TO_LEFT for character in text):
        return f"{_ISOLATE}{text}{_END}"
    return text


def remove_isolation(text: str) -> str:
    """Return a string without the characters that `isolate_text` adds."""
    return text.replace(_ISOLATE, "").replace(_END, "")


def cut_to_cells(name: str, cells: int) -> str:
    """Return a name cut to a width in cells: Chinese, Japanese and Korean characters take two cells each."""
    used, before, length = 0, 0, 0
    clusters = split_clusters(name)
    for cluster in clusters:
        used += 2 if any(east_asian_width(character) in "WF" for character in cluster) else 1
        if used > cells:
            return plain_text(name, before or len(clusters[0]))
        before, length = length, length + len(cluster)
    return plain_text(name)


def format_hop(source: str, target: str) -> str:
    """Return a hop, wherever it is named, from the names of its ends: `orders → billing`."""
    return f"{source} {HOP_ARROW} {target}"


def format_duration(seconds: float | None) -> str:
    """Return a duration as a person reads it: `850 µs`, `12 ms`, `3.1 s`, `4.2 min`, `7 h`; empty for None.

    Durations of more than a year are those of clocks that are wrong: they are `over a year`.
    """
    if seconds is None:
        return ""
    # Each limit is where three digits would be rounded up to 1000.
    for limit, unit, length in ((999.5e-6, "µs", 1e-6), (0.9995, "ms", 1e-3), (120, "s", 1), (7200, "min", 60)):
        if seconds < limit:
            return f"{seconds / length:.3g} {unit}"
    return f"{float(f'{seconds / 3600:.3g}'):g} h" if seconds <= LONGEST_SECONDS else "over a year"


def format_age(seconds: float) -> str:
    """Return an age, or a time to wait, in whole units: `45 s`, `3 min`, `7 h`, `2 days`; or `over a year`."""
    for limit, unit, length in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days" if seconds <= LONGEST_SECONDS else "over a year"


def format_lag(behind: int | None, seconds: float | None, trend: str | None) -> str:
    """Return a lag for a cell of a table, as in `1,240, 3 min ▼`: messages, the oldest one's age, and the trend.

    `▲` says that a group is falling behind, `▼` that it is catching up. An unknown lag is an empty string.
    """
    if not behind:
        return "" if behind is None else "0"
    age = "" if seconds is None else f", {format_age(seconds)}"
    mark = {"falling behind": " ▲", "catching up": " ▼"}.get(trend or "", "")
    return f"{behind:,}{age}{mark}"


def format_count(value: float) -> str:
    """Return a number of messages as a person reads it: `950`, `9,500`, `12.3 k`, `4.5 M`."""
    if value < 9999.5:
        return f"{value:,.0f}"
    for limit, unit, length in ((999.5e3, "k", 1e3), (999.5e6, "M", 1e6)):
        if value < limit:
            return f"{value / length:.3g} {unit}"
    return f"{value / 1e9:.3g} G" if value < 999.5e9 else "over 999 G"


def format_percent(share: float) -> str:
    """Return a share from 0 to 1 as a person reads it: `3 %`, `<1 %`."""
    return "<1 %" if 0 < share < 0.01 else f"{share * 100:.0f} %"


def format_moment(seconds: float, now: float | None = None) -> str:
    """Return the local time of a moment in seconds since the epoch, with as much of the date as is needed.

    It is `14:05:20` on the day of `now`, which is the present by default, `28 Nov 14:05:20` in the same year, and
    `28 Nov 2025 14:05:20` in another one.
    """
    moment, present = localtime(seconds), localtime(now)
    if moment[:3] == present[:3]:
        return strftime("%H:%M:%S", moment)
    year = "" if moment.tm_year == present.tm_year else f" {moment.tm_year}"
    return f"{moment.tm_mday} {_MONTHS[moment.tm_mon - 1]}{year} {strftime('%H:%M:%S', moment)}"


def format_zoned(seconds: float, now: float | None = None) -> str:
    """Return the same with the time zone, for who reads it elsewhere: `14:05:20 +01:00`."""
    zone = strftime("%z", localtime(seconds))
    return f"{format_moment(seconds, now)} {zone[:3]}:{zone[3:5]}"
