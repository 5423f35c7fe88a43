"""`hatch_build.py` in an editable install: what is compiled beside the source, when again, and twice at once.

The core that is compiled here is a small one, in a copy of the tree; `nox -s package` installs the real one.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.packaging.tree import NO_COMPILER, NOTE, Tree


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """A tree with an editable install, not to be changed."""
    tree = Tree(tmp_path_factory.mktemp("compiled"))
    assert tree.build("editable") == []
    return tree


@pytest.fixture
def installed(compiled: Tree, tree: Tree) -> Tree:
    """A tree with an editable install, compiled from its source."""
    for path in compiled.files_of_extension():
        shutil.copy(path, tree.native)
    return tree


def test_editable_install_compiles_beside_the_source(compiled: Tree) -> None:
    assert compiled.answer() == 42
    assert compiled.files_of_extension() == [compiled.extension, Path(f"{compiled.extension}.stamp")]


def test_editable_install_leaves_an_extension_of_the_same_source(installed: Tree) -> None:
    before = written(installed.extension)
    assert installed.build("editable") == []
    assert written(installed.extension) == before


def written(path: Path) -> tuple[int, int]:
    """Return which file this is, and when it was written."""
    return path.stat().st_ino, path.stat().st_mtime_ns


def test_editable_install_compiles_again_after_a_change_of_a_header(installed: Tree) -> None:
    installed.set_answer(43)
    installed.build("editable")
    assert installed.answer() == 43


def test_editable_install_compiles_again_after_a_change_of_an_included_file(installed: Tree) -> None:
    included = installed.native / "answer.pxi"
    included.write_text(included.read_text().replace("return ANSWER", "return 2 * ANSWER"))
    installed.build("editable")
    assert installed.answer() == 84


def test_editable_install_compiles_again_with_other_flags(installed: Tree) -> None:
    assert b"__ubsan" not in installed.extension.read_bytes()
    installed.build("editable", CFLAGS="-O0 -fsanitize=undefined", LDFLAGS="-fsanitize=undefined")
    assert b"__ubsan" in installed.extension.read_bytes()


def test_editable_install_compiles_again_where_the_extension_is_broken(installed: Tree) -> None:
    installed.extension.write_bytes(b"half a file")
    installed.build("editable")
    assert installed.answer() == 42


def test_editable_installs_at_the_same_time_leave_one_whole_extension(tree: Tree) -> None:
    processes = [tree.start("editable") for _ in range(2)]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    assert tree.answer() == 42
    assert tree.files_of_extension() == [tree.extension, Path(f"{tree.extension}.stamp")]


def test_editable_install_without_a_compiler_keeps_an_extension_of_the_same_source(installed: Tree) -> None:
    assert installed.build("editable", ASYNCDSM_BUILD="native", **NO_COMPILER) == []
    assert installed.answer() == 42


def test_editable_install_without_a_compiler_removes_an_extension_of_another_source(installed: Tree) -> None:
    installed.set_answer(43)
    assert len(installed.build("editable", **NO_COMPILER)) == 1
    assert installed.files_of_extension() == []
    with installed.wheel() as wheel:
        assert NOTE in wheel.namelist()


def test_editable_install_of_the_plain_core_removes_the_extension(installed: Tree) -> None:
    assert len(installed.build("editable", ASYNCDSM_BUILD="pure")) == 1
    assert installed.files_of_extension() == []
