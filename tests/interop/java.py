"""The Java relay: dd-java-agent with kafka-clients, RabbitMQ's client and the AWS SDK. It needs a JRE and Maven."""

from __future__ import annotations

import subprocess
from functools import partial
from hashlib import sha256
from pathlib import Path
from shutil import which

from tests.brokers.cache import cached
from tests.brokers.process import BrokerError
from tests.interop.done import report_end
from tests.interop.relay import Relay

HERE = Path(__file__).parent / "java_relay"
TRACER = "1.68.0"
OPTIONS = ["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-PrintWarnings"]
QUIET = {
    "datadog.slf4j.simpleLogger.defaultLogLevel": "off",
    **dict.fromkeys(
        (
            "dd.appsec.enabled",
            "dd.crashtracking.enabled",
            "dd.instrumentation.telemetry.enabled",
            "dd.jmxfetch.enabled",
            "dd.profiling.enabled",
            "dd.remote_config.enabled",
            "dd.trace.health.metrics.enabled",
            "dd.trace.startup.logs",
        ),
        "false",
    ),
}
"""The tracer writes no logs, and sends nothing but traces and Data Streams, to the agent that it is given."""


def install_java(tracer: str = TRACER) -> list[str]:
    """Copy the jars and compile the relay, each the first time; return the command."""
    jars = cached(f"java-jars-{tracer}-{_digest('pom.xml')}", partial(_copy_jars, tracer))
    sources = sorted(path.name for path in HERE.glob("*.java"))
    classes = cached(f"java-relay-{_digest('pom.xml', *sources)}", partial(_compile, jars))
    (agent,) = jars.glob("dd-java-agent-*.jar")
    quiet = [f"-D{name}={value}" for name, value in QUIET.items()]
    java = ["java", *OPTIONS, f"-javaagent:{agent}", *quiet, "-cp", f"{classes}:{jars}/*", "Relay"]
    return report_end(java)


def _digest(*names: str) -> str:
    return sha256(b"".join((HERE / name).read_bytes() for name in names)).hexdigest()[:12]


def _copy_jars(tracer: str, jars: Path) -> None:
    for program in ("java", "mvn"):
        if which(program) is None:
            raise BrokerError(f"{program} is missing: apt-get install -y default-jre-headless maven")
    goal = "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies"
    properties = [f"-Dtracer={tracer}", f"-DoutputDirectory={jars}"]
    _make(["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), *properties, goal])


def _compile(jars: Path, classes: Path) -> None:
    """Compile with Eclipse's compiler, which is a jar: a JRE has none."""
    (compiler,) = jars.glob("ecj-*.jar")
    path = ":".join(map(str, jars.glob("*.jar")))
    _make(["java", "-jar", str(compiler), "-17", "-cp", path, "-d", str(classes), *map(str, HERE.glob("*.java"))])


def _make(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise BrokerError(f"{command[0]} failed:\n{done.stdout[-2000:]}")


RELAY = Relay(language="java", brokers=frozenset({"kafka", "rabbitmq", "sqs"}), install=install_java)
