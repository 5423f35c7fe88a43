"""A copy of what goes into a distribution, with a small core, to build from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
EXTENSION = f"asyncdsm/core/native/_native{sysconfig.get_config_var('EXT_SUFFIX')}"
VERSION = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]["version"]
NOTE = f"asyncdsm-{VERSION}.dist-info/extra_metadata/no-native-core.txt"
SOURCE = 'include "answer.pxi"\n'
INCLUDED = """
cdef extern from "answer.h":
    int ANSWER

def answer():
    return ANSWER
"""
NO_COMPILER = {"PATH": os.devnull}


class Tree:
    """A copy of what goes into a distribution, with a small core, and what is built of it."""

    def __init__(self, folder: Path) -> None:
        self.root, self.out = folder / "tree", folder / "out"
        self.native = self.root / "asyncdsm" / "core" / "native"
        self.extension = self.root / EXTENSION
        ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.stamp")
        for name in ("asyncdsm", "integrations"):
            shutil.copytree(ROOT / name, self.root / name, ignore=ignored)
        for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"):
            shutil.copy(ROOT / name, self.root)
        self.native.mkdir(exist_ok=True)
        for old in self.native.iterdir():
            if old.suffix != ".py":
                old.unlink()
        self.native.joinpath("_native.pyx").write_text(SOURCE)
        self.native.joinpath("answer.pxi").write_text(INCLUDED)
        self.set_answer(42)
        self.out.mkdir()

    def set_answer(self, number: int) -> None:
        """Change a header of the core."""
        self.native.joinpath("answer.h").write_text(f"enum {{ ANSWER = {number} }};\n")

    def start(self, kind: str, **environ: str) -> subprocess.Popen[str]:
        """Begin a build as pip does, with these environment variables."""
        code = f"from hatchling.build import build_{kind} as build; build({str(self.out)!r})"
        unset = {"ASYNCDSM_BUILD", "CC", "CFLAGS", "LDFLAGS", "PYTHONPATH"}
        inherited = {name: value for name, value in os.environ.items() if name not in unset} | {"CFLAGS": "-O0"}
        return subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=self.root,
            env={**inherited, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def build(self, kind: str, **environ: str) -> list[str]:
        """Build, and return the lines that say how the native core fared."""
        return self._finish(self.start(kind, **environ), succeeds=True)

    def fail_to_build(self, kind: str, **environ: str) -> list[str]:
        """Return these lines of a build that must fail."""
        return self._finish(self.start(kind, **environ), succeeds=False)

    def _finish(self, process: subprocess.Popen[str], *, succeeds: bool) -> list[str]:
        _, errors = process.communicate()
        assert (process.returncode == 0) == succeeds, errors
        return [line for line in errors.splitlines() if "native core" in line or "ASYNCDSM_BUILD" in line]

    def files_of_extension(self) -> list[Path]:
        """Return what an editable install has put beside the source, in order."""
        return sorted(path for path in self.native.iterdir() if ".so" in path.name)

    def answer(self, folder: Path | None = None) -> int:
        """Load the extension module in a new interpreter, and return what it answers."""
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); import asyncdsm.core.native._native as n; print(n.answer())"
        )
        command = [sys.executable, "-I", "-c", code, str(folder or self.root)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def wheel(self) -> ZipFile:
        """Return the one wheel that has been built."""
        (path,) = self.out.glob("*.whl")
        return ZipFile(path)
