"""A tree to build from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.packaging.tree import Tree


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)
