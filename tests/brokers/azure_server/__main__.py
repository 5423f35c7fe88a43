"""`python -m tests.brokers.azure_server 5672 FOLDER`."""

from __future__ import annotations

import sys

from tests.brokers.azure_server.links import AmqpServer
from tests.brokers.azure_server.service_bus import Namespace

port, folder = sys.argv[1:]
namespace = Namespace(folder)
AmqpServer(f"127.0.0.1:{port}", namespace.find, namespace.answer).run()
