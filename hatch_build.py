"""Compiles the native core while a wheel is built: hatchling runs this hook, also for an editable install.

The environment variable `ASYNCDSM_BUILD` is one of

- `auto`, the default: compile, or say in one line why that is not possible, and build a wheel without it;
- `native`: compile, or fail;
- `pure`: build a wheel without it.

`CC`, `CFLAGS` and `LDFLAGS` are those of the C compiler. In an editable install the extension module is put beside its
source, and is compiled again only after a change.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.wheel import WheelBuilderConfig

VARIABLE = "ASYNCDSM_BUILD"
CHOICES = ("auto", "native", "pure")
MODULE = "asyncdsm.core.native._native"
FOLDER = "asyncdsm/core/native"
SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))
# Products and sums are rounded one by one, so that a value falls into the same bin on every machine.
# A time that does not fit wraps around, so that no clock and no context makes the program undefined.
FLAGS = ["-O3", "-g0", "-ffp-contract=off", "-fwrapv"]
COMPILER_VARIABLES = ("ARCHFLAGS", "CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "LDSHARED", "MACOSX_DEPLOYMENT_TARGET")
NOTE = "no-native-core.txt"


class NoNativeCoreError(Exception):
    """The native core cannot be, or is not to be compiled. The message says why, in part of a line."""


class NativeCoreHook(BuildHookInterface[WheelBuilderConfig]):
    """Puts the extension module into the wheel or, for an editable install, beside its source."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the extension module before a wheel of this kind (`standard` or `editable`) is put together."""
        self.scratch = TemporaryDirectory(prefix="asyncdsm-build-")
        source, scratch = Path(self.root, FOLDER), Path(self.scratch.name)
        beside_source = source / f"_native{SUFFIX}" if version == "editable" else None
        choice = os.environ.get(VARIABLE, "").strip() or "auto"
        if choice not in CHOICES:
            self.app.abort(f"{VARIABLE} must be one of {', '.join(CHOICES)}, got {choice!r}")
        try:
            check_choice(choice)
            extension = update(beside_source, scratch) if beside_source else compile_extension(source, scratch)
        except NoNativeCoreError as error:
            if choice == "native":
                self.app.abort(f"{VARIABLE} is native, but the native core cannot be compiled: {error}")
            if beside_source:
                remove(beside_source)
            self.app.display_warning(f"asyncdsm is built without its native core, and will use the plain one: {error}")
            scratch.joinpath(NOTE).write_text(f"{error}\n", "utf-8")
            build_data["extra_metadata"][str(scratch / NOTE)] = NOTE  # `asyncdsm doctor` shows it
            return
        build_data |= {"infer_tag": True, "pure_python": False}
        if not beside_source:
            build_data["force_include"][str(extension)] = f"{FOLDER}/{extension.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was needed until the wheel was written."""
        self.scratch.cleanup()


def check_choice(choice: str) -> None:
    """Raise NoNativeCoreError if this Python is to have no native core, whatever the machine can compile."""
    if choice == "pure":
        raise NoNativeCoreError(f"{VARIABLE} was pure")
    if sys.implementation.name != "cpython":
        raise NoNativeCoreError("the Python was not CPython")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise NoNativeCoreError("the Python was free-threaded: the native core relies on the GIL as its only lock")


def update(extension: Path, scratch: Path) -> Path:
    """Compile an extension module again if its source, the tools or their options have changed since.

    Several builds may do that at the same time: the file is replaced in one step, by one that is whole.
    """
    inputs, stamp = digest_of_inputs(extension.parent, os.environ), stamp_of(extension)
    if extension.exists() and stamp.exists() and stamp.read_text() == digest(inputs, extension.read_bytes()):
        return extension
    compiled = compile_extension(extension.parent, scratch)
    stamped = scratch / stamp.name
    stamped.write_text(digest(inputs, compiled.read_bytes()))
    for made, place in ((compiled, extension), (stamped, stamp)):
        beside = place.with_name(f".{os.getpid()}.{place.name}")
        shutil.copy(made, beside)
        beside.replace(place)
    return extension


def compile_extension(source: Path, scratch: Path) -> Path:
    """Return the extension module, compiled into a folder that is empty. Raises NoNativeCoreError."""
    compiler = name_of_compiler(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    if shutil.which(compiler) is None:
        raise NoNativeCoreError(f"no C compiler was found ({compiler})")
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        raise NoNativeCoreError(f"the header files of Python were missing ({header})")
    try:
        translated = translate_to_c(source, scratch)
    except Exception as error:
        raise NoNativeCoreError(f"Cython failed ({type(error).__name__})") from error
    try:
        return run_compiler(translated, scratch)
    except Exception as error:
        raise NoNativeCoreError(f"the C compiler failed ({compiler})") from error


def name_of_compiler(command: str) -> str:
    """Return the program that a command begins with. Raises NoNativeCoreError."""
    try:
        return shlex.split(command)[0]
    except (IndexError, ValueError) as error:
        raise NoNativeCoreError(f"CC was not a command ({command!r})") from error


def translate_to_c(source: Path, scratch: Path) -> list[Any]:
    """Return the extension modules as setuptools compiles them. Raises what Cython raises."""
    from Cython.Build import cythonize  # noqa: PLC0415
    from setuptools import Extension  # noqa: PLC0415

    flags = [*FLAGS, *shlex.split(os.environ.get("CFLAGS", ""))]  # the last one counts
    pyx = str(source / "_native.pyx")
    extension = Extension(MODULE, [pyx], include_dirs=[str(source)], extra_compile_args=flags)
    modules: list[Any] = cythonize([extension], build_dir=str(scratch), quiet=True)
    return modules


def run_compiler(modules: list[Any], scratch: Path) -> Path:
    """Compile an extension module, and return the file. Raises what setuptools raises."""
    from setuptools import Distribution  # noqa: PLC0415
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415

    command = build_ext(Distribution({"ext_modules": modules}))
    command.build_lib = command.build_temp = str(scratch)
    command.ensure_finalized()
    command.run()
    return Path(command.get_ext_fullpath(MODULE))


def digest_of_inputs(source: Path, environ: Mapping[str, str]) -> str:
    """Return a digest of all that the extension module is made of: source, this file, tools, options.

    Raises NoNativeCoreError.
    """
    # Other builds may put an extension module there at this moment.
    files = [Path(__file__), *sorted(path for path in source.iterdir() if path.is_file() and ".so" not in path.name)]
    options = [f"{name}={environ.get(name, '')}" for name in COMPILER_VARIABLES]
    tools = [sys.version, *(f"{tool} {version_of(tool)}" for tool in ("cython", "setuptools"))]
    return digest("\n".join([*tools, *options]), *(path.read_bytes() for path in files))


def version_of(tool: str) -> str:
    """Return the version of a tool. Raises NoNativeCoreError if it is missing, as it may be without build isolation."""
    try:
        return version(tool)
    except PackageNotFoundError as error:
        raise NoNativeCoreError(f"{tool} was not installed") from error


def digest(text: str, *contents: bytes) -> str:
    """Return a digest of a string and the contents of files."""
    return hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in (text.encode(), *contents))).hexdigest()


def stamp_of(extension: Path) -> Path:
    """Return the file that says what an extension module was compiled from."""
    return extension.with_name(f"{extension.name}.stamp")


def remove(extension: Path) -> None:
    """Remove an extension module: it would be used although it is not to be, or not of this source."""
    for path in (extension, stamp_of(extension)):
        path.unlink(missing_ok=True)
