"""Check an installed asyncdsm: `python -I installed.py [integration ...]`, where nothing more is installed.

The integrations named are imported, so what they need must be installed. The tests use the functions too.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.metadata import distribution
from importlib.resources import files
from importlib.util import find_spec

PARTS = {
    "aiokafka",
    "anyio",
    "asyncio",
    "botocore",
    "ddsketch",
    "google.protobuf",
    "httpx2",
    "msgspec",
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


def faults(*integrations: str) -> list[str]:
    """Return what is wrong with the asyncdsm installed here: nothing if it is whole."""
    found = [f"import asyncdsm loads {name}" for name in sorted(PARTS & loaded_by("import asyncdsm"))]
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
    sys.exit("\n".join(faults(*sys.argv[1:])) or None)
