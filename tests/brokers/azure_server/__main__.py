"""`python -m tests.brokers.azure_server servicebus 5672 FOLDER`, or `eventhubs`."""

from __future__ import annotations

import sys

from tests.brokers.azure_server.event_hubs import EventHubs
from tests.brokers.azure_server.links import AmqpServer
from tests.brokers.azure_server.padding import serve_padded
from tests.brokers.azure_server.service_bus import Namespace

service, port, folder = sys.argv[1:]
if service == "eventhubs":
    hubs = EventHubs(folder)
    AmqpServer(f"127.0.0.1:{serve_padded(int(port))}", hubs.find, hubs.answer).run()
else:
    namespace = Namespace(folder)
    AmqpServer(f"127.0.0.1:{port}", namespace.find, namespace.answer).run()
