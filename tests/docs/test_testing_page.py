"""The page on testing: each of its blocks of code is a file of tests that passes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
NEEDLESS = ("cacheprovider", "ddtrace", "faker", "hypothesispytest", "schemathesis", "xdist", "xdist.looponfail")
"""Plugins that happen to be installed here, and take most of the time of a short test to import."""


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_of_the_page_on_testing_runs(number: int, tmp_path: Path) -> None:
    (tmp_path / "test_block.py").write_text(BLOCKS[number])
    without = [option for name in NEEDLESS for option in ("-p", f"no:{name}")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *without, str(tmp_path)],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith(("DD_", "AWS_"))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_every_block_of_the_page_on_testing_is_run() -> None:
    assert len(BLOCKS) == PAGE.read_text().count("```") / 2
