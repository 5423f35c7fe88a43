"""Being told of imports: once, after the package, whoever else looks for it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from asyncdsm.cli.run import imports
from asyncdsm.cli.run.imports import when_imported


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "somebodys").mkdir()
    (tmp_path / "somebodys" / "__init__.py").write_text("ready = False\nfrom . import part\nready = True\n")
    (tmp_path / "somebodys" / "part.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    yield "somebodys"
    for name in ("somebodys", "somebodys.part"):
        sys.modules.pop(name, None)
    imports._finder.waiting.clear()


def noted(name: str) -> list[bool]:
    told = list[bool]()
    when_imported(name, lambda name: told.append(sys.modules[name].ready))
    return told


def test_it_is_told_when_the_package_is_whole(package: str) -> None:
    told = noted(package)
    module = importlib.import_module("somebodys.part")
    assert told == [True]
    importlib.import_module(package)
    importlib.reload(sys.modules[package])
    assert told == [True]
    assert module.__name__ == "somebodys.part"


def test_the_loader_is_what_it_was(package: str) -> None:
    noted(package)
    loader: Any = importlib.import_module(package).__loader__
    assert type(loader).__name__ == "SourceFileLoader"
    assert "exec_module" not in vars(loader)


def test_looking_is_not_importing(package: str) -> None:
    told = noted(package)
    assert find_spec(package) is not None
    assert told == []
    importlib.import_module(package)
    assert told == [True]


def test_one_that_is_there_already(package: str) -> None:
    importlib.import_module(package)
    assert noted(package) == [True]


def test_one_that_is_not_there(package: str) -> None:
    told = noted("somebodys_else")
    with pytest.raises(ModuleNotFoundError, match="somebodys_else"):
        importlib.import_module("somebodys_else")
    assert told == []


def test_one_that_fails_may_be_tried_again(package: str, tmp_path: Path) -> None:
    file = tmp_path / "somebodys" / "__init__.py"
    text = file.read_text()
    file.write_text("1 / 0")
    told = noted(package)
    with pytest.raises(ZeroDivisionError):
        importlib.import_module(package)
    file.write_text(text + "\n# again")
    importlib.invalidate_caches()
    importlib.import_module(package)
    assert told == [True]


def test_another_finder_that_asks_all_the_others(package: str) -> None:
    class Asking:
        def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
            others = [finder for finder in sys.meta_path if finder is not self]
            return next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)

    told = noted(package)
    sys.meta_path.insert(0, Asking())
    importlib.import_module(package)
    assert told == [True]


def test_a_loader_that_is_a_class_is_left_alone(package: str) -> None:
    class Built:
        @staticmethod
        def create_module(spec: ModuleSpec) -> None:
            return None

        @staticmethod
        def exec_module(module: Any) -> None:
            module.ready = True

    class Finding:
        def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
            return ModuleSpec(name, Built) if name == package else None  # type: ignore[arg-type]

    told = noted(package)
    sys.meta_path.insert(0, Finding())
    sys.meta_path.insert(0, imports._finder)
    before = Built.exec_module
    importlib.import_module(package)
    assert (told, Built.exec_module) == ([], before)


def test_wrap_while_another_thread_imports_a_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module stands in `sys.modules` before its names are there."""
    import asyncdsm_asgi
    import asyncdsm_httpx

    for name in ("httpx", "httpx2", "starlette.applications"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    assert asyncdsm_httpx.integration.wrap(object()) is None
    assert asyncdsm_asgi.wrap(object()) is None
