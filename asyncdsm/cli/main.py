"""`asyncdsm`, `python -m asyncdsm`: run a program, the local agent, the demo, and what is installed."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from asyncdsm._version import __version__

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it: 128 and the signal's number."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code. A wrong argument is one line on stderr and code 2.

    Ctrl-C ends it without a traceback, also while it imports what it needs.
    """
    try:
        return _run_command(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run_command(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except ModuleNotFoundError as missing:
        print(f"asyncdsm {options.command}: {missing}; pip install 'asyncdsm[{options.extra}]'", file=sys.stderr)
        return 1


_USAGE = "PROGRAM [ARGUMENT...] | -m MODULE [ARGUMENT...]"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("asyncdsm", description="Follow every message, and see where the time goes.")
    parser.add_argument("--version", action="version", version=f"asyncdsm {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    agent = commands.add_parser("agent", help="take what tracers send to a Datadog Agent, and show it")
    agent.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: %(default)s)")
    agent.add_argument("--port", type=_port, default=8126, help="default: %(default)s; 0 takes a free one")
    agent.add_argument(
        "--unix-socket", metavar="PATH", help="listen here, too; tracers look for /var/run/datadog/apm.socket"
    )
    agent.add_argument(
        "--store",
        metavar="PATH",
        help="keep it, and what waits to be forwarded, in this file (default: in memory, while it runs)",
    )
    agent.add_argument("--keep", type=_days, default="7d", help="for how long, as in 36h or 7d (default: %(default)s)")
    agent.add_argument(
        "--forward",
        metavar="URL",
        help="pass each Data Streams payload on, unchanged and before anything else, to a Datadog Agent or another "
        "asyncdsm agent; up to 32 MiB wait while it is away, and survive a restart only with --store",
    )
    agent.add_argument(
        "--token",
        default=os.environ.get("ASYNCDSM_AGENT_TOKEN") or None,
        help="what everybody has to show, 16 characters or more; needed where --host is beyond this machine. "
        "Default: ASYNCDSM_AGENT_TOKEN, which services read too. A browser is asked for it (or open /?token=TOKEN "
        "once); tracers of Datadog get it as a password: DD_TRACE_AGENT_URL=http://agent:TOKEN@HOST:PORT",
    )
    agent.set_defaults(run=_agent, extra="agent")

    map_ = commands.add_parser("map", help="print the map that an agent has, once")
    _asks_an_agent(map_)
    map_.add_argument(
        "--format", choices=("text", "dot", "mermaid", "json", "svg"), default="text", help="default: %(default)s"
    )
    map_.set_defaults(run=_map, extra="agent")

    top = commands.add_parser("top", help="show the map that an agent has, live, until Ctrl-C")
    _asks_an_agent(top)
    top.set_defaults(run=_top, extra="agent")

    run = commands.add_parser("run", help="run a program with all its clients followed", usage="asyncdsm run " + _USAGE)
    run.add_argument("-m", dest="module", nargs=argparse.REMAINDER, help="run a module, as `python -m` does")
    run.add_argument("program", nargs=argparse.REMAINDER, help="the program, and its own arguments")
    run.set_defaults(run=_run, extra="all")

    doctor = commands.add_parser("doctor", help="say what is installed, what is set, and whether the agent answers")
    doctor.add_argument("--json", action="store_true", help="say it as JSON")
    doctor.set_defaults(run=_doctor, extra="all")

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


def _asks_an_agent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", type=_url, default="http://127.0.0.1:8126", help="default: %(default)s")
    parser.add_argument(
        "--minutes",
        type=_minutes,
        default=10,
        help="show the hops of so many minutes, as they are in the last one (default: %(default)s)",
    )
    parser.add_argument("--token", default=os.environ.get("ASYNCDSM_AGENT_TOKEN"), help="or ASYNCDSM_AGENT_TOKEN")


def _agent(options: argparse.Namespace) -> int:
    from pathlib import Path  # noqa: PLC0415

    from asyncdsm.agent.http.program import Options, run_agent  # noqa: PLC0415  (the extra may not be installed)

    path = Path(options.store) if options.store else None
    unix_socket = Path(options.unix_socket) if options.unix_socket else None
    given = Options(options.host, options.port, path, options.keep, options.forward, options.token, unix_socket)
    return run_agent(given, live=sys.stdout.isatty())


def _demo(options: argparse.Namespace) -> int:
    from asyncdsm.cli.demo.run import Brokers, run_demo  # noqa: PLC0415

    brokers = Brokers(options.bootstrap_servers, options.rabbitmq, options.aws)
    return run_demo(brokers, options.seconds, as_json=options.json)


def _map(options: argparse.Namespace) -> int:
    from asyncdsm.cli.map import print_map  # noqa: PLC0415

    return print_map(options.url, options.token, options.minutes, options.format)


def _top(options: argparse.Namespace) -> int:
    from asyncdsm.cli.top import run_top  # noqa: PLC0415

    return run_top(options.url, options.token, options.minutes)


def _run(options: argparse.Namespace) -> int:
    from asyncdsm.cli.run.launch import ProgramError, environment, launch, module  # noqa: PLC0415
    from asyncdsm.errors import SettingError  # noqa: PLC0415
    from asyncdsm.settings import Settings  # noqa: PLC0415

    program = options.program[1:] if options.program[:1] == ["--"] else options.program
    command = module(options.module) if options.module else program
    if options.module == [] or not command:
        print(f"usage: asyncdsm run {_USAGE}", file=sys.stderr)
        return 2
    try:
        enabled = Settings.from_environ(os.environ).enabled
    except SettingError as error:  # the program is not to be stopped by it
        print(f"asyncdsm run: nothing is measured, because a setting is wrong: {error}", file=sys.stderr)
        enabled = False
    try:
        launch(command, environment(os.environ) if enabled else os.environ)
    except (ProgramError, OSError) as error:
        print(f"asyncdsm run: {error}", file=sys.stderr)
        return 2


def _doctor(options: argparse.Namespace) -> int:
    from asyncdsm.cli.doctor import examine  # noqa: PLC0415

    return examine(os.environ, as_json=options.json)


def _url(text: str) -> str:
    from asyncdsm.cli.agent_client import agent_url  # noqa: PLC0415

    try:
        return agent_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _minutes(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= 1440):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of minutes from 1 to 1440")
    return int(text)


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def _days(text: str) -> int:
    number, unit = text[:-1], {"h": 3600, "d": 86_400}.get(text[-1:], 0)
    if not (number.isascii() and number.isdecimal() and len(number) < 6 and 3600 <= int(number) * unit <= 366 * 86_400):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 36h or 7d, a year at most")
    return int(number) * unit


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds
