"""Skeletal lesions, one item each: entered under the local code, or told by mCODE tumour and metastasis resources."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping.delivery.context import Used
from fhir_mapping.delivery.items import relative
from fhir_mapping.delivery.notes import SUPERSEDED
from fhir_mapping.elements import values
from fhir_mapping.elements.answers import answer_of, finding_of
from fhir_mapping.one_time import contradiction, same_value
from fhir_mapping.places.laterality import one_side, sides_of_extensions, sides_of_site
from fhir_mapping.places.sites import NOWHERE, Place, place_of, place_of_structure
from fhir_mapping.terms import dates, dictionary
from fhir_mapping.terms.codes import LOCAL, code_text, codings, normal_system, text_of
from fhir_mapping.terms.decode import TooManyEntriesError
from fhir_mapping.terms.exact import is_number
from fhir_mapping.words import results
from fhir_mapping.words.fold import fold
from recommenders.vocabulary.bones import REGIONS, same_bone, same_site
from recommenders.vocabulary.dictionary import LESION_COMPONENTS
from recommenders.vocabulary.facts import Finding, Reading, replace, stated
from recommenders.vocabulary.records import Lesion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.delivery.items import Candidate, Item
    from fhir_mapping.observations import ObservationReader
    from fhir_mapping.terms.dictionary import ReadingRule
    from recommenders.vocabulary.bones import Side
    from recommenders.vocabulary.facts import Fact

BLANK = Lesion()
MINOR_FRACTURE_DAYS = 180
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
_NUMBERS: dict[str, tuple[str, ReadingRule]] = {
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


MOST_ENTRIES, MOST_LESIONS = 2_000, 200
"""A patient with many lesions has some dozens; each is judged by a score of its own."""


def read(reader: ObservationReader, conditions: ConditionReader, structures: Iterable[Item]) -> tuple[Lesion, ...]:
    """
    Give all lesions, newest first, in a fixed order; entries about one lesion are one (`_joined`).

    Raises `TooManyEntriesError` above 200 lesions or 2,000 entries about them.
    """
    entries = sorted(
        reader.candidates("lesions", "lesion"), key=lambda one: (dates.order(one.stamp), one.item.name), reverse=True
    )
    if len(entries) > MOST_ENTRIES:
        raise TooManyEntriesError(f"More than {MOST_ENTRIES} entries about bone lesions; send fewer at a time.")
    found = [lesion for candidate in entries if (lesion := _entered(candidate, reader)) is not None]
    continues = {candidate.item.name: before for candidate in entries if (before := _continues(candidate, reader))}
    tumours = _tumours(reader, structures)
    found += tumours
    lytic = _lytic(reader)
    _count_lytic(lytic, reader, conditions)
    found += lytic
    found.sort(key=lambda one: (-(one.date.toordinal() if one.date else 0), one.id))
    found = _joined(found, continues)
    added = {name for name, before in continues.items() if before.startswith(_ADDED_BY_FORM)}
    found = _of_one_place(found, {one.id for one in tumours} | set(continues.values()), added)
    found += _metastatic_sites(conditions, found)
    if len(found) > MOST_LESIONS:
        raise TooManyEntriesError(f"More than {MOST_LESIONS} bone lesions; send fewer at a time.")
    return tuple(sorted(found, key=lambda one: (-(one.date.toordinal() if one.date else 0), one.id)))


def _continues(candidate: Candidate, reader: ObservationReader) -> str:
    """Give what tells which lesion an entry speaks of: the resource it focuses on, else its identifier; or nothing."""
    resource = reader.copy_of(candidate) or {}
    references = [str(one.get("reference") or "") for one in resource.get("focus", ())]
    if len(references) == 1 and (about := relative(references[0])).startswith(("Observation/", "BodyStructure/")):
        return about  # a Condition may stand for many lesions
    named = sorted(
        f"{one.get('system', '')}|{one['value']}" for one in resource.get("identifier", ()) if "value" in one
    )
    return f"{_BY_IDENTIFIER}{named[0]}" if named else ""


_BY_IDENTIFIER = "identifier "
_ADDED_BY_FORM = f"{_BY_IDENTIFIER}urn:oncobone:answers|"
"""Entries of our own form that follow no other: the reader said that it is another lesion."""


def _joined(lesions: Sequence[Lesion], continues: Mapping[str, str]) -> list[Lesion]:
    """
    Make one lesion of the entries that follow each other: each component is the newest one that was told.

    `lesions` hold the entries newest first; the joined lesion keeps the id of the first entry.
    """
    known = {lesion.id for lesion in lesions}
    grouped: dict[str, list[Lesion]] = {}
    for lesion in lesions:
        root, passed = lesion.id, {lesion.id}
        while (before := continues.get(root, "")) in known and before not in passed:
            root = before
            passed.add(before)
        if (before := continues.get(root, "")) and before not in passed:
            root = before  # an identifier, or a lesion that itself did not come
        grouped.setdefault(root, []).append(lesion)
    found: list[Lesion] = []
    for root, entries in grouped.items():
        if len(entries) == 1 or (root.startswith(_BY_IDENTIFIER) and not _may_be_one(entries)):
            found += entries
        else:
            found.append(_as_one(root if root in known else entries[-1].id, entries))
    return found


def _may_be_one(entries: Sequence[Lesion]) -> bool:
    """Tell whether entries of one identifier can be one lesion: the number of a report is shared by all it found."""
    places = {_place_key(one) for one in entries if one.site.is_known}
    return len(places) <= 1 and len({one.date for one in entries}) == len(entries)


def _place_key(lesion: Lesion) -> tuple[object, ...]:
    """Give bone, side and level as far as they are told: T5 and T10, or the third and the eighth rib, differ."""
    return lesion.site.value, lesion.side, lesion.level


def _of_one_place(lesions: Sequence[Lesion], told_apart: Collection[str], added: Collection[str]) -> list[Lesion]:
    """
    Make one lesion of what was told of the same bone and side on different days, when it can only be the same one.

    Two entries of one day are two lesions; then nothing tells which of them a later entry follows, and all stay.
    `told_apart` are lesions with an identity of their own (a BodyStructure): two of those are never one. `added`
    are lesions that somebody told to be others than those on record: they join none.
    """
    by_place: dict[tuple[object, ...], list[Lesion]] = {}
    found: list[Lesion] = []
    for lesion in lesions:
        by_its_place = lesion.site.is_known and lesion.site.value not in REGIONS and lesion.id not in added
        if by_its_place and lesion.date is not None:
            by_place.setdefault(_place_key(lesion), []).append(lesion)
        else:
            found.append(lesion)
    for listed in by_place.values():
        days = {day for one in listed for day in _days(one)}
        apart = [one for one in listed if one.id in told_apart]
        is_one = len(days) == sum(len(_days(one)) for one in listed) and len(apart) <= 1
        if len(listed) > 1 and is_one:
            root = apart[0].id if apart else listed[-1].id
            found.append(_as_one(root, listed))
        else:
            found += listed
    return found


def _days(lesion: Lesion) -> set[dt.date]:
    told = {fact.date for name in LESION_COMPONENTS if (fact := getattr(lesion, name)).is_known and fact.date}
    return told | ({lesion.date} if lesion.date else set())


_UNREADABLE = frozenset({"unit", "implausible", "masked", "contradictory"})


def _same_time(one: Fact, other: Fact) -> bool:
    if one.moment is not None and other.moment is not None:
        return one.moment.replace(second=0) == other.moment.replace(second=0)
    return one.date == other.date


def _as_one(root: str, entries: Sequence[Lesion]) -> Lesion:
    """
    Join the entries of one lesion, newest first.

    A newer component that was sent but cannot be read is unknown: an older value does not stand in for it. Two
    values of one time contradict.
    """
    newest = entries[0]

    def told(name: str) -> Any:  # noqa: ANN401 - a Finding or Reading
        facts = [getattr(one, name) for one in entries]
        first = next((fact for fact in facts if fact.is_known or fact.reason in _UNREADABLE), facts[0])
        rivals = [fact for fact in facts if fact.is_known and _same_time(fact, first) and not same_value(fact, first)]
        return contradiction([first, *rivals]) if first.is_known and rivals else first

    return replace(
        newest,
        id=root,
        date=max((one.date for one in entries if one.date is not None), default=None),
        resources=tuple(dict.fromkeys(name for one in entries for name in one.resources)),
        imaging_confirmed=any(one.imaging_confirmed for one in entries),
        side=next((one.side for one in entries if one.side is not None), None),
        level=next((one.level for one in entries if one.level is not None), None),
        **{name: told(name) for name in LESION_COMPONENTS},
    )


def _entered(candidate: Candidate, reader: ObservationReader) -> Lesion | None:
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
    reader.used.append(Used("lesions[]", item.name, "component", LOCAL, "bone-lesion", dated_by=item.dated_by))
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
    if code in _NUMBERS:
        name, rule = _NUMBERS[code]
        return name, _number(part, rule, getattr(BLANK, name), reader)
    return "", None


def _number(part: Mapping[str, Any], rule: ReadingRule, blank: Reading, reader: ObservationReader) -> Reading:
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


def _tumours(reader: ObservationReader, structures: Iterable[Item]) -> list[Lesion]:
    """mCODE: a tumour in a bone (BodyStructure) and its size; the size of any other tumour is none of ours."""
    places: dict[str, tuple[Place, Item]] = {}
    for item in sorted(structures, key=lambda one: one.name):
        structure = item.copy(reader.context.timezone, reader.notes)
        if structure is None:
            continue
        place = place_of_structure(structure, reader.context)
        if place.is_bone and place.site is not None:
            places[item.name] = (place, item)
        else:
            reader.notes.add(item.name, "a tumour that is not told to be in a bone")
    sized: dict[str, list[Lesion]] = {}
    for candidate in reader.candidates("lesions", "tumor-size"):
        resource = reader.copy_of(candidate)
        if resource is None:
            continue
        focus = next(
            (relative(ref) for one in resource.get("focus", ()) if (ref := str(one.get("reference") or ""))), ""
        )
        place = places[focus][0] if focus in places else place_of(resource.get("bodySite"), reader.context)
        if not place.is_bone or place.site is None:
            reader.notes.add(candidate.item.name, "size of a tumour that is not told to be in a bone")
            continue
        lesion = _sized(candidate, resource, place, focus or candidate.item.name, reader)
        sized.setdefault(lesion.id, []).append(lesion)
    found = {name: _newest_size(listed, reader) for name, listed in sized.items()}
    for name, (place, item) in places.items():
        if name not in found:
            common: dict[str, Any] = {"resources": (item.name,)}
            found[name] = replace(
                BLANK,
                id=name,
                imaging_confirmed=True,
                site=stated(BLANK.site, place.site or "", **common),
                side=place.side,
                level=place.level,
                **common,
            )
    return [found[name] for name in sorted(found)]


def _newest_size(measured: Sequence[Lesion], reader: ObservationReader) -> Lesion:
    """Of several measurements of one tumour the newest counts; of one day two different sizes contradict."""
    newest = max(measured, key=lambda one: (one.date or dt.date.min, one.id, one.resources))
    for one in measured:
        if one is newest:
            continue
        if one.date == newest.date and (one.size.low, one.size.high) != (newest.size.low, newest.size.high):
            rivals = tuple(sorted(end for size in (one.size, newest.size) if (end := size.value) is not None))
            blank = replace(BLANK.size, reason="contradictory", rivals=rivals, date=newest.date)
            newest = replace(newest, size=replace(blank, resources=(*newest.resources, *one.resources)))
            for name in (*newest.resources, *one.resources):
                reader.notes.add(name, "contradictory: another size of the same tumour on the same day")
        else:
            for name in one.resources:
                reader.notes.add(name, SUPERSEDED)
    return newest


def _sized(
    candidate: Candidate, resource: Mapping[str, Any], place: Place, name: str, reader: ObservationReader
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
        site=stated(BLANK.site, place.site or "", **common),
        side=place.side,
        level=place.level,
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
        if answer_of(resource, reader.context) == "negative":
            continue
        item = candidate.item
        day = item.stamp.day if item.stamp else None
        common: dict[str, Any] = {"date": day, "resources": (item.name,)}
        place = place_of(resource.get("bodySite"), reader.context)
        found.append(
            replace(
                BLANK,
                id=item.name,
                imaging_confirmed=True,
                type=stated(BLANK.type, "osteolytic", **common),
                imaging=stated(BLANK.imaging, "xray", **common),
                site=stated(BLANK.site, place.site, **common) if place.is_bone and place.site else BLANK.site,
                side=place.side,
                level=place.level,
                **common,
            )
        )
    return found


_PLASMA_CELL = ("dx.mm", "dx.smm", "dx.mgus", "dx.plasmacytoma", "dx.pcl")
_OF_SOLID_CANCER = ("dx.bone_met", "dx.lung_cancer", "dx.other_solid_cancer")


def _count_lytic(lytic: Sequence[Lesion], reader: ObservationReader, conditions: ConditionReader) -> None:
    """
    Take "lytic lesion" in a plasma-cell disease as one lesion at least, where no later count is known.

    Beside a bone metastasis or a solid cancer nobody knows whose lesion it is: then it counts as none.
    """

    def documented(path: str) -> bool:
        fact = conditions.changes.get(path)
        return isinstance(fact, Finding) and (fact.value is True or fact.reason in {"suspected", "contradictory"})

    if not any(map(documented, _PLASMA_CELL)) or any(map(documented, _OF_SOLID_CANCER)):
        return
    newest = max(((one.date, one.resources) for one in lytic if one.date is not None), default=None)
    known = reader.changes.get("mm.lytic_lesions")
    if newest is None or (known is not None and known.is_known and (known.date or dt.date.min) >= newest[0]):
        return
    day, names = newest
    blank = dictionary.blank_reading("mm.lytic_lesions")
    reader.changes["mm.lytic_lesions"] = replace(
        blank, low=Decimal(1), high=Decimal(100), reason=None, date=day, resources=names
    )


def _metastatic_sites(conditions: ConditionReader, entered: Sequence[Lesion]) -> list[Lesion]:
    """
    A SecondaryCancerCondition that names its bone gives a lesion's site and nature.

    It never feeds the count of metastases (one Condition may stand for many), so a place that is entered as a
    lesion already is not listed again, and a Condition without a site is no lesion.
    """
    found: list[Lesion] = []
    for one in conditions.diagnoses:
        if one.state != "current" or one.reported or not one.concepts & {"bone_metastasis", "bone_metastasis_child"}:
            continue
        if "bone_metastasis" in one.spoken and one.spoken["bone_metastasis"] != "present":
            continue
        place = conditions.place_of(one)
        if place.site is None or place.site == "bone" or any(_covers(lesion, place) for lesion in (*entered, *found)):
            continue
        stamp = one.recorded or one.onset
        common: dict[str, Any] = {"date": stamp.day if stamp else None, "resources": (one.item.name,)}
        found.append(
            replace(
                BLANK,
                id=one.item.name,
                imaging_confirmed=True,
                site=stated(BLANK.site, place.site, **common),
                side=place.side,
                level=place.level,
                nature=stated(BLANK.nature, "metastasis", flags=("from-condition",), **common),
                **common,
            )
        )
    return found


def _covers(lesion: Lesion, place: Place) -> bool:
    """Tell whether a lesion may be the one that a place names; another side or level is another lesion."""
    bone = lesion.bone
    return same_bone(bone, place.bone) is not False and (
        bone.site == place.site or same_site(bone.site, place.site) is True
    )


def minor_fracture(conditions: ConditionReader, lesions: Iterable[Lesion]) -> Finding | None:
    """Give the minor fracture: not coded or worded pathological, ≤ 180 d, in a bone with a myeloma lesion."""
    bones = [one for one in lesions if one.nature.value == "myeloma" and one.site.is_known]
    today = conditions.context.today
    for one in conditions.diagnoses:
        if one.state != "current" or one.spoken.get("fracture") != "present":
            continue
        if "pathological_fracture" in one.spoken or one.concepts:
            continue
        place, since = conditions.place_of(one), one.since
        there = any(_covers(lesion, place) for lesion in bones)
        if there and (since is None or (today - since.day).days <= MINOR_FRACTURE_DAYS):
            path = "pathological_fracture.minor_bone"
            blank = dictionary.blank_finding(path)
            return stated(
                blank, True, date=since.day if since else None, resources=(one.item.name,), flags=("from-text",)
            )
    return None
