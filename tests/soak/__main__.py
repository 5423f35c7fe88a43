"""`python -m tests.soak [--minutes 60] [--rate 10]`: exit code 0 if all is well, 1 with what is wrong."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic

from tests.brokers.apache_kafka import apache_kafka
from tests.brokers.ministack import ministack
from tests.brokers.rabbitmq import rabbitmq
from tests.intake import running_intake
from tests.soak.verdict import Sample, Showing, faults, growth

ROOT = Path(__file__).parents[2]
SAMPLE_SECONDS = 5.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def main() -> int:
    """Soak for as long as the arguments say."""
    parser = argparse.ArgumentParser("python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long orders are sent (default: %(default)s)")
    parser.add_argument("--rate", type=float, default=10.0, help="orders a second, of 12 checkpoints (default: 10)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # brokers and program end first
    showing = run(options.minutes * 60, options.rate)
    wrong = list(faults(showing))
    print(
        f"{showing.orders} orders, {showing.mails} mails; {showing.made} checkpoints made, {dict(showing.counters)}, "
        f"{showing.counted} counted by the agent; resident size {growth(showing.samples):+.2%} over the second half, "
        f"{showing.samples[-1][1] / 1e6:.1f} MB at the end"
    )
    print("\n".join(f"WRONG: {fault}" for fault in wrong) or "All is well.")
    return 1 if wrong else 0


def run(seconds: float, rate: float) -> Showing:
    """Run the program on brokers of its own, watched from outside."""
    with apache_kafka() as kafka, rabbitmq() as broker, ministack() as aws, running_intake() as intake:
        environ = {
            "DD_SERVICE": "soak",
            "DD_TRACE_AGENT_URL": intake.url,
            "SOAK_KAFKA": kafka.bootstrap,
            "SOAK_TOPIC": kafka.topic(prefix="orders"),
            "SOAK_BOOKINGS": kafka.topic(prefix="bookings"),
            "SOAK_AMQP": broker.url,
            "SOAK_AWS": aws.endpoint,
            "SOAK_QUEUE": aws.queue(),
            "PYTHONPATH": str(ROOT / "integrations"),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.program", str(seconds), str(rate)],
            cwd=ROOT,
            env={**os.environ, **environ},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            samples = watched(process)
            out, _ = process.communicate()
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise SystemExit(f"the program ended with exit code {process.returncode}")
        told = json.loads(out)
        if told["ends"]:
            raise SystemExit(f"a stage of the program ended: {told['ends']}")
        return Showing(samples, told["made"], told["orders"], told["mails"], told["accounts"], intake.counted())


def watched(process: subprocess.Popen[str]) -> list[Sample]:
    """Look at the process's resident size until it ends."""
    samples, start, said = list[Sample](), monotonic(), 0.0
    while process.poll() is None:
        at = monotonic() - start
        samples.append((at, resident(process.pid)))
        if at - said >= 60:
            said = at
            print(f"{at / 60:5.1f} min  {samples[-1][1] / 1e6:7.1f} MB", flush=True)
        try:
            process.wait(SAMPLE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    return samples[:-1]  # the last may be of its end


def resident(pid: int) -> int:
    """Return the resident size of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


if __name__ == "__main__":
    sys.exit(main())
