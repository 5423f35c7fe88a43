"""README and manual: links lead somewhere, and what code and pages cite is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.page import find_manual_pages

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *find_manual_pages()]
CITED = re.compile(r"protocol §(\d+)")
SOURCES = [
    path
    for folder in ("asyncdsm", "integrations", "tests", "benchmarks")
    for path in ROOT.joinpath(folder).rglob("*")
    if path.suffix in {".py", ".js"} and path != Path(__file__)
]


def sections(page: str) -> set[str]:
    """Return the numbers of a page's headings."""
    return set(re.findall(r"^## (\d+)\.", ROOT.joinpath("docs", page).read_text(), re.MULTILINE))


def test_each_cited_section_of_the_protocol_has_its_heading() -> None:
    cited = {number for path in SOURCES for number in CITED.findall(path.read_text())}
    assert cited
    assert cited <= sections("develop/protocol.md")


def test_page_of_the_protocol_cites_its_own_sections() -> None:
    cited = set(re.findall(r"§(\d+)", ROOT.joinpath("docs", "develop", "protocol.md").read_text()))
    assert cited <= sections("develop/protocol.md")


def test_glossary_defines_each_word_once_and_in_order() -> None:
    words = re.findall(r"^\| \*\*([^*]+)\*\*", ROOT.joinpath("docs", "glossary.md").read_text(), re.MULTILINE)
    assert words == sorted(set(words))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text("utf-8"))
    lost = [link for link, _ in links if not page.parent.joinpath(link).exists()]
    headings = [(page.parent / link if link else page, heading) for link, heading in links if heading]
    lost += [f"{path.name}#{heading}" for path, heading in headings if heading not in anchors(path)]
    assert lost == []


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub, and MyST in the manual, give to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_files_that_the_architecture_names_exist() -> None:
    page = ROOT.joinpath("docs", "develop", "architecture.md").read_text("utf-8")
    named = re.findall(r"`((?:[\w<>*]+/)+[\w.]*)`", page)
    patterns = [name.replace("<client>", "*") for name in named]
    found = [any(ROOT.glob(pattern)) or any(ROOT.joinpath("asyncdsm").glob(pattern)) for pattern in patterns]
    inside = [any(ROOT.glob(f"asyncdsm/*/{pattern}")) for pattern in patterns]
    assert len(named) > 20
    assert [name for name, a, b in zip(named, found, inside, strict=True) if not (a or b)] == []


def test_readme_has_at_most_600_words() -> None:
    visible = re.sub(r"<!--.*?-->", "", ROOT.joinpath("README.md").read_text("utf-8"), flags=re.DOTALL)
    assert len([word for word in visible.split() if re.search(r"\w", word)]) <= 600
