"""Services that are already asked for: service requests on record and drafts of the call, by code or by name."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, get_args

from fhir_mapping.elements.amounts import words
from fhir_mapping.places.sites import body_sites, places_in
from fhir_mapping.proposals import SERVICE_CODES
from fhir_mapping.terms import dates
from fhir_mapping.terms.codes import code_text, codings, normal_system, texts_of
from fhir_mapping.words.fold import compiled
from fhir_mapping.words.plain import plain
from recommenders.patient.advice import Service
from recommenders.vocabulary.records import Request

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Mapping

    from fhir_mapping.delivery.context import ReadingContext
    from recommenders.vocabulary.records import RequestStatus

_STANDS: Mapping[str, RequestStatus] = {
    "active": "active",
    "on-hold": "active",
    "draft": "draft",
    "completed": "completed",
}
"""Status of a ServiceRequest -> how it counts; revoked, unknown and erroneous ones ask for nothing."""


@dataclass(frozen=True, slots=True)
class _Known:
    """How one service is recognised."""

    service: str
    concepts: frozenset[str]
    words: re.Pattern[str]
    looks_like: re.Pattern[str] | None
    is_asked: bool


def _load() -> tuple[re.Pattern[str], tuple[_Known, ...]]:
    table = tomllib.loads(files("fhir_mapping").joinpath("terms/services.toml").read_text("utf-8"))
    if set(table["services"]) != set(get_args(Service)):
        raise ValueError("services.toml: every service that a rule may propose needs its names, and no other")
    return compiled(table["consultation"]["words"]), tuple(
        _Known(
            service=service,
            concepts=frozenset(row.get("concepts", ())),
            words=compiled("|".join(row["words"])),
            looks_like=compiled("|".join(row["not"])) if "not" in row else None,
            is_asked=bool(row.get("asked", False)),
        )
        for service, row in table["services"].items()
    )


_ASKING, _SERVICES = _load()


def services_of(resource: Mapping[str, Any], context: ReadingContext) -> tuple[str, ...]:
    """Give the services that a ServiceRequest asks for; one order may be several (a metabolic panel)."""
    code = resource.get("code")
    coded = {(normal_system(words(one.get("system"))), code_text(one.get("code"))) for one in codings(code)}
    concepts = {match.concept for match in context.concepts(code)}
    performers = texts_of(resource.get("performerType"))
    named = plain("; ".join((*texts_of(code), *performers)))
    asks = bool(performers) or _ASKING.search(named) is not None
    return tuple(
        one.service
        for one in _SERVICES
        if coded & SERVICE_CODES[one.service]
        or concepts & one.concepts
        or (
            (asks or not one.is_asked)
            and one.words.search(named)
            and not (one.looks_like and one.looks_like.search(named))
        )
    )


def read(resources: Iterable[tuple[str, Mapping[str, Any]]], context: ReadingContext) -> tuple[Request, ...]:
    """Give what these ServiceRequests, each with its reference, ask for; in order of reference and service."""
    found = [one for name, resource in resources for one in _requests(name, resource, context)]
    return tuple(dict.fromkeys(sorted(found, key=lambda one: (one.resources, one.service))))


def _requests(name: str, resource: Mapping[str, Any], context: ReadingContext) -> list[Request]:
    status = _STANDS.get(words(resource.get("status")).strip().lower())
    if status is None or resource.get("doNotPerform") is True:
        return []
    stamp = dates.parse(resource.get("authoredOn"), context.timezone)
    places = [place for place in body_sites(resource, context) if place.is_bone]
    if not places:
        named = [place for said in texts_of(resource.get("code")) for place in places_in(said)]
        places = [place for place in dict.fromkeys(named) if place.is_bone and place.site != "bone"]
    sites: list[dict[str, Any]] = [place.parts for place in places] or [{}]
    return [
        Request(service=service, status=status, day=stamp.day if stamp else None, resources=(name,), **site)
        for service in services_of(resource, context)
        for site in sites
    ]
