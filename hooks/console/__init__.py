"""The console: an engineer fires a hook at the real endpoint and sees what was understood, and why."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, render_template, request

from hooks.console import drawings
from hooks.console.inspection import inspect
from hooks.console.texts import texts
from hooks.errors import Refused
from hooks.reference import catalogue, safe, samples
from hooks.reference.attributes import attributes
from hooks.settings import is_loopback
from recommenders.vocabulary.guidance import VERSION, sources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hooks.cards.wording import Language
    from hooks.views import Desk

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""Nothing inline, nothing from elsewhere."""

STEP = re.compile(r"([a-z]{1,20});dur=(\d{1,7}(?:\.\d{1,3})?)")
"""One step in the Server-Timing header of an answer."""


def reader() -> Language:
    """Tell the language of the page: the one asked for, else the browser's."""
    asked = request.values.get("lang") or request.accept_languages.best_match(["en", "zh-CN", "zh"]) or "en"
    return "zh-CN" if asked.lower().startswith("zh") else "en"


def secured(response: Response) -> Response:
    """Add the headers that keep a hostile chart from doing anything on a page of ours."""
    response.headers["Content-Security-Policy"] = CSP
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Cache-Control"] = "no-store"
    return response


def pages() -> Blueprint:
    """Make the pages without patient data, which do not depend on the console: rules and source attributes."""
    bp = Blueprint("pages", __name__, template_folder="templates", static_folder="static", static_url_path="/static")
    bp.after_request(secured)

    @bp.get("/rules")
    def rules() -> str:
        """Show the rule catalogue."""
        language = reader()
        return render_template(
            "rules.html",
            language=language,
            t=texts(language),
            sections=catalogue.sections(),
            sources=sources(),
            version=VERSION,
        )

    @bp.get("/attributes")
    def all_attributes() -> dict[str, Any]:
        """Give the source attributes of every recommender."""
        return {"recommenders": [row.as_json(name) for name, row in attributes().items()]}

    @bp.get("/attributes/<recommender>")
    def one(recommender: str) -> dict[str, Any]:
        """Give the source attributes of one recommender."""
        for name, row in attributes().items():
            if name == recommender:
                return row.as_json(name)
        raise Refused(404, f"There is no recommender of this name. There are: {', '.join(attributes())}.")

    return bp


def blueprint(desk: Desk) -> Blueprint:
    """Make the console's own routes; patient ids are posted, never part of a URL."""
    bp = Blueprint("console", __name__, template_folder="templates")
    bp.after_request(secured)
    services: dict[str, str] = {service.hook: service.id for service in reversed(desk.services)}

    @bp.before_request
    def same_origin() -> None:
        """Refuse what comes from another site's page, also under a name that was made to point here."""
        if desk.settings.loopback and not is_loopback(urlsplit(request.host_url).hostname or ""):
            raise Refused(403, "The console of a loopback server answers to localhost and 127.0.0.1 only.")
        if request.method == "POST" and not _from_our_page():
            raise Refused(403, "The console takes posts of its own pages only.")

    @bp.get("/")
    def start() -> str:
        """Show the console."""
        language = reader()
        return render_template(
            "console.html",
            language=language,
            t=texts(language),
            samples=samples.samples(),
            services=services,
            mapping=mapping_rows(desk.settings.mapping),
            fhir_servers=desk.settings.fhir_servers,
            version=VERSION,
        )

    @bp.get("/console/samples/<name>/<hook>")
    def sample_request(name: str, hook: str) -> dict[str, Any]:
        """Give the request that an EHR would send for a sample patient."""
        if hook not in services:
            raise Refused(404, "There is no such hook here.")
        try:
            return samples.request_for(name, hook, day=desk.settings.moment().date())
        except KeyError:
            raise Refused(404, "There is no sample patient of this name.") from None

    @bp.post("/console/view")
    def view() -> str:
        """Show one answered call: its cards, and everything that stands behind them."""
        language = reader()
        posted = request.get_json()
        if not isinstance(posted, dict) or not isinstance(posted.get("request"), str):
            raise Refused(400, "request: the text of a CDS Hooks request is needed.", field="request")
        found = inspect(desk, posted["request"].encode(), services, language)
        return render_template(
            "view.html",
            language=language,
            t=texts(language),
            found=found,
            answered=_parsed(posted.get("response")),
            response_text=str(posted.get("response") or ""),
            request_text=posted["request"],
            status=posted.get("status"),
            ms=posted.get("ms"),
            steps=STEP.findall(str(posted.get("timing") or "")),
            service=posted.get("service"),
            markdown=safe.markdown,
            pretty=safe.pretty,
            indented=safe.indented,
        )

    @bp.post("/console/patient")
    def patient() -> str:
        """Draw one patient: series with limits, lesions on a body outline."""
        language = reader()
        found = inspect(desk, request.form.get("request", "").encode(), services, language)
        return render_template(
            "patient.html",
            language=language,
            t=texts(language),
            found=found,
            request_text=request.form.get("request", ""),
            charts=drawings.charts(found, language),
            lesions=drawings.lesions(found, language),
            escc=drawings.escc(found, language),
        )

    return bp


def _from_our_page() -> bool:
    """Tell whether a browser sent this from a page of ours, or no browser did."""
    fetched_from = request.headers.get("Sec-Fetch-Site")
    if fetched_from is not None:
        return fetched_from == "same-origin"  # `Origin` is null here, since our pages send no referrer
    return request.headers.get("Origin") in {None, request.host_url.rstrip("/")}


def mapping_rows(mapping: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Give the site's mapping as rows: kind, what the feed says, what it stands for."""
    rows = [("codes", f"{each['system']}|{each['code']}", str(each["concept"])) for each in mapping.get("codes", ())]
    rows += [("names", str(each["text"]), str(each["concept"])) for each in mapping.get("names", ())]
    rows += [("units", str(written), str(meant)) for written, meant in mapping.get("units", {}).items()]
    rows += [("cn_icd_systems", str(system), "ICD-10") for system in mapping.get("cn_icd_systems", ())]
    return rows


def _parsed(text: object) -> Any:  # noqa: ANN401 - JSON of any shape
    try:
        return json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
