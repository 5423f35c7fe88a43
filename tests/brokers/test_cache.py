"""The cache of the tests: a folder in it is whole or not there, whatever happens while it is made."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from tests.brokers.cache import cached
from tests.brokers.process import BrokerError
from tests.brokers.tools import copy_jars, find_java

FILL = """
import sys
from pathlib import Path
from tests.brokers.cache import cached
def make(folder):
    folder.joinpath("begun").touch()
    print("making", flush=True)
    sys.stdin.read()
    folder.joinpath("done").touch()
print(sorted(path.name for path in cached("thing", make).iterdir()))
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have an empty cache. Returns the folder of the tests in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "asyncdsm-tests"


def start_filling() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", FILL], stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True)


def write_file(folder: Path) -> None:
    folder.joinpath("file").touch()


def test_folder_is_made_once(cache: Path) -> None:
    made = list[Path]()
    assert cached("thing", made.append) == cached("thing", made.append) == cache / "thing"
    assert len(made) == 1


def test_two_processes_at_once_make_a_folder_once(cache: Path) -> None:
    with start_filling() as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "making\n"
        with start_filling() as second:
            assert not (cache / "thing").exists()
            assert first.communicate()[0] == second.communicate()[0] == "['begun', 'done']\n"


def test_folder_is_made_anew_after_a_process_was_killed_while_it_made_it(cache: Path) -> None:
    with start_filling() as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "making\n"
        first.kill()
    assert [path.name for path in cached("thing", write_file).iterdir()] == ["file"]
    assert sorted(path.name for path in cache.iterdir()) == ["thing", "thing.lock"]


def test_folder_whose_making_fails_is_not_there(cache: Path) -> None:
    def fail(folder: Path) -> None:
        write_file(folder)
        raise BrokerError("no network")

    with pytest.raises(BrokerError, match="no network"):
        cached("thing", fail)
    assert [path.name for path in cache.iterdir()] == ["thing.lock"]


def test_cache_that_cannot_be_written_is_an_error_that_names_it(cache: Path) -> None:
    cache.touch()
    with pytest.raises(BrokerError, match=f"cannot make {re.escape(str(cache))}/thing: .*XDG_CACHE_HOME may name"):
        cached("thing", write_file)


def test_relative_path_of_the_cache_is_ignored(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(cache))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cached("thing", write_file) == cache / ".cache" / "asyncdsm-tests" / "thing"


@pytest.mark.parametrize(
    ("there", "missing", "package"), [([], "mvn", "maven"), (["mvn"], "java", "default-jre-headless")]
)
def test_missing_tool_is_an_error_that_names_its_package(
    there: list[str], missing: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in there:
        tmp_path.joinpath(name).symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BrokerError, match=f"^{missing} is missing: apt-get install .*{package}$"):
        copy_jars(tmp_path / "pom.xml", tmp_path, {}, "")


def test_missing_java_is_an_error_also_where_its_jars_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(BrokerError, match=r"^java is missing: "):
        find_java()
