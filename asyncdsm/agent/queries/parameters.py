"""The parameters of a request, read and checked; and the error that says which one is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import unquote

from asyncdsm.agent.queries.time_ranges import DEFAULT_MINUTES, last_minutes, length_of, shortest_step, step_for
from asyncdsm.agent.store.protocol import Store
from asyncdsm.agent.store.resolutions import BUCKET_SECONDS, TimeRange
from asyncdsm.errors import AsyncDSMError
from asyncdsm.map.groups import GROUPED_BY, GroupedBy
from asyncdsm.map.selection import MOST_STEPS, MapFilter

MOST_REQUESTED_STEPS = 2_000
MOST_FILTER_CHARACTERS = 4_000
MOST_NODES = 10_000
"""The largest number of nodes that a request for a part of the map may name."""
_LATEST = 4_000_000_000.0


class ApiError(AsyncDSMError):
    """A request that the agent refuses.

    `status` is the HTTP status of the answer. `code` names what is wrong, which is a parameter in most cases. `message`
    says what is wrong and what is allowed, for a person.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status: int = status
        self.code: str = code
        self.message: str = message


def unique_parameters(items: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the parameters of a request by name. Raises ApiError (400) if a name is given twice."""
    parameters: dict[str, str] = {}
    for name, value in items:
        if name in parameters:
            raise ApiError(400, name[:40], f"{name[:40]} must not be given more than once")
        parameters[name] = value
    return parameters


def required_parameter(parameters: Mapping[str, str], name: str) -> str:
    """Return a parameter, which may be empty, as a topic's name may. Raises ApiError (400) if it is not given."""
    if name not in parameters:
        raise ApiError(400, name, f"{name} must be given")
    return parameters[name]


def read_time_range(store: Store, parameters: Mapping[str, str]) -> TimeRange:
    """Return the time range of `minutes`, or of `from` and `to`. Raises ApiError (400)."""
    if "from" in parameters or "to" in parameters:
        if "minutes" in parameters:
            raise ApiError(400, "minutes", "minutes must not be given together with from or to")
        first = _read_time(parameters, "from", store.now() - DEFAULT_MINUTES * 60)
        last = _read_time(parameters, "to", store.now())
        if first >= last:
            raise ApiError(400, "from", f"from must be before to, got {first:.15g} and {last:.15g}")
        return TimeRange(_limit_begin(store, first, last), last)
    most = store.kept_seconds // 60
    text = parameters.get("minutes", str(min(DEFAULT_MINUTES, most)))
    if not (_is_whole_number(text) and 1 <= int(text) <= most):
        raise ApiError(400, "minutes", f"minutes must be a whole number from 1 to {most}, got {text[:40]!r}")
    return last_minutes(store, int(text))


def _limit_begin(store: Store, first: float, last: float) -> float:
    """Return the begin of a range, which is at most as long as data are kept, in whole minutes if it is limited."""
    earliest = min(last, store.now()) - store.kept_seconds
    return max(first, earliest // 60 * 60)


def read_step(store: Store, parameters: Mapping[str, str], time_range: TimeRange) -> int:
    """Return the length of a step in seconds, a multiple of ten. Raises ApiError (400).

    It is longer than the one that is asked for where the data is coarser.
    """
    text = parameters.get("step")
    if text is None:
        return step_for(time_range, store.now())
    if not (_is_whole_number(text) and int(text) and int(text) % BUCKET_SECONDS == 0):
        raise ApiError(400, "step", f"step must be a multiple of ten seconds, got {text[:40]!r}")
    if length_of(time_range, store.now()) / int(text) > MOST_REQUESTED_STEPS:
        message = f"step must divide the time range into at most {MOST_REQUESTED_STEPS} steps, got {text}"
        raise ApiError(400, "step", message)
    finest = shortest_step(time_range, store.now())
    return -(-int(text) // finest) * finest


def read_map_filter(parameters: Mapping[str, str]) -> MapFilter:
    """Return what of the map is wanted. Raises ApiError (400).

    `find` is words, of which those that begin with "-" hide. `hide` is a list such as `env:staging,type:http`, whose
    entries are percent-encoded once more, since a name may have a comma in it; so is `fold`, the keys of groups.
    """
    steps = parameters.get("steps", "1")
    if not (_is_whole_number(steps) and 1 <= int(steps) <= MOST_STEPS):
        raise ApiError(400, "steps", f"steps must be a whole number from 1 to {MOST_STEPS}, got {steps[:40]!r}")
    words, hide, fold = (_read_short(parameters, name) for name in ("find", "hide", "fold"))
    found = words.lower().split()
    return MapFilter(
        focus=parameters.get("focus", ""),
        steps=int(steps),
        words=frozenset(word for word in found if not word.startswith("-")),
        unwanted=frozenset(word[1:] for word in found if word.startswith("-")) - {""},
        hidden=frozenset(map(_read_trait, filter(None, hide.split(",")))),
        most=_read_most(parameters),
        group=_read_group(parameters),
        fold=frozenset(map(unquote, filter(None, fold.split(",")))),
    )


def _read_group(parameters: Mapping[str, str]) -> GroupedBy | None:
    match parameters.get("group"):
        case "env":
            return "env"
        case "cluster":
            return "cluster"
        case None:
            return None
        case other:
            raise ApiError(400, "group", f"group must be one of {', '.join(GROUPED_BY)}, got {other[:40]!r}")


def _read_most(parameters: Mapping[str, str]) -> int:
    most = parameters.get("most", str(MOST_NODES))
    if not (_is_whole_number(most) and 1 <= int(most) <= MOST_NODES):
        raise ApiError(400, "most", f"most must be a whole number from 1 to {MOST_NODES}, got {most[:40]!r}")
    return int(most) if "most" in parameters else 0


def _read_trait(text: str) -> tuple[str, str]:
    trait, colon, value = text.partition(":")
    if trait not in {"env", "type", "cluster"} or not colon:
        raise ApiError(400, "hide", f"hide must be a list of env:…, type:… and cluster:…, got {text[:40]!r}")
    return trait, unquote(value)


def _read_short(parameters: Mapping[str, str], name: str) -> str:
    text = parameters.get(name, "")
    if len(text) > MOST_FILTER_CHARACTERS:
        raise ApiError(400, name, f"{name} must have at most {MOST_FILTER_CHARACTERS} characters, got {len(text)}")
    return text


def _is_whole_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 6


def _read_time(parameters: Mapping[str, str], name: str, default: float) -> float:
    text = parameters.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (text[:1].isdecimal() and "_" not in text and text.isascii() and len(text) <= 32 and 0 <= value <= _LATEST):
        raise ApiError(400, name, f"{name} must be a time in seconds since 1970, got {text[:40]!r}")
    return value
