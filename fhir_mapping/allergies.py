"""Allergies and intolerances to the drugs that rules name or suggest."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fhir_mapping.terms import dictionary
from fhir_mapping.terms.codes import code_text, codings, texts_of
from fhir_mapping.terms.drugs import identify
from fhir_mapping.words import text
from recommenders.vocabulary.facts import Fact, stated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.delivery.items import Item
    from fhir_mapping.delivery.notes import Notes

_FACT_OF = {
    "denosumab": "allergy.denosumab",
    "ifosfamide": "allergy.ifosfamide",
    "ifosfamide-mesna": "allergy.ifosfamide",
    "mesna": "allergy.mesna",
    "zoledronic": "allergy.bisphosphonate",
    "zoledronic-calcium-vitamin-d": "allergy.bisphosphonate",
    "ibandronate": "allergy.bisphosphonate",
    "incadronate": "allergy.bisphosphonate",
    "pamidronate": "allergy.bisphosphonate",
    "clodronate": "allergy.bisphosphonate",
    "other-bisphosphonate": "allergy.bisphosphonate",
    "alendronate-vitamin-d": "allergy.bisphosphonate",
}


def read(items: Iterable[Item], context: ReadingContext, notes: Notes) -> dict[str, Fact]:
    """Give the allergy facts; an allergy that is over, refuted or entered in error counts for nothing."""
    found: dict[str, Fact] = {}
    for item in sorted(items, key=lambda one: one.name):
        resource = item.copy(context.timezone, notes)
        if resource is None:
            continue
        verification, clinical = _status(resource.get("verificationStatus")), _status(resource.get("clinicalStatus"))
        if verification in {"refuted", "entered-in-error"} or clinical in {"inactive", "resolved"}:
            notes.add(item.name, f"status: {verification if verification in _VOID else clinical}")
            continue
        if any(_DENIED.search(text.fold(said)) for said in texts_of(resource.get("code"))):
            notes.add(item.name, "its words deny the allergy")
            continue
        paths = _paths(resource, context)
        if not paths:
            concepts = {match.concept for match in context.concepts(resource.get("code"))}
            notes.add(
                item.name,
                "no known allergy: as an empty list"
                if "no_known_allergy" in concepts
                else "an allergy to no drug of ours",
            )
            continue
        if resource.get("patient") is None:
            notes.add(item.name, "no-subject: used, since it came with this patient's data")
        doubtful = verification in {"unconfirmed", "presumed"} and verification == "unconfirmed"
        for path in sorted(paths):
            _take(path, item, resource, found, doubtful=doubtful)
    return found


_DENIED = text.compiled(
    r"\b(?:no|not|denies|denied|without)\b[^.;]{0,40}\ballerg|(?:无|否认|未见)[^。；]{0,16}过敏|不过敏"
)
_VOID = frozenset({"refuted", "entered-in-error"})


def _status(codeable: object) -> str:
    for coding in codings(codeable):
        if code := code_text(coding.get("code")):
            return code.lower()
    said = texts_of(codeable)
    return said[0].lower() if said else ""


def _paths(resource: Mapping[str, Any], context: ReadingContext) -> set[str]:
    """By the allergy's code or words; failing that by the substance of a reaction."""
    named = [resource.get("code")]
    if not any(_of(one, context) for one in named):
        named = [reaction.get("substance") for reaction in resource.get("reaction", ())]
    return {path for one in named for path in _of(one, context)}


def _of(codeable: object, context: ReadingContext) -> set[str]:
    if not codeable:
        return set()
    return {_FACT_OF[key] for key in identify([codeable], table=context.codes).drugs if key in _FACT_OF}


def _take(path: str, item: Item, resource: Mapping[str, Any], found: dict[str, Fact], *, doubtful: bool) -> None:
    blank = dictionary.blank_finding(path)
    known = found.get(path)
    names = known.resources if known is not None else ()
    if doubtful:
        if known is None:
            found[path] = replace(blank, value=None, reason="suspected", resources=(item.name,))
        return
    flags = ("intolerance",) if resource.get("type") == "intolerance" else ()
    found[path] = stated(blank, True, resources=(*names, item.name), flags=flags)
