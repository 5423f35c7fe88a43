"""The API reference: every public name is on one of its pages."""

from __future__ import annotations

import inspect
import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ENTRY_POINTS = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]["entry-points"][
    "asyncdsm.integrations"
]
PAGES = sorted(ROOT.joinpath("docs", "api").glob("*.md"))
TEXT = "\n".join(page.read_text("utf-8") for page in PAGES)
DIRECTIVE = re.compile(r"^\.\. (?:auto|py:)\w+:: ([\w.]+)", re.MULTILINE)
OBJECT = re.compile(r"^\| [^|]+ \| `(asyncdsm_\w+\.\w+)` \|$", re.MULTILINE)
MODULES = [
    "asyncdsm",
    "asyncdsm.errors",
    "asyncdsm.integration",
    "asyncdsm.pytest_plugin",
    "asyncdsm.testing",
    *sorted({name.partition(":")[0] for name in ENTRY_POINTS.values()}),
]


def public_names(module: Any) -> list[str]:
    """Return `__all__`, or without one what a module itself defines."""
    own = [name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__]
    return getattr(module, "__all__", [name for name in own if not name.startswith("_")])


def documented() -> dict[str, Any]:
    """Return the objects that the pages describe, by the names that they have there."""
    found: dict[str, Any] = {}
    for target in [*DIRECTIVE.findall(TEXT), *OBJECT.findall(TEXT)]:
        if target in MODULES:  # `automodule`, with all its members
            module = import_module(target)
            found |= {f"{target}.{name}": getattr(module, name) for name in public_names(module)}
        else:
            module_name, _, name = target.rpartition(".")
            found[target] = getattr(import_module(module_name), name)
    return found


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    pages, module = documented(), import_module(name)
    described = [value for value in pages.values() if inspect.isclass(value) or inspect.isfunction(value)]
    missing = [
        each
        for each in public_names(module)
        if f"{name}.{each}" not in pages and not any(getattr(module, each) is value for value in described)
    ]
    assert missing == []


def test_values_in_the_reference_are_those_of_the_code() -> None:
    values = re.findall(r"^\.\. py:data:: ([\w.]+)\n   :value: '(.*)'$", TEXT, re.MULTILINE)
    assert values
    assert [(name, value) for name, value in values if documented()[name] != value] == []
