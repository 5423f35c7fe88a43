"""`asyncdsm doctor` asks an OTLP endpoint by an empty request, and says what it answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from asyncdsm._internal import otlp_environment
from asyncdsm.cli import doctor
from asyncdsm.cli.main import main
from tests.brokers.process import free_port
from tests.intake import Intake, running_intake
from tests.otlp.received import otlp_receiver


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("DD_TRACE_AGENT_URL", "DD_AGENT_HOST", "DD_TRACE_AGENT_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DD_SERVICE", "shop")
    monkeypatch.setenv("ASYNCDSM_DESTINATIONS", "otlp")
    return monkeypatch


def _left_out() -> bytes:
    answer = ExportMetricsServiceResponse()
    answer.partial_success.error_message = "odd"
    body: bytes = answer.SerializeToString()
    return body


def diagnose(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    main(["doctor"])
    text = capsys.readouterr().out
    code = main(["doctor", "--json"])
    return code, json.loads(capsys.readouterr().out), text


def test_endpoint_that_takes_metrics_is_well_and_no_agent_is_asked(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with otlp_receiver() as receiver:
        environ.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        code, report, text = diagnose(capsys)
    assert (code, report["agent"]) == (0, None)
    assert report["otlp"] == {
        "endpoint": f"{receiver.url}/v1/metrics",
        "installed": True,
        "answers": True,
        "problem": None,
        "status": 200,
        "hint": "",
    }
    assert f"The OTLP endpoint {receiver.url}/v1/metrics takes metrics" in text
    assert [path for _, path, _, _ in receiver.requests] == ["/v1/metrics"] * 2


def test_endpoint_that_refuses_is_a_problem(environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with otlp_receiver(intake=Intake(answer=401)) as receiver:
        environ.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        code, report, text = diagnose(capsys)
    assert code == 1
    assert "answers, but it takes no metrics: HTTP status 401" in text
    assert report["next_steps"][-1].startswith("Correct OTEL_EXPORTER_OTLP_HEADERS")


NO_OTLP = "with a body of {}, which is no answer of OTLP"


@pytest.mark.parametrize(
    ("intake", "problem", "step"),
    [
        (Intake(answer=200, headers={"Content-Type": "text/html"}, body=b"<p>"), NO_OTLP.format("text/html"), "Check"),
        (Intake(answer=200, body=b"Welcome"), NO_OTLP.format("no type"), "Check the path"),
        (Intake(answer=307), "HTTP status 307", "Set OTEL_EXPORTER_OTLP_ENDPOINT to where it redirects to"),
        (Intake(answer=413), "HTTP status 413", "Raise the limit of the OTLP receiver"),
        (Intake(answer=404), "HTTP status 404", "Check the path of the OTLP endpoint"),
        (Intake(answer=500), "HTTP status 500", "Look into the log of the OTLP receiver"),
        (Intake(answer=503), "HTTP status 503", "Look into the log of the OTLP receiver"),
    ],
)
def test_answer_of_something_else_or_of_a_broken_receiver_is_a_problem_with_fitting_advice(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], intake: Intake, problem: str, step: str
) -> None:
    with otlp_receiver(intake=intake) as receiver:
        environ.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        code, report, _ = diagnose(capsys)
    assert (code, report["otlp"]["status"]) == (1, intake.answer)
    assert problem in report["otlp"]["problem"]
    assert report["next_steps"][-1].startswith(step)


@pytest.mark.parametrize("kind", ["application/x-protobuf", "application/json; charset=utf-8"])
def test_answer_of_otlp_with_a_body_is_well(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    body = b"{}" if "json" in kind else _left_out()
    with otlp_receiver(intake=Intake(answer=200, headers={"Content-Type": kind}, body=body)) as receiver:
        environ.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        code, _, _ = diagnose(capsys)
    assert code == 0


def test_absent_endpoint_is_a_problem_beside_an_agent_that_is_well(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://user:secret@127.0.0.1:{free_port()}")
    environ.setenv("ASYNCDSM_DESTINATIONS", "agent,otlp")
    with running_intake(intake=Intake(endpoints=["/v0.1/pipeline_stats"])) as agent:
        environ.setenv("DD_TRACE_AGENT_URL", agent.url)
        code, report, text = diagnose(capsys)
    assert (code, report["agent"]["problem"]) == (1, None)
    assert "does not answer: ConnectError" in text
    assert "port 4318" in report["next_steps"][-1]
    assert "secret" not in text + json.dumps(report)


@pytest.mark.parametrize(("variable", "text"), [("OTEL_SDK_DISABLED", "TRUE"), ("OTEL_METRICS_EXPORTER", "none")])
def test_variable_that_turns_otlp_off_is_named(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, text: str
) -> None:
    environ.delenv("ASYNCDSM_DESTINATIONS")
    environ.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    environ.setenv(variable, text)
    with running_intake(intake=Intake(endpoints=["/v0.1/pipeline_stats"])) as agent:
        environ.setenv("DD_TRACE_AGENT_URL", agent.url)
        code, report, said = diagnose(capsys)
    assert (code, report["otlp"], report["otlp_off"]) == (0, None, f"{variable} is {text}")
    assert f"Nothing is sent to the OTLP endpoint, because {variable} is {text}" in said


def test_endpoint_and_agent_are_reached_by_urls_in_upper_case(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with otlp_receiver() as receiver, running_intake(intake=Intake(endpoints=["/v0.1/pipeline_stats"])) as agent:
        environ.setenv("ASYNCDSM_DESTINATIONS", "AGENT,OTLP")
        environ.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f" {receiver.url.upper()}/v1/metrics")
        environ.setenv("DD_TRACE_AGENT_URL", f"{agent.url.upper()} ")
        code, report, _ = diagnose(capsys)
    assert (code, report["otlp"]["problem"], report["agent"]["problem"]) == (0, None, None)


def test_missing_extra_is_said_and_the_agent_is_asked(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (otlp_environment, doctor):
        environ.setattr(module, "is_extra_installed", lambda: False)
    environ.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    with running_intake(intake=Intake(endpoints=["/v0.1/pipeline_stats"])) as agent:
        environ.setenv("DD_TRACE_AGENT_URL", agent.url)
        code, report, text = diagnose(capsys)
    assert (code, report["agent"]["answers"], report["otlp"]["installed"]) == (0, True, False)
    assert "Nothing is sent to the OTLP endpoint http://collector:4318/v1/metrics: the extra `otlp`" in text
    assert (
        report["next_steps"][0] == "To send metrics to http://collector:4318/v1/metrics: pip install 'asyncdsm[otlp]'"
    )


def test_certificate_that_cannot_be_read_is_a_problem(
    environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environ.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://localhost:1")
    environ.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem")
    code, report, _ = diagnose(capsys)
    assert code == 1
    assert report["otlp"]["problem"].startswith("otlp_certificate must be a file of certificates that can be read (No ")
    assert report["next_steps"][-1] == "Correct OTEL_EXPORTER_OTLP_CERTIFICATE: it names a file"
