"""How much is in a product, read out of its name."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from fhir_mapping.terms.units import MILLIGRAMS_IN
from fhir_mapping.words.fold import compiled
from fhir_mapping.words.plain import LONGEST_NAME, plain


@dataclass(frozen=True, slots=True)
class Strength:
    """How much is in a product: mg per mL, and mg in one vial, tablet or syringe, as far as told."""

    mg_per_ml: Decimal | None = None
    mg_per_piece: Decimal | None = None


_NUMBER = r"(\d+(?:[.,]\d+)?)"
_MASS_WORD = r"(mg|g|ug|mcg|毫克|克|微克)"
_ML = r"(?:ml|毫升)"
_IN_ML = compiled(rf"{_NUMBER}\s*{_MASS_WORD}\s*(?:/|per|:|,|in)\s*{_NUMBER}?\s*{_ML}(?![a-z])")
_ML_FIRST = compiled(rf"{_NUMBER}\s*{_ML}\s*[:/]\s*{_NUMBER}\s*{_MASS_WORD}(?![a-z])")
_VOLUME_FIRST = compiled(rf"^{_NUMBER}\s*{_ML}\s")
_ALONE = compiled(rf"{_NUMBER}\s*{_MASS_WORD}(?![a-z])(?!\s*/\s*(?:ml|毫升|m2|kg))")
_UNITS = compiled(rf"{_NUMBER}\s*(?:unt|iu|\[iu\]|international units?|units?|国际单位|单位)(?![a-z])")
_ELEMENTAL = (
    compiled(rf"{_NUMBER}\s*(mg|g|毫克|克)\s*(?:of\s+)?elemental"),
    compiled(rf"elemental calcium\s*\(?{_NUMBER}\s*(mg|g)"),
    compiled(rf"(?:元素钙|含钙|钙元素|以钙计)\s*{_NUMBER}\s*(mg|g|毫克|克)"),
    compiled(rf"{_NUMBER}\s*(mg|g|毫克|克)\s*[(（]?\s*以(?:元素)?钙计"),
    compiled(rf"(?<![a-z])calcium\s+{_NUMBER}\s*(mg|g)(?![a-z])"),
    compiled(rf"(?<![\u4e00-\u9fff])钙\s*{_NUMBER}\s*(mg|g|毫克|克)"),
)


def _decimal(text: str) -> Decimal:
    return Decimal(text.replace(",", "."))


def strength_in(text: str) -> Strength:
    """Read a strength out of a product's name ("4 mg/5 mL", "70 MG/ML", "4mg:5ml", "400 mg tablet")."""
    return _strength_in(text[:LONGEST_NAME])


@lru_cache(maxsize=4096)
def _strength_in(text: str) -> Strength:
    words = plain(text).replace("µ", "u").replace("μ", "u")
    if hit := _IN_ML.search(words):
        mg = _decimal(hit[1]) * MILLIGRAMS_IN[hit[2]]
        volume = _decimal(hit[3]) if hit[3] else None
        if volume == 0:
            return Strength()
        per_ml = mg / volume if volume else mg
        piece = mg if volume else None
        if piece is None and (whole := _VOLUME_FIRST.match(words)):
            piece = _decimal(whole[1]) * per_ml
        return Strength(per_ml, piece)
    if hit := _ML_FIRST.search(words):
        volume, mg = _decimal(hit[1]), _decimal(hit[2]) * MILLIGRAMS_IN[hit[3]]
        return Strength(mg / volume if volume else None, mg)
    alone = {(_decimal(hit[1]) * MILLIGRAMS_IN[hit[2]]) for hit in _ALONE.finditer(words)}
    return Strength(None, alone.pop()) if len(alone) == 1 else Strength()


def units_in(text: str) -> Decimal | None:
    """Read the international units of vitamin D in one tablet or drop out of a product's name."""
    found = {_decimal(hit[1]) for hit in _UNITS.finditer(plain(text))}
    return found.pop() if len(found) == 1 else None


def elemental_calcium_in(text: str) -> Decimal | None:
    """
    Read the mg of calcium itself out of a product's name; None when only the salt's weight is told.

    1500 mg of calcium carbonate are not 1500 mg of calcium, and no source here gives the share.
    """
    words = plain(text)
    for pattern in _ELEMENTAL:
        if hit := pattern.search(words):
            return _decimal(hit[1]) * MILLIGRAMS_IN[hit[2]]
    return None
