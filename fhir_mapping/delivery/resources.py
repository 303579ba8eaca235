"""The copy of a resource that is read: only the elements the mapping reads, made tidy, then validated as FHIR R4B."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from fhir_mapping.delivery.checking import check_of
from fhir_mapping.delivery.shapes import ELEMENTS
from fhir_mapping.delivery.tidying import PERIOD, Tidy, a_day, a_time
from fhir_mapping.delivery.usual import usual_copy
from fhir_mapping.terms import dates
from fhir_mapping.terms.exact import ResourceFaultError

_BESIDE_VALUES = ("_valueQuantity", "_valueString", "_valueCodeableConcept", "_valueInteger", "_valueBoolean")
"""What is said beside a value, such as why there is none."""
_SUBJECT = {"AllergyIntolerance": "patient", "BodyStructure": "patient"}
_NEEDS_NO_SUBJECT = frozenset({"Patient", "Medication", "Observation"})
_NO_SUBJECT = {"reference": "Patient/unknown"}
_UNREADABLE = (ValidationError, ValueError, KeyError, TypeError, RecursionError, OverflowError, AttributeError)


def readable(
    resource: Mapping[str, Any],
    timezone: dt.tzinfo,
    *,
    without: frozenset[str] = frozenset(),
    respelled: list[str] | None = None,
    neat: bool = False,
) -> dict[str, Any]:
    """
    Give the tidy, validated copy of a resource with only the elements that are read, and its type and id.

    `without` names elements that this time nobody reads; `respelled` gathers those whose date is not written as FHIR
    has it. With `neat` there is nothing to take away from its texts (see `exact.neatly`), as in most resources.

    Tolerated: one object for a list, a time without zone (local), a number for a code, blanks, a missing
    subject. Raises `ResourceFaultError` with the path of the faulty element, without its value.
    """
    kind = str(resource.get("resourceType"))
    elements = ELEMENTS.get(kind)
    if elements is None:
        raise ResourceFaultError(f"{kind} is not read")
    copy = usual_copy(kind, resource, timezone, without) if neat else None
    if copy is None:
        copy = _tidied(resource, kind, elements, timezone, without, respelled)
        _validate(kind, copy)
    number = resource.get("id")
    if isinstance(number, str | int) and not isinstance(number, bool):
        copy["id"] = str(number)
    for name in filter(resource.__contains__, _BESIDE_VALUES):
        if isinstance(resource[name], dict):
            copy[name] = resource[name]
    if isinstance(resource.get("contained"), list):
        copy["contained"] = resource["contained"]
    return copy


def _tidied(
    resource: Mapping[str, Any],
    kind: str,
    elements: Mapping[str, Tidy],
    timezone: dt.tzinfo,
    without: frozenset[str],
    respelled: list[str] | None,
) -> dict[str, Any]:
    """Give the elements that are read, each made tidy."""
    copy: dict[str, Any] = {"resourceType": kind}
    for name, value in resource.items():
        tidy = elements.get(name)
        if tidy is None or name in without:
            continue
        try:
            kept = tidy(value, timezone)
        except ResourceFaultError as error:
            raise ResourceFaultError(f"invalid at {name}: {error}") from None
        except _UNREADABLE:
            raise ResourceFaultError(f"invalid at {name}") from None
        if kept is not None:
            copy[name] = kept
            if respelled is not None and tidy in _DATES and _is_odd(value, kept, timezone):
                respelled.append(name)
    return copy


def _validate(kind: str, copy: Mapping[str, Any]) -> None:
    checked: dict[str, Any] = dict(copy)
    if kind not in _NEEDS_NO_SUBJECT:
        checked.setdefault(_SUBJECT.get(kind, "subject"), _NO_SUBJECT)
    if kind == "AllergyIntolerance" and "reaction" in copy:
        # a substance without what it did is still an allergy
        checked["reaction"] = [
            {"manifestation": [{"text": "not told"}], **one} if isinstance(one, dict) else one
            for one in copy["reaction"]
        ]
    try:
        check_of(kind)(checked)
    except ValidationError as error:
        raise ResourceFaultError(f"invalid at {_place(error)}") from None
    except _UNREADABLE:
        raise ResourceFaultError("invalid") from None


_DATES = (a_time, a_day, PERIOD)


def _is_odd(sent: object, kept: object, timezone: dt.tzinfo) -> bool:
    if isinstance(sent, dict) and isinstance(kept, dict):
        return any(_is_odd(sent.get(end), kept.get(end), timezone) for end in ("start", "end"))
    if not isinstance(sent, str) or not isinstance(kept, str):
        return False
    told = dates.parse(sent, timezone)
    return told is None or (told.precision == "time" and "T" not in kept)


def _place(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = ""
    for step in first["loc"]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path or "the resource"
