"""The tree of errors in `asyncdsm.errors`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import asyncdsm
from asyncdsm import errors
from asyncdsm.errors import AsyncDSMError

PUBLIC_ERRORS = [error for _, error in inspect.getmembers(errors, inspect.isclass)]


def own_exceptions() -> Iterator[type[BaseException]]:
    for module in pkgutil.walk_packages(asyncdsm.__path__, "asyncdsm."):
        if module.name == "asyncdsm.__main__":  # it runs the command
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            is_own = inspect.isclass(value) and value.__module__ == module.name
            if is_own and issubclass(value, BaseException) and not name.startswith("_"):
                yield value


def test_every_public_exception_class_derives_from_asyncdsm_error() -> None:
    found = set(own_exceptions())
    assert set(PUBLIC_ERRORS) <= found
    assert [error.__qualname__ for error in found if not issubclass(error, AsyncDSMError)] == []


@pytest.mark.parametrize("error", PUBLIC_ERRORS)
def test_public_error_is_in_the_tree_of_the_module_docstring(error: type[AsyncDSMError]) -> None:
    assert error.__name__ in (errors.__doc__ or "")
    assert error.__doc__


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.SettingError, ValueError),
        (errors.AlreadyRunningError, RuntimeError),
        (errors.UnknownClientError, TypeError),
        (errors.MalformedValueError, ValueError),
        (errors.PayloadError, ValueError),
        (errors.SketchError, ValueError),
        (errors.OptionError, ValueError),
    ],
)
def test_error_keeps_its_builtin_base(error: type[AsyncDSMError], builtin: type[Exception]) -> None:
    assert issubclass(error, builtin)


def test_public_errors_of_the_package_are_those_of_the_tree() -> None:
    assert asyncdsm.SettingError is errors.SettingError
    assert asyncdsm.AlreadyRunningError is errors.AlreadyRunningError
    assert asyncdsm.UnknownClientError is errors.UnknownClientError
    assert asyncdsm.AsyncDSMError is AsyncDSMError
