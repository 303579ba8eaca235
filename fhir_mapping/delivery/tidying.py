"""Making one element of a resource tidy: blanks, one object for a list, a bare code; None where nothing is left."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from fhir_mapping.terms import dates
from fhir_mapping.terms.exact import MAX_DIGITS, MAX_MAGNITUDE, ResourceFaultError
from fhir_mapping.terms.heads import MAX_CODINGS

Tidy = Callable[[Any, dt.tzinfo], Any]
"""Makes one element tidy; None means that nothing usable is left of it."""

LENGTH_OF_DAY = 10
_NUMERAL = re.compile(r"-?\d{1,20}(\.\d{1,20})?$")


def a_text(value: object, _: dt.tzinfo) -> object:
    """Give a text without blanks around it."""
    if isinstance(value, str):
        return value.strip() or None
    return value


def a_code(value: object, _: dt.tzinfo) -> object:
    """Give a code, also one that came as a number."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def a_time(value: object, timezone: dt.tzinfo) -> object:
    """Give a date or time, a time with its zone, one that people wrote as FHIR has it."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if dates.parse(text, timezone) is None and (stamp := dates.written(text, timezone)) is not None:
        return dates.as_fhir(stamp)
    return dates.with_zone(text, timezone) or None


def a_day(value: object, timezone: dt.tzinfo) -> object:
    """Give a date; of one with a time the day that is written, whatever the zone."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if len(text) > LENGTH_OF_DAY and dates.parse(text, timezone) is not None:
        return text[:LENGTH_OF_DAY]
    return a_time(text, timezone)


def a_number(value: object, _: dt.tzinfo) -> object:
    """Give a number, also one that came as a text."""
    if isinstance(value, str) and len(value) <= MAX_DIGITS and _NUMERAL.match(value.strip()):
        try:
            value = Decimal(value.strip())
        except InvalidOperation:
            return value
        if abs(value) > MAX_MAGNITUDE:
            raise ResourceFaultError("a number larger than 1e9")
    elif isinstance(value, str):
        raise ResourceFaultError("a number that is none")
    return value


def as_it_is(value: object, _: dt.tzinfo) -> object:
    """Give what came, whatever it is."""
    return value


def _one(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Give the one object, also out of a list that holds it."""
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    return value


@dataclass(frozen=True, slots=True, eq=False)
class AnObject:
    """Makes an object tidy: these members are kept, all others are left out."""

    members: Mapping[str, Tidy]

    def __call__(self, value: Any, timezone: dt.tzinfo) -> Any:  # noqa: ANN401 - any JSON
        """Give the object with what is left of its members."""
        if value.__class__ is not dict:
            value = _one(value)
            if not isinstance(value, dict):
                return value
        members = self.members
        found: dict[str, Any] = {}
        for name, part in value.items():
            if name in members and (kept := members[name](part, timezone)) is not None:
                found[name] = kept
        return found or None


@dataclass(frozen=True, slots=True, eq=False)
class AList:
    """Makes a list tidy, item by item; one item where a list belongs is a list of one."""

    item: Tidy

    def __call__(self, value: Any, timezone: dt.tzinfo) -> Any:  # noqa: ANN401 - any JSON
        """Give the list of what is left of its items."""
        if value is None:
            return None
        listed = value if isinstance(value, list) else [value]
        item = self.item
        found = [kept for one in listed if (kept := item(one, timezone)) is not None]
        return found or None


_quantity_members: dict[str, Tidy] = {
    "value": a_number,
    "comparator": a_code,
    "unit": a_code,
    "system": a_text,
    "code": a_code,
}
QUANTITY = AnObject(_quantity_members)
RANGE = AnObject({"low": QUANTITY, "high": QUANTITY})
RATIO = AnObject({"numerator": QUANTITY, "denominator": QUANTITY})
PERIOD = AnObject({"start": a_time, "end": a_time})
CODING = AnObject({"system": a_text, "code": a_code, "display": a_text})

# Extensions the mapping reads, by the last part of their address; all others are left out of the copy.
_EXTENSIONS = frozenset(
    {
        "mcode-histology-morphology-behavior",
        "mcode-laterality-qualifier",
        "mcode-laterality",
        "mcode-body-location-qualifier",
        "bodySite",
        "procedure-targetBodyStructure",
        "mcode-procedure-intent",
        "mcode-treatment-intent",
        "mcode-radiotherapy-modality-and-technique",
        "mcode-radiotherapy-modality",
        "mcode-radiotherapy-technique",
        "mcode-radiotherapy-sessions",
        "mcode-radiotherapy-dose-delivered-to-volume",
        "volume",
        "totalDoseDelivered",
        "fractionsDelivered",
        "data-absent-reason",
        "iso21090-nullFlavor",
        "us-core-medication-adherence",
        "medicationAdherence",
    }
)


_BILLED = re.compile(r"quantity|units", re.IGNORECASE)
"""R4 has no place for the number of billed units on a Procedure: senders put it into an extension of their own."""


def extensions(value: object, timezone: dt.tzinfo) -> object:
    """Keep those extensions that the mapping reads."""
    listed = value if isinstance(value, list) else [value]
    found = []
    for item in listed:
        if not isinstance(item, dict) or not isinstance(item.get("url"), str):
            continue
        name = item["url"].rstrip("/").rpartition("/")[2]
        if name not in _EXTENSIONS and not _BILLED.search(name):
            continue
        kept = _EXTENSION(item, timezone)
        if kept is not None:
            found.append(kept)
    return found or None


_quantity_members["extension"] = extensions  # extensions hold quantities, and quantities extensions


def codeable(value: Any, timezone: dt.tzinfo) -> Any:  # noqa: ANN401 - any JSON
    """
    Make a CodeableConcept of one; text alone, one coding for a list, and a list of them are understood.

    Raises ResourceFaultError for one with more codings than any concept has: each would be checked.
    """
    if isinstance(value, str):
        return {"text": value.strip()} if value.strip() else None
    if isinstance(value, list):
        parts = [part for one in value if isinstance(part := codeable(one, timezone), dict)]
        codings = [coding for part in parts for coding in part.get("coding", ())]
        texts = [part["text"] for part in parts if "text" in part]
        merged: dict[str, Any] = {}
        if codings:
            merged["coding"] = codings
        if texts:
            merged["text"] = texts[0]
        return merged or None
    if isinstance(value, dict) and "coding" not in value and ("code" in value or "system" in value):
        value = {"coding": [value]}
    if isinstance(value, dict) and isinstance(listed := value.get("coding"), list) and len(listed) > MAX_CODINGS:
        raise ResourceFaultError(f"too-long: more than {MAX_CODINGS} codings")
    return CODEABLE(value, timezone)


CODEABLE = AnObject({"coding": AList(CODING), "text": a_text, "extension": extensions})


def a_reference(value: Any, timezone: dt.tzinfo) -> Any:  # noqa: ANN401 - any JSON
    """Give a Reference, also one that came as a text."""
    if isinstance(value, str):
        return {"reference": value.strip()} if value.strip() else None
    return REFERENCE(value, timezone)


def people(value: object, timezone: dt.tzinfo) -> object:
    """Keep those references that name the patient or a relative: a result they reported themselves."""
    listed = value if isinstance(value, list) else [value]
    found = [kept for one in listed if isinstance(kept := a_reference(one, timezone), dict)]
    return [one for one in found if is_person(str(one.get("reference")))] or None


def is_person(reference: str) -> bool:
    """Tell whether a reference is to the patient or to a relative."""
    return _PERSON.search(reference) is not None


_PERSON = re.compile(r"(?:^|/)(?:Patient|RelatedPerson)/")
REFERENCE = AnObject({"reference": a_text, "display": a_text, "type": a_text})
_EXTENSION = AnObject(
    {
        "url": a_text,
        "valueCodeableConcept": codeable,
        "valueCode": a_code,
        "valueQuantity": QUANTITY,
        "valueReference": a_reference,
        "valueUnsignedInt": as_it_is,
        "valuePositiveInt": as_it_is,
        "valueInteger": as_it_is,
        "valueDecimal": a_number,
        "valueString": a_text,
        "extension": extensions,
    }
)
NOTES = AList(AnObject({"text": a_text}))
