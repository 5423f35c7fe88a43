"""The public names: sorted, complete, and cheap to import."""

from types import ModuleType

import asyncdsm
from tests.packaging.installed import PARTS, loaded_by


def test_all_is_sorted() -> None:
    assert asyncdsm.__all__ == sorted(asyncdsm.__all__)


def test_all_is_complete() -> None:
    public = {
        name for name, value in vars(asyncdsm).items() if not name.startswith("_") and not isinstance(value, ModuleType)
    }
    assert public | {"__version__"} == set(asyncdsm.__all__)


def test_every_name_says_what_it_is_for() -> None:
    undocumented = [name for name in asyncdsm.__all__ if not getattr(asyncdsm, name).__doc__]
    assert undocumented == []


def test_import_loads_no_more_than_it_needs() -> None:
    assert PARTS & loaded_by("import asyncdsm") == set()
