"""Write `docs/settings.md` from the declarations in `asyncdsm.settings`: `python -m tests.unit.settings_page`."""

from __future__ import annotations

from pathlib import Path

from asyncdsm.settings import SETTINGS, Setting, Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

HEAD = """\
# Settings

<!-- Generated: change asyncdsm/settings.py or this generator, then run `python -m tests.unit.settings_page`. -->

Most programs set two variables: who they are, and where the agent is. Everything else has a default that fits.

```sh
export DD_SERVICE=shop DD_AGENT_HOST=127.0.0.1
asyncdsm run python -c "print('measured as shop')"
```

asyncdsm reads the variables when it starts. `asyncdsm doctor` prints each setting, where it comes from, and which
variable sets it. In code, each setting is a keyword argument; what is not given has its default, whatever the
environment says:

```python
import asyncdsm

async with asyncdsm.DataStreams(asyncdsm.Settings(service="shop", max_points=20_000)):
    ...
```

Both together: keyword arguments win over the environment.

```python
import os

settings = asyncdsm.Settings.from_environ(os.environ, max_points=20_000)
```

<!-- test: python
assert (settings.max_points, settings.agent_url) == (20_000, os.environ["DD_TRACE_AGENT_URL"])
assert asyncdsm.Settings().agent_url.startswith("http://localhost:")
-->
"""

GROUPS = {
    "On or off, and who reports": (
        "enabled",
        "service",
        "env",
        "version",
        "hostname",
        "primary_tag",
        "external_env",
    ),
    "Where payloads are sent to": ("agent_url", "api_key", "agent_token"),
    "OpenTelemetry": (
        "destinations",
        "otlp_endpoint",
        "otlp_protocol",
        "otlp_headers",
        "otlp_compression",
        "otlp_seconds",
        "otlp_certificate",
        "otlp_client_certificate",
        "otlp_client_key",
        "otlp_temporality",
        "resource_attributes",
    ),
    "How often, and how long": ("bucket_seconds", "flush_seconds", "request_seconds", "shutdown_seconds"),
    "Business transactions": ("transaction_extractors",),
    "Names of topics": ("topic_patterns", "redis_without_context"),
    "Limits": ("max_points", "max_outbox_bytes", "max_header_bytes", "max_transaction_bytes"),
}
"""The headings of the page, and the settings below each."""

NOTES = {
    "Names of topics": """
For brokers whose programs put ids into names. In a pattern for [NATS](clients/nats.md#topics), whose parts are between
dots, and for [Redis](clients/redis.md#topics), with colons, `*` is one part of a name and `>` all further ones. For
[MQTT](clients/aiomqtt.md), with slashes, these are `+` and `#`.
""",
    "On or off, and who reports": """
Of several variables, the first one that is set wins; a variable that is empty, or has only spaces, counts as not set.
`DD_TAGS` `env` is the pair `env:…` in the value of `DD_TAGS`, and `OTEL_RESOURCE_ATTRIBUTES` `service.name` is the pair
`service.name=…` in the value of that variable.
""",
    "Where payloads are sent to": """
The first of these that applies:

1. `DD_TRACE_AGENT_URL`, an `http://`, `https://` or `unix://` URL.
2. `DD_AGENT_HOST` and `DD_TRACE_AGENT_PORT`. If only one of them is set, the other is `localhost` or `8126`.
3. `/var/run/datadog/apm.socket`, if it exists: the Unix socket of an agent on the same host.
4. `DD_API_KEY` and `DD_SITE`, both set: delivery to Datadog without an agent.
5. `http://localhost:8126`.

A Datadog Agent must be of version 7.34 or newer.
""",
    "OpenTelemetry": """
Metrics go over OTLP if the extra `otlp` is installed and there is an endpoint: [OpenTelemetry](opentelemetry.md). The
variables are those of OpenTelemetry's specification, and all but the first are read only then. Their words, such as
`delta` and `gzip`, may be in upper case. `OTEL_METRICS_EXPORTER` without `otlp` in it, such as `none`, and
`OTEL_SDK_DISABLED=true` turn OTLP off, unless `ASYNCDSM_DESTINATIONS` is set.
""",
    "How often, and how long": """
Durations are in seconds, as whole numbers or decimals. Shorter buckets are for tests and demos: each is a payload.
""",
    "Business transactions": """
The variable holds a JSON list, as for Datadog's tracers: [Business transactions](transactions.md).
""",
    "Limits": "",
}

TAIL = """
## Wrong values

A value that is not allowed raises `asyncdsm.SettingError`, a subclass of `ValueError`. Its message names the setting
or the variable, what is allowed, and the value. Keys, tokens and passwords are never part of it. A program that has no
code for asyncdsm is not stopped: the error is logged once, and nothing is measured.

```sh
DD_DATA_STREAMS_ENABLED=maybe asyncdsm run python -c "print('goes on')"
```

```text
asyncdsm measures nothing, because a setting is wrong: DD_DATA_STREAMS_ENABLED must be true or false, got …
goes on
```
"""

COLUMNS = """
| environment variable | in code | allowed | default | meaning |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the page as it follows from the declarations. Raises ValueError if a setting is in no group, or in two."""
    grouped = [name for names in GROUPS.values() for name in names]
    if sorted(grouped) != sorted(SETTINGS):
        raise ValueError(f"GROUPS must have each setting once, got {sorted(grouped)}")
    sections = [
        f"\n## {heading}\n{COLUMNS}{''.join(map(row, names))}{NOTES[heading]}" for heading, names in GROUPS.items()
    ]
    return HEAD + "".join(sections) + TAIL


def row(name: str) -> str:
    """Return the row of a setting in the table."""
    setting = SETTINGS[name]
    variables = ", ".join(map(variable_cell, setting.variables)) or "none"
    default = default_cell(getattr(Settings(), name))
    return f"| {variables} | `{name}` | {type_cell(setting)} | {default} | {setting.sentence} |\n"


def type_cell(setting: Setting) -> str:
    """Return which values a setting allows."""
    return setting.kind.allowed + (", or None" if setting.optional else "")


def default_cell(default: object) -> str:
    """Return a default value as code."""
    return f"`{default:_}`" if isinstance(default, int) and not isinstance(default, bool) else f"`{default!r}`"


def variable_cell(variable: str) -> str:
    """Return a variable, or a pair in the value of one, as code."""
    name, _, key = variable.partition(":")
    return f"`{name}` `{key}`" if key else f"`{name}`"


if __name__ == "__main__":
    PAGE.write_text(page())
