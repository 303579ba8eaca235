"""Skeletal lesions, one item each: entered under the local code, or told by mCODE tumour and metastasis resources."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping import dates, dictionary, text, values
from fhir_mapping.codes import LOCAL, code_text, codings, normal_system
from fhir_mapping.context import Used
from fhir_mapping.decode import is_number
from fhir_mapping.selection import relative
from fhir_mapping.service_orders import bone_site
from recommenders.facts import LESION_COMPONENTS, SITES, Finding, Lesion, Reading, stated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.dictionary import ReadingRule
    from fhir_mapping.observations import ObservationReader
    from fhir_mapping.selection import Candidate, Item

BLANK = Lesion()
MINOR_FRACTURE_DAYS = 180
_WORDS = {
    "lesion-type": "type",
    "lesion-pain": "pain",
    "lesion-nature": "nature",
    "lesion-trend": "trend",
    "lesion-after-conservative": "after_conservative",
    "lesion-modality": "imaging",
}
_YES_NO = {"soft-tissue-mass": "soft_tissue_mass", "radiochemo-sensitive": "sensitive_rt_chemo"}
_NUMBERS: dict[str, tuple[str, ReadingRule]] = {
    "cortical-fraction": (
        "cortical_fraction",
        dictionary.ReadingRule(fact="mm.bmpc", unit="%", analyte="percent", high=Decimal(100)),
    ),
    "lesion-size": ("size", dictionary.ReadingRule(fact="mm.bmpc", unit="mm", analyte="tumor_dimension")),
    "lesion-stable-months": (
        "stable_months",
        dictionary.ReadingRule(fact="mm.bmpc", unit="mo", analyte="duration", high=Decimal(600)),
    ),
}
_FRACTIONS = {"1/2": "50", "1/3": "33.3", "2/3": "66.7", "1/4": "25", "3/4": "75"}
_PAIN_UP_TO = ((0, "none"), (3, "mild"), (6, "moderate"), (10, "severe"))


def read(reader: ObservationReader, conditions: ConditionReader, structures: Iterable[Item]) -> tuple[Lesion, ...]:
    """Give all lesions, newest first, in a fixed order; entries about one lesion (`focus`) are one."""
    entries = sorted(
        reader.candidates("lesions", "lesion"), key=lambda one: (dates.order(one.stamp), one.item.name), reverse=True
    )
    found = [lesion for candidate in entries if (lesion := _entered(candidate, reader)) is not None]
    continues = {candidate.item.name: focus for candidate in entries if (focus := _focus(candidate, reader))}
    entered_sites = {lesion.site.value for lesion in found if lesion.site.is_known and lesion.id not in continues}
    found += _tumours(reader, structures)
    found += _lytic(reader)
    found += _metastatic_sites(conditions, entered_sites)
    found = _joined(found, continues)
    return tuple(sorted(found, key=lambda one: (-(one.date.toordinal() if one.date else 0), one.id)))


def _focus(candidate: Candidate, reader: ObservationReader) -> str:
    """Give the resource of the lesion that an entry speaks of again; empty for a lesion of its own."""
    resource = reader.copy_of(candidate)
    references = [str(one.get("reference") or "") for one in (resource or {}).get("focus", ())]
    return relative(references[0]) if len(references) == 1 else ""


def _joined(lesions: Sequence[Lesion], continues: Mapping[str, str]) -> list[Lesion]:
    """
    Make one lesion of the entries that follow each other: each component is the newest one that is known.

    `lesions` hold the entries newest first; the joined lesion keeps the id of the first entry.
    """
    known = {lesion.id for lesion in lesions}
    grouped: dict[str, list[Lesion]] = {}
    for lesion in lesions:
        root, passed = lesion.id, {lesion.id}
        while (before := continues.get(root, "")) in known and before not in passed:
            root = before
            passed.add(before)
        grouped.setdefault(root, []).append(lesion)
    return [_as_one(root, entries) if len(entries) > 1 else entries[0] for root, entries in grouped.items()]


def _as_one(root: str, entries: Sequence[Lesion]) -> Lesion:
    newest = entries[0]
    parts = {
        name: next((fact for one in entries if (fact := getattr(one, name)).is_known), getattr(newest, name))
        for name in LESION_COMPONENTS
    }
    return replace(
        newest,
        id=root,
        date=max((one.date for one in entries if one.date is not None), default=None),
        resources=tuple(dict.fromkeys(name for one in entries for name in one.resources)),
        imaging_confirmed=any(one.imaging_confirmed for one in entries),
        **parts,
    )


def _entered(candidate: Candidate, reader: ObservationReader) -> Lesion | None:
    """One Observation `bone-lesion` with its components; a component that cannot be read stays unknown."""
    resource = reader.copy_of(candidate)
    if resource is None:
        return None
    item = candidate.item
    day = item.stamp.day if item.stamp else None
    common: dict[str, Any] = {"date": day, "resources": (item.name,)}
    facts: dict[str, Any] = {}
    for part in resource.get("component", ()):
        for coding in codings(part.get("code")):
            code = code_text(coding.get("code"))
            if normal_system(str(coding.get("system") or "")) != LOCAL:
                continue
            name, fact = _component(code, part, reader)
            if name:
                if not fact.is_known:
                    reader.notes.add(item.name, f"{code}: {fact.reason}, the lesion is kept without it")
                facts[name] = replace(fact, **common)
    site = facts.get("site")
    if site is None or not site.is_known:
        place, _ = bone_site(resource.get("bodySite"), reader.context)
        if place is not None:
            facts["site"] = stated(BLANK.site, place, **common)
    if "imaging" not in facts and (method := resource.get("method")):
        modality = values.finding_of(
            {"valueCodeableConcept": method}, "lesions[].imaging", reader.context, BLANK.imaging
        )
        if modality.is_known:
            facts["imaging"] = replace(modality, **common)
    reader.used.append(Used("lesions[]", item.name, "component", LOCAL, "bone-lesion", dated_by=item.dated_by))
    return replace(BLANK, id=item.name, date=day, resources=(item.name,), imaging_confirmed=True, **facts)


def _component(code: str, part: Mapping[str, Any], reader: ObservationReader) -> tuple[str, Any]:
    if code == "lesion-site":
        return "site", _site(part, reader)
    if code in _WORDS:
        name = _WORDS[code]
        if name == "pain" and (score := _pain_score(part)) is not None:
            return name, _pain(score)
        blank: Finding = getattr(BLANK, name)
        return name, values.finding_of(part, f"lesions[].{name}", reader.context, blank)
    if code in _YES_NO:
        name = _YES_NO[code]
        return name, values.finding_of(part, f"lesions[].{name}", reader.context, getattr(BLANK, name))
    if code in _NUMBERS:
        name, rule = _NUMBERS[code]
        return name, _number(part, rule, getattr(BLANK, name), reader)
    return "", None


def _number(part: Mapping[str, Any], rule: ReadingRule, blank: Reading, reader: ObservationReader) -> Reading:
    said = part.get("valueString")
    if rule.unit == "%" and isinstance(said, str):
        folded = text.fold(said)
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
    for one in [said, *(code_text(coding.get("code")) for coding in codings(coded))]:
        if isinstance(one, str) and one.strip().lower() in SITES:
            return stated(BLANK.site, one.strip().lower())
    place, _ = bone_site(coded or {"text": said or ""}, reader.context)
    return stated(BLANK.site, place) if place is not None else replace(BLANK.site, reason="no-value")


def _pain_score(part: Mapping[str, Any]) -> Decimal | None:
    if is_number(part.get("valueInteger")):
        return Decimal(str(part["valueInteger"]))
    quantity = part.get("valueQuantity")
    if isinstance(quantity, dict) and is_number(quantity.get("value")):
        return Decimal(str(quantity["value"]))
    spoken = text.quantity(part["valueString"]) if isinstance(part.get("valueString"), str) else None
    return Decimal(spoken.low) if spoken is not None and spoken.low == spoken.high and not spoken.comparator else None


def _pain(score: Decimal) -> Finding:
    """A score of 0, 1–3, 4–6, 7–10 as none, mild, moderate, severe."""
    if score < 0 or score > 10:
        return replace(BLANK.pain, reason="implausible")
    word = next(word for most, word in _PAIN_UP_TO if score <= most)
    return stated(BLANK.pain, word, sent=str(score), flags=("from-score",))


def _tumours(reader: ObservationReader, structures: Iterable[Item]) -> list[Lesion]:
    """mCODE: a tumour in a bone (BodyStructure) and its size; the size of any other tumour is none of ours."""
    places: dict[str, tuple[str, Item]] = {}
    for item in sorted(structures, key=lambda one: one.name):
        structure = item.copy(reader.context.timezone, reader.notes)
        if structure is None:
            continue
        site, is_bone = bone_site(structure.get("location"), reader.context)
        if is_bone and site is not None:
            places[item.name] = (site, item)
        else:
            reader.notes.add(item.name, "a tumour that is not told to be in a bone")
    sized: dict[str, Lesion] = {}
    for candidate in reader.candidates("lesions", "tumor-size"):
        resource = reader.copy_of(candidate)
        if resource is None:
            continue
        focus = next(
            (relative(ref) for one in resource.get("focus", ()) if (ref := str(one.get("reference") or ""))), ""
        )
        site, is_bone = bone_site(resource.get("bodySite"), reader.context)
        if focus in places:
            site, is_bone = places[focus][0], True
        if not is_bone or site is None:
            reader.notes.add(candidate.item.name, "size of a tumour that is not told to be in a bone")
            continue
        lesion = _sized(candidate, resource, site, focus or candidate.item.name, reader)
        known = sized.get(lesion.id)
        if known is None or (lesion.date and known.date and lesion.date > known.date):
            sized[lesion.id] = lesion
    for name, (site, item) in places.items():
        if name not in sized:
            common: dict[str, Any] = {"resources": (item.name,)}
            sized[name] = replace(
                BLANK, id=name, imaging_confirmed=True, site=stated(BLANK.site, site, **common), **common
            )
    return [sized[name] for name in sorted(sized)]


def _sized(
    candidate: Candidate, resource: Mapping[str, Any], site: str, name: str, reader: ObservationReader
) -> Lesion:
    item = candidate.item
    day = item.stamp.day if item.stamp else None
    common: dict[str, Any] = {"date": day, "resources": (item.name,)}
    rule = _NUMBERS["lesion-size"][1]
    sizes: list[Reading] = []
    for part in resource.get("component", ()):
        concepts = {match.concept for match in reader.context.concepts(part.get("code"), "Observation")}
        if "tumor_max_dimension" in concepts:
            sizes.append(_number(part, rule, BLANK.size, reader))
    size = sizes[0] if len(sizes) == 1 else BLANK.size
    return replace(
        BLANK,
        id=name,
        imaging_confirmed=True,
        site=stated(BLANK.site, site, **common),
        size=replace(size, **common),
        **common,
    )


def _lytic(reader: ObservationReader) -> list[Lesion]:
    """S 441684001, a lytic lesion seen on X-ray: type and modality; it is no count."""
    found: list[Lesion] = []
    for candidate in reader.candidates("lesions", "lytic"):
        resource = reader.copy_of(candidate)
        if resource is None or resource.get("valueBoolean") is False:
            continue
        if values.answer_of(resource, reader.context) == "negative":
            continue
        item = candidate.item
        day = item.stamp.day if item.stamp else None
        common: dict[str, Any] = {"date": day, "resources": (item.name,)}
        site, is_bone = bone_site(resource.get("bodySite"), reader.context)
        found.append(
            replace(
                BLANK,
                id=item.name,
                imaging_confirmed=True,
                type=stated(BLANK.type, "osteolytic", **common),
                imaging=stated(BLANK.imaging, "xray", **common),
                site=stated(BLANK.site, site, **common) if is_bone and site else BLANK.site,
                **common,
            )
        )
    return found


def _metastatic_sites(conditions: ConditionReader, entered: Iterable[object]) -> list[Lesion]:
    """
    A SecondaryCancerCondition that names its bone gives a lesion's site and nature.

    It never feeds the count of metastases (one Condition may stand for many), so a site that is entered as a
    lesion already is not listed again, and a Condition without a site is no lesion.
    """
    seen = set(entered)
    found: list[Lesion] = []
    for one in conditions.diagnoses:
        if one.state != "current" or one.reported or not one.concepts & {"bone_metastasis", "bone_metastasis_child"}:
            continue
        if "bone_metastasis" in one.spoken and one.spoken["bone_metastasis"] != "present":
            continue
        site = conditions.site_of(one)
        if site is None or site == "bone" or site in seen:
            continue
        seen.add(site)
        stamp = one.recorded or one.onset
        common: dict[str, Any] = {"date": stamp.day if stamp else None, "resources": (one.item.name,)}
        found.append(
            replace(
                BLANK,
                id=one.item.name,
                imaging_confirmed=True,
                site=stated(BLANK.site, site, **common),
                nature=stated(BLANK.nature, "metastasis", flags=("from-condition",), **common),
                **common,
            )
        )
    return found


def minor_fracture(conditions: ConditionReader, lesions: Iterable[Lesion]) -> Finding | None:
    """Give the minor fracture: not coded or worded pathological, ≤ 180 d, in a bone with a myeloma lesion."""
    bones = {one.site.value for one in lesions if one.nature.value == "myeloma" and one.site.is_known}
    today = conditions.context.today
    for one in conditions.diagnoses:
        if one.state != "current" or one.spoken.get("fracture") != "present":
            continue
        if "pathological_fracture" in one.spoken or one.concepts:
            continue
        site, since = conditions.site_of(one), one.since
        if site in bones and (since is None or (today - since.day).days <= MINOR_FRACTURE_DAYS):
            path = "pathological_fracture.minor_bone"
            blank = dictionary.blank_finding(path)
            return stated(
                blank, True, date=since.day if since else None, resources=(one.item.name,), flags=("from-text",)
            )
    return None
