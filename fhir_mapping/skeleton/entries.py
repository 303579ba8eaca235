"""One lesion as it is entered under the local code: an Observation with its components."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping.elements import values
from fhir_mapping.elements.answers import finding_of
from fhir_mapping.places.laterality import one_side, sides_of_extensions, sides_of_site
from fhir_mapping.places.sites import NOWHERE, place_of
from fhir_mapping.terms import dictionary
from fhir_mapping.terms.codes import LOCAL, code_text, codings, normal_system, text_of
from fhir_mapping.terms.exact import is_number
from fhir_mapping.words import results
from fhir_mapping.words.fold import fold
from recommenders.vocabulary.bones import same_site
from recommenders.vocabulary.facts import replace, stated
from recommenders.vocabulary.records import Lesion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_mapping.delivery.items import Candidate, Item
    from fhir_mapping.observations import ObservationReader
    from fhir_mapping.places.sites import Place
    from fhir_mapping.terms.dictionary import ReadingRule
    from recommenders.vocabulary.bones import Side
    from recommenders.vocabulary.facts import Finding, Reading

BLANK = Lesion()
_WORDS = {
    "lesion-type": "type",
    "lesion-pain": "pain",
    "lesion-nature": "nature",
    "lesion-trend": "trend",
    "lesion-after-conservative": "after_conservative",
    "lesion-modality": "imaging",
    "pain-mechanical": "pain_mechanical",
    "vertebral-collapse": "collapse",
    "posterolateral-involvement": "posterolateral",
}
_YES_NO = {"soft-tissue-mass": "soft_tissue_mass", "radiochemo-sensitive": "sensitive_rt_chemo"}
NUMBERS: dict[str, tuple[str, ReadingRule]] = {
    "cortical-fraction": (
        "cortical_fraction",
        dictionary.ReadingRule(fact="mm.bmpc", unit="%", analyte="percent", high=Decimal(100)),
    ),
    "lesion-size": ("size", dictionary.ReadingRule(fact="mm.bmpc", unit="mm", analyte="tumor_dimension")),
    "axial-cortical-mm": (
        "axial_cortical_mm",
        dictionary.ReadingRule(fact="mm.bmpc", unit="mm", analyte="tumor_dimension"),
    ),
    "lesion-stable-months": (
        "stable_months",
        dictionary.ReadingRule(fact="mm.bmpc", unit="mo", analyte="duration", high=Decimal(600)),
    ),
}
_FRACTIONS = {"1/2": "50", "1/3": "33.3", "2/3": "66.7", "1/4": "25", "3/4": "75"}
_PAIN_UP_TO = ((0, "none"), (3, "mild"), (6, "moderate"), (10, "severe"))


def entered(candidate: Candidate, reader: ObservationReader) -> Lesion | None:
    """One Observation `bone-lesion` with its components; a component that cannot be read stays unknown."""
    resource = reader.copy_of(candidate)
    if resource is None:
        return None
    item = candidate.item
    day = item.stamp.day if item.stamp else None
    moment = item.stamp.moment if item.stamp else None
    common: dict[str, Any] = {"date": day, "moment": moment, "resources": (item.name,)}
    facts, sides, named = _components(resource, item, common, reader)
    body_site = resource.get("bodySite")
    place = place_of(body_site, reader.context)
    site = facts.get("site")
    if (site is None or not site.is_known) and place.site is not None:
        facts["site"] = stated(BLANK.site, place.site, sent=text_of(body_site) or None, **common)
    sides |= sides_of_site(body_site, reader.context) | sides_of_extensions(resource, reader.context)
    sited = facts.get("site")
    site_named = str(sited.value) if sited is not None and sited.is_known else None
    side = one_side(site_named, sides)
    level = next((one.level for one in (named, place) if one.level and same_site(one.site, site_named)), None)
    if "imaging" not in facts and (method := resource.get("method")):
        modality = finding_of({"valueCodeableConcept": method}, "lesions[].imaging", reader.context, BLANK.imaging)
        if modality.is_known:
            facts["imaging"] = replace(modality, **common)
    reader.lesions.append(item)
    return replace(BLANK, id=item.name, date=day, resources=(item.name,), side=side, level=level, **facts)


def _components(
    resource: Mapping[str, Any], item: Item, common: Mapping[str, Any], reader: ObservationReader
) -> tuple[dict[str, Any], frozenset[Side], Place]:
    """Give the parts of a lesion that its components tell, and what its own site component names."""
    facts: dict[str, Any] = {}
    sides: frozenset[Side] = frozenset()
    named = NOWHERE
    local = (
        (code_text(coding.get("code")), part)
        for part in resource.get("component", ())
        for coding in codings(part.get("code"))
        if normal_system(str(coding.get("system") or "")) == LOCAL
    )
    for code, part in local:
        name, fact = _component(code, part, reader)
        if name == "site":
            said = part.get("valueCodeableConcept") or part.get("valueString")
            sides |= sides_of_site(said, reader.context)
            named = place_of(said, reader.context)
        if name:
            if not fact.is_known:
                reader.notes.add(item.name, f"{code}: {fact.reason}, the lesion is kept without it")
            facts[name] = replace(fact, **common)
    return facts, sides, named


def _component(code: str, part: Mapping[str, Any], reader: ObservationReader) -> tuple[str, Any]:
    if code == "lesion-site":
        return "site", _site(part, reader)
    if code in _WORDS:
        name = _WORDS[code]
        if name == "pain" and (score := _pain_score(part)) is not None:
            return name, _pain(score)
        blank: Finding = getattr(BLANK, name)
        return name, finding_of(part, f"lesions[].{name}", reader.context, blank)
    if code in _YES_NO:
        name = _YES_NO[code]
        return name, finding_of(part, f"lesions[].{name}", reader.context, getattr(BLANK, name))
    if code in NUMBERS:
        name, rule = NUMBERS[code]
        return name, number(part, rule, getattr(BLANK, name), reader)
    return "", None


def number(part: Mapping[str, Any], rule: ReadingRule, blank: Reading, reader: ObservationReader) -> Reading:
    said = part.get("valueString")
    if rule.unit == "%" and isinstance(said, str):
        folded = fold(said)
        fraction = next((share for written, share in _FRACTIONS.items() if written in folded), None)
        if fraction is not None:
            return replace(blank, low=Decimal(fraction), high=Decimal(fraction), reason=None, sent=said)
    number = values.number_of(part, reader.context)
    if isinstance(number, str):
        return replace(blank, reason=number)
    return values.measured(number, rule, blank)


def _site(part: Mapping[str, Any], reader: ObservationReader) -> Finding:
    said = part.get("valueString")
    coded = part.get("valueCodeableConcept")
    place = place_of(coded or {"text": said or ""}, reader.context).site
    words = said or text_of(coded) or None
    return stated(BLANK.site, place, sent=words) if place is not None else replace(BLANK.site, reason="no-value")


def _pain_score(part: Mapping[str, Any]) -> Decimal | None:
    if is_number(part.get("valueInteger")):
        return Decimal(str(part["valueInteger"]))
    quantity = part.get("valueQuantity")
    if isinstance(quantity, dict) and is_number(quantity.get("value")):
        return Decimal(str(quantity["value"]))
    spoken = results.quantity(part["valueString"]) if isinstance(part.get("valueString"), str) else None
    return Decimal(spoken.low) if spoken is not None and spoken.low == spoken.high and not spoken.comparator else None


def _pain(score: Decimal) -> Finding:
    """A score of 0, 1–3, 4–6, 7–10 as none, mild, moderate, severe."""
    if score < 0 or score > 10:
        return replace(BLANK.pain, reason="implausible")
    word = next(word for most, word in _PAIN_UP_TO if score <= most)
    return stated(BLANK.pain, word, sent=str(score), flags=("from-score",))
