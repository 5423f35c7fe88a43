"""`hatch_build.py`: which wheel is built where a C compiler is, where none is, and from a source distribution.

The core that is compiled here is a small one, in a copy of the tree; `nox -s package` builds the real one.
"""

from __future__ import annotations

import runpy
import sys
import sysconfig
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile

import pytest

from tests.packaging.tree import EXTENSION, NO_COMPILER, NOTE, ROOT, VERSION, Tree

PLAIN_WHEEL = f"asyncdsm-{VERSION}-py3-none-any.whl"


def files_of_core(wheel: ZipFile) -> set[str]:
    """Return what a wheel has of the native core, but for Python's files."""
    core = {name for name in wheel.namelist() if name.startswith("asyncdsm/core/native/")}
    return {name for name in core if not name.endswith((".py", ".pyi"))}


def test_wheel_has_the_core_and_a_tag_of_the_platform_where_it_is_compiled(tree: Tree, tmp_path: Path) -> None:
    assert tree.build("wheel") == []
    with tree.wheel() as wheel:
        assert Path(str(wheel.filename)).name == f"asyncdsm-{VERSION}-{tag_of_this_python()}.whl"
        assert files_of_core(wheel) == {EXTENSION}
        assert NOTE not in wheel.namelist()
        wheel.extractall(tmp_path / "installed")  # noqa: S202
    assert tree.answer(tmp_path / "installed") == 42
    assert not tree.extension.exists()


def tag_of_this_python() -> str:
    """Return the tag of a wheel for this version of Python on this machine."""
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    return f"{python}-{python}-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"ASYNCDSM_BUILD": "pure"}, "ASYNCDSM_BUILD was pure"),
        (NO_COMPILER, "no C compiler was found (gcc)"),
        ({"CC": "no-such-compiler -O2"}, "no C compiler was found (no-such-compiler)"),
        ({"CC": "false"}, "the C compiler failed (false)"),
    ],
    ids=["pure", "no compiler", "no such compiler", "broken compiler"],
)
def test_wheel_fits_every_python_where_nothing_is_compiled(tree: Tree, environ: dict[str, str], why: str) -> None:
    tree.extension.write_bytes(b"left by an editable install")
    said = f"asyncdsm is built without its native core, and will use the plain one: {why}"
    assert tree.build("wheel", **environ) == [said]
    with tree.wheel() as wheel:
        assert Path(str(wheel.filename)).name == PLAIN_WHEEL
        assert files_of_core(wheel) == set()
        assert wheel.read(NOTE).decode() == f"{why}\n"


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        (NO_COMPILER, "no C compiler was found (gcc)"),
        ({"CFLAGS": "-include no-such-file.h"}, "the C compiler failed (gcc)"),
    ],
    ids=["no compiler", "broken source"],
)
def test_build_that_must_be_native_fails_where_nothing_is_compiled(
    tree: Tree, environ: dict[str, str], why: str
) -> None:
    said = f"ASYNCDSM_BUILD is native, but the native core cannot be compiled: {why}"
    assert tree.fail_to_build("wheel", ASYNCDSM_BUILD="native", **environ) == [said]
    assert list(tree.out.iterdir()) == []


def test_unknown_choice_fails_and_says_what_is_allowed(tree: Tree) -> None:
    said = ["ASYNCDSM_BUILD must be one of auto, native, pure, got 'fast'"]
    assert tree.fail_to_build("wheel", ASYNCDSM_BUILD="fast") == said


def test_core_that_cannot_be_translated_is_left_out(tree: Tree) -> None:
    tree.native.joinpath("_native.pyx").write_text("def answer(:\n")
    said = "asyncdsm is built without its native core, and will use the plain one: Cython failed (CompileError)"
    assert tree.build("wheel") == [said]


def test_source_distribution_has_the_sources_of_the_core_and_builds_a_compiled_wheel(
    tree: Tree, tmp_path: Path
) -> None:
    for made in ("_native.c", tree.extension.name, f"{tree.extension.name}.stamp"):
        tree.native.joinpath(made).write_bytes(b"left by another build")
    assert tree.build("sdist") == []
    (packed,) = tree.out.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / f"asyncdsm-{VERSION}"
    native = {path.name for path in unpacked.joinpath("asyncdsm", "core", "native").iterdir()}
    assert {"_native.pyx", "answer.h", "answer.pxi"} <= native
    assert {Path(name).suffix for name in native} <= {".h", ".pxi", ".py", ".pyx"}
    tree.root = unpacked
    assert tree.build("wheel", ASYNCDSM_BUILD="native") == []
    with tree.wheel() as wheel:
        assert files_of_core(wheel) == {EXTENSION}


@pytest.fixture
def hook() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(ROOT / "hatch_build.py")))


def test_free_threaded_python_gets_no_native_core(hook: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    hook.check_choice("native")
    monkeypatch.setitem(sysconfig.get_config_vars(), "Py_GIL_DISABLED", 1)
    with pytest.raises(hook.NoNativeCoreError, match=r"^the Python was free-threaded: the native core relies on"):
        hook.check_choice("native")


def test_missing_header_files_of_python_are_named(
    hook: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_path: Callable[..., str] = sysconfig.get_path
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path) if name == "include" else get_path(name))
    with pytest.raises(hook.NoNativeCoreError) as error:
        hook.compile_extension(tmp_path / "no-source", tmp_path)
    assert str(error.value) == f"the header files of Python were missing ({tmp_path}/Python.h)"


def test_missing_tool_is_named(hook: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a build without isolation, which has the tools that are installed."""
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(hook.NoNativeCoreError, match=r"^cython was not installed$"):
        hook.digest_of_inputs(tmp_path, {})


@pytest.mark.parametrize("command", [" ", "gcc '"])
def test_compiler_that_is_no_command_is_shown(
    hook: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("CC", command)
    with pytest.raises(hook.NoNativeCoreError) as error:
        hook.compile_extension(tmp_path / "no-source", tmp_path)
    assert str(error.value) == f"CC was not a command ({command!r})"
