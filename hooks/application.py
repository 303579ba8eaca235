"""The WSGI application, put together from its parts."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec
from flask import Flask, Response, g, request
from flask.json.provider import JSONProvider
from flask_compress import Compress

from hooks import errors, recording, views
from hooks.dossier import pages as reference_pages
from hooks.settings import MIB
from hooks.store import feedback, quiet
from hooks.store.database import StoreUnavailable
from hooks.trust.gate import RateLimits, Strangers, refuse_overload
from hooks.trust.launching import is_on
from hooks.watching import observability, telemetry
from recommenders.assessing.topics import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hooks.settings import Settings
    from hooks.store.store import Store
    from hooks.trust.clients import Client

FORM_PER_SECOND = 5.0
FORM_AT_ONCE = 2
FORM_BYTES = 8 * MIB
"""Requests of the form that cost work: a person sends one in some seconds, with the chart that the EHR gave."""

CATCHING_UP_S = 60.0
"""How long after it was down the store may still lack cards that were shown, of whichever service."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")


class Json(JSONProvider):
    """JSON as CDS Hooks wants it: members in their order, decimals as the numbers they are."""

    def dumps(self, obj: Any, **_: Any) -> str:  # noqa: ANN401 - Flask's own signature
        """Write JSON."""
        return _ENCODER.encode(obj).decode()

    def response(self, *args: Any, **kwargs: Any) -> Response:  # noqa: ANN401 - Flask's own signature
        """Answer JSON, in the bytes that it was written in: Flask would make text of them, and of that bytes again."""
        if len(args) != 1 or kwargs:
            return super().response(*args, **kwargs)  # type: ignore[return-value] # Flask's own response
        return Response(_ENCODER.encode(args[0]), mimetype="application/json")

    def loads(self, s: str | bytes, **_: Any) -> Any:  # noqa: ANN401 - Flask's own signature
        """Read JSON."""
        return msgspec.json.decode(s)


class _App(Flask):
    """Nothing of ours is a coroutine; Flask would look whether it is, at each step of each call."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Give the function."""
        return func


def create_app(settings: Settings, *, store: Store | None = None) -> Flask:
    """
    Make the WSGI application of one site.

    `store` keeps issued cards, feedback, used tokens and the audit record (None: nothing is kept, and feedback
    is not offered). Raises SettingsError for clients in signed mode that cannot be used as they are set.
    """
    app = _App("hooks", static_folder=None)
    app.json = Json(app)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes
    app.url_map.strict_slashes = False
    app.extensions[observability.EXTENSION] = observability.Observability(
        observability.Metrics(), observability.Health()
    )
    observability.watch(app)
    telemetry.trace_calls(app, settings)
    errors.register(app, observability.log_failure)
    app.before_request(_gatekeeper(settings, store))
    desk = views.Desk.of(settings)
    observability.of(app).metrics.expect((service.id for service in desk.services), NAMES)
    app.extensions[views.DESK] = desk
    app.register_blueprint(views.blueprint(desk))
    app.register_blueprint(observability.blueprint(with_metrics=settings.loopback))
    app.register_blueprint(views.description())
    app.register_blueprint(reference_pages.blueprint(settings))
    if settings.console:
        _show_the_console(app, desk)
    if is_on(settings):
        _offer_the_form(app, desk)
    if store is not None:
        _keep(app, settings, desk, store)
    app.after_request(views.finish(settings))
    _compress(app)
    return app


def _show_the_console(app: Flask, desk: views.Desk) -> None:
    from hooks import console  # noqa: PLC0415 - a site without it starts without reading it

    app.register_blueprint(console.blueprint(desk))


def _offer_the_form(app: Flask, desk: views.Desk) -> None:
    from hooks.dossier.form import pages  # noqa: PLC0415 - a site without it starts without reading it

    _bound_the_form(app, pages.DOORS)
    for door in pages.DOORS:
        app.register_blueprint(pages.blueprint(desk, door))


def _bound_the_form(app: Flask, doors: Iterable[str]) -> None:
    """Keep what the form's anonymous callers cost below what a client's calls need."""
    strangers = Strangers(FORM_PER_SECOND, FORM_AT_ONCE)
    within = tuple(f"/{door}/" for door in doors)

    @app.before_request
    def enter() -> None:
        works = request.method == "POST" or "/questionnaire" in request.path
        if works and request.path.startswith(within):
            strangers.enter()
            g.stranger = True
            request.max_content_length = FORM_BYTES

    @app.teardown_request
    def leave(_: BaseException | None) -> None:
        if g.pop("stranger", False):
            strangers.leave()


def _compress(app: Flask) -> None:
    """Send pages and their files compressed to browsers that ask for it; what CDS Hooks answers stays as it is."""
    kinds = frozenset({"text/html", "text/css", "text/javascript", "image/svg+xml"})
    app.config["COMPRESS_MIMETYPES"] = sorted(kinds)
    app.config["COMPRESS_MIN_SIZE"] = 1000
    app.config["COMPRESS_REGISTER"] = False
    compress = Compress(app)

    @app.after_request
    def compressed(response: Response) -> Response:
        if response.mimetype not in kinds:
            views.vary(response, "Accept-Encoding")
            return response
        if response.is_streamed:  # the compression would leave the file of a stream open
            response.direct_passthrough = False
            response.make_sequence()
        return compress.after_request(response)


def _keep(app: Flask, settings: Settings, desk: views.Desk, store: Store) -> None:
    watched = observability.of(app)
    auditor = recording.record_calls(app, store)
    app.extensions[quiet.EXTENSION] = quiet.Quiet.of(settings, store)

    def trouble() -> str | None:
        if (free := store.disk_free()) is not None:
            watched.metrics.disk_free.set("store", free)
        try:
            store.check()
        except StoreUnavailable as error:
            return f"is unavailable ({error.reason})"
        return None

    def last_words() -> None:
        if lost := auditor.close(settings.last_words_seconds):
            observability.LOG.error("audit records are lost", extra={"component": "store", "lost": lost})
            watched.metrics.audit_waiting.set(0)  # or they would be told as those of a process that was killed
        store.close()

    watched.health.checks["store"] = trouble
    watched.at_end.append(last_words)
    app.register_blueprint(
        feedback.blueprint(
            store=lambda: store,
            tenant=lambda _: recording.tenant(),
            service_ids=lambda: [service.id for service in desk.services],
            body=views.json_body,
            counted=lambda outcome, count: watched.metrics.feedback.labels(outcome).inc(count),
            # Those of other processes and services wait in their memory: a minute after an outage nobody knows better.
            catching_up=lambda: watched.metrics.audit_waits() or store.failed_within(CATCHING_UP_S),
        )
    )


def create_operator_app(app: Flask) -> Flask:
    """Make the application of the operators' own port: health and metrics of `app`, and nothing else."""
    own = Flask("hooks.operators", static_folder=None)
    own.json = Json(own)
    own.extensions[observability.EXTENSION] = observability.of(app)
    errors.register(own, observability.log_failure)
    own.register_blueprint(observability.blueprint(with_metrics=True))
    return own


def _gatekeeper(settings: Settings, store: Store | None) -> Callable[[], None]:
    limits = RateLimits()
    authenticate = _authentication(settings, store) if settings.auth == "signed" else None

    def gatekeeper() -> None:
        """Before any work on a CDS route: is there time for it, who is it, and does it call too often?"""
        asked, known = observability.at_hand()
        if not views.is_cds(asked.path) or asked.method == "OPTIONS":
            return
        refuse_overload(asked.environ, settings.queue_seconds)
        client = known.client = authenticate(asked.path) if authenticate else None
        if client is not None:
            limits.check(client.issuer, client.calls_per_second)

    return gatekeeper


def _authentication(settings: Settings, store: Store | None) -> Callable[[str], Client]:
    from hooks.trust import tokens  # noqa: PLC0415 - who asks nobody for a token starts without reading it

    # Tokens are checked against the real clock, whatever day the evaluation is set to.
    return tokens.gate(settings, store, lambda: dt.datetime.now(dt.UTC))
