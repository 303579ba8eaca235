"""The app that an EHR launches, at `/dossier` and `/ask`: pages without patient data, and posts that keep nothing."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec
from flask import Blueprint, Response, render_template, request

from fhir_mapping.terms.queries import templates
from hooks.cards.language import page_language
from hooks.cards.wording import LANGUAGES
from hooks.dossier.body import outline, spots
from hooks.dossier.form import asking
from hooks.dossier.form.questionnaire import every_item, questionnaire
from hooks.dossier.form.questions import QUESTIONS
from hooks.dossier.form.texts import texts
from hooks.dossier.form.writing import (
    Occasion,
    as_text,
    observations,
    person,
    questionnaire_response,
    visit,
)
from hooks.dossier.page import fragment
from hooks.dossier.whole import dossier_of_chart
from hooks.errors import Refused
from hooks.fhir_server.addresses import configured_base
from hooks.settings import is_loopback
from hooks.trust.gate import refuse_overload
from hooks.trust.launching import origin, policy, servers
from hooks.views import json_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hooks.cards.wording import Language
    from hooks.settings import Settings
    from hooks.views import Desk

_ENCODER = msgspec.json.Encoder(decimal_format="number")


DOORS: Mapping[str, str] = MappingProxyType({"dossier": "dossier", "ask": "questions"})
"""Two addresses of one app, and the tab that each opens at: the dossier as a whole, or the questions."""


def blueprint(desk: Desk, door: str = "dossier") -> Blueprint:
    """Make the app's routes under one of its addresses: three pages without patient data, posts that keep nothing."""
    settings = desk.settings
    bp = Blueprint(f"{door}-app", __name__, url_prefix=f"/{door}", template_folder="templates", static_folder="static")
    csp = policy(settings)
    bp.before_request(lambda: _guard(settings))
    bp.after_request(lambda response: _secured(response, csp))
    _add_pages(bp, settings, door)
    _add_posts(bp, desk)
    return bp


def _guard(settings: Settings) -> None:
    """Keep other sites' pages out, and work that nobody waits for any more."""
    if settings.loopback and not is_loopback(urlsplit(request.host_url).hostname or ""):
        raise Refused(403, "The form of a loopback server answers to localhost and 127.0.0.1 only.")
    if request.method == "POST":
        ours = {request.host_url.rstrip("/")} | ({origin(settings.public_url)} if settings.public_url else set())
        if request.headers.get("Origin") not in {None, *ours}:
            raise Refused(403, "The form takes posts of its own pages only.")
        refuse_overload(request.environ, settings.queue_seconds)


def _secured(response: Response, csp: str) -> Response:
    response.headers["Content-Security-Policy"] = csp
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cache-Control"] = "no-store"
    return response


def _prefix(settings: Settings) -> str:
    return urlsplit(settings.public_url or "").path.rstrip("/")


def _page(settings: Settings, door: str, step: str, **config: Any) -> str:  # noqa: ANN401 - JSON for the page
    language, prefix = _language(settings), _prefix(settings)
    told = {
        "root": f"{prefix}/{door}",
        "tab": DOORS[door],
        "client": settings.smart_client_id,
        "servers": list(servers(settings)),
        "trusted": list(settings.smart_auth_origins),
        "loopback": settings.auth == "open" and settings.loopback,
        "language": language,
        "texts": {one: texts(one) for one in LANGUAGES},
        "templates": templates("patient-view"),
        "outline": {one: outline(one) for one in LANGUAGES},
        "spots": {site: list(_spots(site)) for site in QUESTIONS["lesions[].site"].options},
        **config,
    }
    root, words = told["root"], texts(language)
    return render_template(
        "ask.html", t=words, language=language, step=step, config=json.dumps(told), root=root, prefix=prefix
    )


def _add_pages(bp: Blueprint, settings: Settings, door: str) -> None:
    @bp.get("")
    def alone() -> str:
        """Start without an EHR: choose one of the configured servers."""
        return _page(settings, door, "choose")

    @bp.get("/launch")
    def launch() -> str | tuple[str, int]:
        """Start from an EHR: only one of the configured servers may be named."""
        base = configured_base(request.args.get("iss", ""), servers(settings))
        if base is None:
            return _page(settings, door, "refused", reason="refused_server"), 403
        return _page(settings, door, "launch", base=base, launch=request.args.get("launch", ""))

    @bp.get("/form")
    def form() -> str:
        """Come back from the sign-in, and ask."""
        return _page(settings, door, "form")

    @bp.get("/questionnaire", defaults={"language": None})
    @bp.get(f"/questionnaire/<any({', '.join(map(repr, LANGUAGES))}):language>")
    def served(language: Language | None) -> Response:
        """Give the questions as a Questionnaire, at its canonical address too; `fact` (repeated) chooses among them."""
        wanted = set(request.args.getlist("fact"))
        items = [item for item in every_item() if not wanted or item.path in wanted or item.name in wanted]
        if not items:
            raise Refused(404, "None of these facts is asked here.")
        language = language or _language(settings)
        whole = questionnaire(items, language, served=_served(settings))
        return _fhir(_part_of(whole) if wanted else whole)


def _add_posts(bp: Blueprint, desk: Desk) -> None:
    settings = desk.settings

    @bp.post("/view")
    def view() -> Response:
        """Give the dossier of one chart as a part of the page; nothing of it is kept."""
        sitting = asking.sit(desk, json_body(), _language(settings))
        found = dossier_of_chart(desk, sitting.sent.patient, sitting.sent.prefetch, sitting.language)
        return Response(fragment(found, links=_prefix(settings)), mimetype="text/html")

    @bp.post("/questions")
    def questions() -> Response:
        """Give the form of one chart, the most decisive questions first, with its Questionnaire."""
        sitting = asking.sit(desk, json_body(), _language(settings))
        items, found = asking.ask(sitting)
        form = questionnaire(items, sitting.language, served=_served(settings)) if items else None
        found["questionnaire"] = _part_of(form) if form else None
        return _json(found)

    @bp.post("/preview")
    def preview() -> Response:
        """Give what the answers change."""
        sitting = asking.sit(desk, json_body(), _language(settings))
        return _json(asking.preview(sitting, _occasion(sitting, settings)))

    @bp.post("/observations")
    def written() -> Response:
        """Give the resources that the page will save with the user's own token, and the same as text."""
        sitting = asking.sit(desk, json_body(), _language(settings))
        occasion = _occasion(sitting, settings)
        entries = observations(sitting.answers, sitting.facts, occasion)
        return _json(
            {
                "form": questionnaire_response(sitting.answers, occasion),
                "observations": [
                    {"text": entry.text, "items": list(entry.items), "resource": entry.resource} for entry in entries
                ],
                "text": as_text(sitting.answers, sitting.facts, occasion),
            }
        )


def _spots(site: str) -> Iterator[dict[str, Any]]:
    """Where a site is pointed at: one spot, or one for each side."""
    sides = ("right", "left") if len(spots(site, "")) > 1 else ("",)
    for side in sides:
        for x, y in spots(site, side):
            yield {"x": x, "y": y, "side": side}


def _language(settings: Settings) -> Language:
    asked = request.args.get("lang") or request.args.get("language")
    return page_language(asked, request.headers.get("Accept-Language"), settings.language)


def _served(settings: Settings) -> str | None:
    return f"{settings.public_url}/ask/questionnaire" if settings.public_url else None


def _part_of(made: dict[str, Any]) -> dict[str, Any]:
    """Say that these are some of the questions: a part is not the form that the canonical address names."""
    made["derivedFrom"] = [made.pop("url")]
    return made


def _occasion(sitting: asking.Sitting, settings: Settings) -> Occasion:
    return Occasion(
        patient_id=sitting.sent.patient,
        moment=settings.moment(),
        language=sitting.language,
        performer=person(sitting.sent.performer),
        encounter=visit(sitting.sent.encounter),
        served=_served(settings),
    )


def _json(value: object) -> Response:
    return Response(_ENCODER.encode(value), mimetype="application/json")


def _fhir(value: object) -> Response:
    return Response(_ENCODER.encode(value), mimetype="application/fhir+json")
