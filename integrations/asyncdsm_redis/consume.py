"""Entries that are read. Their field with the context is taken off; what a consumer reads counts, ranges do not.

An entry is `(id, fields)`, where the fields are None if it was deleted meanwhile, and a plain list of names and values
if the client did not parse the answer.
"""

from __future__ import annotations

from typing import Any

from asyncdsm.integration import (
    HEADER,
    Edge,
    Pathway,
    consume,
    count_deliveries,
    current_task,
    ensure_recorder,
    follow_batches,
    guarded,
    incoming_pathway,
    is_consume_suppressed,
    is_context_taken_above,
    lookup_pathway,
    report_hook_error,
    set_current,
    store_pathway,
)
from asyncdsm_redis.commands import INFO, LOOKS, NEW_ENTRIES, Batch, find_asked, find_batches, find_group, find_shown
from asyncdsm_redis.group_lag import note_group
from asyncdsm_redis.names import as_text, in_edges, measure, topics
from asyncdsm_redis.produce import FIELD, OWN_NAMES

EARLIEST_MS = 10**12
"""Ids of earlier times, before September 2001, are numbers of the program's own."""
_ENTRIES, _FIELDS = (tuple, list), (dict, list)  # the types of an entry, and of its fields


class ReadCall:
    """A call of a command that returns entries."""

    __slots__ = ("_asked_in", "_client", "_name", "args")

    def __init__(self, client: Any, name: str, args: tuple[Any, ...]) -> None:
        self._client, self._name, self._asked_in = client, name, current_task()
        self.args: tuple[Any, ...] = args
        """The arguments to call the client with."""

    @property
    def _counts(self) -> bool:
        return self._name not in LOOKS and ensure_recorder() is not None and not is_consume_suppressed()

    def clear_current(self) -> None:
        """Let no pathway be current: whoever asks for the next entries has finished the last ones."""
        try:
            if self._counts:
                set_current(None)
        except Exception as error:
            report_hook_error(error)

    def finish_call(self, result: Any) -> Any:
        """Take our field off the entries, count them if they are consumed, and return the result for the program."""
        holder = [result]
        finish_reads([(self, 0)], holder)
        return holder[0]

    def read_result(self, results: list[Any], at: int) -> list[ReadBatch]:
        """Take our field off the entries of one result, and record them. Return what the program is to get current.

        Entries keep the field where a layer above takes it off. A pipeline may have an error for a result.
        """
        if isinstance(results[at], Exception) or (self._name not in LOOKS and is_context_taken_above()):
            return []
        if self._name == INFO:
            for entry in find_shown(results[at]):
                remove_field(entry)
            return []
        counts, is_measured = self._counts, ensure_recorder() is not None
        group, asked = "", dict[str, str]()
        if counts:
            group, asked = find_group(self._name, self.args), find_asked(self._name, self.args)
            for stream in asked if group else ():
                note_group(self._client, stream, group)
        read = list[ReadBatch]()
        for batch in find_batches(self._name, self.args, results, at):
            source = None
            if counts:
                stream = as_text(batch.stream)
                edge = in_edges[topics[stream], group]
                source = Source(edge, is_redelivered=self._is_redelivery(asked.get(stream)))
            read.append(ReadBatch(batch, source, is_measured=is_measured))
        return [each for each in read if counts and any(each.pathways)]

    def _is_redelivery(self, asked_after: str | None) -> bool:
        """Say whether entries were delivered before: claimed ones, and those that a consumer has not acknowledged."""
        if self._name == "XREADGROUP":
            return asked_after not in (NEW_ENTRIES, None)
        return self._name != "XREAD"


class Source:
    """What the entries of one stream count under."""

    __slots__ = ("edge", "is_redelivered")

    def __init__(self, edge: Edge, *, is_redelivered: bool) -> None:
        self.edge: Edge = edge
        self.is_redelivered: bool = is_redelivered

    def count_entry(self, header: Any, size: int, added_ns: int | None) -> Pathway | None:
        """Record the consume checkpoint of an entry. **Hot**."""
        pathway = consume(self.edge, header, size, added_ns)
        if pathway is not None and self.is_redelivered:
            count_deliveries(self.edge, redelivered=True)
        return pathway


class ReadBatch:
    """The entries of one stream that were read, without our field, and their pathways."""

    __slots__ = ("batch", "edges", "pathways")

    def __init__(self, batch: Batch, source: Source | None, *, is_measured: bool) -> None:
        self.batch: Batch = batch
        self.pathways: list[Pathway | None] = []
        self.edges: list[Edge | None] = []
        for entry in batch.entries:
            pathway = None
            if is_measured:
                pathway = read_entry(entry, source)
            else:
                remove_field(entry)
            self.pathways.append(pathway)
            self.edges.append(None if source is None or pathway is None else source.edge)


def read_entry(entry: Any, source: Source | None) -> Pathway | None:
    """Take our field off an entry, record it if it has a source, and return its pathway. **Hot**."""
    if not isinstance(entry, _ENTRIES) or len(entry) < 2:  # an id alone, as `justid` asks for
        return None
    fields = entry[1]
    if not fields or not isinstance(fields, _FIELDS):  # a deleted entry
        return None
    size, header = _measure_fields(fields), _take_header(entry[0], fields)
    added_ns = None if header else _find_added_ns(entry[0])
    pathway = incoming_pathway(header, added_ns) if source is None else source.count_entry(header, size, added_ns)
    if pathway is not None:
        store_pathway(entry, entry[0], pathway)
    return pathway


def remove_field(entry: Any) -> None:
    """Take our field off an entry while nothing measures."""
    if isinstance(entry, _ENTRIES) and len(entry) > 1 and isinstance(entry[1], _FIELDS):
        _take_header(entry[0], entry[1])


def _measure_fields(fields: Any) -> int:
    if isinstance(fields, dict):
        return sum(map(measure, fields)) + sum(map(measure, fields.values()))
    return sum(map(measure, fields))


def _take_header(entry_id: Any, fields: Any) -> Any:
    """Remove our field, and return its value; None without one."""
    if isinstance(fields, dict):
        return fields.pop(HEADER if isinstance(entry_id, str) else FIELD, None)
    header = None
    for at in range(len(fields) - 2, -1, -2):
        if fields[at] in OWN_NAMES:
            header = header or fields[at + 1]
            del fields[at : at + 2]
    return header


def _find_added_ns(entry_id: Any) -> int | None:
    """Return when the server added an entry, in nanoseconds since the epoch, from its id: `1526919030474-0`."""
    digits = as_text(entry_id).partition("-")[0]
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 20):
        return None
    milliseconds = int(digits)
    return milliseconds * 1_000_000 if milliseconds >= EARLIEST_MS else None


@guarded
def _read_result(call: ReadCall, results: list[Any], at: int) -> list[ReadBatch]:
    return call.read_result(results, at)


def finish_reads(calls: list[tuple[ReadCall, int]], results: list[Any]) -> None:
    """Read the results of some calls, each at its place among the results, and change those for the program."""
    read = list[ReadBatch]()
    for call, at in calls:  # what is wrong with one keeps nothing from the others
        read += _read_result(call, results, at) or ()
    if not read:
        return
    try:
        lists = follow_batches(
            dict(enumerate(each.batch.entries for each in read)),
            dict(enumerate(each.pathways for each in read)),
            calls[0][0]._asked_in,
            dict(enumerate(each.edges for each in read)),
        )
        for number, entries in lists.items():
            read[number].batch.holder[read[number].batch.key] = entries
    except Exception as error:
        set_current(None)
        report_hook_error(error)


def pathway_of_entry(entry: Any) -> Pathway | None:
    """Return the pathway of an entry that was read; None for one that is not known."""
    return lookup_pathway(entry, entry[0])
