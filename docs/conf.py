"""How Sphinx builds the manual: `nox -s docs`."""

from __future__ import annotations

import os
import re
from importlib.metadata import version as installed_version
from typing import Any

from sphinx.application import Sphinx

os.environ["ASYNCDSM_PURE"] = "1"  # the plain core has annotations and the longer docstrings

project = "asyncdsm"
author = "The asyncdsm authors"
copyright = author  # noqa: A001  (the name is Sphinx's)
release = version = installed_version("asyncdsm")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"asyncdsm {release}"
html_static_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist", "strikethrough"]
myst_heading_anchors = 3
nitpicky = True
nitpick_ignore_regex = [
    ("py:class", r"collections\.abc\..+|contextlib\.\w+"),  # Python's own manual has them
    ("py:class", r"P|asyncdsm\.(\w+\.)*(Answer|Client|Key|Message|T)"),  # type variables
    ("py:class", r"asyncdsm\.core\.(edge\.Point|recorder\.Recorder)|Point"),  # internal: handed on, not looked into
]
suppress_warnings = ["ref.python"]  # for Python's `type`, it finds each attribute of that name, and asks which one
default_role = "code"  # docstrings quote code in single backquotes
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_type_aliases = {name: f"asyncdsm.integration.{name}" for name in ("Hook", "Snapshot")}
autoclass_content = "both"  # the arguments are described in the docstring of `__init__`
python_use_unqualified_type_names = True

HIDDEN = re.compile(r"<!-- test: .*?-->", re.DOTALL)
"""Instructions for the tests that run the code of a page: `tests/docs/page.py`."""

OUTSIDE = re.compile(r"\]\((?=(?:\.\./)+[A-Z]+\.md\))")
"""Before the address of a file such as `../SECURITY.md`: no page of the manual, but read on GitHub."""

ALIAS = re.compile(r"[~\w.]*TypeAliasForwardRef\('([\w.]+)'\)")
"""A type alias of `autodoc_type_aliases`, as Sphinx writes it where it is part of a union."""


def remove_instructions(_app: Sphinx, _name: str, source: list[str]) -> None:
    """Remove what only the tests read; the lines keep their numbers."""
    source[0] = HIDDEN.sub(lambda found: "\n" * found[0].count("\n"), source[0])


def link_files_outside(_app: Sphinx, _name: str, source: list[str]) -> None:
    """Let a link to a Markdown file outside of `docs` be one to a file, for it is no page of the manual."""
    source[0] = OUTSIDE.sub("](path:", source[0])


def remove_named_tuple_notes(
    _app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    """Remove what `NamedTuple` says of its constructor: the signature shows it."""
    lines[:] = [line for line in lines if not line.startswith("Create new instance of ")]


def name_type_aliases(
    _app: Sphinx, _what: str, _name: str, _object: Any, _options: Any, arguments: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Write a type alias in a union by its name; Sphinx shows the object that holds its place."""
    return arguments and ALIAS.sub(r"\1", arguments), returned and ALIAS.sub(r"\1", returned)


def setup(app: Sphinx) -> None:
    """Connect the parts of this file to Sphinx."""
    app.connect("source-read", remove_instructions)
    app.connect("source-read", link_files_outside)
    app.connect("autodoc-process-docstring", remove_named_tuple_notes)
    app.connect("autodoc-process-signature", name_type_aliases)
