"""How much a store keeps, whatever it keeps it in, and how long."""

from __future__ import annotations

KEPT_SECONDS = 7 * 24 * 3600
DETAIL_SECONDS = 24 * 3600
"""How long rows of the finest resolution are kept."""
REACH_WEIGHTS: dict[int, int] = {10: 1, 60: 4, 600: 24}
"""How many times as far back as rows of ten seconds those of each resolution reach, in a store that is full."""
LEAST_REACH = 3600
"""So far back, in seconds, rows of ten seconds reach before rows of hours are deleted early."""
MAX_SERVICES, MAX_NAMES = 1_000, 10_000
"""How many services are shown, those that reported last, and how many services may have rows."""
REMEMBERED_SECONDS, MAX_REMEMBERED = 600.0, 50_000
"""How long an accepted body is remembered that may be sent again, and how many are. They take some 30 MB of memory, and
2 MB of a file."""
MAX_BACKLOGS = 100_000
MAX_POINTS = 200_000
