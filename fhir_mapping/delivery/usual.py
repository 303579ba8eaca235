"""
The copy of a resource in which nothing has to be made tidy: taken and checked in one step, as most of them can be.

What is of its usual form here is what `tidying` leaves as it is and what the check of fhir.resources accepts; whatever
is not, goes the longer way, which says what is wrong with it. Both give the same copy.
"""

from __future__ import annotations

import contextlib
import re
import threading
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, Required, get_args

import msgspec
from fhir.resources.R4B import fhirtypes
from typing_extensions import TypedDict

from fhir_mapping.delivery.checking import PARTS, choices_of, fields_of, is_one_of_each, needed_of, there
from fhir_mapping.delivery.shapes import ELEMENTS, MODELS
from fhir_mapping.delivery.tidying import (
    CODEABLE,
    CODING,
    LENGTH_OF_DAY,
    QUANTITY,
    RANGE,
    RATIO,
    REFERENCE,
    AList,
    AnObject,
    Tidy,
    a_code,
    a_day,
    a_number,
    a_text,
    a_time,
    as_it_is,
    is_person,
    people,
)
from fhir_mapping.terms import dates
from fhir_mapping.terms.heads import MAX_CODINGS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel


_Text = Annotated[str, msgspec.Meta(min_length=1)]


class _Somebody(TypedDict, total=False):
    """Somebody, of whom there may be only a name."""

    reference: _Text
    display: _Text
    type: _Text


class _Unusual:
    """Stands for an element that has no usual form: nothing that is decoded is of this type."""


@dataclass(frozen=True, slots=True)
class _Form:
    """
    The usual form of a resource type, without some of its elements.

    `times` are its dates and times, `choices` the elements of which one type may be told, `loose` the objects and
    lists of objects of which nothing may be left.
    """

    kind: Any
    times: tuple[str, ...]
    choices: Sequence[tuple[frozenset[str], bool]]
    loose: tuple[str, ...]


def usual_copy(
    kind: str, resource: Mapping[str, Any], timezone: dt.tzinfo, without: frozenset[str]
) -> dict[str, Any] | None:
    """
    Give the copy of a resource with only the elements that are read; None where one of them is not as it usually is.

    The texts of the resource are neat (see `exact.neatly`); `without` names elements that nobody reads this time.
    """
    form = _form_of(kind, without)
    try:
        copy: dict[str, Any] = msgspec.convert(resource, form.kind)
    except msgspec.ValidationError:
        return None
    if form.choices and not is_one_of_each(form.choices, copy):
        return None
    for name in filter(copy.__contains__, form.loose):
        if not copy[name] or (isinstance(copy[name], list) and {} in copy[name]):
            return None
    for name in filter(copy.__contains__, form.times):
        if not _is_dated(kind, name, copy, timezone):
            return None
    if (told := copy.get("performer")) is not None:
        copy["performer"] = [one for one in told if is_person(one.get("reference", ""))]
        if not copy["performer"]:
            del copy["performer"]
    return copy


def _is_dated(kind: str, name: str, copy: dict[str, Any], timezone: dt.tzinfo) -> bool:
    """Tell whether an element is a day, or is now a time as `tidying` writes it; else it needs a closer look."""
    told = copy[name]
    stamp = dates.parse(told, timezone)
    if stamp is None or len(told) == LENGTH_OF_DAY:
        return stamp is not None
    if stamp.moment is None or ELEMENTS[kind][name] is a_day:
        return False
    copy[name] = stamp.moment.isoformat()
    return _TIME.fullmatch(copy[name]) is not None


_TIME = re.compile(r"(?:19|20)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?[+-](?:0\d|1[0-3]):[0-5]\d")
"""A time of our days in a zone of our world."""


@cache
def _form_of(kind: str, without: frozenset[str]) -> _Form:
    """Give the usual form of a resource type, made when the first of its kind is read."""
    with _ONE_AT_A_TIME:
        form = _made(kind, without)
        _make_known(form)
    return form


_ONE_AT_A_TIME = threading.Lock()


def _make_known(form: _Form) -> None:
    """
    Let msgspec read a form once, before a second thread can.

    It does so at the first use of a type and keeps what it has read on the type, unfinished as it is: a thread that
    comes by meanwhile ends the process.
    """
    with contextlib.suppress(msgspec.ValidationError):
        msgspec.convert({}, form.kind)


def _made(kind: str, without: frozenset[str]) -> _Form:
    members = {name: tidy for name, tidy in ELEMENTS[kind].items() if name not in without}
    fields, needed = fields_of(MODELS[kind]), needed_of(MODELS[kind])
    shape = {name: _type_of(fields[name].annotation, tidy, depth=0) for name, tidy in members.items()}
    times = tuple(name for name, tidy in members.items() if tidy in _TIMES)
    shape |= dict.fromkeys(times, _Text)
    read = TypedDict(  # type: ignore[misc] # made at run time
        kind,
        {"resourceType": Required[str]}
        | {name: Required[told] if name in needed else NotRequired[told] for name, told in shape.items()},
    )
    return _Form(read, times, choices_of(fields, members), tuple(name for name in members if _is_loose(members[name])))


_TIMES = (a_time, a_day)
_LARGEST = 2_147_483_647


def _primitive(annotation: Any) -> type:  # noqa: ANN401 - a type
    """Give what tells FHIR's primitive types apart, which are texts and numbers with a note of what may be in them."""
    told = get_args(annotation)
    return type(told[1]) if len(told) > 1 else object


_PLAIN: Mapping[type, tuple[frozenset[Tidy], Any]] = {
    _primitive(fhirtypes.StringType): (frozenset({a_text, a_code}), _Text),
    _primitive(fhirtypes.MarkdownType): (frozenset({a_text, a_code}), _Text),
    _primitive(fhirtypes.CodeType): (frozenset({a_text, a_code}), _Text),
    _primitive(fhirtypes.UriType): (frozenset({a_text, a_code}), _Text),
    _primitive(fhirtypes.DecimalType): (frozenset({a_number}), int | Decimal),
    _primitive(fhirtypes.IntegerType): (frozenset({as_it_is}), Annotated[int, msgspec.Meta(ge=1, le=_LARGEST)]),
    _primitive(fhirtypes.UnsignedIntType): (frozenset({as_it_is}), Annotated[int, msgspec.Meta(ge=1, le=_LARGEST)]),
    _primitive(fhirtypes.PositiveIntType): (frozenset({as_it_is}), Annotated[int, msgspec.Meta(ge=1, le=_LARGEST)]),
}
"""FHIR's primitive types -> how an element of one may be made tidy, and the type of one that is so already."""
_TELLING: Mapping[Tidy, str] = {
    CODEABLE: "coding",
    CODING: "code",
    QUANTITY: "value",
    REFERENCE: "reference",
    RANGE: "low",
    RATIO: "numerator",
}
"""Objects -> the member that each of them usually has: so something is left of it."""


def _type_of(annotation: Any, tidy: Tidy, *, depth: int) -> Any:  # noqa: ANN401 - types made at run time
    """Give the type of an element that is as it usually is."""
    if tidy is people:
        return list[_Somebody]
    tidy, kind = PARTS.get(tidy, tidy), there(annotation)
    if isinstance(tidy, AList):
        item = _type_of(get_args(kind)[0], tidy.item, depth=depth)
        most = MAX_CODINGS if tidy.item is CODING else None
        return Annotated[list[item], msgspec.Meta(min_length=1, max_length=most)]  # type: ignore[valid-type] # made at run time
    if isinstance(tidy, AnObject) and hasattr(kind, "get_model_klass"):
        return _object_of(kind.get_model_klass(), tidy, depth=depth)
    if kind is bool and tidy is as_it_is:
        return bool
    tidies, plain = _PLAIN.get(_primitive(kind), (frozenset(), None))
    return plain if tidy in tidies else _Unusual


def _object_of(model: type[BaseModel], tidy: AnObject, *, depth: int) -> Any:  # noqa: ANN401 - types made at run time
    fields, needed = fields_of(model), needed_of(model)
    telling = _TELLING.get(tidy)
    if choices_of(fields, tidy.members) or (depth and not needed and telling is None):
        return _Unusual
    told = {name: _type_of(fields[name].annotation, inner, depth=depth + 1) for name, inner in tidy.members.items()}
    shape = {
        name: Required[kind] if name in needed or name == telling else NotRequired[kind] for name, kind in told.items()
    }
    return TypedDict(model.__name__, shape)  # type: ignore[operator] # made at run time


def _is_loose(tidy: Tidy) -> bool:
    """Tell whether of an element, or of an item of it, nothing may be left."""
    tidy = PARTS.get(tidy, tidy)
    if isinstance(tidy, AList):
        return _is_loose(tidy.item)
    return isinstance(tidy, AnObject) and tidy not in _TELLING
