"""Left or right: the side of a bone from extensions, codes and words; both sides, or two answers, are no side."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fhir_mapping.terms.codes import texts_of
from fhir_mapping.words.fold import compiled
from fhir_mapping.words.plain import plain
from recommenders.vocabulary.bones import PAIRED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fhir_mapping.delivery.context import ReadingContext
    from recommenders.vocabulary.bones import Side

BOTH: frozenset[Side] = frozenset({"left", "right"})
_EXTENSIONS = ("mcode-laterality-qualifier", "mcode-laterality", "mcode-body-location-qualifier")
_CONCEPTS: Mapping[str, Side] = {"laterality_left": "left", "laterality_right": "right"}

_LEFT = r"\bleft\b|\blt\b|\(l\)|\bl\b\.?(?! ?[\d-])|左侧?"
_RIGHT = r"\bright\b|\brt\.|\(r\)|\br\b\.?(?! ?[\d-])|右侧?"
_BOTH = r"\bbilateral\b|\bboth\b|双侧?|两侧"
_ONE = rf"(?:{_LEFT}|{_RIGHT}|{_BOTH})"
_SIDES = rf"(?P<sides>{_ONE}(?:\s*(?:and|&|/|、|和|及|与)\s*{_ONE})?)"
_BETWEEN = (
    r"(?:[\s-]|\bsided\b|\bside\b|\bproximal\b|\bdistal\b|\bmid\b|\bmiddle\b|\bupper\b|\blower\b|\bend\b|\bneck\b"
    r"|\bhead\b|\bshaft\b|\bof\b|\bthe\b|\bbone\b|\bfemoral\b|\bhip\b|\btotal\b|\banterior\b|\bposterior\b|\blateral\b|[前后腋]|人工|\d{1,2}(?:st|nd|rd|th)|第?\d{1,2}"
    r"|inter$|sub$|per$|近端|远端|中段|上段|下段|下肢|上肢)*"
)
_BEFORE = compiled(rf"{_SIDES}{_BETWEEN}$")
_AFTER = compiled(
    r"^(?:\s*(?:bone|shaft|neck|head|干|颈|头|近端|远端|上段|中段|下段))?\s*[,:(-]?\s*"
    rf"{_SIDES}(?:[\s-]*(?:sided?|边))?\s*(?=$|[,;.)。，、])"
)


def one_side(site: str | None, sides: Iterable[Side]) -> Side | None:
    """Give the one side that was told of a paired bone; None when none was, or both were."""
    told = frozenset(sides)
    return next(iter(told)) if site in PAIRED and len(told) == 1 else None


def sides_of_site(codeable: Any, context: ReadingContext) -> frozenset[Side]:  # noqa: ANN401 - any JSON
    """Give every side that a body site names: by extension, by a code, by the words of the code, by its own words."""
    found: set[Side] = set()
    for one in codeable if isinstance(codeable, list) else [codeable]:
        if isinstance(one, dict):
            found |= sides_of_extensions(one, context)
            for match in context.concepts(one):
                if match.concept in _CONCEPTS:
                    found.add(_CONCEPTS[match.concept])
                else:
                    found |= sides_in(match.display)
    for said in texts_of(codeable):
        found |= sides_in(said)
    return frozenset(found)


def sides_of_extensions(element: Mapping[str, Any], context: ReadingContext) -> frozenset[Side]:
    """Give the sides that mCODE's laterality and location qualifiers on an element name."""
    found: set[Side] = set()
    for extension in element.get("extension", ()):
        if isinstance(extension, dict) and str(extension.get("url", "")).rstrip("/").endswith(_EXTENSIONS):
            value = extension.get("valueCodeableConcept")
            coded = {_CONCEPTS[match.concept] for match in context.concepts(value) if match.concept in _CONCEPTS}
            words = {side for said in texts_of(value) for side in sides_in(said)}
            found |= coded | words
    return frozenset(found)


def sides_in(said: str) -> frozenset[Side]:
    """Give the sides that the words of one body site name anywhere."""
    return _named(plain(said))


def sides_beside(folded: str, start: int, end: int) -> frozenset[Side]:
    """
    Give the sides that stand beside or in the words at `start:end` ("nailing of left femur", "股骨(右)").

    A side that belongs to something else ("right lung cancer with a femur metastasis") is not taken.
    """
    found = set(_named(folded[start:end]))
    before = _BEFORE.search(folded[max(0, start - 60) : start])
    after = _AFTER.match(folded[end : end + 40])
    for hit in (before, after):
        if hit is not None:
            found |= _named(hit["sides"])
    return frozenset(found)


def _named(folded: str) -> frozenset[Side]:
    found: set[Side] = set()
    if re.search(_BOTH, folded):
        return BOTH
    if re.search(_LEFT, folded):
        found.add("left")
    if re.search(_RIGHT, folded):
        found.add("right")
    return frozenset(found)
