"""The console: an engineer fires a hook at the real endpoint, changes what matters, and sees what comes of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, render_template, request

from hooks.console.refusals import place_of
from hooks.console.texts import texts
from hooks.dossier.page import fragment, whole_page
from hooks.dossier.pages import reader, secured, shared
from hooks.errors import Refused
from hooks.reference import safe, samples
from hooks.settings import is_loopback
from hooks.trust.launching import is_safe

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hooks.settings import Settings
    from hooks.views import Desk

STEP = re.compile(r"([a-z]{1,20});dur=(\d{1,7}(?:\.\d{1,3})?)")
"""One step in the Server-Timing header of an answer."""

SPOKEN = (
    "working",
    "accepted",
    "overridden",
    "feedback_failed",
    "undo_feedback",
    "unreachable",
    "change_value",
    "change_date",
    "copied",
    "copy_failed",
    "link_bad",
    "diff_new",
    "diff_changed",
    "diff_gone",
    "diff_none",
    "colon",
)
"""The words that the page's script says."""


def blueprint(desk: Desk) -> Blueprint:
    """Make the console's own routes; patient ids are posted, never part of a URL."""
    bp = Blueprint(
        "console", __name__, template_folder="templates", static_folder="static", static_url_path="/console/static"
    )
    bp.after_request(secured)
    bp.before_request(lambda: _same_origin(desk.settings))
    services: dict[str, str] = {service.hook: service.id for service in reversed(desk.services)}

    @bp.get("/")
    def start() -> str:
        """Show the console."""
        return _page(
            desk.settings,
            "console.html",
            samples=samples.samples(),
            services=services,
            mapping=mapping_rows(desk.settings.mapping),
            fhir_servers=desk.settings.fhir_servers,
            words=json.dumps({key: texts(reader(desk.settings))[key] for key in SPOKEN}),
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
        """Show one answered call: its cards, or its refusal with the place where it went wrong."""
        return _page(desk.settings, "view.html", **_viewed(_posted()))

    @bp.post("/console/dossier")
    def dossier() -> Response | str:
        """Show the dossier of a posted request: as a page, as a part of one (JSON in), or as a file to keep."""
        return _dossier(desk)

    return bp


def _same_origin(settings: Settings) -> None:
    """Refuse what comes from another site's page, also under a name that was made to point here."""
    if settings.loopback and not is_loopback(urlsplit(request.host_url).hostname or ""):
        raise Refused(403, "The console of a loopback server answers to localhost and 127.0.0.1 only.")
    if request.method == "POST" and not _from_our_page():
        raise Refused(403, "The console takes posts of its own pages only.")


def _page(settings: Settings, template: str, **told: Any) -> str:  # noqa: ANN401 - what a template shows
    language = reader(settings)
    return render_template(template, **shared(settings, language) | {"t": texts(language)} | told)


def _viewed(posted: dict[str, Any]) -> dict[str, Any]:
    """What the view of an answered call shows."""
    answered = _parsed(posted.get("response"))
    issue = answered["issue"][0] if isinstance(answered, dict) and answered.get("issue") else None
    return {
        "answered": answered if isinstance(answered, dict) and "cards" in answered else None,
        "evaluation": _evaluation(answered),
        "issue": issue,
        "place": place_of(posted["request"], issue) if issue else None,
        "response_text": str(posted.get("response") or ""),
        "request_text": posted["request"],
        "status": posted.get("status"),
        "ms": posted.get("ms"),
        "steps": STEP.findall(str(posted.get("timing") or "")),
        "service": posted.get("service"),
        "markdown": safe.markdown,
        "pretty": safe.pretty,
        "indented": safe.indented,
        "is_safe": is_safe,
    }


def _dossier(desk: Desk) -> Response | str:
    from hooks.dossier.whole import dossier_of  # noqa: PLC0415 - read when the first dossier is asked for

    language = reader(desk.settings)
    if request.is_json:
        return fragment(dossier_of(desk, _posted()["request"].encode(), language))
    found = dossier_of(desk, request.form.get("request", "").encode(), language)
    if request.form.get("file"):
        kept = {"Content-Disposition": "attachment; filename=dossier.html"}
        return Response(whole_page(found), mimetype="text/html", headers=kept)
    shown = safe.ours(fragment(found))
    return _page(desk.settings, "dossier.html", dossier=shown, request_text=request.form["request"])


def _posted() -> dict[str, Any]:
    posted = request.get_json()
    if not isinstance(posted, dict) or not isinstance(posted.get("request"), str):
        raise Refused(400, "request: the text of a CDS Hooks request is needed.", field="request")
    return posted


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
    rows += [("systems", str(address), str(word)) for address, word in mapping.get("systems", {}).items()]
    return rows


def _parsed(text: object) -> Any:  # noqa: ANN401 - JSON of any shape
    try:
        return json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _evaluation(answered: object) -> Mapping[str, Any]:
    extension = answered.get("extension") if isinstance(answered, dict) else None
    found = extension.get("org.oncobone.evaluation") if isinstance(extension, dict) else None
    return found if isinstance(found, dict) else {}
