"""`asyncdsm transaction`: prints the checkpoints that a business transaction has passed, or which ones are late."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from time import time

from asyncdsm.agent.queries.answers import Transaction, Transactions, TransactionStep
from asyncdsm.cli.agent_client import NoAnswerError, fetch_transactions, open_client
from asyncdsm.map.strings import format_duration, plain_text

Row = Sequence[str]
LONGEST = 40
"""How many characters of an id or a name a line shows at most."""


def print_transaction(url: str, token: str | None, transaction_id: str | None) -> int:
    """Print one transaction, or without an id the latest and the late ones; return the exit code.

    The code is 1 if the agent does not answer, or does not know the id.
    """
    try:
        with open_client(url, token) as client:
            answer = fetch_transactions(client, transaction_id)
    except NoAnswerError as error:
        sys.stderr.write(f"asyncdsm transaction: {error}{error.hint}\n")
        return 1
    if transaction_id is not None and not answer.transactions:
        sys.stderr.write(f"asyncdsm transaction: the agent knows no transaction {plain_text(transaction_id)}\n")
        return 1
    sys.stdout.write(write_transactions(answer) if transaction_id is None else write_transaction(*answer.transactions))
    return 0


def write_transaction(transaction: Transaction) -> str:
    """Return a transaction's state, and a line for each of its checkpoints."""
    rows = [("checkpoint", "service", "env", "time", "since the one before"), *map(_write_step, transaction.steps)]
    lines = [f"Transaction {plain_text(transaction.id)}: {transaction.state}", "", *_align(rows)]
    if transaction.state in {"late", "stuck"}:
        lines += ["", *_write_lateness(transaction)]
    return "\n".join(lines) + "\n"


def _write_lateness(transaction: Transaction) -> Iterator[str]:
    waits = format_duration(max(0.0, time() - transaction.last))
    usual, late_after = format_duration(transaction.usual_wait), format_duration(transaction.late_after)
    yield f"Last seen {waits} ago."
    if transaction.usual_wait is not None:
        yield f"Of those that went on from there, 95 % took at most {usual}; one is late after {late_after}."
    if transaction.lacks:
        lacks = ", ".join(plain_text(f"{each.checkpoint} ({each.service})", 2 * LONGEST) for each in transaction.lacks)
        yield f"It lacks {lacks}."


def write_transactions(answer: Transactions) -> str:
    """Return a line for each of the late transactions, and for each of the latest."""
    lines, cut_late = [], answer.cut.get("late", 0)
    for title, transactions, cut in (
        ("Late", answer.late, cut_late),
        *([("Late for longest", answer.longest, 0)] if cut_late else ()),
        ("Transactions", answer.transactions, answer.cut.get("transactions", 0)),
    ):
        rows = [("id", "state", "checkpoint", "service", "env", "time"), *map(_write_summary, transactions)]
        count = f"the latest {len(transactions):,} of {len(transactions) + cut:,}" if cut else f"{len(transactions):,}"
        lines += [f"{title}: {count}", *_align(rows), ""] if transactions else [f"{title}: none", ""]
    return "\n".join(lines[:-1]) + "\n"


def _write_step(step: TransactionStep) -> Row:
    since = "\u2013" if step.since_before is None else format_duration(step.since_before)
    return step.checkpoint, step.service, step.env, _format_time(step.time), since


def _write_summary(transaction: Transaction) -> Row:
    place = transaction.checkpoint, transaction.service, transaction.env
    return transaction.id, transaction.state, *place, _format_time(transaction.last)


def _align(rows: Iterable[Row]) -> list[str]:
    listed = [[plain_text(cell, LONGEST) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in listed)
    return [line.rstrip() for line in lines]


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
