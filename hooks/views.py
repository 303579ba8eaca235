"""The routes of CDS Hooks: discovery and the call of a service, each a few plain steps."""

from __future__ import annotations

import io
import time
from collections import Counter
from dataclasses import dataclass, replace
from importlib import resources
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, current_app, g
from werkzeug.exceptions import RequestEntityTooLarge

from fhir_mapping.chart import read_chart
from fhir_mapping.delivery.context import WrongPatientError
from fhir_mapping.delivery.notes import SUPERSEDED
from fhir_mapping.terms.decode import TooManyEntriesError
from fhir_mapping.terms.exact import ResourceFaultError
from fhir_mapping.terms.site import NO_SITE, SiteMapping, site_mapping
from hooks.cards.cards import EVALUATION, PLAIN, Manner, answer
from hooks.cards.identity import CallIdentity
from hooks.cards.language import reader_language
from hooks.errors import Refused
from hooks.fhir_server.gather import NEEDED, gather
from hooks.protocol import read_call
from hooks.services import discovery, find_services, services_of
from hooks.store.quiet import EXTENSION as QUIET
from hooks.trust.launching import launch_url
from hooks.watching import observability
from recommenders.assessing.assessment import assess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flask import Request
    from flask.ctx import _AppCtxGlobals
    from werkzeug.sansio.response import Response as BaseResponse

    from fhir_mapping.chart import Mapped
    from hooks.cards.wording import Language
    from hooks.fhir_server.gather import Gathered
    from hooks.protocol import Call
    from hooks.services import Service
    from hooks.settings import Settings
    from hooks.store.quiet import Quiet
    from hooks.trust.clients import Client
    from recommenders.assessing.assessment import Assessment

ROOT = "/cds-services"
OPEN_TENANT = "open"
"""Whose records they are while nobody is asked who they are."""
DESK = "oncobone.desk"
RECORDER = "oncobone.recorder"
"""Where an app has what writes the call at hand down, unless one of its cards was answered; see `Quiet.heard`."""
DISCOVERY = "discovery"
"""What the counters call it: who only asks what there is, as probes do, makes no call."""
ALLOWED_HEADERS = "authorization, content-type, accept-language, x-request-id"
EXPOSED_HEADERS = "content-language, retry-after, x-request-id"


@dataclass(frozen=True, slots=True)
class Judged:
    """
    One call from its envelope to the assessment, before it has words.

    `steps` tells what each step took, in milliseconds: envelope, gather, mapping, assessment.
    """

    call: Call
    gathered: Gathered
    mapped: Mapped
    assessment: Assessment
    steps: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Desk:
    """What stays the same from call to call: settings, services and the site's mapping, made once."""

    settings: Settings
    services: tuple[Service, ...]
    mapping: SiteMapping = NO_SITE
    manner: Manner = PLAIN

    @classmethod
    def of(cls, settings: Settings) -> Desk:
        """Make it from the settings."""
        return cls(settings, services_of(settings), site_mapping(settings.mapping), manner_of(settings))

    def judge(
        self,
        body: bytes,
        candidates: Sequence[Service],
        client: Client | None = None,
        fetched: Callable[[Mapping[str, str]], None] = lambda _: None,
    ) -> tuple[Service, Judged]:
        """
        Read a request body, gather and map its data, and assess them.

        Of several services under one id the one for the call's hook is taken. `fetched` is told what came of each
        fetch, also where nothing can be answered for it. Raises Refused.
        """
        watch = StopWatch()
        service, call = _read_for(body, candidates)
        watch.lap("envelope")
        gathered = gather(call, self.settings, client, self.mapping)
        fetched(gathered.fetched)
        watch.lap("gather")
        lacking = gathered.lacking()
        if lacking and (lacking != ("conditions",) or call.draft_orders is None):
            raise _needed(lacking, gathered)
        mapped = self._mapped(call, gathered)
        watch.lap("mapping")
        assessment = assess(mapped.facts, call.hook, recommenders=service.recommenders, site=self.settings.site or None)
        # What came may still not be readable; then an order in scope by itself, or the part that was read, decides.
        lacking = lacking or tuple(key for key in NEEDED if key in mapped.facts.unavailable)
        if lacking and not assessment.in_scope:
            raise _needed(lacking, gathered)
        watch.lap("assessment")
        return service, Judged(call, gathered, mapped, assessment, tuple(watch.laps))

    def in_full(self, service: Service, judged: Judged) -> Judged:
        """Assess a judged call again with every rule of its hook, also those that are certainly not met."""
        site = self.settings.site or None
        hook, wanted = judged.call.hook, service.recommenders
        return replace(judged, assessment=assess(judged.mapped.facts, hook, recommenders=wanted, site=site, whole=True))

    def whole_series(self, judged: Judged) -> Mapped:
        """
        Read the results of a judged call once more, all earlier ones with them, to be shown: no rule looks at them.

        Where nothing was superseded there are none but those that were read.
        """
        if not any(SUPERSEDED in note.reason for note in judged.mapped.notes):
            return judged.mapped
        results = {key: value for key, value in judged.gathered.prefetch.items() if key in {"patient", "observations"}}
        return self._mapped(judged.call, replace(judged.gathered, prefetch=results), whole_series=True)

    def _mapped(self, call: Call, gathered: Gathered, *, whole_series: bool = False) -> Mapped:
        try:
            mapped = read_chart(
                gathered.prefetch,
                patient_id=call.patient_id,
                now=self.settings.moment(),
                timezone=self.settings.zone,
                draft_orders=call.draft_orders,
                selections=call.selections,
                site=self.mapping,
                whole_series=whole_series,
            )
        except WrongPatientError as error:
            raise Refused(400, str(error), code="conflict", field="context.patientId") from None
        except TooManyEntriesError as error:
            raise Refused(413, str(error), code="too-costly") from None
        except ResourceFaultError as error:
            raise Refused(400, f"context.draftOrders: {error}.", field="context.draftOrders") from None
        return replace(mapped, notes=(*mapped.notes, *gathered.notes)) if gathered.notes else mapped

    def words(self, service: Service, judged: Judged, language: Language) -> dict[str, Any]:
        """Put an assessment into cards."""
        call = judged.call
        return answer(
            judged.assessment,
            judged.mapped.notes,
            language=language,
            call=CallIdentity(service.id, call.hook, call.hook_instance, call.patient_id, call.user_id),
            drafts=judged.mapped.drafts,
            manner=self.manner,
            wishes=call.wishes,
        )

    def is_shadowed(self, service: Service, client: Client | None) -> bool:
        """Tell whether a call is judged and recorded only."""
        return self.settings.shadow or service.shadow or (client is not None and client.shadow)


def manner_of(settings: Settings) -> Manner:
    """Give how the site wants to be answered."""
    return Manner(
        public_url=settings.public_url,
        dossier_url=launch_url(settings),
        voices=settings.voices,
        most_cards=settings.most_cards,
        full=settings.full_evaluation,
        both_languages=settings.both_languages,
    )


class StopWatch:
    """Notes how long the steps of a call take, in milliseconds."""

    def __init__(self) -> None:
        self.laps: list[tuple[str, float]] = []
        self._since = time.perf_counter()

    def lap(self, name: str) -> None:
        """End a step; the next one starts now."""
        now = time.perf_counter()
        self.laps.append((name, (now - self._since) * 1000))
        self._since = now


def _read_for(body: bytes, candidates: Sequence[Service]) -> tuple[Service, Call]:
    *others, last = candidates
    for service in others:
        try:
            return service, read_call(body, service.hook)
        except Refused as refused:
            if refused.field != "hook":
                raise
    return last, read_call(body, last.hook)


def _needed(keys: Sequence[str], gathered: Gathered) -> Refused:
    named = " and ".join(f"prefetch.{key}" for key in keys)
    why = gathered.why(keys) or "It came as null or as an error."
    return Refused(
        412,
        f"{named}: needed for an answer, but not sent, or not usable, and not to be had from a FHIR server. {why}"
        " Prefetch templates are in discovery.",
        field=f"prefetch.{keys[0]}",
    )


def blueprint(desk: Desk) -> Blueprint:
    """Make the routes of CDS Hooks."""
    bp = Blueprint("cds", __name__)
    described = discovery(desk.services)

    @bp.get(ROOT)
    def services() -> dict[str, Any]:
        """Describe the services."""
        g.service_label = DISCOVERY
        return described

    @bp.post(f"{ROOT}/<service_id>")
    def call(service_id: str) -> BaseResponse:
        """Run one CDS service and return its cards."""
        asked, known = observability.at_hand()
        candidates = find_services(desk.services, service_id)
        known.service_label = candidates[0].id
        client: Client | None = known.get("client")
        service, judged = desk.judge(_json_of(asked), candidates, client, _tell_fetches)
        known.language = reader_language(asked.headers.get("Accept-Language"), desk.settings.language)
        watch = StopWatch()
        answered = desk.words(service, judged, known.language)
        watch.lap("words")
        known.judged, known.answered = judged, answered
        known.steps = (*judged.steps, *watch.laps)
        # Written before it is recorded: no record says 200 of an answer that could not be made.
        response = current_app.json.response(answered)
        is_shadowed = desk.is_shadowed(service, client)
        heard = _without_quiet(answered, judged, known, at_once=not is_shadowed)
        known.answered = shadowed(heard) if is_shadowed else heard
        known.told = _tell(service, judged, heard["cards"], known.language)
        return response if known.answered is answered else current_app.json.response(known.answered)

    return bp


def json_body() -> bytes:
    """
    Give the body of a request that says it is JSON, as sent.

    Raises Refused (415) for another type or any compression; Flask refuses a body that is too large (413).
    """
    return _json_of(observability.at_hand()[0])


def _json_of(asked: Request) -> bytes:
    if asked.headers.get("Content-Encoding", "identity").strip().lower() not in {"", "identity"}:
        raise Refused(415, "Content-Encoding: send the body as it is, without compression.", field="ContentEncoding")
    if not asked.is_json:
        raise Refused(415, "Content-Type must be application/json.")
    return _body(asked)


def _body(asked: Request) -> bytes:
    """Give the body in one piece, where its length is told: Flask copies it together from small ones."""
    length, most = asked.content_length, asked.max_content_length
    if length is None:
        return asked.get_data(cache=False)
    if most is not None and length > most:
        raise RequestEntityTooLarge
    stream = asked.environ["wsgi.input"]
    if isinstance(stream, io.BytesIO) and stream.tell() == 0 and len(whole := stream.getvalue()) == length:
        return whole  # what is in memory already is handed over, not copied
    body: bytes = stream.read(length)
    return body


def _without_quiet(answered: dict[str, Any], judged: Judged, known: _AppCtxGlobals, *, at_once: bool) -> dict[str, Any]:
    """
    Leave out the cards that were answered for this patient a while ago; the evaluation counts them.

    Where none was answered the call is recorded `at_once`, as it stands, in the same step.
    """
    quiet: Quiet | None = current_app.extensions.get(QUIET)
    cards = answered["cards"]
    if quiet is None or not cards:
        return answered
    client = known.get("client")
    tenant = str(client.tenant) if client is not None else OPEN_TENANT
    keys = known.quiet_keys = quiet.keys(tenant, judged.call.patient_id, cards)
    heard = quiet.heard(tenant, keys, cards, current_app.extensions.get(RECORDER) if at_once else None)
    if len(heard) == len(cards):
        return answered
    left = len(cards) - len(heard)
    observability.of(current_app).metrics.quieted.inc(left)
    evaluation = answered["extension"][EVALUATION] | {"quieted": left}
    return {"cards": heard, "extension": answered["extension"] | {EVALUATION: evaluation}}


def shadowed(answered: dict[str, Any]) -> dict[str, Any]:
    """Give an answer without its cards; the evaluation says how many there would have been."""
    evaluation = answered["extension"][EVALUATION] | {"shadow": True, "unshown_cards": len(answered["cards"])}
    return {"cards": [], "extension": answered["extension"] | {EVALUATION: evaluation}}


def _tell_fetches(outcomes: Mapping[str, str]) -> None:
    """Count them, and give them to the log, before it is known whether there is an answer."""
    for key, result in outcomes.items():
        observability.of(current_app).metrics.fetches.labels(key, result).inc()
    g.told = {"fetches": dict(outcomes)}


def _tell(
    service: Service, judged: Judged, cards: Sequence[dict[str, Any]], language: Language
) -> Mapping[str, object]:
    """Count the call, and give what the log may know of it: rule ids and counts, never a value."""
    assessment = judged.assessment
    metrics = observability.of(current_app).metrics
    metrics.assessed(service.id, assessment, cards)
    return {
        "hook": judged.call.hook,
        "language": language,
        "in_scope": assessment.in_scope,
        "cards": len(cards),
        "indicators": dict(Counter(card["indicator"] for card in cards)),
        "undecided": len(assessment.of("undecided")),
        "failed": list(assessment.failed),
        "notes": len(judged.mapped.notes),
        "unavailable": sorted(assessment.facts.unavailable),
        "guidance": assessment.guidance,
        "fetches": dict(judged.gathered.fetched),
    } | {state: list(assessment.of(state)) for state in ("fired", "suppressed", "superseded")}


def description() -> Blueprint:
    """Make the route of the API's own description, which holds no patient data."""
    bp = Blueprint("description", __name__)
    raw = resources.files("hooks").joinpath("openapi.json").read_bytes()

    @bp.get("/openapi.json")
    def openapi() -> Response:
        """Describe the API in OpenAPI 3.1."""
        return Response(raw, mimetype="application/json")

    return bp


def is_cds(path: str) -> bool:
    """Tell whether a path is one of CDS Hooks."""
    return path == ROOT or path.startswith(f"{ROOT}/")


def finish(settings: Settings) -> Callable[[Response], Response]:
    """Make the last step of every answer: language, caching and CORS headers."""

    for_all = settings.auth == "open" and settings.loopback

    def finished(response: Response) -> Response:
        asked, known = observability.at_hand()
        headers = response.headers
        if asked.method == "OPTIONS" and response.status_code == 200:
            response.status_code = 204
            headers.pop("Content-Type", None)
        headers.setdefault("Cache-Control", "no-store")
        headers["X-Content-Type-Options"] = "nosniff"
        if settings.console and (steps := known.get("steps")):
            # The console shows it, and so does any browser's network panel.
            headers["Server-Timing"] = ", ".join([f"{name};dur={took:.2f}" for name, took in steps])
        if is_cds(asked.path):
            headers["Content-Language"] = known.get("language", "en")
            vary(response, "Accept-Language")
            _allow_origin(asked, response, settings, for_all=for_all)
        return response

    return finished


def vary(response: Response, name: str) -> None:
    """Say that an answer depends on a header of the request."""
    told = response.headers.get("Vary")
    if not told:
        response.headers["Vary"] = name
    elif name.lower() not in told.lower():
        response.headers["Vary"] = f"{told}, {name}"


def _allow_origin(asked: Request, response: Response, settings: Settings, *, for_all: bool) -> None:
    """Let browser clients in: anybody on this machine in open mode, else the configured origins only."""
    origin = asked.headers.get("Origin")
    if for_all:
        allowed = "*"
    else:
        vary(response, "Origin")
        if origin not in settings.cors_origins:
            return
        allowed = origin
    response.headers["Access-Control-Allow-Origin"] = allowed
    response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    if asked.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = "GET, POST, OPTIONS"
        response.headers["Access-Control-Allow-Headers"] = ALLOWED_HEADERS
        response.headers["Access-Control-Max-Age"] = "600"
        if settings.loopback and asked.headers.get("Access-Control-Request-Private-Network") == "true":
            # A page from the internet (the public sandbox) may ask a server on this machine only with this.
            response.headers["Access-Control-Allow-Private-Network"] = "true"
