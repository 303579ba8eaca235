"""The Patient resource, and pregnancy: who is meant, how old, which sex, alive."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping.diagnoses.wellbeing import PREGNANCY_DAYS
from fhir_mapping.elements.answers import answer_of
from fhir_mapping.terms import dates, dictionary
from fhir_mapping.terms.codes import texts_of
from fhir_mapping.words import assertions
from recommenders.vocabulary.facts import Fact, Finding, replace, stated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.delivery.items import Item
    from fhir_mapping.delivery.notes import Notes
    from fhir_mapping.observations import ObservationReader
    from fhir_mapping.terms.dates import Stamp

_SEXES = frozenset({"male", "female", "other", "unknown"})
PAST_CHILDBEARING = 60


def born_on(patients: Iterable[Item], context: ReadingContext, notes: Notes) -> Stamp | None:
    """Give the birth date, or as much of one as is told."""
    copies = [item.copy(context.timezone, notes) or {} for item in patients]
    told = [dates.parse(one.get("birthDate"), context.timezone) for one in copies]
    return next((stamp for stamp in told if stamp is not None), None)


def read_patient(item: Item, context: ReadingContext, notes: Notes) -> dict[str, Fact]:
    """Give birth date (or an interval of age), sex and whether the patient has died."""
    resource = item.copy(context.timezone, notes)
    if resource is None:
        return {}
    names = (item.name,)
    found: dict[str, Fact] = {}
    born = dates.parse(resource.get("birthDate"), context.timezone)
    if born is not None:
        moment = dictionary.blank_moment("patient.birth_date")
        if born.precision in {"day", "time"}:
            found["patient.birth_date"] = replace(moment, date=born.day, reason=None, resources=names)
        else:
            found["patient.birth_date"] = replace(moment, resources=names, flags=("only-in-part",))
            found["patient.age"] = replace(
                dictionary.blank_reading("patient.age"),
                low=Decimal(_years(born.last, context.today)),
                high=Decimal(_years(born.day, context.today)),
                reason=None,
                date=context.today,
                resources=names,
                flags=("birth-date-only-in-part",),
            )
    elif resource.get("birthDate"):
        notes.add(item.name, "invalid at birthDate")
    sex = str(resource.get("gender") or "").lower()
    if sex in _SEXES:
        found["patient.sex"] = stated(dictionary.blank_finding("patient.sex"), sex, resources=names)
    if resource.get("deceasedBoolean") is True or resource.get("deceasedDateTime"):
        found["patient.deceased"] = stated(dictionary.blank_finding("patient.deceased"), True, resources=names)
    return found


def _years(born: dt.date, today: dt.date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def pregnancy(reader: ObservationReader, known: Mapping[str, Fact], told: Finding | None) -> Finding | None:
    """
    Give whether the patient is pregnant: by Condition (`told`) or by an Observation within 40 weeks.

    An explicit "not pregnant" that is newer wins; the question is not asked of men, or above 60 years.
    """
    blank = dictionary.blank_finding("patient.pregnant")
    sex, born = known.get("patient.sex"), known.get("patient.birth_date")
    answers: list[Finding] = [told] if told is not None else []
    for candidate in reader.candidates("patient.pregnant", "pregnancy"):
        resource = reader.copy_of(candidate)
        day = candidate.item.stamp.day if candidate.item.stamp else None
        if resource is None:
            continue
        answer = _pregnant(resource, candidate.slot.concept, reader)
        if answer is None:
            reader.notes.add(candidate.item.name, "says neither pregnant nor not pregnant")
        elif day is None or (reader.context.today - day).days > PREGNANCY_DAYS:
            reader.notes.add(candidate.item.name, "older than 40 weeks: says nothing about today")
        else:
            answers.append(stated(blank, answer, date=day, resources=(candidate.item.name,)))
    if isinstance(sex, Finding) and sex.value == "male":
        return stated(blank, False, resources=sex.resources, flags=("by-sex",))
    if born is not None and born.date is not None and _years(born.date, reader.context.today) > PAST_CHILDBEARING:
        return stated(blank, False, resources=born.resources, flags=("by-age",))
    if not answers:
        return None
    # on one day a yes goes before a no: the safer reading
    return max(answers, key=lambda one: (one.date or dt.date.min, one.value is True, one.value is None))


def _pregnant(resource: Mapping[str, Any], concept: str, reader: ObservationReader) -> bool | None:
    if concept in {"pregnancy", "not_pregnant"}:  # the code itself is the finding
        if isinstance(resource.get("valueBoolean"), bool):
            return resource["valueBoolean"] is (concept == "pregnancy")
        return concept == "pregnancy"
    value = resource.get("valueCodeableConcept")
    concepts = {match.concept for match in reader.context.concepts(value)}
    if concepts & {"pregnancy", "not_pregnant"}:
        return "pregnancy" in concepts
    for said in (resource.get("valueString"), *texts_of(value)):
        if isinstance(said, str):
            verdict = assertions.verdict(said, "pregnancy")
            if verdict in {"present", "absent"}:
                return verdict == "present"
    if resource.get("valueQuantity"):
        return None  # an hCG number is a tumour marker too
    answer = answer_of(resource, reader.context)
    return True if answer == "positive" else False if answer == "negative" and concept == "pregnancy_status" else None
