"""The import hook: it calls back once, after the whole package, whoever else looks for it."""

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

from asyncdsm.cli.run import import_hook
from asyncdsm.cli.run.import_hook import call_after_import


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
    import_hook._finder.waiting.clear()


def record_imports(name: str) -> list[bool]:
    told = list[bool]()
    call_after_import(name, lambda name: told.append(sys.modules[name].ready))
    return told


def test_callback_is_called_once_after_the_whole_package(package: str) -> None:
    told = record_imports(package)
    module = importlib.import_module("somebodys.part")
    assert told == [True]
    importlib.import_module(package)
    importlib.reload(sys.modules[package])
    assert told == [True]
    assert module.__name__ == "somebodys.part"


def test_loader_of_the_package_is_restored(package: str) -> None:
    record_imports(package)
    loader: Any = importlib.import_module(package).__loader__
    assert type(loader).__name__ == "SourceFileLoader"
    assert "exec_module" not in vars(loader)


def test_find_spec_does_not_call_back(package: str) -> None:
    told = record_imports(package)
    assert find_spec(package) is not None
    assert told == []
    importlib.import_module(package)
    assert told == [True]


def test_imported_package_calls_back_at_once(package: str) -> None:
    importlib.import_module(package)
    assert record_imports(package) == [True]


def test_missing_package_raises_and_never_calls_back(package: str) -> None:
    told = record_imports("somebodys_else")
    with pytest.raises(ModuleNotFoundError, match="somebodys_else"):
        importlib.import_module("somebodys_else")
    assert told == []


def test_failed_import_calls_back_when_it_succeeds_later(package: str, tmp_path: Path) -> None:
    file = tmp_path / "somebodys" / "__init__.py"
    text = file.read_text()
    file.write_text("1 / 0")
    told = record_imports(package)
    with pytest.raises(ZeroDivisionError):
        importlib.import_module(package)
    file.write_text(text + "\n# again")
    importlib.invalidate_caches()
    importlib.import_module(package)
    assert told == [True]


def test_finder_that_asks_all_others_calls_back_once(package: str) -> None:
    class Asking:
        def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
            others = [finder for finder in sys.meta_path if finder is not self]
            return next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)

    told = record_imports(package)
    sys.meta_path.insert(0, Asking())
    importlib.import_module(package)
    assert told == [True]


def test_loader_that_is_a_class_is_not_changed(package: str) -> None:
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

    told = record_imports(package)
    sys.meta_path.insert(0, Finding())
    sys.meta_path.insert(0, import_hook._finder)
    before = Built.exec_module
    importlib.import_module(package)
    assert (told, Built.exec_module) == ([], before)


def test_wrap_during_the_import_of_a_client_returns_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module is in `sys.modules` before it has all its names."""
    import asyncdsm_asgi
    import asyncdsm_httpx

    for name in ("httpx", "httpx2", "starlette.applications"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    assert asyncdsm_httpx.integration.wrap(object()) is None
    assert asyncdsm_asgi.integration.wrap(object()) is None
