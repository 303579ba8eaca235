"""The head of a resource: what selection and ordering look at, decoded though an element is not of its type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fhir_mapping.terms.exact import BROKEN, ResourceFaultError, listed, plainly, refuse_too_long

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CODINGS = 50
"""Of one concept; a concept has a handful of translations."""


# --- heads --------------------------------------------------------------------------------------------------


class Coding(msgspec.Struct, gc=False):
    """One coding, as sent."""

    system: str | None = None
    code: str | int | None = None
    display: str | None = None


class Codeable(msgspec.Struct, gc=False):
    """A CodeableConcept; a single coding may stand where a list belongs."""

    coding: list[Coding] | Coding | None = None
    text: str | None = None


class Ref(msgspec.Struct, gc=False):
    """A Reference."""

    reference: str | None = None


class Period(msgspec.Struct, gc=False):
    """A Period."""

    start: str | None = None
    end: str | None = None


class _Repeat(msgspec.Struct, gc=False):
    boundsPeriod: Period | None = None  # noqa: N815 - FHIR's own names


class Timing(msgspec.Struct, gc=False):
    """A Timing, as far as it says when something was."""

    event: list[str] | None = None
    repeat: _Repeat | None = None


class Part(msgspec.Struct, gc=False):
    """One component of an Observation."""

    code: Codeable | list[Codeable] | None = None


class Label(msgspec.Struct, gc=False):
    """A security label."""

    code: str | int | None = None


class Meta(msgspec.Struct, gc=False):
    """The security labels of a resource or of a list."""

    security: list[Label] | Label | None = None

    @property
    def is_withheld(self) -> bool:
        """Whether they say that the content was masked or redacted."""
        labels = self.security if isinstance(self.security, list) else [self.security]
        return any(label is not None and str(label.code) in _LABELS for label in labels)


_LABELS = frozenset({"MASKED", "REDACTED"})


class Head(msgspec.Struct, gc=False):
    """The elements of a resource that selection and ordering look at."""

    resourceType: str = ""  # noqa: N815 - FHIR's own names
    id: str | int | None = None
    meta: Meta | None = None
    status: str | None = None
    code: Codeable | list[Codeable] | None = None
    subject: Ref | None = None
    patient: Ref | None = None
    component: list[Part] | Part | None = None
    effectiveDateTime: str | None = None  # noqa: N815 - FHIR's own names
    effectivePeriod: Period | None = None  # noqa: N815 - FHIR's own names
    effectiveInstant: str | None = None  # noqa: N815 - FHIR's own names
    effectiveTiming: Timing | None = None  # noqa: N815 - FHIR's own names
    issued: str | None = None
    specimen: Ref | None = None
    modifierExtension: list[msgspec.Raw] | None = None  # noqa: N815 - FHIR's own names
    contained: list[msgspec.Raw] | None = None
    result: list[Ref] | None = None
    hasMember: list[Ref] | None = None  # noqa: N815 - FHIR's own names
    medicationCodeableConcept: Codeable | list[Codeable] | None = None  # noqa: N815 - FHIR's own names


_decode_head = msgspec.json.Decoder(Head).decode


def head_of(raw: msgspec.Raw | bytes) -> Head:
    """Decode the head of a resource; raise `ResourceFaultError` when it is no resource at all, or too long."""
    refuse_too_long(raw)
    try:
        return _decode_head(raw)
    except BROKEN:
        return _tolerant_head(raw)


# --- the tolerant head --------------------------------------------------------------------------------------


def _tolerant_head(raw: msgspec.Raw | bytes) -> Head:
    """Build a head from a resource whose elements are not all of their type."""
    members = plainly(msgspec.Raw(bytes(raw)))
    if not isinstance(members, dict):
        raise ResourceFaultError("not a resource")
    text = {name: string(members.get(name)) for name in ("resourceType", "status", "issued")}
    number = members.get("id")
    return Head(
        resourceType=text["resourceType"] or "",
        id=number if isinstance(number, str | int) and not isinstance(number, bool) else None,
        meta=meta_of(members.get("meta")),
        status=text["status"],
        code=_codeable(members.get("code")),
        subject=_ref(members.get("subject")),
        patient=_ref(members.get("patient")),
        component=[Part(_codeable(part.get("code"))) for part in listed(members.get("component"))],
        effectiveDateTime=string(members.get("effectiveDateTime")),
        effectivePeriod=_period(members.get("effectivePeriod")),
        effectiveInstant=string(members.get("effectiveInstant")),
        effectiveTiming=_timing(members.get("effectiveTiming")),
        issued=text["issued"],
        specimen=_ref(members.get("specimen")),
        modifierExtension=[msgspec.Raw(b"{}")] if members.get("modifierExtension") else None,
        contained=[msgspec.Raw(msgspec.json.encode(item)) for item in listed(members.get("contained"))],
        result=_refs(members.get("result")),
        hasMember=_refs(members.get("hasMember")),
        medicationCodeableConcept=_codeable(members.get("medicationCodeableConcept")),
    )


def meta_of(value: object) -> Meta | None:
    """Give the labels of a `meta` that is not of its type throughout; None where there is none."""
    if not isinstance(value, dict) or value.get("security") is None:
        return None
    codes = (label.get("code") for label in listed(value["security"]))
    return Meta([Label(code if isinstance(code, str | int) else None) for code in codes])


def string(value: object) -> str | None:
    """Give a text; None for anything else."""
    return value if isinstance(value, str) else None


def _codeable(value: object) -> list[Codeable]:
    found: list[Codeable] = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str):
            found.append(Codeable(text=item))
        elif isinstance(item, dict):
            codings = [
                Coding(
                    system=string(coding.get("system")),
                    code=code if isinstance(code := coding.get("code"), str | int) else None,
                    display=string(coding.get("display")),
                )
                for coding in listed(item.get("coding"))
            ]
            found.append(Codeable(coding=codings, text=string(item.get("text"))))
    return found


def _ref(value: object) -> Ref | None:
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, str):
        return Ref(value)
    return Ref(string(value.get("reference"))) if isinstance(value, dict) else None


def _refs(value: object) -> list[Ref]:
    return [found for item in (value if isinstance(value, list) else [value]) if (found := _ref(item)) is not None]


def _period(value: object) -> Period | None:
    return Period(string(value.get("start")), string(value.get("end"))) if isinstance(value, dict) else None


def _timing(value: object) -> Timing | None:
    if not isinstance(value, dict):
        return None
    events, repeat = value.get("event"), value.get("repeat")
    told = [one for one in (events if isinstance(events, list) else [events]) if isinstance(one, str)]
    return Timing(told, _Repeat(_period(repeat.get("boundsPeriod"))) if isinstance(repeat, dict) else None)


def codeables(value: Codeable | list[Codeable] | None) -> Iterator[Codeable]:
    """Yield the CodeableConcepts of a head's element."""
    if isinstance(value, list):
        yield from value
    elif value is not None:
        yield value


def codings(value: Codeable | list[Codeable] | None) -> Iterator[Coding]:
    """Yield the codings of a head's element."""
    for codeable in codeables(value):
        listed = codeable.coding
        if isinstance(listed, list):
            yield from listed[:MAX_CODINGS]
        elif listed is not None:
            yield listed
