"""The rules that are written on the page. They are kept in a file in the format of `--rules`, or in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Any

from asyncdsm.agent.alerts.rule_file import (
    MOST_BYTES,
    MOST_RULES,
    NO_RULES,
    RuleFile,
    check_rule,
    parse_rule_file,
    read_rule_file,
)
from asyncdsm.agent.alerts.rules import Rule
from asyncdsm.errors import AsyncDSMError

_HEAD = "# Rules of alerts that were written on the page of asyncdsm agent, which writes this file.\n"
Table = dict[str, Any]


class RuleRefusedError(AsyncDSMError):
    """A rule cannot be written. `field` names what is wrong; `status` is that of HTTP."""

    def __init__(self, status: int, field: str, problem: str) -> None:
        super().__init__(problem)
        self.status: int = status
        self.field: str = field


class PageRules:
    """Rules that can be added, replaced and removed, from any thread. A change is in the file when a call returns."""

    def __init__(self, path: Path | None) -> None:
        """Read the rules that a file has, if there is one. Raises RulesError."""
        self._path, self._lock = path, Lock()
        self._file = NO_RULES if path is None else _read_kept(path)
        self.version: int = 0
        """How often the rules were changed."""

    @property
    def is_kept(self) -> bool:
        """Whether the rules survive a restart."""
        return self._path is not None

    def tables(self) -> list[Table]:
        """Return the rules as they are written."""
        return list(self._file.tables)

    def rules(self, file: RuleFile) -> list[Rule]:
        """Return the rules, except those whose names the rules of `--rules` have; that file's webhook is theirs too."""
        taken = {rule.name for rule in file.rules}
        written = _parse(self._file.tables, file.webhook) if file.webhook else self._file
        return [rule for rule in written.rules if rule.name not in taken]

    def add(self, table: Mapping[str, Any], taken: Collection[str]) -> None:
        """Add a rule, whose name must not be `taken` by those of `--rules`. Raises RuleRefusedError and OSError."""
        with self._lock:
            tables = self.tables()
            if len(tables) + len(taken) >= MOST_RULES:
                raise RuleRefusedError(409, "rules", f"there must be at most {MOST_RULES} rules")
            self._write([*tables, _checked(table)], taken)

    def replace(self, name: str, table: Mapping[str, Any], taken: Collection[str], version: str | None = None) -> None:
        """Replace a rule; one without the field `webhook` keeps that of before.

        It must be of a version (`version_of`), if one is given. Raises RuleRefusedError and OSError.
        """
        with self._lock:
            tables, at = self._find(name, taken, version)
            before = {"webhook": tables[at]["webhook"]} if "webhook" in tables[at] else {}
            tables[at] = _checked({**before, **table})
            self._write(tables, taken)

    def remove_rule(self, name: str, taken: Collection[str], version: str | None = None) -> None:
        """Remove a rule, which must be of a version, if one is given. Raises RuleRefusedError and OSError."""
        with self._lock:
            tables, at = self._find(name, taken, version)
            del tables[at]
            self._write(tables, ())

    def _find(self, name: str, taken: Collection[str], version: str | None) -> tuple[list[Table], int]:
        tables = self.tables()
        for at, table in enumerate(tables):
            if table["name"] == name:
                if version not in {None, version_of(table)}:
                    problem = "somebody else has changed this rule meanwhile: look at it again, then change it"
                    raise RuleRefusedError(409, "version", problem)
                return tables, at
        if name in taken:
            raise RuleRefusedError(409, "name", "this rule is in the file of --rules: change it there")
        raise RuleRefusedError(404, "name", "there is no rule of this name")

    def _write(self, tables: list[Table], taken: Collection[str]) -> None:
        names = [table["name"] for table in tables]
        for name in names:
            if name in taken:
                raise RuleRefusedError(409, "name", "a rule in the file of --rules has this name")
            if names.count(name) > 1:
                raise RuleRefusedError(409, "name", "another rule has this name")
        if len(_format(tables).encode()) > MOST_BYTES:
            raise RuleRefusedError(409, "rules", f"all rules together must have at most {MOST_BYTES} bytes")
        file = _parse(tables, None)
        if self._path is not None:
            _replace_file(self._path, _format(tables))
        self._file = file
        self.version += 1


def version_of(table: Mapping[str, Any]) -> str:
    """Return the version of a rule as it is written: another one as soon as any of its fields is another one."""
    return blake2b(json.dumps(table, sort_keys=True).encode(), digest_size=8).hexdigest()


def _read_kept(path: Path) -> RuleFile:
    with suppress(OSError):  # what cannot be read is explained by the error of reading it
        if not path.exists():
            return NO_RULES
    return read_rule_file(path, may_be_empty=True)


def _parse(tables: list[Table], webhook: str | None) -> RuleFile:
    return parse_rule_file(_format(tables, webhook), "the rules of the page", may_be_empty=True)


def _checked(table: Mapping[str, Any]) -> Table:
    """Return a rule without the fields that are null. Raises RuleRefusedError with everything that is wrong."""
    given = {field: value for field, value in table.items() if value is not None}
    problems = check_rule(given)
    if problems:
        field = problems[0].partition(" ")[0].strip('"')[:100]
        raise RuleRefusedError(400, field, "; ".join(problems))
    return given


def _format(tables: list[Table], webhook: str | None = None) -> str:
    top = f"webhook = {_format_value(webhook)}\n" if webhook else ""
    rules = ["".join(f"{field} = {_format_value(value)}\n" for field, value in table.items()) for table in tables]
    return _HEAD + top + "".join(f"\n[[rule]]\n{rule}" for rule in rules)


def _format_value(value: Any) -> str:
    """Return a string or a number in TOML: as in JSON, but for a character that TOML does not allow as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _replace_file(path: Path, text: str) -> None:
    """Write a file that only its owner can read, since webhooks may be in it. It is whole at every moment."""
    temporary = path.with_name(f"{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
