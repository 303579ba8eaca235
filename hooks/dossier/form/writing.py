"""Answers into FHIR R4: one QuestionnaireResponse, and one Observation for each fact or lesion."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.questionnaireresponse import QuestionnaireResponse

from fhir_mapping.terms import dictionary
from fhir_mapping.terms.codes import LOCAL, LOINC, shipped_rows
from hooks.cards.wording import fixed, frame, label, unit
from hooks.dossier.form.questions import QUESTIONS, item_label, link_id, option_label
from hooks.dossier.form.texts import texts
from recommenders.assessing.decisive import LESION, SIDE, Item, fact_at
from recommenders.vocabulary.dictionary import DICTIONARY, LESION_COMPONENTS
from recommenders.vocabulary.facts import Finding, Moment, Reading
from recommenders.vocabulary.guidance import VERSION

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping, Sequence

    from hooks.cards.wording import Language
    from hooks.dossier.form.answers import Answer
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.records import Lesion

UCUM = "http://unitsofmeasure.org"
ANSWERS = "urn:oncobone:answers"
"""System of the identifiers that let an entry be found again when the answer to its saving got lost."""
YES_NO = "http://terminology.hl7.org/CodeSystem/v2-0136"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
SNOMED = "http://snomed.info/sct"
LATERALITY = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-laterality-qualifier"
LOCAL_FORM = "urn:oncobone:questionnaire:ask"
"""Name of the form where the service has no public address."""

_STANDARD: Mapping[str, str] = {
    "status.ecog": "89247-1",
    "pain.nrs": "72514-3",
    "mm.bmpc": "11118-7",
    "cyto.del17p": "81746-0",
    "cyto.t4_14": "72726-3",
    "cyto.t14_16": "77033-9",
    "cyto.t14_20": "90043-1",
    "cyto.gain1q": "81752-8",
    "gene.myc": "78215-1",
}
"""Facts that LOINC can say; each code is one that the mapping reads as this very fact."""
_PRESENT = {True: ("LA6576-8", "Positive"), False: ("LA6577-6", "Negative")}
_SNOMED_SIDES: Mapping[str, tuple[str, str]] = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}
_LESION_CODES: Mapping[str, str] = {
    "site": "lesion-site",
    "type": "lesion-type",
    "cortical_fraction": "cortical-fraction",
    "size": "lesion-size",
    "pain": "lesion-pain",
    "soft_tissue_mass": "soft-tissue-mass",
    "nature": "lesion-nature",
    "trend": "lesion-trend",
    "after_conservative": "lesion-after-conservative",
    "sensitive_rt_chemo": "radiochemo-sensitive",
    "imaging": "lesion-modality",
    "stable_months": "lesion-stable-months",
    "axial_cortical_mm": "axial-cortical-mm",
    "pain_mechanical": "pain-mechanical",
    "collapse": "vertebral-collapse",
    "posterolateral": "posterolateral-involvement",
}
_PERSON = re.compile(r"(?:Practitioner|PractitionerRole|Patient|RelatedPerson)/[A-Za-z0-9\-.]{1,64}")
_VISIT = re.compile(r"Encounter/[A-Za-z0-9\-.]{1,64}")
_FORM = re.compile(r"QuestionnaireResponse/[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """
    Who answered about whom, when and where.

    `moment` has a time zone; `performer`, `encounter` are relative references or None when not told; `form` is
    the reference of the QuestionnaireResponse (a `urn:uuid:` until the server has named it); `served` is the address
    that Questionnaires are served under, or None.
    """

    patient_id: str
    moment: dt.datetime
    language: Language
    performer: str | None = None
    encounter: str | None = None
    form: str | None = None
    served: str | None = None

    @property
    def canonical(self) -> str:
        """The Questionnaire that is answered."""
        return canonical(self.served, self.language)


@dataclass(frozen=True, slots=True)
class Entry:
    """One Observation to be saved: what it says in words, the resource, and the `linkId`s it answers."""

    text: str
    resource: dict[str, Any]
    items: tuple[str, ...] = ()


def canonical(served: str | None, language: Language) -> str:
    """
    Name the Questionnaire of one language: an address under `served`, or a URN.

    Each language has its own name, since a response must repeat the very words of the form that it names.
    """
    return f"{served}/{language}" if served else f"{LOCAL_FORM}:{language}"


def person(reference: object) -> str | None:
    """Give a reference to a person that may stand as performer; None for anything else."""
    return reference if isinstance(reference, str) and _PERSON.fullmatch(reference) else None


def visit(reference: object) -> str | None:
    """Give a reference to an encounter; None for anything else."""
    return reference if isinstance(reference, str) and _VISIT.fullmatch(reference) else None


# --- Observations -------------------------------------------------------------------------------------------


def observations(answers: Sequence[Answer], facts: Facts, occasion: Occasion) -> list[Entry]:
    """Give the Observations of all answers that say something, each validated; `facts` name the lesions."""
    known = [answer for answer in answers if not answer.is_unknown]
    found = [_single(answer, occasion) for answer in known if not answer.item.lesion]
    lesions: dict[str, list[Answer]] = {}
    for answer in known:
        if answer.item.lesion:
            lesions.setdefault(answer.item.lesion, []).append(answer)
    found += [_lesion(name, parts, facts, occasion) for name, parts in lesions.items()]
    for entry in found:
        Observation.model_validate(entry.resource)
    return found


def _single(answer: Answer, occasion: Occasion) -> Entry:
    resource = _frame(occasion, _code(answer, occasion.language)) | _value(
        answer.item.path, answer.fact, occasion.language
    )
    return Entry(_line(answer, occasion.language), resource, (link_id(answer.item),))


def _lesion(name: str, parts: Sequence[Answer], facts: Facts, occasion: Occasion) -> Entry:
    """
    One `bone-lesion`, with the lesion of the chart that it is about as `focus`.

    A lesion that only a diagnosis tells of is said whole (place, side, nature): the diagnosis may stand for many.
    """
    language = occasion.language
    given = {part.item.component: part.fact for part in parts}
    charted = next((one for one in facts.lesions if one.id == name), None)
    if charted is not None and name.startswith("Condition/"):
        for component in ("site", SIDE.path, "nature"):
            fact = fact_at(facts, Item(f"{LESION}.{component}", name))
            if fact.is_known:
                given.setdefault(component, fact)
    where = _where(given.get("site"), given.get(SIDE.path), charted, language)
    code = _local("bone-lesion", LESION, language)
    resource = _frame(occasion, code | {"text": texts(language)["lesion"].format(site=where)})
    if charted is not None:
        resource["focus"] = [{"reference": name}]
    if "site" in given or SIDE.path in given:
        resource["bodySite"] = _body_site(where, given.get(SIDE.path))
    resource["component"] = [
        {"code": _local(_LESION_CODES[one], LESION_COMPONENTS[one].name, language)}
        | _value(f"{LESION}.{one}", fact, language)
        for one, fact in given.items()
        if one != SIDE.path
    ]
    lines = frame("list_separator", language).join(_line(part, language) for part in parts)
    text = f"{texts(language)['lesion'].format(site=where)} — {lines}"
    return Entry(text, resource, tuple(link_id(part.item) for part in parts))


def _where(site: Fact | None, side: Fact | None, charted: Lesion | None, language: Language) -> str:
    """Name a lesion's place for people: what was answered, else what the chart says."""
    known_site = site.value if isinstance(site, Finding) else charted.site.value if charted else None
    known_side = side.value if isinstance(side, Finding) else charted.side if charted else None
    if known_site is None:
        return texts(language)["site_unknown"]
    place = option_label(f"{LESION}.site", str(known_site), language)
    if known_side is None:
        return place
    said = option_label(f"{LESION}.{SIDE.path}", str(known_side), language)
    return texts(language)["sided"].format(side=said, site=place)


def _body_site(where: str, side: Fact | None) -> dict[str, Any]:
    body_site: dict[str, Any] = {"text": where}
    if isinstance(side, Finding) and side.value in _SNOMED_SIDES:
        code, display = _SNOMED_SIDES[str(side.value)]
        coding = {"system": SNOMED, "code": code, "display": display}
        body_site["extension"] = [{"url": LATERALITY, "valueCodeableConcept": {"coding": [coding]}}]
    return body_site


def _frame(occasion: Occasion, code: dict[str, Any]) -> dict[str, Any]:
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "identifier": [{"system": ANSWERS, "value": str(uuid.uuid4())}],
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": "survey", "display": "Survey"}]}],
        "code": code,
        "subject": {"reference": f"Patient/{occasion.patient_id}"},
        "effectiveDateTime": occasion.moment.isoformat(timespec="seconds"),
    }
    if occasion.encounter:
        resource["encounter"] = {"reference": occasion.encounter}
    if occasion.performer:
        resource["performer"] = [{"reference": occasion.performer}]
    if occasion.form:
        resource["derivedFrom"] = [{"reference": occasion.form}]
    return resource


def _code(answer: Answer, language: Language) -> dict[str, Any]:
    path, name = answer.item.path, answer.item.name
    if (standard := _STANDARD.get(path)) is not None:
        coding = {"system": LOINC, "code": standard, "display": _displays()[standard]}
        return {"coding": [coding], "text": label(name, language)}
    return _local(local_code(path), name, language)


def local_code(path: str) -> str:
    """
    Give the code of `urn:oncobone:facts` that a fact is entered under.

    Raises KeyError for a fact that has none.
    """
    if (rule := dictionary.FINDINGS.get(path)) is not None and rule.local:
        return rule.local
    if (reading := dictionary.READINGS.get(path)) is not None and reading.local:
        return reading.local[0]
    return next((code for code, fact in dictionary.MOMENTS.items() if fact == path), "") or _nothing(path)


def _nothing(path: str) -> str:
    raise KeyError(path)


@cache
def _displays() -> Mapping[str, str]:
    return {code: display for _, _, system, code, display in shipped_rows() if system == LOINC}


def _local(code: str, name: str, language: Language) -> dict[str, Any]:
    return {
        "coding": [{"system": LOCAL, "code": code, "display": label(name, "en")}],
        "text": label(name, language),
    }


# --- values -------------------------------------------------------------------------------------------------


def _value(path: str, fact: Fact | None, language: Language) -> dict[str, Any]:
    if isinstance(fact, Moment) and fact.date is not None:
        return {"valueDateTime": fact.date.isoformat()}
    if isinstance(fact, Finding):
        if isinstance(fact.value, bool):
            if path in _STANDARD:
                code, display = _PRESENT[fact.value]
                return {"valueCodeableConcept": {"coding": [{"system": LOINC, "code": code, "display": display}]}}
            return {"valueBoolean": fact.value}
        return _word(path, str(fact.value), language)
    if isinstance(fact, Reading):
        return _number(fact, whole=QUESTIONS[path].kind in {"score", "count"})
    raise TypeError(path)


def _word(path: str, said: str, language: Language) -> dict[str, Any]:
    coding = {"system": LOCAL, "code": said, "display": option_label(path, said, "en")}
    return {"valueCodeableConcept": {"coding": [coding], "text": option_label(path, said, language)}}


def _number(fact: Reading, *, whole: bool) -> dict[str, Any]:
    if fact.value is not None:
        return {"valueInteger": int(fact.value)} if whole else {"valueQuantity": _quantity(fact.value, fact)}
    low, high = fact.low or Decimal(0), fact.high or Decimal(0)
    if low == 0:
        return {"valueQuantity": {"comparator": "<" if fact.high_open else "<="} | _quantity(high, fact)}
    rule = dictionary.READINGS.get(_path(fact))
    if rule is not None and high == rule.high:
        return {"valueQuantity": {"comparator": ">" if fact.low_open else ">="} | _quantity(low, fact)}
    return {"valueRange": {"low": _quantity(low, fact), "high": _quantity(high, fact)}}


def _path(fact: Reading) -> str:
    return next((path for path, spec in DICTIONARY.items() if spec.name == fact.name), "")


def _quantity(number: Decimal, fact: Reading) -> dict[str, Any]:
    return {"value": number, "unit": unit(fact.unit, "en") or fact.unit, "system": UCUM, "code": fact.unit}


# --- the completed form ---------------------------------------------------------------------------------------


LESIONS = "lesions"
"""The `linkId` of the group that holds one lesion's answers; it repeats."""
CHARTED = "lesions[].of"
"""The `linkId` of the item that names the lesion of the chart; a new lesion has none."""
UNKNOWN = {"system": ABSENT, "code": "asked-unknown", "display": "Asked But Unknown"}
DATA_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_ORDER = {path: place for place, path in enumerate(QUESTIONS)}


def yes_or_no(value: bool) -> dict[str, Any]:
    """Give yes or no as the published code system has it, whatever the reader's language."""
    code, display = ("Y", "Yes") if value else ("N", "No")
    return {"system": YES_NO, "code": code, "display": display}


def questionnaire_response(answers: Sequence[Answer], occasion: Occasion) -> dict[str, Any]:
    """Give the completed form, "unknown" included, in the order of its Questionnaire, validated."""
    resource: dict[str, Any] = {
        "resourceType": "QuestionnaireResponse",
        "identifier": {"system": ANSWERS, "value": str(uuid.uuid4())},
        "questionnaire": f"{occasion.canonical}|{VERSION}",
        "language": occasion.language,
        "status": "completed",
        "subject": {"reference": f"Patient/{occasion.patient_id}"},
        "authored": occasion.moment.isoformat(timespec="seconds"),
    }
    if occasion.encounter:
        resource["encounter"] = {"reference": occasion.encounter}
    if occasion.performer:
        resource["author"] = {"reference": occasion.performer}
    resource["item"] = list(_form_items(answers, occasion.language))
    QuestionnaireResponse.model_validate(resource)
    return resource


def _form_items(answers: Sequence[Answer], language: Language) -> Iterator[dict[str, Any]]:
    ordered = sorted(answers, key=lambda answer: _ORDER[answer.item.path])
    groups: dict[str, list[dict[str, Any]]] = {}
    for answer in ordered:
        item = {"linkId": answer.item.path, "text": answer.question.wording.text(language)}
        item |= _form_answer(answer, language)
        if answer.item.lesion:
            groups.setdefault(answer.item.lesion, []).append(item)
        else:
            yield item
    for name, items in groups.items():
        of = {"linkId": CHARTED, "text": texts(language)["lesion_of"], "answer": [{"valueString": name}]}
        yield {
            "linkId": LESIONS,
            "text": texts(language)["lesion_group"],
            "item": items if name.startswith("new-") else [of, *items],
        }


def _form_answer(answer: Answer, language: Language) -> dict[str, Any]:
    """An item's answer; "unknown" is one where words are offered, else the item says why it has none."""
    if answer.fact is None and answer.question.kind in {"count", "number", "date", "score"}:
        return {"extension": [{"url": DATA_ABSENT, "valueCode": UNKNOWN["code"]}]}
    return {"answer": [_form_value(answer, language)]}


def _form_value(answer: Answer, language: Language) -> dict[str, Any]:
    fact = answer.fact
    if fact is None:
        return {"valueCoding": UNKNOWN}
    if isinstance(fact, Moment) and fact.date is not None:
        return {"valueDate": fact.date.isoformat()}
    if isinstance(fact, Finding):
        if isinstance(fact.value, bool):
            return {"valueCoding": yes_or_no(fact.value)}
        said = str(fact.value)
        return {
            "valueCoding": {"system": LOCAL, "code": said, "display": option_label(answer.item.path, said, language)}
        }
    if isinstance(fact, Reading) and fact.value is not None and answer.question.kind != "span":
        whole = answer.question.kind in {"score", "count"}
        return {"valueInteger": int(fact.value)} if whole else {"valueDecimal": fact.value}
    return {"valueString": _said(answer, language)}


# --- words ----------------------------------------------------------------------------------------------------


def _said(answer: Answer, language: Language) -> str:
    fact = answer.fact
    if isinstance(fact, Moment) and fact.date is not None:
        return fact.date.isoformat()
    if isinstance(fact, Finding):
        if isinstance(fact.value, bool):
            return texts(language)["yes" if fact.value else "no"]
        return option_label(answer.item.path, str(fact.value), language)
    if isinstance(fact, Reading):
        shown = unit(fact.unit, language)
        if answer.question.kind == "span":
            return f"{fixed(fact)} {shown}".strip()
        number = format(fact.value, "f") if fact.value is not None else fixed(fact)
        return f"{number}{'' if shown == '%' or not shown else ' '}{shown}"
    return texts(language)["unknown"]


def _line(answer: Answer, language: Language) -> str:
    return f"{item_label(answer.item, language)}{frame('label_separator', language)}{_said(answer, language)}"


def as_text(answers: Sequence[Answer], facts: Facts, occasion: Occasion) -> str:
    """Give the answers as plain text, to be pasted into a note where the server takes no entry."""
    language = occasion.language
    lines = [texts(language)["entered_by"].format(day=occasion.moment.date().isoformat())]
    lines += [f"- {_line(answer, language)}" for answer in answers if not answer.item.lesion]
    names = dict.fromkeys(answer.item.lesion for answer in answers if answer.item.lesion)
    for name in names:
        parts = [answer for answer in answers if answer.item.lesion == name]
        given = {part.item.component: part.fact for part in parts}
        charted = next((one for one in facts.lesions if one.id == name), None)
        where = _where(given.get("site"), given.get(SIDE.path), charted, language)
        lines.append(f"- {texts(language)['lesion'].format(site=where)}")
        lines += [f"  - {_line(part, language)}" for part in parts]
    return "\n".join(lines)


def form_reference(reference: object) -> str | None:
    """Give the reference of a saved QuestionnaireResponse; None for anything else."""
    return reference if isinstance(reference, str) and _FORM.fullmatch(reference) else None
