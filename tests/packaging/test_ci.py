"""CI and releases: the workflows run what `.ci/run` and `nox` run, and a release is checked before it is built."""

from __future__ import annotations

import ast
import os
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))
PYTHONS = [name[-4:] for name in PROJECT["project"]["classifiers"] if re.search(r"Python :: 3\.\d+$", name)]
WORKFLOWS = sorted(ROOT.joinpath(".github", "workflows").glob("*.yml"))
RUNS = runpy.run_path(str(ROOT / ".ci" / "failed_tests.py"))
NOXFILE = ROOT.joinpath("noxfile.py").read_text("utf-8")


def workflow(name: str) -> dict[str, Any]:
    """Return the jobs of a workflow."""
    jobs: dict[str, Any] = yaml.safe_load(ROOT.joinpath(".github", "workflows", name).read_text("utf-8"))["jobs"]
    return jobs


def matrix_of(job: dict[str, Any]) -> dict[str, list[str]]:
    """Return the values that a job runs with."""
    matrix: dict[str, list[str]] = job["strategy"]["matrix"]
    return matrix


def sessions_of_nox() -> list[str]:
    """Return the sessions that plain `nox` runs, but for the tests."""
    (listed,) = [
        node.value
        for node in ast.parse(NOXFILE).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "nox.options.sessions"
    ]
    assert isinstance(listed, ast.List)
    return [each.value for each in listed.elts if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def test_workflow_of_ci_runs_every_session_of_nox() -> None:
    sessions = sessions_of_nox()
    assert "lint" in sessions
    assert matrix_of(workflow("ci.yml")["check"])["session"] == sessions


def test_workflow_of_ci_runs_the_tests_on_every_python() -> None:
    assert PYTHONS[0] == PROJECT["project"]["requires-python"].removeprefix(">=")
    assert matrix_of(workflow("ci.yml")["tests"])["python"] == PYTHONS


def test_script_of_ci_runs_the_tests_on_every_python() -> None:
    script = ROOT.joinpath(".ci", "run").read_text("utf-8")
    others = re.search(r"^for version in (.*); do$", script, re.MULTILINE)
    assert others is not None
    assert [re.search(r"^python(\S+) -m venv", script, re.MULTILINE)[1], *others[1].split()] == PYTHONS  # type: ignore[index]


def test_script_and_workflow_of_ci_install_the_same_packages() -> None:
    runs = [step.get("run") for step in workflow("ci.yml")["tests"]["steps"]]
    assert ".ci/install" in runs
    assert ".ci/install\n" in ROOT.joinpath(".ci", "run").read_text("utf-8")
    packages = ROOT.joinpath(".ci", "packages").read_text("utf-8").split()
    assert packages == sorted(packages)
    assert {"rabbitmq-server", "redis-server"} < set(packages)


def test_script_and_workflow_of_ci_install_nox_with_the_same_tools() -> None:
    """Without uv, nox makes its environments with virtualenv and pip, which takes minutes."""
    (tools,) = re.findall(r"pip install --quiet (.*)", ROOT.joinpath(".ci", "run").read_text("utf-8"))
    assert "nox" in tools.split()
    for job in workflow("ci.yml").values():
        assert f"python -m pip install {tools}" in [step.get("run") for step in job["steps"]]


@pytest.mark.parametrize("ending", ["assert False", "os._exit(1)"])
def test_tests_run_again_only_if_no_process_crashed(ending: str, tmp_path: Path) -> None:
    """What a process that crashed had still to run, nobody runs."""
    tmp_path.joinpath("conftest.py").write_text("from tests.crashes import pytest_testnodedown\n")
    for name in ("first", "second", "third"):
        tmp_path.joinpath(f"test_{name}.py").write_text("def test_passes():\n    pass\n")
    tmp_path.joinpath("test_ends.py").write_text(f"import os\n\ndef test_ends():\n    {ending}\n")
    options = [
        "-p",
        "xdist",
        "-n",
        "2",
        *RUNS["DISTRIBUTION"],
        "-c",
        os.devnull,
        "-o",
        f"cache_dir={tmp_path / 'cache'}",
    ]
    command = [sys.executable, "-m", "pytest", *options, "--rootdir", tmp_path, tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    assert subprocess.run(command, env=environment, timeout=60, check=False).returncode == 1
    assert RUNS["failed_tests"](tmp_path / "cache") == ["test_ends.py::test_ends"] * (ending == "assert False")


def test_packages_of_ci_are_those_that_the_manual_says() -> None:
    packages = ROOT.joinpath(".ci", "packages").read_text("utf-8").split()
    assert " ".join(packages) in ROOT.joinpath("docs", "develop", "tests.md").read_text("utf-8")


@pytest.mark.parametrize("name", [path.name for path in WORKFLOWS])
def test_sessions_that_a_workflow_names_exist(name: str) -> None:
    defined = set(re.findall(r"^def (\w+)\(session", NOXFILE, re.MULTILINE))
    runs = [step.get("run", "") for job in workflow(name).values() for step in job.get("steps", [])]
    assert {found for run in runs for found in re.findall(r"nox --session (\w+)", run)} <= defined


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_action_is_pinned_by_a_commit_and_its_version(path: Path) -> None:
    used = re.findall(r"uses: (?!\./)(.*)", path.read_text("utf-8"))
    assert [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each)] == []


def test_action_has_the_same_commit_everywhere() -> None:
    used = {each for path in WORKFLOWS for each in re.findall(r"uses: ([\w./-]+)@(\w{40})", path.read_text("utf-8"))}
    assert len(used) == len({action for action, _ in used})


def test_publishing_can_read_no_secret_and_write_nothing() -> None:
    text = ROOT.joinpath(".github", "workflows", "release.yml").read_text("utf-8")
    publish = workflow("release.yml")["publish"]
    assert "secrets." not in text
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"]["name"] == "pypi"


def test_release_has_the_plain_wheel_and_compiled_ones_for_every_python() -> None:
    jobs = workflow("release.yml")
    assert jobs["attest"]["needs"] == ["build", "wheels"]
    uploads = [step["with"]["name"] for job in jobs.values() for step in job.get("steps", []) if "if-no" in str(step)]
    assert uploads == ["dist-plain", "dist-${{ matrix.machine }}"]
    cibuildwheel = PROJECT["tool"]["cibuildwheel"]
    assert cibuildwheel["build"] == [f"cp{python.replace('.', '')}-*" for python in PYTHONS]
    assert cibuildwheel["environment"] == {"ASYNCDSM_BUILD": "native"}
    assert cibuildwheel["test-command"].endswith("tests/packaging/installed.py --core native")


def test_group_for_tests_that_build_has_what_a_build_requires() -> None:
    assert PROJECT["dependency-groups"]["build-system"] == PROJECT["build-system"]["requires"]


def test_hooks_of_pre_commit_run_tools_that_lint_installs() -> None:
    text = ROOT.joinpath(".pre-commit-config.yaml").read_text("utf-8")
    hooks = [hook for repository in yaml.safe_load(text)["repos"] for hook in repository["hooks"]]
    tools = {re.search(r"\.nox/lint/bin/([\w-]+)", hook["entry"])[1] for hook in hooks}  # type: ignore[index]
    assert tools == {"ruff", "lint-imports", "zizmor"}
    assert all(f'session.run("{tool}"' in NOXFILE for tool in tools)


@pytest.fixture
def find_problems(tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that checks a tag of a project with one version and one newest release."""
    find = runpy.run_path(str(ROOT / ".ci" / "check_tag.py"))["find_problems"]

    def check(tag: str, *, version: str = "1.2.3", in_code: str = "1.2.3", released: str = "1.2.3") -> list[str]:
        tmp_path.joinpath("asyncdsm").mkdir(exist_ok=True)
        tmp_path.joinpath("pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
        tmp_path.joinpath("asyncdsm", "_version.py").write_text(f'__version__ = "{in_code}"\n')
        tmp_path.joinpath("CHANGELOG.md").write_text(f"## Unreleased\n\n## {released} - 2026-01-02\n\n## 1.0.0\n")
        problems: list[str] = find(tag, tmp_path)
        return problems

    return check


def test_tag_that_agrees_with_version_and_changelog_has_no_problem(find_problems: Callable[..., list[str]]) -> None:
    assert find_problems("v1.2.3") == []


def test_tag_that_disagrees_names_what_is_wrong(find_problems: Callable[..., list[str]]) -> None:
    assert find_problems("v1.2.3", version="1.2.2", in_code="1.2.2") == [
        "pyproject.toml has the version 1.2.2, the tag v1.2.3"
    ]
    assert find_problems("v1.2.3", in_code="1.2.2") == [
        "asyncdsm/_version.py and pyproject.toml have different versions"
    ]
    assert find_problems("v1.2.3", released="1.2.2") == [
        "the newest release in CHANGELOG.md must be `## 1.2.3 - YYYY-MM-DD`"
    ]
    assert find_problems("1.2.3") == ["a tag must look like v1.2.3, got '1.2.3'"]


def test_version_in_the_code_is_that_of_the_project() -> None:
    import asyncdsm

    assert asyncdsm.__version__ == PROJECT["project"]["version"]
