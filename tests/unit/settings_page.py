"""Write `docs/settings.md` from the declarations in `asyncdsm.settings`: `python -m tests.unit.settings_page`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from asyncdsm.settings import SETTINGS, Setting, Settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

HEAD = """\
# Settings

<!-- Generated: change asyncdsm/settings.py, then run `python -m tests.unit.settings_page`. -->

asyncdsm reads its settings from environment variables when it starts. In code, `asyncdsm.Settings` takes each setting
as a keyword argument:

```python
async with asyncdsm.DataStreams(asyncdsm.Settings(service="shop", max_points=20_000)):
    ...
```

`asyncdsm.Settings.from_environ(os.environ, max_points=20_000)` does both: keyword arguments win over the environment.
`asyncdsm doctor` prints the settings that are in force and where each one comes from.

| setting | type | default | environment variables | meaning |
|---|---|---|---|---|
"""

TAIL = """
Of several variables in a row, the first one that is set wins; an empty variable counts as not set. `DD_TAGS` `env` is
the pair `env:…` in the value of `DD_TAGS`, and `OTEL_RESOURCE_ATTRIBUTES` `service.name` is the pair `service.name=…`
in the value of that variable. Durations are in seconds, as whole numbers or decimals.

## Where payloads are sent to

The first of these that applies:

1. `DD_TRACE_AGENT_URL`, an `http://`, `https://` or `unix://` URL.
2. `DD_AGENT_HOST` and `DD_TRACE_AGENT_PORT`. If only one of them is set, the other is `localhost` or `8126`.
3. `/var/run/datadog/apm.socket`, if it exists: the Unix socket of an Agent on the same host.
4. `DD_API_KEY` and `DD_SITE`, both set: delivery to Datadog without an Agent.
5. `http://localhost:8126`.

## Wrong values

A value that is not allowed raises `asyncdsm.SettingError`, a subclass of `ValueError`. Its message names the setting
or the variable, what is allowed, and the value:

```
DD_DATA_STREAMS_ENABLED must be true or false, got 'maybe'
```

Keys, tokens and passwords are never part of a message. Programs that asyncdsm starts with, without any code of their
own (`asyncdsm run`), are not stopped by a wrong value: the error is logged once, and nothing is measured.
"""


def page() -> str:
    """Return the page as it follows from the declarations."""
    return HEAD + "".join(rows()) + TAIL


def rows() -> Iterator[str]:
    """Yield one row of the table for each setting."""
    for (name, setting), default in zip(SETTINGS.items(), Settings(), strict=True):
        variables = ", ".join(variable_cell(variable) for variable in setting.variables) or "none, only in code"
        yield f"| `{name}` | {type_cell(setting)} | {default_cell(default)} | {variables} | {setting.sentence} |\n"


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
