"""`docs/messages.md` has an entry for each message that asyncdsm logs and for each of its exceptions, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from markdown_it import MarkdownIt

from asyncdsm import errors

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "messages.md"
SOURCES = [path for folder in ("asyncdsm", "integrations") for path in sorted(ROOT.joinpath(folder).rglob("*.py"))]
LOGGING = {
    Path("asyncdsm/_internal/log.py"): "writes to the log",
    Path("asyncdsm/delivery/exporters/http.py"): "keeps its requests out of the log",
    Path(
        "asyncdsm/agent/store/clickhouse/connection.py"
    ): "keeps what its client logs beside each error out of the log",
    Path("asyncdsm/cli/demo/service.py"): "quiets the clients in the demo's services",
}
"""The only modules that use `logging` themselves, and what for."""
MESSAGE_AT = {"warn": 0, "info": 0, "warn_once": 1, "warn_each_minute": 1, "error_once": 1, "report_error": 2}
"""The functions that log, and which of their arguments is the message."""
PLACEHOLDER = re.compile(r"%[-.\d]*[srd]")
SHORTEST_ENTRY = 60


class Call(NamedTuple):
    """A call of a function that logs: the message's expression, and the functions around the call."""

    where: str
    message: ast.expr
    around: list[ast.AST]
    """The module first, then the functions from the outside in."""


def find_calls(source: str, path: str) -> Iterator[Call]:
    """Yield all calls in a module of functions that log, by whichever name they were imported."""
    tree = ast.parse(source)
    names = {name: name for name in MESSAGE_AT}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {each.asname: each.name for each in node.names if each.asname and each.name in MESSAGE_AT}
    yield from _find_calls(tree, [tree], names, path)


def _find_calls(node: ast.AST, around: list[ast.AST], names: dict[str, str], path: str) -> Iterator[Call]:
    for child in ast.iter_child_nodes(node):
        inside = [*around, child] if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else around
        if isinstance(child, ast.Call):
            function = child.func
            name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            position = MESSAGE_AT.get(names.get(name, ""))
            if position is not None and (message := _argument(child, position)) is not None:
                yield Call(f"{path}:{child.lineno}", message, around)
        yield from _find_calls(child, inside, names, path)


def _argument(call: ast.Call, position: int) -> ast.expr | None:
    """Return the message of a call; None for a call with fewer arguments, such as of another `report_error`."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == "message"]
    return call.args[position] if len(call.args) > position else next(iter(named), None)


def resolve(call: Call) -> str | None:
    """Return the message of a call: a literal, or a variable that is assigned one literal and nothing else.

    None if it is the message that a logging function passes on: then the calls of that function are looked at.
    Raises AssertionError for any other message.
    """
    message = call.message
    if isinstance(message, ast.Name):
        if _is_passed_on(message.id, call.around[-1]):
            return None
        for scope in reversed(call.around):
            if assigned := list(_assigned(message.id, scope)):
                assert len(assigned) == 1, f"{call.where}: {message.id} is assigned {len(assigned)} times"
                (message,) = assigned
                break
    assert isinstance(message, ast.Constant), f"{call.where}: the message is no literal: {ast.unparse(message)}"
    assert isinstance(message.value, str), f"{call.where}: the message is no string"
    return message.value


def _is_passed_on(name: str, function: ast.AST) -> bool:
    if not isinstance(function, ast.FunctionDef) or function.name not in MESSAGE_AT:
        return False
    parameters = [each.arg for each in function.args.args if each.arg != "self"]
    return parameters.index(name) == MESSAGE_AT[function.name] if name in parameters else False


def _assigned(name: str, scope: ast.AST) -> Iterator[ast.expr]:
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and any(
            isinstance(each, ast.Name) and each.id == name for each in node.targets
        ):
            yield node.value


def logged() -> dict[str, str]:
    """Return all messages that asyncdsm logs, with `…` for what is filled in, and where each is logged."""
    found: dict[str, str] = {}
    for path in SOURCES:
        for call in find_calls(path.read_text("utf-8"), str(path.relative_to(ROOT))):
            message = resolve(call)
            if message is not None:
                found[PLACEHOLDER.sub("…", message)] = call.where
    return found


def entries() -> dict[str, str]:
    """Return what the entries of the page are about, and their whole text. They are items of lists."""
    tokens = MarkdownIt("commonmark").parse(PAGE.read_text("utf-8"))
    found: dict[str, str] = {}
    for before, token in zip(tokens, tokens[2:], strict=False):
        if before.type == "list_item_open" and token.children and token.children[0].type == "code_inline":
            name = token.children[0].content
            assert name not in found, f"two entries for {name!r}"
            found[name] = token.content
    return found


MESSAGES = logged()
EXCEPTIONS = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}


def test_each_message_that_is_logged_has_its_entry() -> None:
    assert {message: where for message, where in MESSAGES.items() if message not in entries()} == {}


def test_each_exception_has_its_entry() -> None:
    assert sorted(EXCEPTIONS - entries().keys()) == []


def test_no_entry_is_stale() -> None:
    assert sorted(entries().keys() - MESSAGES.keys() - EXCEPTIONS) == []


def test_each_entry_says_what_it_means_and_what_to_do() -> None:
    assert [name for name, text in entries().items() if len(text) - len(name) < SHORTEST_ENTRY] == []


@pytest.mark.parametrize("message", MESSAGES)
def test_message_begins_with_words_that_can_be_searched(message: str) -> None:
    assert message.startswith("asyncdsm")
    assert len(message.partition("…")[0]) >= len("asyncdsm lost ")


def test_no_other_module_logs() -> None:
    using = {
        path.relative_to(ROOT)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {"getLogger", "basicConfig"})
        or (isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("logging.", "warnings.")))
    }
    assert using == LOGGING.keys()


@pytest.mark.parametrize(
    ("source", "messages"),
    [
        ("warn('a %s', b)", ["a %s"]),
        ("from x import warn_once as once\nonce('key', 'a')", ["a"]),
        ("log.warn_each_minute('key', message='a')", ["a"]),
        ("M = 'a'\ndef f():\n    warn(M)", ["a"]),
        ("def f():\n    m = 'a'\n    info(m)", ["a"]),
        ("def warn_once(key, message):\n    warn(message)", [None]),
        ("report_error(e)", []),
        ("def f(report_error):\n    self.report_error(e, 'k', 'a: %r')", ["a: %r"]),
    ],
)
def test_messages_are_found_in_the_source(source: str, messages: list[str | None]) -> None:
    assert [resolve(call) for call in find_calls(source, "x.py")] == messages


@pytest.mark.parametrize(
    "source",
    [
        "warn(f'a {b}')",
        "warn('a' + b)",
        "def f(m):\n    warn(m)",
        "def f():\n    m = 'a'\n    m = 'b'\n    warn(m)",
        "def warn_once(key, message):\n    warn(key)",
    ],
)
def test_message_that_is_no_literal_is_a_failure(source: str) -> None:
    (call,) = find_calls(source, "x.py")
    with pytest.raises(AssertionError):
        resolve(call)
