"""The types of command-line arguments. Each function raises ArgumentTypeError, which argparse prints in one line."""

from __future__ import annotations

import argparse

LONGEST_KEEP_SECONDS = 366 * 86_400


def parse_url(text: str) -> str:
    """Return the address of an agent, without a slash at its end."""
    from asyncdsm.cli.agent_client import agent_url  # noqa: PLC0415

    try:
        return agent_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def parse_minutes(text: str) -> int:
    """Return a number of minutes, from 1 to 1440."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= 1440):
        raise argparse.ArgumentTypeError(f"must be a whole number of minutes from 1 to 1440, got {text!r}")
    return int(text)


def parse_port(text: str) -> int:
    """Return a port, from 0 to 65535."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"must be a port from 0 to 65535, got {text!r}")
    return int(text)


def parse_duration(text: str) -> int:
    """Return the seconds of a duration such as `36h` or `7d`, from one hour to a year."""
    number, unit = text[:-1], {"h": 3600, "d": 86_400}.get(text[-1:], 0)
    if number.isascii() and number.isdecimal() and len(number) < 6:
        seconds = int(number) * unit
        if 3600 <= seconds <= LONGEST_KEEP_SECONDS:
            return seconds
    raise argparse.ArgumentTypeError(f"must be a duration from 1h to 366d, such as 36h or 7d, got {text!r}")


def parse_seconds(text: str) -> float:
    """Return a number of seconds, above 0 and below 86400."""
    try:
        seconds = float(text) if text.isascii() else 0.0
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise argparse.ArgumentTypeError(f"must be a number of seconds above 0 and below 86400, got {text!r}")
    return seconds
