"""
OpenTelemetry: one span for each call of a service, and one for each of its steps, sent to a collector.

Off unless a site names a collector and installs `oncobone[otel]`. A span knows what a log line knows: ids of rules,
words and counts, never a value, an id or a text of a patient; and nothing of it waits for the collector.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from flask import Flask, Response, g, request

from hooks.settings import Settings, SettingsError
from hooks.watching import observability

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

TRACES_PATH: Final = "/v1/traces"
FLUSH_MS: Final = 2000
_NS: Final = 1_000_000  # nanoseconds of a millisecond


def trace_calls(app: Flask, settings: Settings, provider: TracerProvider | None = None) -> None:
    """
    Trace the calls of an app, if the settings name a collector (or a `provider` is given).

    Raises SettingsError when a collector is named and OpenTelemetry is not installed.
    """
    if provider is None:
        if settings.otlp_endpoint is None:
            return
        provider = _provider(settings.otlp_endpoint)
    watched, traces = observability.of(app), provider
    tracer = traces.get_tracer("oncobone")

    @app.before_request
    def _noted() -> None:
        g.trace_started = time.time_ns()

    @app.after_request
    def _ended(response: Response) -> Response:
        if request.endpoint == "cds.call" and "trace_started" in g:
            try:
                _trace(tracer, response.status_code)
            except Exception as error:  # noqa: BLE001 - an answer never suffers from being looked at
                observability.log_failure(error, "a call could not be traced")
        return response

    watched.at_end.append(lambda: _flush(traces))


def _provider(endpoint: str) -> TracerProvider:
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider as Provider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ModuleNotFoundError:
        raise SettingsError(
            "ONCOBONE_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: install oncobone[otel]."
        ) from None
    provider = Provider(resource=Resource.create({"service.name": "oncobone"}))
    exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + TRACES_PATH)
    # Sends from a thread of its own; a fork gets a new one.
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _flush(provider: TracerProvider) -> None:
    provider.force_flush(FLUSH_MS)


def _trace(tracer: Tracer, status: int) -> None:
    """Make the spans of the call that has just been answered, its steps one after the other."""
    from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context  # noqa: PLC0415 - an extra
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    # Of the headers only `traceparent`, which has a fixed form; baggage and state are the caller's own texts.
    caller = TraceContextTextMapPropagator().extract({"traceparent": request.headers.get("traceparent", "")})
    at = g.trace_started
    call = tracer.start_span(
        "POST /cds-services/{id}", context=caller, kind=SpanKind.SERVER, start_time=at, attributes=_attributes(status)
    )
    if status >= 500:
        call.set_status(Status(StatusCode.ERROR))
    inside = set_span_in_context(call)
    for name, took in g.get("steps", ()):
        step = tracer.start_span(name, context=inside, start_time=at, attributes=_of_step(name))
        at += int(took * _NS)
        step.end(at)
    call.end(max(at, time.time_ns()))


def _attributes(status: int) -> dict[str, Any]:
    told = g.get("told", {})
    found = {
        "http.request.method": "POST",
        "http.route": "/cds-services/{id}",
        "http.response.status_code": status,
        "oncobone.service": g.get("service_label"),
        "oncobone.request_id": observability.request_id(),
        "oncobone.refusal": g.get("refusal"),
    }
    found |= {f"oncobone.{name}": told.get(name) for name in ("hook", "language", "in_scope", "cards", "guidance")}
    found |= {f"oncobone.{name}": told.get(name) for name in ("undecided", "notes", "fired", "unavailable")}
    return {name: value for name, value in found.items() if value not in (None, [], "")}


def _of_step(name: str) -> dict[str, Any]:
    """Say for the gathering what came of each fetch: prefetch keys and words from closed sets."""
    judged = g.get("judged")
    if name != "gather" or judged is None:
        return {}
    return {f"oncobone.fetch.{key}": word for key, word in judged.gathered.fetched.items()}
