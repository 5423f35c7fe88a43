"""The rows of the tables in docs/batches.md, each between two comments: `<!-- tasks -->` and `<!-- end -->`."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "batches.md"


def read_rows(table: str) -> list[str]:
    """Return the first cells of one table of the page, without the heading."""
    lines = PAGE.read_text("utf-8").split(f"<!-- {table} -->")[1].split("<!-- end -->")[0].splitlines()
    return [line.split(" | ")[0].removeprefix("| ") for line in lines if line.startswith("| ")][1:]
