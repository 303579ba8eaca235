"""What operators see: JSON log lines with an allow-list of fields, Prometheus metrics, and health."""

from __future__ import annotations

import collections
import datetime as dt
import json
import logging
import os
import re
import sys
import threading
import time
import traceback
import uuid
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from flask import Blueprint, Flask, Response, current_app, has_request_context
from flask.globals import app_ctx, request_ctx
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
    values,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from hooks.errors import Refused
from hooks.watching import shared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from flask import Request
    from flask.ctx import _AppCtxGlobals

    from recommenders.assessing.assessment import Assessment, State

LOG = logging.getLogger("oncobone")
EXTENSION = "oncobone.observability"
_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_PROJECT = Path(__file__).resolve().parent.parent.parent

FIELDS = (
    "request_id",
    "service",
    "hook",
    "method",
    "route",
    "status",
    "ms",
    "language",
    "in_scope",
    "cards",
    "indicators",
    "fired",
    "suppressed",
    "superseded",
    "undecided",
    "failed",
    "notes",
    "unavailable",
    "guidance",
    "cause",
    "error",
    "where",
    "process",
    "child",
    "address",
    "connections",
    "feedback",
    "fetches",
    "component",
    "reason",
    "lost",
)
"""All that a log line may carry beside its time, level and event; none of these holds a patient value."""

NOTED_MOST = 1000
"""So many sets of rules wait to be counted; there are few, but nothing may grow where nobody reads the metrics."""
STATES: tuple[State, ...] = ("fired", "suppressed", "superseded", "undecided")


# --- logs ---------------------------------------------------------------------------------------------------


class JsonLines(logging.Formatter):
    """One JSON object a line; a field that is not on the list is left out, and so is an exception's text."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        moment = dt.datetime.fromtimestamp(record.created, dt.UTC)
        line: dict[str, object] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": record.getMessage() if record.name.startswith(LOG.name) else record.name,
        }
        line |= {name: value for name in FIELDS if (value := record.__dict__.get(name)) not in (None, "", (), [], {})}
        # Other people's libraries may log what they were given: of them only name and level are kept.
        if record.exc_info and record.exc_info[1] is not None:
            line |= {"error": type(record.exc_info[1]).__name__, "where": places(record.exc_info[1])}
        return json.dumps(line, ensure_ascii=True, default=str)


def start_logging(level: str = "info", stream: TextIO | None = None) -> None:
    """Send all logs to standard error (or `stream`) as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    LOG.setLevel(level.upper())
    # A queue is no trouble as such; a call that stood in it too long is refused, and that is logged.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def places(error: BaseException) -> list[str]:
    """Say where an error was raised, as `file:line function`; never its text, which may hold a value."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames][-12:]


_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<name>.+)$', re.MULTILINE)


def places_of_crash(dump: str) -> list[str]:
    """Say where a process was when it crashed, as `places` does, from what `faulthandler` has written of it."""
    frames = [f"{_short(frame['file'])}:{frame['line']} {frame['name']}" for frame in _FRAME.finditer(dump)]
    return frames[:12][::-1]


def _short(path: str) -> str:
    file = Path(path)
    return str(file.relative_to(_PROJECT)) if file.is_relative_to(_PROJECT) else file.name


def log_failure(error: BaseException, event: str = "unexpected error") -> None:
    """Log an error of ours by its kind and place, with the request id."""
    LOG.error(event, extra={"request_id": request_id(), "error": type(error).__name__, "where": places(error)})


def at_hand() -> tuple[Request, _AppCtxGlobals]:
    """
    Give the request at hand, and what is known of it so far (`g`).

    They are the things themselves: Flask's stand-ins look them up anew at each use, dozens of times in a call.
    """
    return request_ctx.request, app_ctx.g


def request_id() -> str | None:
    """Give the id of the request at hand: the caller's, if it has a safe form, else one of ours."""
    return _id_of(*at_hand()) if has_request_context() else None


def _id_of(asked: Request, known: _AppCtxGlobals) -> str:
    found: str | None = known.get("request_id")
    if found is None:
        sent = asked.headers.get("X-Request-Id", "")
        found = known.request_id = sent if _REQUEST_ID.fullmatch(sent) else str(uuid.uuid4())
    return found


# --- metrics ------------------------------------------------------------------------------------------------


class Found(Collector):
    """
    What this process found of each component when it was last asked, which is at each reading.

    Other processes' findings are older, and which is the newest no clock can tell: one that was ahead for a while would
    say for as long that all is well.
    """

    def __init__(self, name: str, text: str) -> None:
        self._named = (name, text)
        self._values: dict[str, float] = {}

    def set(self, component: str, value: float) -> None:
        """Note it."""
        self._values[component] = value

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give it, as the library wants it."""
        family = GaugeMetricFamily(*self._named, labels=["component"])
        for component, value in self._values.copy().items():
            family.add_metric([component], value)
        yield family


class Metrics:
    """The counters of one app; label values come from closed sets, never from a request."""

    def __init__(self) -> None:
        if os.environ.get(shared.VARIABLE):
            # The library chooses at import; several processes must share files, however early it was imported.
            values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call] # the library has no types here
        self.registry = CollectorRegistry()
        self.calls = Counter(
            "oncobone_calls", "Answers by service and HTTP status.", ("service", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "oncobone_call_seconds",
            "Time from reading the request to the answer.",
            ("service",),
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 4, 8),
            registry=self.registry,
        )
        self._calls, self._seconds = cache(self.calls.labels), cache(self.seconds.labels)
        self.cards = Counter(
            "oncobone_cards", "Cards shown.", ("service", "recommender", "indicator"), registry=self.registry
        )
        self._card = cache(self.cards.labels)
        self.quieted = Counter(
            "oncobone_cards_quieted", "Cards not shown, since they were answered a while ago.", registry=self.registry
        )
        self.rules = Counter(
            "oncobone_rules", "Rules by what became of them.", ("service", "rule", "state"), registry=self.registry
        )
        self._rule = cache(self.rules.labels)
        self._noted: collections.Counter[tuple[str, State, tuple[str, ...]]] = collections.Counter()
        self._noting = threading.Lock()
        self.failures = Counter(
            "oncobone_topic_failures", "Rule topics that failed.", ("topic",), registry=self.registry
        )
        self.fetches = Counter(
            "oncobone_fetches", "FHIR fetches by prefetch key and result.", ("key", "result"), registry=self.registry
        )
        self.feedback = Counter("oncobone_feedback", "Feedback entries stored.", ("outcome",), registry=self.registry)
        self.components = Found("oncobone_component_up", "Whether a component works (1) or not (0), as /readyz has it.")
        self.disk_free = Found("oncobone_disk_free_share", "Free share of the disk under a database file.")
        for found in (self.components, self.disk_free):
            self.registry.register(found)
        self.audit_waiting = Gauge(
            "oncobone_audit_waiting",
            "Audit records in memory that wait for the store.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )

    def expect(self, services: Iterable[str], topics: Iterable[str]) -> None:
        """
        Begin at nought what an alert waits for: a counter that is first seen at 1 has not grown, as Prometheus counts.
        """
        for service in services:
            for status in ("200", "412", "429", "500", "503"):
                self.calls.labels(service, status)
        self.calls.labels("none", "401")
        for topic in topics:
            self.failures.labels(topic)

    def assessed(self, service: str, assessment: Assessment, cards: Iterable[Mapping[str, Any]]) -> None:
        """Count what one call came to."""
        with self._noting:
            for state in STATES:
                self._noted[service, state, assessment.of(state)] += 1
            is_much = len(self._noted) >= NOTED_MOST
        if is_much:
            self.settle()
        for topic in assessment.failed:
            self.failures.labels(topic).inc()
        for card in cards:
            recommender = card["extension"]["org.oncobone.trace"]["recommender"]
            self._card(service, recommender, card["indicator"]).inc()

    def settle(self) -> None:
        """
        Count the rules that were noted since; done when metrics are read, and every second where they are shared.

        Forty rules a call are undecided, and the next call's are mostly the same: together they are noted once.
        """
        with self._noting:
            noted, self._noted = self._noted, collections.Counter()
        for (service, state, rules), count in noted.items():
            for rule in rules:
                self._rule(service, rule, state).inc(count)

    def answered(self, service: str, status: int) -> None:
        """Count an answer."""
        self._calls(service, str(status)).inc()

    def took(self, service: str, seconds: float) -> None:
        """Note how long a call took."""
        self._seconds(service).observe(seconds)

    def checked(self, health: Health) -> None:
        """Ask every check of health, and note which components work."""
        troubles = health.troubles()
        for name in health.checks:
            self.components.set(name, 0 if name in troubles else 1)

    def audit_waits(self) -> bool:
        """Tell whether records wait for the store in any process of this service."""
        folder = os.environ.get(shared.VARIABLE)
        if folder:
            # One file for each process that lives.
            return shared.waiting(Path(folder).glob(f"{shared.WAITING}_*.db")) > 0
        return any(sample.value > 0 for gauge in self.audit_waiting.collect() for sample in gauge.samples)

    def text(self) -> bytes:
        """Give all metrics in the Prometheus text form, of all processes together."""
        self.settle()
        if not os.environ.get(shared.VARIABLE):
            return generate_latest(self.registry)
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call] # the library has no types here
        for found in (self.components, self.disk_free):
            together.register(found)
        with shared.read():
            return generate_latest(together)


# --- health -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Health:
    """
    Whether this process should be sent calls: its checks by name, and whether it is stopping.

    A check says what is wrong, in words without secrets, or None when all is well.
    """

    checks: dict[str, Callable[[], str | None]] = field(default_factory=dict)
    stopping: bool = False

    def troubles(self) -> dict[str, str]:
        """Ask every check; give the components in trouble with what is wrong."""
        found = {"server": "is stopping"} if self.stopping else {}
        for name, check in self.checks.items():
            try:
                trouble = check()
            except Exception as error:  # noqa: BLE001 - a check that fails is trouble, not a crash of /readyz
                trouble = f"cannot be checked ({type(error).__name__})"
            if trouble:
                found[name] = trouble
        return found


@dataclass(slots=True)
class Observability:
    """What one app has for its operators; `at_end` is done when a process stops, after its last call."""

    metrics: Metrics
    health: Health
    at_end: list[Callable[[], None]] = field(default_factory=list)


def of(app: Flask) -> Observability:
    """Give an app's metrics and health."""
    found: Observability = app.extensions[EXTENSION]
    return found


def blueprint(*, with_metrics: bool) -> Blueprint:
    """Make the operators' routes; `/metrics` only where the port is theirs alone."""
    bp = Blueprint("operators", __name__)

    @bp.get("/healthz")
    def healthz() -> dict[str, str]:
        """Tell that the process answers."""
        return {"status": "ok"}

    @bp.get("/readyz")
    def readyz() -> dict[str, str]:
        """Tell whether calls should be sent here."""
        troubles = of(current_app).health.troubles()
        if not troubles:
            return {"status": "ready"}
        told = "; ".join(f"{name} {trouble}" for name, trouble in troubles.items())
        raise Refused(503, f"Not ready: {told}.", headers={"Retry-After": "5"}, cause=", ".join(troubles))

    if with_metrics:

        @bp.get("/metrics")
        def metrics() -> Response:
            """Give the counters, and what the checks of health say now."""
            watched = of(current_app)
            watched.metrics.checked(watched.health)
            return Response(watched.metrics.text(), content_type=CONTENT_TYPE_LATEST)

    return bp


def watch(app: Flask) -> None:
    """Time and count every request of an app, and write one line for each; `g.told` adds what a view knows."""

    metrics = of(app).metrics

    @app.before_request
    def _started() -> None:
        asked, known = at_hand()
        known.started = time.perf_counter()
        known.told = {}
        _id_of(asked, known)

    @app.after_request
    def _ended(response: Response) -> Response:
        asked, known = at_hand()
        took = time.perf_counter() - known.get("started", time.perf_counter())
        service = known.get("service_label", "none")
        response.headers["X-Request-Id"] = _id_of(asked, known)
        if asked.method != "OPTIONS" and (asked.endpoint in _COUNTED or response.status_code >= 400):
            if asked.blueprint in _CALLED:
                metrics.answered(service, response.status_code)
            if asked.endpoint == "cds.call":
                metrics.took(service, took)
            if LOG.isEnabledFor(logging.INFO):
                _log(asked, known, service, response.status_code, took)
        return response


def _log(asked: Request, known: _AppCtxGlobals, service: str, status: int, took: float) -> None:
    LOG.info(
        "request",
        extra={
            "request_id": request_id(),
            "method": asked.method if asked.method in _METHODS else "other",
            "route": asked.url_rule.rule if asked.url_rule else "unknown",
            "service": service,
            "status": status,
            "ms": round(took * 1000, 1),
            "cause": known.get("refusal"),
            **known.get("told", {}),
        },
    )


_COUNTED = frozenset({"cds.call", "cds.services", "feedback.receive"})
_CALLED = frozenset({"cds", "feedback", None})
"""Whose answers count as those of calls (None: a path that is none of ours); a probe that finds us unready is none."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
