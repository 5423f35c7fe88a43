"""The command line: defines the subcommands of `asyncdsm`, checks their arguments, and runs the one that is named."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from asyncdsm._internal.environment import read_text
from asyncdsm._version import __version__
from asyncdsm.cli.argument_types import parse_duration, parse_minutes, parse_port, parse_seconds, parse_url

INTERRUPTED = 130
"""The exit code after Ctrl-C, as in a shell: 128 plus the number of the signal."""
UNREAD = 141
"""The exit code if nobody reads the output to its end, as in a shell too."""
TOKEN_VARIABLE = "ASYNCDSM_AGENT_TOKEN"  # noqa: S105  (a name)

_MINUTES = "show what passed in the last MINUTES minutes, with latencies of the last minute (default: %(default)s)"
_RUN_USAGE = "asyncdsm run PROGRAM [ARGUMENT...] | -m MODULE [ARGUMENT...]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code. A wrong argument prints one line to stderr, and the code is 2.

    Ctrl-C ends it without a traceback, also while it imports its modules, and so does a reader that has read enough,
    such as `head`.
    """
    try:
        try:
            return _run_command(arguments)
        finally:
            print(end="", flush=True)  # or else it is written when Python ends, where nothing can be caught
    except BrokenPipeError:
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left has no reader
        return UNREAD
    except KeyboardInterrupt:
        return INTERRUPTED


def _run_command(arguments: Sequence[str] | None) -> int:
    parser = _make_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        return int(options.run(options))
    except ModuleNotFoundError as missing:
        print(
            f"asyncdsm {options.command}: {missing}; install it with: pip install 'asyncdsm[{options.extra}]'",
            file=sys.stderr,
        )
        return 1


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "asyncdsm",
        description="Follow each message through producers and consumers, and see where the time goes.",
        epilog="To see it work, run `asyncdsm demo`. If your map stays empty, `asyncdsm doctor` says why.",
    )
    parser.add_argument("--version", action="version", version=f"asyncdsm {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (summary, add_options) in _COMMANDS.items():
        description = f"{summary[0].upper()}{summary[1:]}."
        add_options(commands.add_parser(name, help=summary, description=description))
    return parser


def _add_agent(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port",
        type=parse_port,
        default=8126,
        help="the port to listen on; 0 for any free port (default: %(default)s)",
    )
    parser.add_argument(
        "--unix-socket",
        metavar="PATH",
        help="also listen on this Unix socket; Datadog's tracers look for /var/run/datadog/apm.socket",
    )
    parser.add_argument(
        "--store",
        metavar="PATH",
        help="the file in which to keep the data, and payloads that wait to be forwarded (default: none; the data is "
        "in memory and lost when the agent stops); or a ClickHouse that many agents share, as "
        "clickhouse://user:password@host:8123/database",
    )
    parser.add_argument(
        "--keep",
        type=parse_duration,
        metavar="DURATION",
        default="7d",
        help="how long to keep the data, such as 36h or 7d (default: %(default)s)",
    )
    parser.add_argument(
        "--forward",
        metavar="URL",
        help="forward each Data Streams payload, unchanged and before it is read, to this Datadog Agent or asyncdsm "
        "agent. Up to 32 MiB wait while it cannot be reached; they survive a restart only with --store",
    )
    parser.add_argument(
        "--token",
        default=read_text(os.environ, TOKEN_VARIABLE) or None,
        help="the token that every client must send, at least 16 characters; required if other machines can connect. "
        f"Default: the environment variable {TOKEN_VARIABLE}, which services use too. A browser asks for the token, or "
        "open /?token=TOKEN once. Datadog's tracers send it as a password: "
        "DD_TRACE_AGENT_URL=http://agent:TOKEN@HOST:PORT",
    )
    parser.add_argument(
        "--rules",
        metavar="FILE",
        help="evaluate the rules of alerts in this file, show on the map which are broken, and tell webhooks; the file "
        "is read again when it changes, and at SIGHUP",
    )
    parser.add_argument(
        "--page-rules",
        metavar="FILE",
        help="keep the rules that are written on the page in this file (default: the file of --store with .rules.toml "
        "after its name; in memory without such a file)",
    )
    parser.set_defaults(run=_run_agent, extra="agent")


def _add_map(parser: argparse.ArgumentParser) -> None:
    _add_agent_options(parser)
    parser.add_argument(
        "--format",
        choices=("text", "dot", "mermaid", "json", "svg"),
        default="text",
        help="the format to print (default: %(default)s)",
    )
    related = parser.add_mutually_exclusive_group()
    for direction, what in (("downstream", "get messages from"), ("upstream", "send messages to")):
        related.add_argument(
            f"--{direction}",
            metavar="NAME",
            help=f"instead of the map, print all services and queues that {what} this one, as text or json. NAME is "
            "the name or id of a service or a queue, or service:NAME or queue:NAME",
        )
    related.add_argument(
        "--versions",
        metavar="SERVICE",
        help="instead of the map, print the numbers of each version of this service that reported, side by side, as "
        "text or json: which one is slower",
    )
    parser.add_argument(
        "--env",
        metavar="ENV",
        help="which one is meant by the name that --downstream, --upstream or --versions has: the service of this "
        "environment, or the queue at which its services are",
    )
    parser.set_defaults(run=_print_map, extra="agent")


def _add_top(parser: argparse.ArgumentParser) -> None:
    _add_agent_options(parser)
    parser.set_defaults(run=_run_top, extra="agent")


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rules", metavar="FILE", required=True, help="the file with the rules of alerts")
    _add_agent_options(parser, "latencies over the last MINUTES minutes count (default: %(default)s)")
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="what to print (default: %(default)s)"
    )
    parser.epilog = (
        "The exit code is 0 if all rules are kept, 1 if one is broken, and 2 if that cannot be told: the file has "
        "errors, the agent does not answer, or a value is unknown."
    )
    parser.set_defaults(run=_check_rules, extra="agent")


def _add_transaction(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "id", nargs="?", help="the id, such as an order's number (default: list the latest and the late)"
    )
    _add_address_options(parser)
    parser.set_defaults(run=_print_transaction, extra="agent")


def _add_agent_options(parser: argparse.ArgumentParser, minutes: str = _MINUTES) -> None:
    _add_address_options(parser)
    parser.add_argument(
        "--minutes",
        type=parse_minutes,
        default=10,
        help=minutes,
    )


def _add_address_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        type=parse_url,
        default=_agent_url(os.environ),
        help="the address of the agent (default: that of DD_TRACE_AGENT_URL if it is set, else http://127.0.0.1:8126)",
    )
    parser.add_argument(
        "--token",
        default=read_text(os.environ, TOKEN_VARIABLE) or None,
        help=f"the token of the agent (default: the environment variable {TOKEN_VARIABLE})",
    )


def _agent_url(environ: Mapping[str, str]) -> str:
    """Return where services look for the agent, if that is an HTTP URL: a map cannot be read from a Unix socket."""
    url = read_text(environ, "DD_TRACE_AGENT_URL").strip()
    return url if url.lower().startswith(("http://", "https://")) else "http://127.0.0.1:8126"


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.usage = _RUN_USAGE
    parser.epilog = "Such as: asyncdsm run uvicorn shop:app; asyncdsm run python shop.py; asyncdsm run -m shop"
    parser.add_argument(
        "-m", dest="module", nargs=argparse.REMAINDER, help="run this module with its arguments, as `python -m` does"
    )
    parser.add_argument("program", nargs=argparse.REMAINDER, help="the program to run, and its arguments")
    parser.set_defaults(run=_run_program, extra="all")


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=_run_doctor, extra="all")


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bootstrap-servers", metavar="HOST:PORT", help="use this Kafka (default: a Kafka that is built in)"
    )
    parser.add_argument(
        "--rabbitmq",
        metavar="URL",
        help="use this RabbitMQ for the second queue, or `off` to use Kafka for both (default: start the installed "
        "RabbitMQ; Kafka if there is none)",
    )
    parser.add_argument(
        "--aws", metavar="URL", help="add a fourth service on SNS and SQS, at this endpoint of AWS or an emulator"
    )
    parser.add_argument("--seconds", type=parse_seconds, help="stop after this many seconds (default: at Ctrl-C)")
    parser.add_argument("--json", action="store_true", help="print the map as JSON at the end, instead of a table")
    parser.set_defaults(run=_run_demo, extra="demo")


_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "agent": ("start a local agent, which collects what services send and draws a map", _add_agent),
    "map": ("print the map of a local agent once", _add_map),
    "top": ("show the map of a local agent in the terminal, live, until Ctrl-C", _add_top),
    "transaction": ("print where a business transaction is, such as an order", _add_transaction),
    "check": ("evaluate rules of alerts once, for cron and CI", _add_check),
    "run": ("run a program, instrument its clients and measure its messages, without changing its code", _add_run),
    "doctor": ("check the installed clients, the settings and the connection to the agent", _add_doctor),
    "demo": ("start a demo: three services, two queues, and one slow step to find", _add_demo),
}


def _run_agent(options: argparse.Namespace) -> int:
    from pathlib import Path  # noqa: PLC0415

    from asyncdsm.agent.http.program import Options, run_agent  # noqa: PLC0415  (the extra may not be installed)
    from asyncdsm.agent.store.clickhouse.address import is_address, parse_address  # noqa: PLC0415
    from asyncdsm.errors import OptionError  # noqa: PLC0415

    try:
        named = options.store or ""
        store = parse_address(named, os.environ) if is_address(named) else Path(named) if named else None
    except OptionError as error:
        print(f"asyncdsm agent: {error}", file=sys.stderr)
        return 1
    unix_socket = Path(options.unix_socket) if options.unix_socket else None
    rules = Path(options.rules) if options.rules else None
    beside = f"{store}.rules.toml" if isinstance(store, Path) else ""
    page_rules = options.page_rules or beside
    given = Options(
        options.host,
        options.port,
        store,
        options.keep,
        options.forward,
        options.token,
        unix_socket,
        rules,
        Path(page_rules) if page_rules else None,
    )
    return run_agent(given, live=sys.stdout.isatty())


def _run_demo(options: argparse.Namespace) -> int:
    from asyncdsm.cli.demo.run import Brokers, run_demo  # noqa: PLC0415

    brokers = Brokers(options.bootstrap_servers, options.rabbitmq, options.aws)
    return run_demo(brokers, options.seconds, as_json=options.json)


def _print_map(options: argparse.Namespace) -> int:
    from asyncdsm.cli.map import ASKED, Question, print_map  # noqa: PLC0415

    questions = [Question(asked, name, options.env) for asked in ASKED if (name := getattr(options, asked)) is not None]
    if questions and options.format not in {"text", "json"}:
        print(f"asyncdsm map: --{questions[0].asked} prints text or json, not {options.format}", file=sys.stderr)
        return 2
    if not questions and options.env is not None:
        print("asyncdsm map: --env needs --downstream, --upstream or --versions", file=sys.stderr)
        return 2
    return print_map(options.url, options.token, options.minutes, options.format, *questions)


def _check_rules(options: argparse.Namespace) -> int:
    from pathlib import Path  # noqa: PLC0415

    from asyncdsm.cli.check import check_rules  # noqa: PLC0415

    return check_rules(
        Path(options.rules), options.url, options.token, options.minutes, as_json=options.format == "json"
    )


def _run_top(options: argparse.Namespace) -> int:
    from asyncdsm.cli.top import run_top  # noqa: PLC0415

    return run_top(options.url, options.token, options.minutes)


def _print_transaction(options: argparse.Namespace) -> int:
    from asyncdsm.cli.transaction import print_transaction  # noqa: PLC0415

    return print_transaction(options.url, options.token, options.id)


def _run_program(options: argparse.Namespace) -> int:
    from asyncdsm.cli.run.launch import ProgramError, bootstrap_environ, launch, module_command  # noqa: PLC0415
    from asyncdsm.errors import SettingError  # noqa: PLC0415
    from asyncdsm.settings import Settings  # noqa: PLC0415

    program = options.program[1:] if options.program[:1] == ["--"] else options.program
    command = module_command(options.module) if options.module else program
    if options.module == [] or not command:
        print(f"usage: {_RUN_USAGE}\nasyncdsm run: name a program, or a module after -m", file=sys.stderr)
        return 2
    try:
        enabled = Settings.from_environ(os.environ).enabled
    except SettingError as error:  # a wrong setting must not stop the program
        print(f"asyncdsm measures nothing, because a setting is wrong: {error}", file=sys.stderr)
        enabled = False
    try:
        launch(command, bootstrap_environ(os.environ) if enabled else os.environ)
    except (ProgramError, OSError) as error:
        print(f"asyncdsm run: {error}", file=sys.stderr)
        return 2


def _run_doctor(options: argparse.Namespace) -> int:
    from asyncdsm.cli.doctor import run_doctor  # noqa: PLC0415

    return run_doctor(os.environ, as_json=options.json)
