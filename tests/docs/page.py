"""What a page of the manual contains for its tests: blocks of code, and the instructions for them in HTML comments.

    <!-- test: background, wait for "running on" -->   the next commands run until the page ends
    <!-- test: background -->                          the next Python block runs until the page ends
    <!-- test: stop after "orders" -->                 the next commands are interrupted (Ctrl-C) when they print this
    <!-- test: terminate -->                           the last command in the background gets SIGTERM
    <!-- test: not run, needs docker -->               the next block is not run; `NOT_RUN` lists all reasons
    <!-- test: python
    assert ...
    -->                                                a block that readers do not see (`sh` too)

A Python block whose first line is a comment with a file name, as in `# shop.py`, is written to that file. Blocks of
other languages are files as well if they begin so; else they must be well-formed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

DOCS = Path(__file__).parents[2] / "docs"
INSTRUCTION = re.compile(r"<!-- test: ((?:(?!-->).)*?)\s*-->\s*", re.DOTALL)
MARKER = re.compile(r"<!-- (?:\w+|Generated: [^>]*) -->\s*")
HIDDEN_CODE = re.compile(r"(python|sh)\n(.*)", re.DOTALL)
TERMINATE = "terminate"
FILE_NAME = re.compile(r"# ([\w./-]+\.\w+|Dockerfile)\n")


class PageError(Exception):
    """A page contains what its tests cannot read."""


@dataclass(frozen=True)
class Block:
    """A block of code on a page. `line` is the line of its first line of code, counted from 1."""

    language: str
    code: str
    line: int
    instruction: str = ""
    """What the HTML comment before the block says, such as `stop after "orders"`; empty without one."""

    @property
    def file_name(self) -> str | None:
        """The name of the file that this block shows, None if it shows no file."""
        found = FILE_NAME.match(self.code)
        return found[1] if found else None


def find_manual_pages() -> list[Path]:
    """Return the pages of the manual in order, without what Sphinx has built of them."""
    return [page for page in sorted(DOCS.rglob("*.md")) if DOCS / "_build" not in page.parents]


def read_blocks(page: Path) -> list[Block]:
    """Return the blocks of code of a page in order, hidden ones included.

    Raises PageError for an instruction that no block follows, and for what looks like code or like an instruction and
    is none.
    """
    blocks: list[Block] = []
    pending = ""
    for token in MarkdownIt("commonmark").parse(page.read_text("utf-8")):
        line = token.map[0] + 1 if token.map else 0
        if problem := find_problem(token):
            raise PageError(f"{page.name}:{line}: {problem}")
        if pending and token.type != "fence":
            raise PageError(f"{page.name}:{line}: no block follows the instruction {pending!r}")
        if token.type == "fence":
            blocks.append(Block(token.info.strip(), token.content, line + 1, pending))
            pending = ""
        elif found := INSTRUCTION.fullmatch(token.content if token.type == "html_block" else ""):
            hidden = HIDDEN_CODE.fullmatch(found[1])
            if found[1] == TERMINATE:
                blocks.append(Block(TERMINATE, "", line))
            elif hidden:
                blocks.append(Block(hidden[1], hidden[2] + "\n", line + 1))
            else:
                pending = found[1]
    if pending:
        raise PageError(f"{page.name}: no block follows the instruction {pending!r}")
    return blocks


def find_problem(token: Token) -> str:
    """Return what is wrong with a part of a page that readers take for code, or writers for an instruction."""
    if token.type == "code_block":
        return "indented code is not run: use a fence"
    if token.type == "html_block" and not (INSTRUCTION.fullmatch(token.content) or MARKER.fullmatch(token.content)):
        return f"neither an instruction nor a marker: {token.content!r}"
    for child in token.children or []:
        if child.type == "html_inline":
            return f"HTML inside a paragraph is not read: {child.content!r}"
    return ""
