"""Names: functions that can be searched for, modules that say what they are; and words that nobody has to decipher.

And one rule for hooks, which a program calls with arguments that asyncdsm does not know.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(path for folder in ("asyncdsm", "integrations") for path in ROOT.joinpath(folder).rglob("*.py"))
MOST_MODULES = 3
FIXED = {
    "main": "the entry point of a program",
    "run": "the one method of a thing that runs",
    "count": "a collection's word",
    "oldest_start": "the store's protocol",
    "close": "the standard library's word",
    "aclose": "anyio's word",
    "add": "a collection's word",
    "lags": "LagSource's method",
    "stats": "public",
}
"""Names that others have given, which may occur anywhere."""
NOT_NOUNS = re.compile(r"(?:ing|ed)$|^(?:behind|beside|below|above|after|before|within|around)$")
NOUNS = {"billing", "mailing", "shipping", "testing", "tracking"}
PHRASES = re.compile(r"\b(?:of ours|so many|on our account|none of our|lets? go of|for whom|what is no)\b")


def functions(tree: ast.Module) -> Iterator[str]:
    """Yield the names of functions, and of methods that do not implement an interface."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not node.bases:
            yield from (each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
    yield from (each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))


def test_function_name_occurs_in_three_modules_at_most() -> None:
    modules = defaultdict[str, set[str]](set)
    for path in MODULES:
        for name in functions(ast.parse(path.read_text("utf-8"))):
            if not name.startswith("__") and name not in FIXED:
                modules[name].add(str(path.relative_to(ROOT)))
    assert {name: sorted(where) for name, where in modules.items() if len(where) > MOST_MODULES} == {}


def test_module_is_named_by_a_noun() -> None:
    names = {path.stem for path in MODULES if NOT_NOUNS.search(path.stem)}
    assert names <= NOUNS


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_says_what_it_is(path: Path) -> None:
    text = path.read_text("utf-8")
    if text.strip():
        assert ast.get_docstring(ast.parse(text))


def test_prose_is_plain() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in MODULES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if PHRASES.search(line)
    ]
    assert found == []


CLIENTS_OWN = {"_take_contents", "_note_schedule"}
"""Functions whose first parameter is the client's own, which a program may give by its name."""


def hooks_with_a_name(tree: ast.Module) -> Iterator[str]:
    """Yield the functions that take any arguments, and have a parameter of asyncdsm's own that has a name for callers.

    That is the first parameter, or the first two of an observer: the result, and the object.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.args.vararg and node.args.kwarg:
            is_observer = any(ast.unparse(each) in {"after", "after_await"} for each in node.decorator_list)
            given = [*node.args.posonlyargs, *node.args.args][: 2 if is_observer else 1]
            if len(node.args.posonlyargs) < len(given) and node.name not in CLIENTS_OWN:
                yield node.name


def test_own_parameters_of_hooks_are_positional_only() -> None:
    """A message's attribute may be called `client`, and comes as a keyword: a hook must not take it for its own."""
    folders = {"integration", "integrations"}
    modules = [path for path in MODULES if folders.intersection(path.parts)]
    found = {path: [*hooks_with_a_name(ast.parse(path.read_text("utf-8")))] for path in modules}
    assert {str(path.relative_to(ROOT)): names for path, names in found.items() if names} == {}


def constants(tree: ast.Module) -> Iterator[str]:
    """Yield the strings of a module that are not docstrings."""
    strings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in strings:
            yield node.value


def test_one_function_writes_a_hop() -> None:
    """`format_hop` in Python; tests/page/hop_names.test.js looks at the page."""
    found = {
        str(path.relative_to(ROOT))
        for path in MODULES
        if any(re.search("[←→]", text) for text in constants(ast.parse(path.read_text("utf-8"))))
    }
    assert found == {"asyncdsm/map/strings.py"}


def test_manual_writes_hops_in_the_direction_in_which_messages_travel() -> None:
    pages = [ROOT / "README.md", *ROOT.joinpath("docs").rglob("*.md")]
    assert [str(page.relative_to(ROOT)) for page in pages if "←" in page.read_text("utf-8")] == []
