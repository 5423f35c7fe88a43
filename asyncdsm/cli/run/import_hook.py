"""Calls back when a package has been imported.

wrapt has such import hooks too. It takes 50 ms to import, in every Python process of a program, and it replaces the
loader of a module by a proxy. Here the loader stays the same object: its `exec_module` is shadowed until it is called.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

Action = Callable[[str], object]


def call_after_import(name: str, action: Action) -> None:
    """Call `action(name)` once the package is imported; at once if it already is."""
    if name in sys.modules:
        action(name)
        return
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _finder.waiting[name] = action


class _Finder:
    """Lets the other finders find a module, and calls back after the module was executed."""

    def __init__(self) -> None:
        self.waiting: dict[str, Action] = {}
        self._searches = set[tuple[int, str]]()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.waiting:
            return None
        search = threading.get_ident(), fullname
        if search in self._searches:  # another finder, which this one asked, asks this one
            return None
        self._searches.add(search)
        try:
            spec = self._ask_other_finders(fullname, path, target)
        finally:
            self._searches.discard(search)
        if spec is not None:
            self._shadow_exec_module(fullname, spec)
        return spec

    def _ask_other_finders(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> ModuleSpec | None:
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        return next((spec for spec in specs if spec is not None), None)

    def _shadow_exec_module(self, fullname: str, spec: ModuleSpec) -> None:
        loader = spec.loader
        execute = getattr(loader, "exec_module", None)
        # Loaders of built-in and frozen modules are classes, which all modules share. A loader with slots has no place
        # for an attribute.
        if loader is None or execute is None or isinstance(loader, type) or not hasattr(loader, "__dict__"):
            return

        def exec_module(module: ModuleType) -> None:
            vars(loader).pop("exec_module", None)
            execute(module)
            action = self.waiting.pop(fullname, None)
            if action is not None:
                action(fullname)

        vars(loader)["exec_module"] = exec_module


_finder = _Finder()
