"""OpenTelemetry's variables: where metrics go, and that they disturb no program that sends only traces."""

from __future__ import annotations

import pytest

from asyncdsm import SettingError, Settings
from asyncdsm._internal import otlp_environment
from asyncdsm.settings import SETTINGS

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
METRICS_ENDPOINT = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"


def read(**environ: str) -> Settings:
    return Settings.from_environ(environ, hostname=lambda: "host", socket_exists=lambda _: False)


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, None),
        ({ENDPOINT: "http://c:4318"}, "http://c:4318/v1/metrics"),
        ({ENDPOINT: "http://c:4318/"}, "http://c:4318/v1/metrics"),
        ({ENDPOINT: "https://c/otlp"}, "https://c/otlp/v1/metrics"),
        ({METRICS_ENDPOINT: "http://c:4318"}, "http://c:4318"),
        ({METRICS_ENDPOINT: "http://c/write", ENDPOINT: "http://d"}, "http://c/write"),
        ({ENDPOINT: "http://c", "OTEL_METRICS_EXPORTER": "none"}, None),
        ({ENDPOINT: "http://c", "OTEL_METRICS_EXPORTER": "console, otlp"}, "http://c/v1/metrics"),
        ({ENDPOINT: "http://c", "OTEL_METRICS_EXPORTER": " OTLP "}, "http://c/v1/metrics"),
        ({ENDPOINT: "http://c", "OTEL_METRICS_EXPORTER": "Console,Otlp"}, "http://c/v1/metrics"),
        ({ENDPOINT: "http://c", "OTEL_METRICS_EXPORTER": "NONE"}, None),
        ({ENDPOINT: "http://c", "OTEL_METRICS_EXPORTER": " , "}, "http://c/v1/metrics"),
        ({ENDPOINT: "http://c", "OTEL_SDK_DISABLED": " True "}, None),
        ({ENDPOINT: "http://c", "OTEL_SDK_DISABLED": "false"}, "http://c/v1/metrics"),
        ({ENDPOINT: "http://c", "OTEL_SDK_DISABLED": "1"}, "http://c/v1/metrics"),
        (
            {ENDPOINT: "http://c", "OTEL_SDK_DISABLED": "true", "ASYNCDSM_DESTINATIONS": "otlp"},
            "http://c/v1/metrics",
        ),
        ({ENDPOINT: " HTTP://C:4318 "}, "HTTP://C:4318/v1/metrics"),
        ({ENDPOINT: "http://c", "ASYNCDSM_DESTINATIONS": "agent"}, None),
        (
            {ENDPOINT: "http://c", "ASYNCDSM_DESTINATIONS": "otlp", "OTEL_METRICS_EXPORTER": "none"},
            "http://c/v1/metrics",
        ),
    ],
)
def test_endpoint_is_that_for_metrics_or_the_base_with_a_path(environ: dict[str, str], endpoint: str | None) -> None:
    assert read(**environ).otlp_endpoint == endpoint


@pytest.mark.parametrize(
    ("environ", "destinations"),
    [
        ({}, ("agent",)),
        ({"DD_AGENT_HOST": "localhost"}, ("agent",)),
        ({ENDPOINT: "http://c"}, ("otlp",)),
        ({ENDPOINT: "http://c", "DD_AGENT_HOST": "localhost"}, ("agent", "otlp")),
        ({ENDPOINT: "http://c", "ASYNCDSM_DESTINATIONS": "agent"}, ("agent",)),
        ({ENDPOINT: "http://c", "ASYNCDSM_DESTINATIONS": "OTLP, agent"}, ("agent", "otlp")),
        ({"ASYNCDSM_DESTINATIONS": "otlp"}, ("otlp",)),
    ],
)
def test_destinations_follow_from_the_addresses_that_are_set(
    environ: dict[str, str], destinations: tuple[str, ...]
) -> None:
    assert read(**environ).choose_destinations() == destinations


def test_destinations_in_code_follow_from_the_addresses_too() -> None:
    assert Settings().choose_destinations() == ("agent",)
    assert Settings(otlp_endpoint="http://c/v1/metrics").choose_destinations() == ("otlp",)
    both = Settings(otlp_endpoint="http://c/v1/metrics", agent_url="http://agent:8126")
    assert both.choose_destinations() == ("agent", "otlp")
    explicit = Settings.from_environ({ENDPOINT: "http://c"}, agent_url="http://agent:8126")
    assert explicit.choose_destinations() == ("agent", "otlp")


def test_variables_for_metrics_win_over_general_ones() -> None:
    settings = read(
        OTEL_EXPORTER_OTLP_ENDPOINT="http://c",
        OTEL_EXPORTER_OTLP_HEADERS="a=1",
        OTEL_EXPORTER_OTLP_METRICS_HEADERS="api-key=a%3Db, x=2",
        OTEL_EXPORTER_OTLP_COMPRESSION="none",
        OTEL_EXPORTER_OTLP_METRICS_TIMEOUT="2.5",
        OTEL_EXPORTER_OTLP_TIMEOUT="10000",
        OTEL_EXPORTER_OTLP_CERTIFICATE="/ca.pem",
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE="/own.pem",
        OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY="/key.pem",
        OTEL_EXPORTER_OTLP_PROTOCOL="HTTP/protobuf",
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="DELTA",
        OTEL_RESOURCE_ATTRIBUTES="team=a%20b,service.name=shop",
    )
    assert settings.otlp_headers == (("api-key", "a=b"), ("x", "2"))
    assert (settings.otlp_compression, settings.otlp_seconds, settings.otlp_certificate) == ("none", 2.5, "/ca.pem")
    assert (settings.otlp_client_certificate, settings.otlp_client_key) == ("/own.pem", "/key.pem")
    assert (settings.otlp_protocol, settings.otlp_temporality) == ("http/protobuf", "delta")
    assert settings.resource_attributes == (("team", "a b"), ("service.name", "shop"))
    assert settings.service == "shop"


@pytest.mark.parametrize(
    ("variable", "text", "name"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", " HTTP/Protobuf ", "otlp_protocol"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", " NONE ", "otlp_compression"),
        ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "GZIP", "otlp_compression"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", " LowMemory", "otlp_temporality"),
    ],
)
def test_words_are_read_in_any_case_and_without_spaces_around(variable: str, text: str, name: str) -> None:
    assert getattr(read(**{ENDPOINT: "http://c", variable: text}), name) == text.strip().lower()


@pytest.mark.parametrize("variable", sorted({each for setting in SETTINGS.values() for each in setting.variables}))
def test_variable_of_only_spaces_counts_as_not_set(variable: str) -> None:
    name = variable.partition(":")[0]
    environ = {ENDPOINT: "http://c", "DD_AGENT_HOST": "agent", "DD_SERVICE": "shop"}
    environ.pop(name, None)
    assert read(**environ, **{name: " \t "}) == read(**environ)


@pytest.mark.parametrize("variable", ["OTEL_METRICS_EXPORTER", "OTEL_SDK_DISABLED", "ASYNCDSM_DESTINATIONS"])
def test_switch_of_only_spaces_switches_nothing(variable: str) -> None:
    settings = Settings.from_environ({ENDPOINT: "http://c", variable: " "}, agent_url="http://agent")
    assert settings.choose_destinations() == ("agent", "otlp")


def test_wrong_variable_is_told_what_a_variable_may_have() -> None:
    with pytest.raises(SettingError, match=r"^ASYNCDSM_DESTINATIONS must be agent, otlp or agent,otlp, got 'cloud'$"):
        read(ASYNCDSM_DESTINATIONS="cloud")


def test_refused_header_is_named_with_those_that_are_refused() -> None:
    with pytest.raises(SettingError, match=r"but none of connection, .*host.*, got '…'$") as raised:
        read(**{ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "host=secret"})
    assert "secret" not in str(raised.value)


def test_timeout_of_a_thousand_or_more_is_in_milliseconds() -> None:
    assert read(OTEL_EXPORTER_OTLP_ENDPOINT="http://c", OTEL_EXPORTER_OTLP_TIMEOUT="10000").otlp_seconds == 10
    assert read(OTEL_EXPORTER_OTLP_ENDPOINT="http://c", OTEL_EXPORTER_OTLP_TIMEOUT="999").otlp_seconds == 999


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "no-value"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a name=1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "key=%20spaced"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "key=1,Host=elsewhere"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "content-length=0"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "Transfer-Encoding=chunked"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=\udcff"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sometimes"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "unix:///c.sock"),
        ("ASYNCDSM_DESTINATIONS", "cloud"),
    ],
)
def test_wrong_value_is_an_error_that_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingError, match=f"^{variable} must be"):
        read(**{ENDPOINT: "http://c", variable: value})


@pytest.mark.parametrize("more", [{}, {ENDPOINT: "http://c", "ASYNCDSM_DESTINATIONS": "agent"}])
def test_program_that_sends_only_traces_over_otlp_has_no_error(more: dict[str, str]) -> None:
    settings = read(**more, OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_EXPORTER_OTLP_HEADERS="no-value")
    assert settings.choose_destinations() == ("agent",)


def test_without_the_extra_nothing_of_otlp_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_environment, "is_extra_installed", lambda: False)
    assert read(**{ENDPOINT: "c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}).otlp_endpoint is None
    assert read(**{ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}).otlp_protocol == "http/protobuf"


def test_values_of_headers_are_never_shown() -> None:
    settings = Settings(otlp_headers=(("api-key", "secret"),), otlp_endpoint="http://user:secret@c/v1/metrics")
    assert "secret" not in repr(settings)
    with pytest.raises(SettingError) as raised:
        Settings(otlp_headers=(("api-key", "secret\n"),))
    assert "secret" not in str(raised.value)
    with pytest.raises(SettingError) as raised:
        read(**{ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_HEADERS": "secret"})
    assert "secret" not in str(raised.value)
