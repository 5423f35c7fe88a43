"""Check an installed asyncdsm: `python -I installed.py --core native [integration ...]`, with nothing more installed.

The integrations named are imported, so what they need must be installed. The tests use the functions too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from importlib import import_module
from importlib.metadata import distribution
from importlib.resources import files
from importlib.util import find_spec

PARTS = {
    "Cython",
    "aiokafka",
    "anyio",
    "asyncio",
    "botocore",
    "ddsketch",
    "google.protobuf",
    "hatchling",
    "httpx2",
    "msgspec",
    "setuptools",
    "starlette",
    "trio",
}
"""What a program waits for only when it needs it: `import asyncdsm` loads none of these."""

GROUPS = {"asyncdsm.integrations", "console_scripts", "pytest11"}


def loaded_by(statement: str) -> set[str]:
    """Return the names of the modules that a new interpreter has loaded after this statement."""
    flags = ["-I"] if sys.flags.isolated else []
    command = [sys.executable, *flags, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def inspect_core() -> tuple[str, str | None]:
    """Return which core `doctor` says is in use, and why if it is the plain one."""
    flags = ["-I"] if sys.flags.isolated else []
    command = [sys.executable, *flags, "-m", "asyncdsm", "doctor", "--json"]
    # Its exit code is that of an agent, which is not there.
    core = json.loads(subprocess.run(command, check=False, capture_output=True, text=True).stdout)["core"]
    return core["in_use"], core["reason"]


def faults(core: str, *integrations: str) -> list[str]:
    """Return what is wrong with the asyncdsm installed here, which should use this core: nothing if it is whole."""
    in_use, reason = inspect_core()
    found = [] if in_use == core else [f"the core in use is {in_use}, not {core}: {reason}"]
    if in_use == "plain" and "when asyncdsm was built" not in str(reason):
        found.append(f"the build has not said why it has no native core: {reason}")
    found += [f"import asyncdsm loads {name}" for name in sorted(PARTS & loaded_by("import asyncdsm"))]
    ours = distribution("asyncdsm")
    announced = ours.entry_points
    found += [f"no entry point in the group {group}" for group in sorted(GROUPS - announced.groups)]
    found += [f"no module for the entry point {entry}" for entry in announced if not find_spec(entry.module)]
    if not files("asyncdsm").joinpath("agent", "page", "index.html").is_file():
        found.append("the agent has no page")
    roots = {file.parts[0] for file in ours.files or []}
    found += [f"{name} is installed as well" for name in ("benchmarks", "examples", "tests") if name in roots]
    for package in ["asyncdsm", *integrations]:
        import_module(package)
        if not files(package).joinpath("py.typed").is_file():
            found.append(f"{package} has no py.typed")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--core", choices=["native", "plain"], required=True)
    parser.add_argument("integrations", nargs="*")
    arguments = parser.parse_args()
    sys.exit("\n".join(faults(arguments.core, *arguments.integrations)) or None)
