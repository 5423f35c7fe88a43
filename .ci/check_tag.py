"""Check that a tag, the version in the code and the changelog agree: `python .ci/check_tag.py v0.2.0`."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def find_problems(tag: str, root: Path = ROOT) -> list[str]:
    """Return what does not agree with a tag; nothing if all is well."""
    version = tag.removeprefix("v")
    project, code, changelog = (
        root.joinpath(name).read_text("utf-8") for name in ("pyproject.toml", "asyncdsm/_version.py", "CHANGELOG.md")
    )
    declared = tomllib.loads(project)["project"]["version"]
    in_code = re.search(r'^__version__ = "(.*)"$', code, re.MULTILINE)
    released = re.findall(r"^## (\d\S*) - \d{4}-\d{2}-\d{2}$", changelog, re.MULTILINE)
    problems = []
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        problems.append(f"a tag must look like v1.2.3, got {tag!r}")
    if declared != version:
        problems.append(f"pyproject.toml has the version {declared}, the tag {tag}")
    if in_code is None or in_code[1] != declared:
        problems.append("asyncdsm/_version.py and pyproject.toml have different versions")
    if released[:1] != [version]:
        problems.append(f"the newest release in CHANGELOG.md must be `## {version} - YYYY-MM-DD`")
    return problems


if __name__ == "__main__":
    sys.exit("\n".join(find_problems(sys.argv[1])) or None)
