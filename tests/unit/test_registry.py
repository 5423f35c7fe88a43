"""How integrations are loaded: packages that are not imported yet, and entry points that lead to something wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import asyncdsm
from asyncdsm.integration import Integration, registry


class Crow(Integration):
    """An integration of a package that each test makes for itself."""

    package, versions, wraps = "crow_client", ("1.0", "1.4"), "a crow"

    def hook_classes(self) -> None:
        pass


class EntryPoint:
    def __init__(self, found: Any) -> None:
        self._found = found

    def load(self) -> Any:
        return self._found


@pytest.fixture
def announce(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], None]]:
    """Return a function that lets the entry point of `crow_client` lead to an object."""

    def announce(found: Any) -> None:
        monkeypatch.setattr(registry, "_entry_points", lambda: {"crow_client": EntryPoint(found)})
        registry._load.cache_clear()

    yield announce
    registry._load.cache_clear()


def test_instrument_imports_the_package_if_nobody_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, announce: Callable[[Any], None]
) -> None:
    tmp_path.joinpath("crow_client.py").write_text('__version__ = "1.2"\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "crow_client", None)  # so that it is removed after the test
    del sys.modules["crow_client"]
    announce(Crow())
    asyncdsm.instrument("crow_client")
    assert sys.modules["crow_client"].__version__ == "1.2"


def test_package_below_one_that_is_missing_is_not_installed() -> None:
    assert not registry.is_installed("crow_vendor.crow_client")


def test_instrument_raises_import_error_if_the_package_is_not_installed(announce: Callable[[Any], None]) -> None:
    announce(Crow())
    with pytest.raises(ImportError, match="crow_client"):
        asyncdsm.instrument("crow_client")


def test_starlette_can_be_instrumented_before_it_is_imported() -> None:
    program = "import asyncdsm; asyncdsm.instrument('starlette'); asyncdsm.uninstrument('starlette')"
    done = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("wrong", [Crow, sys, None], ids=["class", "module", "none"])
def test_entry_point_that_leads_to_no_integration_raises_an_error_that_names_it(
    wrong: Any, announce: Callable[[Any], None]
) -> None:
    announce(wrong)
    with pytest.raises(TypeError, match=r"entry point 'crow_client' of asyncdsm.integrations must lead to an instance"):
        asyncdsm.instrument("crow_client")


def test_package_without_a_version_is_instrumented_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, announce: Callable[[Any], None]
) -> None:
    tmp_path.joinpath("crow_client.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "crow_client", None)
    del sys.modules["crow_client"]
    announce(Crow())
    asyncdsm.instrument("crow_client")
    assert caplog.text == ""
