"""OpenTelemetry: off unless asked for, a span for each step, and nothing of a patient in any of them."""

from __future__ import annotations

import builtins
import http.server
import threading
from typing import Any

import pytest

from hooks.application import create_app
from hooks.configuration import load
from hooks.settings import Settings, SettingsError
from hooks.watching import observability, telemetry
from tests.test_hostile_leaks import CANARIES, NAME, planted
from tests.wire import call_body

PATH = "/cds-services/oncobone-patient-view"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STEPS = ["envelope", "gather", "mapping", "assessment", "words"]


def traced() -> tuple[Any, Any]:
    """An app whose spans are kept in memory."""
    sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="OpenTelemetry is an extra: oncobone[otel]")
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    settings = Settings.model_validate({"now": "2026-11-22"})
    exporter, provider = memory.InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    app = create_app(settings)
    telemetry.trace_calls(app, settings, provider)
    return app.test_client(), exporter


def test_a_call_is_one_span_with_one_for_each_of_its_steps() -> None:
    client, exporter = traced()
    assert client.post(PATH, json=call_body(), headers={"traceparent": PARENT}).status_code == 200
    *steps, call = exporter.get_finished_spans()
    assert [step.name for step in steps] == STEPS
    assert all(step.parent.span_id == call.context.span_id for step in steps)
    assert format(call.context.trace_id, "032x") == PARENT.split("-")[1]
    assert call.attributes["oncobone.service"] == "oncobone-patient-view"
    assert call.attributes["http.response.status_code"] == 200
    assert call.attributes["oncobone.cards"] > 0
    assert all(call.start_time <= step.start_time <= step.end_time <= call.end_time for step in steps)


def test_a_refused_call_is_a_span_too_and_an_operators_request_is_none() -> None:
    client, exporter = traced()
    client.post(PATH, json={})
    client.get("/healthz")
    client.get("/cds-services")
    (call,) = exporter.get_finished_spans()
    assert call.attributes["http.response.status_code"] == 400


def test_nothing_that_was_planted_stands_in_a_span() -> None:
    client, exporter = traced()
    hostile = {"traceparent": NAME, "tracestate": f"x={NAME}", "baggage": f"name={NAME}", "X-Request-Id": f"{NAME} x"}
    for body in (
        planted(),
        planted("order-sign"),
        planted(prefetch={}),
        planted(hookInstance={"x": NAME}),
        {NAME: NAME},
    ):
        client.post(f"/cds-services/oncobone-{body.get('hook', 'patient-view')}", json=body, headers=hostile)
    spans = exporter.get_finished_spans()
    assert len(spans) > 10
    text = " ".join(span.to_json() for span in spans)
    assert not [canary for canary in CANARIES if canary in text]


def test_a_tracer_that_fails_costs_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    client, _ = traced()

    def fail(*_: object) -> None:
        raise RuntimeError(NAME)

    monkeypatch.setattr(telemetry, "_trace", fail)
    assert client.post(PATH, json=call_body()).status_code == 200


def test_without_a_setting_nothing_is_traced_and_nothing_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def guarded(name: str, *rest: Any, **more: Any) -> Any:
        assert not name.startswith("opentelemetry")
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", guarded)
    app = create_app(Settings())
    assert app.test_client().post(PATH, json=call_body()).status_code == 200
    assert observability.of(app).at_end == []


def test_a_setting_without_the_package_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def lacking(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(name)
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(SettingsError, match=r"install oncobone\[otel\]"):
        create_app(load({}, {"ONCOBONE_OTLP_ENDPOINT": "http://127.0.0.1:4318"}))


def test_spans_are_sent_to_the_collector_and_the_rest_when_the_process_ends() -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="OpenTelemetry is an extra: oncobone[otel]")
    received: list[tuple[str, int]] = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, len(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        app = create_app(load({}, {"ONCOBONE_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}"}))
        assert app.test_client().post(PATH, json=call_body()).status_code == 200
        for each in observability.of(app).at_end:
            each()
        server.shutdown()
        thread.join()
    assert received
    assert {path for path, _ in received} == {"/v1/traces"}
