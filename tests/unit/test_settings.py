"""Settings: the environment of protocol §8, and one clear error for each wrong value."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from asyncdsm import SettingError, Settings
from asyncdsm.settings import SETTINGS, sources
from tests.unit import settings_page


def read(**environ: str) -> Settings:
    return Settings.from_environ(environ, hostname=lambda: "here", socket_exists=lambda _: False)


def read_with_agent_socket(**environ: str) -> Settings:
    return Settings.from_environ(environ, hostname=lambda: "here", socket_exists=lambda _: True)


def test_empty_environment_gives_the_defaults() -> None:
    settings = read()
    assert settings == Settings(hostname="here")
    assert (settings.agent_url, settings.env, settings.enabled) == ("http://localhost:8126", None, True)


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("DD_DATA_STREAMS_ENABLED", "false", "enabled", False),
        ("DD_DATA_STREAMS_ENABLED", "1", "enabled", True),
        ("DD_SERVICE", "shop", "service", "shop"),
        ("DD_ENV", "prod", "env", "prod"),
        ("DD_VERSION", "1.2", "version", "1.2"),
        ("DD_HOSTNAME", "there", "hostname", "there"),
        ("DD_PRIMARY_TAG", "blue", "primary_tag", "blue"),
        ("DD_EXTERNAL_ENV", "it-false", "external_env", "it-false"),
        ("DD_TRACE_AGENT_URL", "https://agent:1", "agent_url", "https://agent:1"),
        ("DD_TRACE_AGENT_URL", "unix:///run/apm.socket", "agent_url", "unix:///run/apm.socket"),
        ("DD_AGENT_HOST", "agent", "agent_url", "http://agent:8126"),
        ("DD_AGENT_HOST", "fe80::1", "agent_url", "http://[fe80::1]:8126"),
        ("DD_TRACE_AGENT_PORT", "9126", "agent_url", "http://localhost:9126"),
        ("DD_AGENT_PORT", "9127", "agent_url", "http://localhost:9127"),
        ("DD_DATA_STREAMS_BUCKET_DURATION_SECONDS", "2.5", "bucket_seconds", 2.5),
        ("_DD_TRACE_STATS_WRITER_INTERVAL", "1", "flush_seconds", 1.0),
        ("OTEL_SERVICE_NAME", "shop", "service", "shop"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a%20b,x=y", "service", "a b"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod", "env", "prod"),
        ("DD_TAGS", "team:a,service:shop,env:prod", "service", "shop"),
        ("DD_TAGS", "team:a, env:prod , version:2", "env", "prod"),
        ("DD_TAGS", "service:shop version:1:2 x", "version", "1:2"),
        ("DD_TAGS", "service:,:,,x", "service", "unnamed-python-service"),
        ("DD_TRACE_AGENT_HOSTNAME", "127.0.0.1", "agent_url", "http://127.0.0.1:8126"),
    ],
)
def test_variable_sets_its_setting(variable: str, text: str, name: str, value: object) -> None:
    assert getattr(read(**{variable: text}), name) == value


def test_dd_variables_win_over_opentelemetry_variables() -> None:
    settings = read(
        DD_SERVICE="ours",
        OTEL_SERVICE_NAME="theirs",
        DD_ENV="a",
        OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=b",
    )
    assert (settings.service, settings.env) == ("ours", "a")


def test_dd_tags_win_over_resource_attributes_and_lose_to_variables() -> None:
    attributes = "service.name=a,deployment.environment=a,service.version=a"
    tags = "service:tags,env:tags,version:tags"
    settings = read(OTEL_RESOURCE_ATTRIBUTES=attributes, DD_TAGS=tags, OTEL_SERVICE_NAME="otel", DD_ENV="variable")
    assert (settings.service, settings.env, settings.version) == ("otel", "variable", "tags")
    settings = read(DD_TAGS=tags, DD_SERVICE="s", DD_VERSION="v")
    assert (settings.service, settings.env, settings.version) == ("s", "tags", "v")
    assert sources({"DD_TAGS": tags}, socket_exists=lambda _: False)["service"] == "DD_TAGS"


def test_keyword_argument_wins_over_the_environment() -> None:
    settings = Settings.from_environ({"DD_SERVICE": "from there"}, service="given")
    assert settings.service == "given"


def test_agent_socket_is_used_only_if_no_address_is_set() -> None:
    assert read_with_agent_socket().agent_url == "unix:///var/run/datadog/apm.socket"
    assert read_with_agent_socket(DD_AGENT_HOST="agent").agent_url == "http://agent:8126"


def test_api_key_is_read_only_with_a_site_and_without_an_agent() -> None:
    keys = {"DD_API_KEY": "secret", "DD_SITE": "datadoghq.eu"}
    assert read(**keys).agent_url == "https://trace.agent.datadoghq.eu"
    assert read(**keys).api_key == "secret"
    assert read(**keys, DD_AGENT_HOST="agent").api_key is None
    assert read(DD_API_KEY="secret").api_key is None


def test_repr_hides_the_api_key() -> None:
    assert "secret" not in repr(read(DD_API_KEY="secret", DD_SITE="datadoghq.eu"))


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("DD_DATA_STREAMS_ENABLED", "maybe"),
        ("DD_TRACE_AGENT_URL", "ftp://agent"),
        ("DD_TRACE_AGENT_URL", "http://agent:nine"),
        ("DD_TRACE_AGENT_URL", "unix:"),
        ("DD_TRACE_AGENT_PORT", "0"),
        ("DD_TRACE_AGENT_PORT", "70000"),
        ("DD_TRACE_AGENT_PORT", "३३"),
        ("DD_DATA_STREAMS_BUCKET_DURATION_SECONDS", "३"),
        ("DD_AGENT_PORT", "x"),
        ("DD_AGENT_HOST", "a b:c"),
        ("DD_AGENT_HOST", "http://agent:8126"),
        ("DD_AGENT_HOST", "agent:8126"),
        ("DD_AGENT_HOST", "agent/"),
        ("DD_AGENT_HOST", "/var/run/datadog/apm.socket"),
        ("DD_AGENT_HOST", "unix:///var/run/datadog/apm.socket"),
        ("DD_AGENT_HOST", "999.1.1.1"),
        ("DD_TRACE_AGENT_HOSTNAME", "http://agent"),
        ("DD_TRACE_AGENT_PORT", "9" * 5000),
        ("DD_SERVICE", "\udcff"),
        ("DD_TAGS", "service:\udcff"),
        ("OTEL_SERVICE_NAME", "\udcff"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.version=\udcff"),
        ("DD_DATA_STREAMS_BUCKET_DURATION_SECONDS", "0"),
        ("DD_DATA_STREAMS_BUCKET_DURATION_SECONDS", "nan"),
        ("_DD_TRACE_STATS_WRITER_INTERVAL", "-1"),
    ],
)
def test_wrong_variable_raises_error_with_name_value_and_what_is_allowed(variable: str, text: str) -> None:
    with pytest.raises(SettingError, match="must be") as caught:
        read(**{variable: text})
    assert str(caught.value).startswith(variable)
    assert repr(text)[1:-1].rpartition(":" if variable == "DD_TAGS" else "=")[2] in str(caught.value)


def test_error_for_a_host_that_is_a_url_names_the_variable_for_urls() -> None:
    with pytest.raises(SettingError) as caught:
        read(DD_AGENT_HOST="http://me:hush@agent:8126")
    assert str(caught.value) == (
        "DD_AGENT_HOST must be a host name or an IP address, without scheme, port and path (DD_TRACE_AGENT_URL takes a "
        "URL), got 'http://…@agent:8126'"
    )


def test_error_for_a_wrong_url_hides_its_password() -> None:
    with pytest.raises(SettingError) as caught:
        read(DD_TRACE_AGENT_URL="ftp://me:hush@agent")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("service", ""),
        ("agent_url", 3),
        ("max_points", 0),
        ("max_points", 1.5),
        ("bucket_seconds", -1),
        ("enabled", "no"),
        ("env", 1),
    ],
)
def test_wrong_argument_raises_error_with_its_name(name: str, value: Any) -> None:
    with pytest.raises(SettingError, match=f"^{name} must be"):
        Settings(**{name: value})


def test_settings_survive_copying_and_pickling() -> None:
    settings = read(DD_SERVICE="shop")
    assert copy.copy(settings) == pickle.loads(pickle.dumps(settings)) == settings  # noqa: S301


def test_every_field_has_one_declaration_with_a_sentence() -> None:
    assert tuple(SETTINGS) == Settings._fields
    assert all(setting.sentence.endswith(".") for setting in SETTINGS.values())
    assert {name for name, setting in SETTINGS.items() if setting.optional} == {
        name for name, default in Settings._field_defaults.items() if default is None
    }


def test_settings_page_is_up_to_date() -> None:
    hint = "run `python -m tests.unit.settings_page`"
    assert settings_page.PAGE.read_text() == settings_page.page(), hint


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("service", "", "service must be a non-empty string, got ''"),
        ("service", "\udcff", r"service must be a string that can be encoded as UTF-8, got '\udcff'"),
        ("env", 1, "env must be None or a string, got 1"),
        ("api_key", "a\nb", "api_key must be None or printable ASCII (it is sent as an HTTP header), got '…'"),
        ("max_points", 0, "max_points must be a whole number above 0, got 0"),
    ],
)
def test_error_names_the_setting_what_is_allowed_and_the_value(name: str, value: Any, message: str) -> None:
    with pytest.raises(SettingError) as caught:
        Settings(**{name: value})
    assert str(caught.value) == message
