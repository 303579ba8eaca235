"""What every written order needs: the table, numbers, words, and the check of the whole."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from importlib.resources import files
from typing import Any

from fhir.resources.R4B.medicationrequest import MedicationRequest
from fhir.resources.R4B.servicerequest import ServiceRequest
from pydantic import ValidationError

from fhir_mapping.elements.amounts import words
from fhir_mapping.terms.codes import UCUM

Json = dict[str, Any]
TABLE: Json = tomllib.loads(files("fhir_mapping").joinpath("proposals.toml").read_text("utf-8"))
UNREADABLE = (ValidationError, ValueError, KeyError, TypeError, RecursionError, OverflowError, AttributeError)


class ProposalError(ValueError):
    """A suggestion that cannot be written as a safe and valid order; the message says why, without a value."""


STATUSES = frozenset({"draft", "active"})
INTENTS = frozenset(
    {"proposal", "plan", "order", "original-order", "reflex-order", "filler-order", "instance-order", "option"}
)
"""What a draft may be; the models check shapes, not the words of a required value set."""


def language_of(language: str) -> str:
    """Give the language that an order is written in, of the two there are."""
    return "zh-CN" if language == "zh-CN" else "en"


def copied(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Copy JSON through and through, at a third of what `copy.deepcopy` takes."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value


def without_empty(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Leave out what holds nothing (`"timing": {}`): FHIR allows no empty element, a draft may hold one."""
    if isinstance(value, dict):
        kept = {key: without_empty(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner not in (None, "", [], {})}
    if isinstance(value, list):
        listed = [without_empty(inner) for inner in value]
        # a null keeps the place of an element beside its extension (`given` and `_given`)
        return [inner for inner in listed if inner not in ("", [], {})]
    return value


def validated(resource: Json) -> Json:
    """Give the order as it came, when it is valid FHIR R4 and may be a draft; else raise `ProposalError`."""
    # as words: an object or a list in their place cannot even be looked up
    if words(resource.get("status")) not in STATUSES or words(resource.get("intent")) not in INTENTS:
        raise ProposalError("The order has a status or intent that a draft cannot have.")
    model = MedicationRequest if resource.get("resourceType") == "MedicationRequest" else ServiceRequest
    try:
        model.model_validate(resource)
    except UNREADABLE:
        raise ProposalError(f"The {resource.get('resourceType')} would not be valid FHIR R4.") from None
    return resource


def plain_number(value: Decimal) -> int | Decimal:
    """Give a number as JSON should have it: 4 for 4.0, 3.3 for 3.30."""
    tidy = value.normalize()
    return int(tidy) if tidy == tidy.to_integral_value() else tidy


def quantity_of(value: Decimal, unit: str, code: str) -> Json:
    """Give a Quantity in a UCUM unit."""
    return {"value": plain_number(value), "unit": unit, "system": UCUM, "code": code}


def every_days(days: int) -> Json:
    """Give a repeat of every so many days, in weeks where they are whole."""
    if days % 7 == 0:
        return {"frequency": 1, "period": days // 7, "periodUnit": "wk"}
    return {"frequency": 1, "period": days, "periodUnit": "d"}


def say(part: str, language: str, **fill: object) -> str:
    """Give a part of the dosage in words."""
    template: str = TABLE["dosage"][part][language_of(language)]
    return template.format(**fill)


def interval_words(days: int, language: str) -> str:
    """Give an interval in words."""
    if days == 1:
        return say("daily", language)
    if days % 7 == 0:
        return say("every_weeks", language, value=days // 7)
    return say("every_days", language, value=days)
