"""The tools that bring and build what is not a Python package: Maven, npm, Go."""

from __future__ import annotations

import subprocess
import sysconfig
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from shutil import which

from tests.brokers.process import BrokerError


def run_tool(
    command: Sequence[str], failure: str, *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> None:
    """Run a tool to its end. Raises BrokerError, which begins with `failure`, with the end of what it printed."""
    done = subprocess.run(
        command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise BrokerError(f"{failure}:\n{done.stdout[-2000:]}")


def copy_jars(pom: Path, folder: Path, properties: Mapping[str, str], failure: str) -> None:
    """Have Maven copy the jars that a pom.xml names into a folder. Raises BrokerError."""
    mvn = _find_debian_program("mvn", "maven")
    find_java()
    defined = [f"-D{name}={value}" for name, value in {**properties, "outputDirectory": folder}.items()]
    goal = "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies"
    run_tool([mvn, "-q", "-B", "-f", str(pom), *defined, goal], failure)


def find_java() -> str:
    """Return the path of Java. Raises BrokerError if there is none."""
    return _find_debian_program("java", "default-jre-headless")


def _find_debian_program(name: str, package: str) -> str:
    program = which(name)
    if program is None:
        raise BrokerError(f"{name} is missing: apt-get install -y --no-install-recommends {package}")
    return program


def find_script(name: str, package: str) -> str:
    """Return the path of a program that a Python package brings. Raises BrokerError if it is not installed."""
    program = Path(sysconfig.get_path("scripts"), name)
    if not program.exists():
        raise BrokerError(f"{name} is missing: install the dependency group `test`, which has {package}")
    return str(program)


def digest_files(files: Iterable[Path], options: Sequence[str] = ()) -> str:
    """Return a name for the contents of files, in the order of their paths, and for the options of a tool."""
    contents = [path.read_bytes() for path in sorted(files)]
    return sha256(b"".join([*contents, *map(str.encode, options)])).hexdigest()[:16]
