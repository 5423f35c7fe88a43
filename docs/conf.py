"""How Sphinx builds the manual: `nox -s docs`."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version

from sphinx.application import Sphinx

project = "asyncdsm"
author = "The asyncdsm authors"
copyright = author  # noqa: A001  (the name is Sphinx's)
release = version = installed_version("asyncdsm")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"asyncdsm {release}"
html_static_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist", "strikethrough"]
myst_heading_anchors = 3
nitpicky = True
default_role = "code"  # docstrings quote code in single backquotes
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True

HIDDEN = re.compile(r"<!-- test: .*?-->", re.DOTALL)
"""Instructions for the tests that run the code of a page: `tests/docs/page.py`."""

OUTSIDE = re.compile(r"\]\((?=(?:\.\./)+[A-Z]+\.md\))")
"""Before the address of a file such as `../SECURITY.md`: no page of the manual, but read on GitHub."""


def remove_instructions(_app: Sphinx, _name: str, source: list[str]) -> None:
    """Remove what only the tests read; the lines keep their numbers."""
    source[0] = HIDDEN.sub(lambda found: "\n" * found[0].count("\n"), source[0])


def link_files_outside(_app: Sphinx, _name: str, source: list[str]) -> None:
    """Let a link to a Markdown file outside of `docs` be one to a file, for it is no page of the manual."""
    source[0] = OUTSIDE.sub("](path:", source[0])


def setup(app: Sphinx) -> None:
    """Connect the parts of this file to Sphinx."""
    app.connect("source-read", remove_instructions)
    app.connect("source-read", link_files_outside)
