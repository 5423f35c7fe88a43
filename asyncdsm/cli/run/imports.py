"""Being told when a package has been imported.

wrapt's import hooks do the same, and take 50 ms to import, in every Python process that a program starts; and they put
a proxy in the place of a module's loader. Here the loader stays what it is: only its `exec_module` is shadowed, until
it is called.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

Action = Callable[[str], object]


def when_imported(name: str, action: Action) -> None:
    """Call `action(name)` when the package has been imported: at once if it has been already."""
    if name in sys.modules:
        action(name)
        return
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    _finder.waiting[name] = action


class _Finder:
    """Lets the others find, and has itself told when what they found has been executed."""

    def __init__(self) -> None:
        self.waiting: dict[str, Action] = {}
        self._looking = set[tuple[int, str]]()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.waiting:
            return None
        looking = threading.get_ident(), fullname
        if looking in self._looking:  # somebody whom we asked asks us
            return None
        self._looking.add(looking)
        try:
            spec = self._found(fullname, path, target)
        finally:
            self._looking.discard(looking)
        if spec is not None:
            self._shadow(fullname, spec)
        return spec

    def _found(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        found = (finder.find_spec(fullname, path, target) for finder in others)
        return next((spec for spec in found if spec is not None), None)

    def _shadow(self, fullname: str, spec: ModuleSpec) -> None:
        loader = spec.loader
        execute = getattr(loader, "exec_module", None)
        # Loaders that are classes, of built-in and frozen modules, are everybody's; one with slots takes no attribute.
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
