"""Allergies and intolerances to the drugs that rules name or suggest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fhir_mapping.terms import dates, dictionary
from fhir_mapping.terms.codes import code_text, codings, texts_of
from fhir_mapping.terms.drugs import identify
from fhir_mapping.terms.exact import listed
from fhir_mapping.words import assertions
from fhir_mapping.words.fold import compiled, fold
from recommenders.vocabulary.facts import Fact, replace, stated
from recommenders.vocabulary.records import Allergy

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

_KEPT = frozenset({*_FACT_OF, "melphalan"})
"""Drugs whose allergies are kept with the words of the record."""


@dataclass(slots=True)
class Allergies:
    """The allergy facts by path, and the records that name a drug of ours."""

    facts: dict[str, Fact] = field(default_factory=dict)
    records: list[Allergy] = field(default_factory=list)


def read(items: Iterable[Item], context: ReadingContext, notes: Notes) -> Allergies:
    """Read the allergies; one that is over, refuted, entered in error or to food counts for nothing."""
    found = Allergies()
    for item in sorted(items, key=lambda one: one.name):
        resource = item.copy(context.timezone, notes)
        if resource is None:
            continue
        verification, clinical = _status(resource.get("verificationStatus")), _status(resource.get("clinicalStatus"))
        if verification in {"refuted", "entered-in-error"} or clinical in {"inactive", "resolved"}:
            notes.add(item.name, f"status: {verification if verification in _VOID else clinical}")
            continue
        if any(assertions.verdict(said, "allergy") == "absent" for said in texts_of(resource.get("code"))):
            notes.add(item.name, "its words deny the allergy")
            continue
        drugs = _drugs(resource, context)
        if not drugs:
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
        record = _record(resource, item, drugs, context, doubtful=verification == "unconfirmed")
        found.records.append(record)
        for path in sorted({_FACT_OF[drug] for drug in drugs if drug in _FACT_OF}):
            _take(path, record, found.facts)
    return found


def _record(
    resource: Mapping[str, Any], item: Item, drugs: Iterable[str], context: ReadingContext, *, doubtful: bool
) -> Allergy:
    reactions = [
        said
        for reaction in listed(resource.get("reaction"))
        for manifestation in listed(reaction.get("manifestation"))
        for said in texts_of(manifestation)[:1]
    ]
    acute_phase_only = bool(reactions) and all(_ACUTE_PHASE.search(fold(said)) for said in reactions)
    stamps = (dates.parse(resource.get(name), context.timezone) for name in ("onsetDateTime", "recordedDate"))
    substances = texts_of(resource.get("code"))
    return Allergy(
        drugs=tuple(sorted(drugs)),
        substance=substances[0] if substances else "",
        reaction=", ".join(dict.fromkeys(reactions)),
        day=next((stamp.day for stamp in stamps if stamp is not None), None),
        intolerance=resource.get("type") == "intolerance" or acute_phase_only,
        doubtful=doubtful,
        resources=(item.name,),
    )


_ACUTE_PHASE = compiled(
    r"\bfever\b|\bpyrexia\b|(?:flu|influenza)[- ]like|\b(?:bone|muscle|joint) pain\b|\bmyalgia\b|\barthralgia\b"
    r"|\bchills?\b|发热|发烧|流感样|骨痛|肌(?:肉)?痛|关节痛|寒战"
)
"""What follows a first bisphosphonate infusion in many patients and is no allergy."""


_VOID = frozenset({"refuted", "entered-in-error"})


def _status(codeable: object) -> str:
    for coding in codings(codeable):
        if code := code_text(coding.get("code")):
            return code.lower()
    said = texts_of(codeable)
    return said[0].lower() if said else ""


def _drugs(resource: Mapping[str, Any], context: ReadingContext) -> set[str]:
    """By the allergy's code or words; failing that by the substance of a reaction. Food is no drug."""
    if resource.get("category") == ["food"]:
        return set()
    named = [resource.get("code")]
    if not any(_of(one, context) for one in named):
        named = [reaction.get("substance") for reaction in resource.get("reaction", ())]
    return {drug for one in named for drug in _of(one, context)}


def _of(codeable: object, context: ReadingContext) -> set[str]:
    if not codeable:
        return set()
    return set(_KEPT).intersection(identify([codeable], table=context.codes).drugs)


def _take(path: str, record: Allergy, found: dict[str, Fact]) -> None:
    blank = dictionary.blank_finding(path)
    known = found.get(path)
    names = known.resources if known is not None else ()
    if record.doubtful:
        if known is None:
            found[path] = replace(blank, value=None, reason="suspected", resources=record.resources)
        return
    flags = ("intolerance",) if record.intolerance else ()
    found[path] = stated(blank, True, resources=(*names, *record.resources), flags=flags)
