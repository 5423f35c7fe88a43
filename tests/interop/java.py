"""The Java relay: dd-java-agent with kafka-clients, RabbitMQ's client and the AWS SDK. It needs a JRE and Maven."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.brokers.cache import cached
from tests.brokers.tools import copy_jars, digest_files, find_java, run_tool
from tests.interop.done import report_end
from tests.interop.relay import Relay

HERE = Path(__file__).parent / "java_relay"
POM = HERE / "pom.xml"
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
    jars = cached(f"java-jars-{tracer}-{digest_files([POM])}", partial(_copy_jars, tracer))
    classes = cached(f"java-relay-{digest_files([POM, *HERE.glob('*.java')])}", partial(_compile, jars))
    (agent,) = jars.glob("dd-java-agent-*.jar")
    quiet = [f"-D{name}={value}" for name, value in QUIET.items()]
    java = [find_java(), *OPTIONS, f"-javaagent:{agent}", *quiet, "-cp", f"{classes}:{jars}/*", "Relay"]
    return report_end(java)


def _copy_jars(tracer: str, jars: Path) -> None:
    copy_jars(POM, jars, {"tracer": tracer}, "Maven cannot copy the jars of the Java relay")


def _compile(jars: Path, classes: Path) -> None:
    """Compile with Eclipse's compiler, which is a jar: a JRE has none."""
    (compiler,) = jars.glob("ecj-*.jar")
    path = ":".join(map(str, jars.glob("*.jar")))
    java = [find_java(), "-jar", str(compiler), "-17", "-cp", path, "-d", str(classes), *map(str, HERE.glob("*.java"))]
    run_tool(java, "Java cannot compile the Java relay")


RELAY = Relay(language="java", brokers=frozenset({"kafka", "rabbitmq", "sqs"}), install=install_java)
