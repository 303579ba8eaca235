"""Operations on bone: what was done, and to which bone, by code or in words, whatever the reason for it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any

from fhir_mapping.places.laterality import one_side, sides_in, sides_of_extensions
from fhir_mapping.places.sites import Place, body_sites, places_in
from fhir_mapping.terms.codes import texts_of
from fhir_mapping.words.assertions import judge
from fhir_mapping.words.fold import compiled, fold
from fhir_mapping.words.targets import LONGEST, MENTIONS

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Mapping

    from fhir_mapping.delivery.context import ReadingContext
    from recommenders.vocabulary.bones import Side


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of operation, and how it is recognised."""

    name: str
    concepts: frozenset[str]
    words: re.Pattern[str] | None
    site: str | None
    fixation: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """What a procedure did to bone: which kinds of operation, whether it fixed or replaced a bone, and where."""

    kinds: tuple[str, ...]
    fixation: bool
    places: tuple[Place, ...]


def _load() -> tuple[re.Pattern[str], tuple[_Kind, ...]]:
    table = tomllib.loads(files("fhir_mapping").joinpath("terms/operations.toml").read_text("utf-8"))
    kinds = tuple(
        _Kind(
            name=name,
            concepts=frozenset(row["concepts"]),
            words=compiled("|".join(row["words"])) if row["words"] else None,
            site=row.get("site"),
            fixation=bool(row.get("fixation", False)),
        )
        for name, row in table["kinds"].items()
    )
    return compiled("|".join(table["undone"]["words"])), kinds


_UNDONE, _KINDS = _load()
CONCEPTS = frozenset(concept for kind in _KINDS for concept in kind.concepts)
_HAPPENED = frozenset({"present", "historical"})


def operation_of(resource: Mapping[str, Any], context: ReadingContext) -> Operation | None:
    """Give the operation on bone that a procedure was; None when it was none, or took one back."""
    code = resource.get("code")
    said = [text[:LONGEST] for text in texts_of(code)]
    concepts = {match.concept for match in context.concepts(code)}
    if any(_UNDONE.search(fold(one)) for one in said):
        return None
    kinds = [kind for kind in _KINDS if kind.concepts & concepts or any(_tells(kind, one) for one in said)]
    if not kinds or (not CONCEPTS & concepts and any(match.is_trap for match in context.concepts(code))):
        return None
    return Operation(
        kinds=tuple(kind.name for kind in kinds),
        fixation=any(kind.fixation for kind in kinds),
        places=_places(resource, context, kinds),
    )


def _tells(kind: _Kind, said: str) -> bool:
    folded = fold(said)
    return kind.words is not None and any(
        judge(folded, hit.start(), hit.end()) in _HAPPENED for hit in islice(kind.words.finditer(folded), MENTIONS)
    )


def _places(resource: Mapping[str, Any], context: ReadingContext, kinds: Iterable[_Kind]) -> tuple[Place, ...]:
    """Give the bones that were operated on: by body site, else by words, by the code's name, or by its kind."""
    said = texts_of(resource.get("code"))
    displays = [match.display for match in context.concepts(resource.get("code"))]
    named = [place for one in said for place in places_in(one) if _is_named(place)]
    sited = [place for place in body_sites(resource, context) if _is_named(place)]
    by_display = [place for one in displays for place in places_in(one) if _is_named(place)]
    by_kind = [Place(kind.site, True) for kind in kinds if kind.site][:1]
    places = sited or named or by_display or by_kind
    if len({(place.site, place.level) for place in places}) != 1:
        return tuple(dict.fromkeys(places))
    told: set[Side] = {place.side for place in places if place.side is not None}
    told |= {place.side for place in named if place.side is not None}
    told |= sides_of_extensions(resource, context)
    if not sited and not named:
        # "left total arthroplasty" names no bone: its only side is that of the bone
        told |= {side for one in said for side in sides_in(one)}
    distinct = tuple(dict.fromkeys(places))
    if len(distinct) > 1 and sited:
        return distinct  # both femora, each a body site of its own
    level = places[0].level or next((place.level for place in named if place.level is not None), None)
    return (replace(places[0], side=one_side(places[0].site, told), level=level),)


def _is_named(place: Place) -> bool:
    return place.is_bone is True and place.site != "bone"
