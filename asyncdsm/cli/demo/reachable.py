"""Whether a broker that the user named listens, asked before any service is started."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from asyncdsm.errors import AsyncDSMError

PATIENCE_SECONDS = 5.0


class NoBrokerError(AsyncDSMError, RuntimeError):
    """Nothing listens where the user says that a broker is."""


def check_listening(what: str, addresses: str, default_port: int) -> None:
    """Return if something listens at one of these addresses, `HOST:PORT` or URLs with commas between them.

    Raises NoBrokerError with what went wrong at each.
    """
    problems = []
    for address in addresses.split(","):
        parts = urlsplit(address if "://" in address else f"//{address}")
        try:
            where = parts.hostname or "", parts.port or default_port
            with socket.create_connection(where, timeout=PATIENCE_SECONDS):
                return
        except (OSError, ValueError) as error:
            problems.append(f"{parts.netloc.rpartition('@')[2]}: {error}")
    raise NoBrokerError(f"no {what} listens at {'; '.join(problems)}")
