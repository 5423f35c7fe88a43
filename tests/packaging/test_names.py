"""The public names: sorted, complete, and cheap to import."""

from types import ModuleType

import pytest

import asyncdsm
from tests.packaging.installed import PARTS, loaded_by


def test_all_is_sorted() -> None:
    assert asyncdsm.__all__ == sorted(asyncdsm.__all__)


def test_all_is_complete() -> None:
    there = {
        name for name, value in vars(asyncdsm).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    on_demand = {name for names in asyncdsm._HOMES.values() for name in names}
    assert there | on_demand | {"__version__"} == {*asyncdsm.__all__, "TYPE_CHECKING"}
    assert on_demand <= set(dir(asyncdsm))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'asyncdsm' has no attribute 'datastreams'"):
        asyncdsm.datastreams  # type: ignore[attr-defined]  # noqa: B018


def test_public_names_have_docstrings() -> None:
    undocumented = [name for name in asyncdsm.__all__ if not getattr(asyncdsm, name).__doc__]
    assert undocumented == []


def test_import_loads_no_more_than_it_needs() -> None:
    assert PARTS & loaded_by("import asyncdsm") == set()


def test_import_of_every_name_loads_no_more_than_it_needs() -> None:
    assert PARTS & loaded_by("from asyncdsm import *") == set()
