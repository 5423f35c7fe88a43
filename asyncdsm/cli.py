"""`asyncdsm`, `python -m asyncdsm`: the local agent and the demo."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from asyncdsm._version import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code. A wrong argument is one line on stderr and code 2."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        return int(options.run(options))
    except ModuleNotFoundError as missing:
        print(f"asyncdsm {options.command}: {missing}; pip install 'asyncdsm[{options.extra}]'", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("asyncdsm", description="Follow every message, and see where the time goes.")
    parser.add_argument("--version", action="version", version=f"asyncdsm {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    agent = commands.add_parser("agent", help="take what tracers send to a Datadog Agent, and show it")
    agent.add_argument("--host", default="127.0.0.1", help="a loopback address (default: %(default)s)")
    agent.add_argument("--port", type=_port, default=8126, help="default: %(default)s; 0 takes a free one")
    agent.set_defaults(run=_agent, extra="agent")

    demo = commands.add_parser("demo", help="three services, two queues, something slow to find")
    demo.add_argument("--bootstrap-servers", metavar="HOST:PORT", help="a Kafka of your own instead of a built-in one")
    demo.add_argument(
        "--rabbitmq",
        metavar="URL",
        help="a RabbitMQ for the second queue instead of the installed one, if there is one; off: Kafka for both",
    )
    demo.add_argument(
        "--aws",
        metavar="URL",
        help="the endpoint of an AWS, or of what stands in for one: a fourth service on SNS and SQS",
    )
    demo.add_argument("--seconds", type=_seconds, help="stop after so long (default: at Ctrl-C)")
    demo.add_argument("--json", action="store_true", help="end with the map as JSON instead of the table")
    demo.set_defaults(run=_demo, extra="demo")
    return parser


def _agent(options: argparse.Namespace) -> int:
    from asyncdsm.agent.serve import run_agent  # noqa: PLC0415  (the extra may not be installed)

    return run_agent(options.host, options.port, live=sys.stdout.isatty())


def _demo(options: argparse.Namespace) -> int:
    from asyncdsm.demo.run import Brokers, run_demo  # noqa: PLC0415

    brokers = Brokers(options.bootstrap_servers, options.rabbitmq, options.aws)
    return run_demo(brokers, options.seconds, as_json=options.json)


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
