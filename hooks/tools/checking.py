"""Looks at the settings without starting anything: would a server start with them, and what do they come to?"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fhir_mapping.terms.site import site_mapping
from hooks.settings import Settings, SettingsError, refuse_unsafe_start
from hooks.store.database import DEFAULT_DATABASE_URL, StoreError, engine_for
from hooks.trust.launching import is_on, is_safe, launch_url
from hooks.trust.tokens import Authenticator

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = frozenset({"database_url"})
"""May hold a password: only that it is set is told."""


@dataclass(slots=True)
class Report:
    """What the settings come to: `problems` keep a server from starting, `remarks` do not."""

    settings: Settings
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def check(settings: Settings) -> Report:
    """Look at settings that were read without fault."""
    report = Report(settings)
    try:
        warning = refuse_unsafe_start(settings)
        report.remarks += [warning] if warning else []
        if settings.auth == "signed" and settings.clients:
            Authenticator(settings)
    except SettingsError as error:
        report.problems.append(str(error))
    try:
        engine_for(settings.database_url or DEFAULT_DATABASE_URL).dispose()
    except StoreError as error:
        report.problems.append(str(error))
    report.remarks += list(_remarks(settings))
    return report


def _remarks(settings: Settings) -> Iterator[str]:
    servers = (
        settings.fhir_servers if settings.auth == "open" else [s for c in settings.clients for s in c.fhir_servers]
    )
    if not servers:
        yield "No FHIR server is listed: only what comes in the prefetch is read."
    for server in servers:
        if server.startswith("http://") and "://127." not in server and "://localhost" not in server:
            yield f"{server} is read without TLS: tokens and data travel in the clear."
    yield from _remarks_on_address(settings)
    yield from _remarks_on_silence(settings)
    if settings.auth == "open" and settings.clients:
        yield "[[clients]] are set, but open mode asks nobody who they are."
    if settings.now is not None:
        yield f"Every call is judged as of {settings.moment().date().isoformat()} (now): for tests and replays only."
    if settings.audit_key_file and not Path(settings.audit_key_file).exists():
        yield f"The audit key {settings.audit_key_file} is not there yet; the server makes it at its first start."
    mapping = site_mapping(settings.mapping)
    if mapping.is_empty:
        yield "No mapping: results in local codes are read only where their names are known."
    else:
        yield f"Mapping: {len(mapping.rows)} codes, {len(mapping.names)} names, {len(mapping.unit_aliases)} units."


def _remarks_on_address(settings: Settings) -> Iterator[str]:
    public = settings.public_url
    if public is not None and not is_safe(public):
        yield f"{public} (public_url) is plain http: EHRs call https, and cards carry no links. Put TLS in front."
    if settings.smart_client_id is None:
        return
    if not is_on(settings):
        yield "smart_client_id is set, and the dossier is off: no FHIR server is listed that it could be launched from."
    elif launch_url(settings) is None:
        yield "smart_client_id is set, and no card links to the dossier: ONCOBONE_PUBLIC_URL is missing or not https."


def _remarks_on_silence(settings: Settings) -> Iterator[str]:
    """Say what this site does not show, so that nobody waits for it."""
    inside = [("", settings.shadow)]
    inside += [(f" of {client.issuer}", client.shadow) for client in settings.clients]
    inside += [(f" of the service {service.id}", service.shadow) for service in settings.services or ()]
    for whose, shadow in inside:
        if shadow:
            yield f"In the shadow: every call{whose} is judged and recorded, and no card is shown."
    by = f" (decided by: {settings.decided_by})" if settings.decided_by else ""
    for rule, voice in settings.voices.items():
        yield f"{rule} speaks as {voice}, by the site's own choice{by}."


def as_json(report: Report) -> dict[str, Any]:
    """Give all of it as JSON."""
    values = report.settings.model_dump(mode="json")
    shown = {name: "(set)" if name in SECRET and value else value for name, value in values.items()}
    return {"good": not report.problems, "problems": report.problems, "remarks": report.remarks, "settings": shown}


def as_text(report: Report) -> Iterator[str]:
    """Yield all of it line by line, for people."""
    told = as_json(report)
    for name, value in told["settings"].items():
        if value not in (None, [], {}, ""):
            yield f"{name} = {value}"
    yield ""
    yield from (f"PROBLEM: {line}" for line in report.problems)
    yield from (f"note: {line}" for line in report.remarks)
    yield "A server would start with this." if not report.problems else "A server would not start with this."
