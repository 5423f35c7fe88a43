"""ministack: an AWS whose SNS delivers Binary attributes raw, and whose batches report entries that failed.

Wrong: `publish_batch` empties a Binary attribute, and so does a notification that is not raw; more than ten attributes
are taken; a record's time of arrival has whole seconds. For SNS that is not raw there is moto.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.brokers.aws import Aws
from tests.brokers.process import serving

ENVIRON = {
    "BIND_HOST": "127.0.0.1",
    "SERVICES": "sqs,sns,kinesis,events",
    "IOT_MTLS_ENABLED": "0",
    "SFTP_ENABLED": "0",
}


@contextmanager
def ministack() -> Iterator[Aws]:
    """Run ministack for as long as the block lasts."""

    def command(port: int) -> list[str]:
        return ["env", f"GATEWAY_PORT={port}", sys.executable, "-m", "ministack"]

    with serving(command, ENVIRON) as port:
        yield Aws(f"http://127.0.0.1:{port}")
