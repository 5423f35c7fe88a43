"""The page on coming from ddtrace: its table has every variable of Datadog's that asyncdsm reads, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from asyncdsm.settings import SETTINGS

PAGE = Path(__file__).parents[2] / "docs" / "from-ddtrace.md"
VARIABLE = re.compile(r"`(_?DD_\w+)`")


def test_table_of_variables_has_those_that_asyncdsm_reads() -> None:
    table = re.search(r"<!-- variables -->\n(.*?)<!-- end -->", PAGE.read_text("utf-8"), re.DOTALL)
    assert table is not None
    listed = [name for row in table[1].splitlines() for name in VARIABLE.findall(row.split(" | ")[0])]
    read = {variable.partition(":")[0] for setting in SETTINGS.values() for variable in setting.variables}
    assert sorted(listed) == sorted(name for name in read if name.lstrip("_").startswith("DD_"))
