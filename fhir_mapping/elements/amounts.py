"""How much: an amount with its kind (mg, mg/m², mL, tablets, IU), from a Quantity or from text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.terms.codes import code_text
from fhir_mapping.terms.units import MILLIGRAMS_IN, fold
from fhir_mapping.words.fold import compiled
from fhir_mapping.words.plain import plain

if TYPE_CHECKING:
    from collections.abc import Mapping


BIGGEST = Decimal(10) ** 9


# --- JSON as it comes ---------------------------------------------------------------------------------------


def number(value: object) -> Decimal | None:
    """Give a JSON number (or a number in a string) exactly; None for anything else, or beyond all sense."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) <= BIGGEST else None


def inner(node: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = node.get(name)
    return found if isinstance(found, dict) else {}


def words(value: object) -> str:
    """Give a text without blanks at its ends; empty for anything that is no text."""
    return value.strip() if isinstance(value, str) else ""


# --- amounts ------------------------------------------------------------------------------------------------

Kind = Literal["mg", "mg/m2", "mg/kg", "mL", "piece", "IU"]

_PIECES = frozenset(
    [
        "vial",
        "vials",
        "pill",
        "pills",
        "tab",
        "tabs",
        "tablet",
        "tablets",
        "tbl",
        "cap",
        "caps",
        "capsule",
        "capsules",
        "amp",
        "amps",
        "ampule",
        "ampoule",
        "syringe",
        "syringes",
        "bag",
        "bags",
        "支",
        "片",
        "粒",
        "瓶",
        "袋",
        "枚",
    ]
)
VOLUMES = {
    "ml": Decimal(1),
    "毫升": Decimal(1),
    "milliliter": Decimal(1),
    "millilitre": Decimal(1),
    "l": Decimal(1000),
}
_INTERNATIONAL = frozenset(["[iu]", "iu", "unt", "u", "unit", "units", "单位", "国际单位"])
_AMOUNT_UNIT = compiled(
    r"(?P<mass>mg|gm|g|ug|mcg|kg|毫克|克|微克|milligrams?|grams?|micrograms?)"
    r"(?P<per>/(?:m2|m\^2|sqm|平方米)|\.m-2|/kg)?"
    r"(?P<time>/(?:d|day|24h|24\.h|\(24\.h\)|24hr|天|日)|\.d-1)?(?:/(?:dose|次))?$"
)


@dataclass(frozen=True, slots=True)
class Amount:
    """A dose as written: `low` to `high` in mg (or mL, pieces, IU), per square metre, per kg; `daily` per day."""

    kind: Kind
    low: Decimal
    high: Decimal
    daily: bool = False


def _unit(quantity: Mapping[str, Any]) -> str:
    """Give the folded unit of a quantity: its code when that can be read, else its unit."""
    written = [fold(code_text(quantity.get("code"))), fold(words(quantity.get("unit")))]
    usable = [text for text in written if text and _meaning(text) is not None]
    return usable[0] if usable else next((text for text in written if text), "")


def _meaning(unit: str) -> tuple[Kind, Decimal, bool] | None:
    """Give what a folded unit measures, its factor, and whether it is per day."""
    if hit := _AMOUNT_UNIT.match(unit):
        per = hit["per"]
        kind: Kind = "mg" if per is None else "mg/kg" if per == "/kg" else "mg/m2"
        return kind, MILLIGRAMS_IN[hit["mass"]], hit["time"] is not None
    bare = unit.strip("{}")
    if bare in VOLUMES:
        return "mL", VOLUMES[bare], False
    if bare in _INTERNATIONAL:
        return "IU", Decimal(1), False
    if bare in _PIECES:
        return "piece", Decimal(1), False
    return None


def amount(quantity: object) -> Amount | None:
    """Read a dose quantity; None when it has no number, no unit or one that is no amount. Units are not guessed."""
    if not isinstance(quantity, dict) or quantity.get("comparator"):
        return None
    value, meaning = number(quantity.get("value")), _meaning(_unit(quantity))
    if value is None or value < 0 or meaning is None:
        return None
    kind, factor, daily = meaning
    return Amount(kind, value * factor, value * factor, daily)


def amount_range(value: object) -> Amount | None:
    if not isinstance(value, dict):
        return None
    low, high = amount(value.get("low")), amount(value.get("high"))
    if low is None or high is None or low.kind != high.kind or low.daily != high.daily or low.low > high.high:
        return None
    return Amount(low.kind, low.low, high.high, low.daily)


# --- text ---------------------------------------------------------------------------------------------------

NUMBER = r"(\d+(?:\.\d+)?)"
TO = r"\s*(?:-|–|~|to|至|到)\s*"
_TEXT_DOSE = compiled(
    rf"(?<![\d.]){NUMBER}(?:{TO}{NUMBER})?\s*(mg|g|ug|mcg|毫克|克|微克)(?![a-z])"
    r"(?P<area>\s*/\s*(?:m2|m\^2|kg|平方米))?(?P<strength>\s*/\s*(?:ml|毫升))?"
)


def text_amounts(text: str) -> tuple[Amount, ...]:
    """Give the different doses that a text names; a concentration ("70 mg/mL") is none."""
    found: dict[Amount, None] = {}
    for hit in _TEXT_DOSE.finditer(plain(text).replace("µ", "u").replace("μ", "u")):
        if hit["strength"]:
            continue
        area = re.sub(r"\s", "", hit["area"] or "")
        kind: Kind = "mg" if not area else "mg/kg" if area == "/kg" else "mg/m2"
        factor = MILLIGRAMS_IN[hit[3]]
        low = Decimal(hit[1]) * factor
        high = Decimal(hit[2]) * factor if hit[2] else low
        if low <= high:
            found[Amount(kind, low, high)] = None
    return tuple(found)
