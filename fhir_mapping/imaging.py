"""Imaging that was done, and what it showed: reports, imaging studies, procedures, and the local img-… entries."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args

from fhir_mapping import reports as report_texts
from fhir_mapping.elements.answers import answer_of
from fhir_mapping.findings.bone_spread import spread_to_bone
from fhir_mapping.places.sites import NOWHERE, Place, body_sites, place_in, place_of
from fhir_mapping.terms import dates, dictionary
from fhir_mapping.terms.codes import code_text, codings, texts_of
from fhir_mapping.words import assertions
from fhir_mapping.words.fold import compiled, fold
from recommenders.vocabulary.facts import replace
from recommenders.vocabulary.records import Study

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fhir_mapping.delivery.items import Item
    from fhir_mapping.observations import ObservationReader
    from fhir_mapping.terms.dates import Stamp
    from fhir_mapping.words.assertions import Verdict

Modality = Literal["xray", "ct", "mri", "spect", "pet"]
Result = Literal["positive", "negative", "equivocal"]

_BY_CONCEPT: dict[str, tuple[Modality, str | None, bool]] = {
    "mri_spine": ("mri", "spine", False),
    "mri_whole_body": ("mri", None, True),
    "ct_spine": ("ct", "spine", False),
    "bone_scan": ("spect", None, True),
    "skeletal_survey": ("xray", None, True),
    "pet_ct": ("pet", None, True),
    "pet_ct_fdg": ("pet", None, True),
    "pet_whole_body": ("pet", None, True),
    "pet_ct_naf_bone": ("pet", None, True),
}
_BY_WORDS: tuple[tuple[str, Modality], ...] = (
    ("pet", "pet"),
    ("bone_scan", "spect"),
    ("skeletal_survey", "xray"),
    ("mri", "mri"),
    ("ct", "ct"),
    ("xray", "xray"),
)
_BY_DICOM: dict[str, Modality] = {"CT": "ct", "MR": "mri", "CR": "xray", "DX": "xray", "NM": "spect", "PT": "pet"}
_GUIDES = compiled(r"guid(?:ed|ance)|biops|simulation|radiotherap|radiation|引导|活检|穿刺|定位|放疗")
"""Imaging that only guides a needle or plans a treatment is no study."""
_DONE = frozenset({"final", "amended", "corrected", "appended"})
_PENDING = frozenset({"registered", "partial", "preliminary"})
_WHOLE_BODY = compiled(r"whole[- ]body|全身")


def read(
    reader: ObservationReader, reports: Iterable[Item], studies: Iterable[Item], procedures: Iterable[Item]
) -> None:
    """Read reports for what was done, and for what a text or code concludes; results go into `reader.studies`."""
    for item in sorted(reports, key=lambda one: one.name):
        _report(item, reader)
    for item in sorted(studies, key=lambda one: one.name):
        _study(item, reader)
    for item in sorted(procedures, key=lambda one: one.name):
        _procedure(item, reader)
    _entries(reader)
    _tell_of_unread(reader)


_DEFINING: Mapping[str, frozenset[Modality]] = {
    "mm.mri_focal": frozenset({"mri"}),
    "mm.pet_focal_active": frozenset({"pet"}),
    "mm.lytic_lesions": frozenset({"ct", "xray"}),
}
"""Facts that an examination decides -> which one it is."""


def _tell_of_unread(reader: ObservationReader) -> None:
    """Name studies that were done and whose finding was not read: what they decide is not "not on record"."""
    unread = [study for study in reader.studies if study.is_unread]
    for study in unread:
        for name in study.resources:
            reader.notes.add(name, f"unread: an examination ({study.modality}) whose finding was not read")
    for path, modalities in _DEFINING.items():
        found = [study for study in unread if study.modality in modalities]
        if path in reader.changes or not found:
            continue
        newest = max(found, key=lambda study: (study.date or dt.date.min, study.resources))
        reader.changes[path] = replace(
            dictionary.blank(path), reason="unread", date=newest.date, resources=newest.resources
        )


def _report(item: Item, reader: ObservationReader) -> None:
    context, notes = reader.context, reader.notes
    resource = item.copy(context.timezone, notes)
    if resource is None:
        return
    status = str(resource.get("status") or "")
    if status not in _DONE:
        notes.add(item.name, f"status: {status}, pending" if status in _PENDING else "status: not one that counts")
        return
    stamp = _when(resource, reader)
    if stamp is not None and stamp.is_future(context.now):
        notes.add(item.name, "future-dated: more than 24 hours ahead")
        return
    used = _as_study(item, resource, stamp, reader)
    used = report_texts.read(item, resource, stamp, reader) or used
    if not used:
        notes.add(
            item.name, "a report: its results are read where they were delivered, nothing else can be read from it"
        )


def _when(resource: Mapping[str, Any], reader: ObservationReader) -> Stamp | None:
    period = resource.get("effectivePeriod")
    ends = (period.get("end"), period.get("start")) if isinstance(period, dict) else ()
    for told in (resource.get("effectiveDateTime"), *ends, resource.get("issued")):
        if (stamp := dates.parse(told, reader.context.timezone)) is not None:
            return stamp
    return None


def _as_study(item: Item, resource: Mapping[str, Any], stamp: Stamp | None, reader: ObservationReader) -> bool:
    """A report of bone imaging; a chest CT is none unless its conclusion names bone."""
    code = resource.get("code")
    found = _modality(code, reader)
    if found is None:
        return False
    modality, place, whole_body = found
    conclusion = str(resource.get("conclusion") or "")
    named = assertions.verdict(conclusion, "bone_word") is not None
    if place.site is None and not whole_body and not named:
        reader.notes.add(item.name, "imaging that is not told to be of bone")
        return True
    bones_alone = modality == "spect" or (modality == "xray" and whole_body)
    spread = spread_to_bone(conclusion, bones_alone=bones_alone, of_a_bone=place.is_bone is True)
    result = _result(resource, conclusion, spread, reader)
    if result is None:
        reader.notes.add(item.name, "imaging that was done: its finding was not read")
    reader.studies.append(
        Study(
            modality=modality,
            date=stamp.day if stamp else None,
            whole_body=whole_body,
            result=result,
            **place.parts,
            resources=(item.name,),
        )
    )
    if spread == "absent" and not bones_alone and assertions.verdict(conclusion, "bone_metastasis") is None:
        spread = None  # none in what was looked at
    _bone_metastasis(item, resource, modality, spread, stamp, reader)
    return True


def _modality(code: object, reader: ObservationReader) -> tuple[Modality, Place, bool] | None:
    for match in reader.context.concepts(code):
        if match.concept in _BY_CONCEPT:
            modality, site, whole = _BY_CONCEPT[match.concept]
            told = place_in(match.display) if site == "spine" else NOWHERE
            return modality, told if told.is_bone else Place(site, site is not None or None), whole
    said = "; ".join(texts_of(code))
    spoken = assertions.verdicts(said)
    for term, modality in _BY_WORDS:
        if spoken.get(term) == "present":
            whole = modality in {"pet", "spect"} or term == "skeletal_survey" or bool(_WHOLE_BODY.search(fold(said)))
            return modality, _named(place_in(said)), whole
    return None


def _named(place: Place) -> Place:
    """Give a place that is a bone by name; "bone" alone tells none."""
    return place if place.is_bone and place.site != "bone" else NOWHERE


def _result(
    resource: Mapping[str, Any], conclusion: str, spread: Verdict | None, reader: ObservationReader
) -> Result | None:
    """Positive by a conclusion code of bone metastasis, else by what the conclusion says of it."""
    for coded in resource.get("conclusionCode", ()):
        concepts = {match.concept for match in reader.context.concepts(coded)}
        if concepts & {"bone_metastasis", "bone_metastasis_child"}:
            return "positive"
        if "result_negative" in concepts:
            return "negative"
        if "result_positive" in concepts:
            return "positive"
    return _RESULTS.get(spread or "") or _of_lesions(conclusion)


_RESULTS: dict[str, Result] = {
    "present": "positive",
    "suspected": "equivocal",
    "contradictory": "equivocal",
    "absent": "negative",
}


def _of_lesions(conclusion: str) -> Result | None:
    """Give what a conclusion says where it names no metastasis: a suspicious finding, or none at all in bone."""
    verdicts = assertions.verdicts(conclusion)
    if verdicts.get("suspicious_finding") in {"present", "suspected"}:
        return "equivocal"
    if verdicts.get("normal_study") == "present":
        return "negative"
    return "negative" if "absent" in {verdicts.get(name) for name in _FINDINGS} else None


_FINDINGS = ("bone_finding", "bone_lesion_word", "lytic_lesion", "abnormality")


def _bone_metastasis(
    item: Item,
    resource: Mapping[str, Any],
    modality: Modality,
    spread: Verdict | None,
    stamp: Stamp | None,
    reader: ObservationReader,
) -> None:
    """
    A report concludes on bone metastasis as a Condition would: by its code, or in its words.

    What CT, MRI or PET-CT state is stated; what an X-ray or a bone scan states has to be confirmed by them.
    """
    day = stamp.day if stamp else dt.date.min
    for coded in resource.get("conclusionCode", ()):
        matches = reader.context.concepts(coded, "Condition")
        if any(match.concept in {"bone_metastasis", "bone_metastasis_child"} for match in matches):
            reader.reported_bone_metastasis.append((day, item.name, "present"))
            return
    if spread == "present" and modality in {"ct", "mri", "pet"}:
        reader.reported_bone_metastasis.append((day, item.name, "present"))
    elif spread in {"present", "suspected", "contradictory"}:
        reader.reported_bone_metastasis.append((day, item.name, "suspected"))
    elif spread == "absent":
        reader.reported_bone_metastasis.append((day, item.name, "absent"))


def _study(item: Item, reader: ObservationReader) -> None:
    resource = item.copy(reader.context.timezone, reader.notes)
    if resource is None:
        return
    if resource.get("status") not in {"available", None}:
        reader.notes.add(item.name, "status: not one that counts")
        return
    stamp = dates.parse(resource.get("started"), reader.context.timezone)
    kinds = [*resource.get("modality", ()), *(series.get("modality") or {} for series in resource.get("series", ()))]
    places = [
        place_of({"coding": [series["bodySite"]], "text": series["bodySite"].get("display")}, reader.context)
        for series in resource.get("series", ())
        if series.get("bodySite")
    ]
    place = next((one for one in places if one.is_bone), NOWHERE)
    modality = next((_BY_DICOM[code] for one in kinds if (code := code_text(one.get("code"))) in _BY_DICOM), None)
    whole = modality in {"spect", "pet"}
    if not (place.is_bone or whole):
        modality, place, whole = _in_words(resource, reader) or (modality, place, whole)
    if modality is None or not (place.is_bone or whole):
        reader.notes.add(item.name, "imaging that is not told to be of bone")
        return
    reader.studies.append(
        Study(
            modality=modality,
            date=stamp.day if stamp else None,
            whole_body=whole,
            resources=(item.name,),
            **_named(place).parts,
        )
    )


def _in_words(resource: Mapping[str, Any], reader: ObservationReader) -> tuple[Modality, Place, bool] | None:
    """Give modality, place and whether the whole body is shown of a study by its procedure or its description."""
    told = (*resource.get("procedureCode", ()), {"text": resource.get("description")})
    found = (_modality(one, reader) for one in told)
    return next((one for one in found if one is not None and (one[1].is_bone or one[2])), None)


def _procedure(item: Item, reader: ObservationReader) -> None:
    resource = item.copy(reader.context.timezone, reader.notes)
    if resource is None or resource.get("status") != "completed":
        return
    told_bone = of_bone(resource, reader)
    if told_bone is None:
        return
    modality, place, whole = told_bone
    period = resource.get("performedPeriod")
    told = [
        resource.get("performedDateTime"),
        *(period.get(end) for end in ("end", "start") if isinstance(period, dict)),
    ]
    stamp = next((found for one in told if (found := dates.parse(one, reader.context.timezone)) is not None), None)
    if stamp is not None and stamp.is_future(reader.context.now):
        return
    reader.studies.append(
        Study(
            modality=modality,
            date=stamp.day if stamp else None,
            whole_body=whole,
            resources=(item.name,),
            **place.parts,
        )
    )


def of_bone(resource: Mapping[str, Any], reader: ObservationReader) -> tuple[Modality, Place, bool] | None:
    """Give modality, place and whether the whole body is shown of a Procedure that is imaging of bone; None else."""
    code = resource.get("code")
    if any(_GUIDES.search(fold(said)) for said in texts_of(code)):
        return None
    found = _modality(code, reader)
    if found is None or found[1].is_bone or found[2]:
        return found
    place = next((one for one in body_sites(resource, reader.context) if one.is_bone), None)
    return None if place is None else (found[0], _named(place), False)


def _entries(reader: ObservationReader) -> None:
    """Local img-… entries with a result and a region; LOINC imaging codes sent as Observations."""
    for target in (*get_args(Modality), "pet-naf"):
        for candidate in reader.candidates(target, "imaging"):
            resource = reader.copy_of(candidate)
            if resource is None:
                continue
            stamp = candidate.item.stamp
            concept = candidate.slot.concept
            modality, site, whole = _BY_CONCEPT.get(concept, (target, None, target in {"spect", "pet"}))
            told = _named(place_of(resource.get("bodySite"), reader.context))
            place = told if told.is_bone else Place(site)
            reader.studies.append(
                Study(
                    modality=modality,
                    date=stamp.day if stamp else None,
                    whole_body=whole,
                    result=_entered_result(resource, reader),
                    resources=(candidate.item.name,),
                    **place.parts,
                )
            )


_EQUIVOCAL = compiled(r"equivocal|suspicious|indeterminate|可疑|不确定")


def _entered_result(resource: Mapping[str, Any], reader: ObservationReader) -> Result | None:
    coded = resource.get("valueCodeableConcept")
    said = [
        resource.get("valueString"),
        *texts_of(coded),
        *(code_text(coding.get("code")) for coding in codings(coded)),
    ]
    if any(isinstance(one, str) and _EQUIVOCAL.search(fold(one)) for one in said):
        return "equivocal"
    answer = answer_of(resource, reader.context)
    if answer == "inconclusive":
        return "equivocal"
    if answer in {"positive", "negative"}:
        return "positive" if answer == "positive" else "negative"
    for one in said:
        if isinstance(one, str) and one in {"positive", "negative"}:
            return "positive" if one == "positive" else "negative"
    return None
