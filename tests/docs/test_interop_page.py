"""The page about other tracers names the versions of them that are run."""

from __future__ import annotations

import json
from pathlib import Path

from tests.agent.recordings import read_recordings

ROOT = Path(__file__).parents[2]
PAGE = ROOT.joinpath("docs/interop.md").read_text("utf-8")


def test_page_names_the_version_of_every_tracer_in_the_corpus() -> None:
    for recording in read_recordings().values():
        assert f" {recording.tracer.removeprefix('v').partition('~')[0]}" in PAGE


def test_page_names_the_version_of_every_javascript_client() -> None:
    package = json.loads(ROOT.joinpath("tests/interop/javascript_relay/package.json").read_text("utf-8"))
    names = {"dd-trace": "dd-trace-js"}
    for name, version in package["dependencies"].items():
        assert f"{names.get(name, name)} {version}" in PAGE
