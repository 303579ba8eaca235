"""Units as laboratories write them, and their conversion into the one unit a fact is kept in."""

from __future__ import annotations

import csv
import re
import unicodedata
from decimal import Decimal
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from fhir_mapping.terms.codes import UCUM, normal_system

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Case tells these apart, so they are looked up before folding.
_CASED = {"G/L": "10*9/L", "G/l": "10*9/L", "M": "m", "Mg": "mg"}
_DIMENSIONLESS = frozenset({"", "1", "{score}", "{count}", "{T-score}"})
_ANNOTATION = re.compile(r"\{[^}]*\}$")
_PER_AREA = re.compile(r"ml/\(?(min|s)[/*.·x]\{?1[.,]73")


class Converted(msgspec.Struct, frozen=True, gc=False):
    """
    A number in a fact's own unit.

    `sent_unit` is the unit it came in (UCUM; empty for none), `factor` what it was multiplied with.
    """

    value: Decimal
    unit: str
    sent_unit: str
    factor: Decimal = Decimal(1)


@lru_cache(maxsize=1)
def _aliases() -> dict[str, str]:
    """
    Give what each written form of `units.csv` (folded) means in UCUM.

    Tried before anything else: "K/uL" is kelvin per microlitre to a UCUM parser, and thousand per microlitre in a
    laboratory.
    """
    found: dict[str, str] = {}
    for row in _rows("units.csv"):
        folded = fold(row["written"])
        if found.setdefault(folded, row["unit"]) != row["unit"]:
            raise ValueError(f"units.csv: {row['written']!r} is given twice, as {found[folded]} and as {row['unit']}.")
    return found


def _rows(name: str) -> Iterator[dict[str, str]]:
    yield from csv.DictReader(files("fhir_mapping.terms").joinpath(name).read_text("utf-8").splitlines())


def fold(text: str) -> str:
    """Give the comparable form of a written unit: NFKC, micro sign as u, no blanks, lower case."""
    return _folded(text) if len(text) <= LONGEST_UNIT else _folded.__wrapped__(text)


@lru_cache(maxsize=4096)
def _folded(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).replace("μ", "u").replace("µ", "u").replace("×", "x").replace("⁹", "9")
    return re.sub(r"\s+", "", plain).lower()


LONGEST_UNIT = 200
"""Characters of a written unit; a longer text is none, and must fill no cache."""

MILLIGRAMS_IN: Mapping[str, Decimal] = {
    **dict.fromkeys(("mg", "毫克", "milligram", "milligrams"), Decimal(1)),
    **dict.fromkeys(("g", "gm", "克", "gram", "grams"), Decimal(1000)),
    **dict.fromkeys(("ug", "mcg", "µg", "μg", "微克", "microgram", "micrograms"), Decimal("0.001")),
    "kg": Decimal(1000000),
}
"""How many milligrams there are in a unit of mass, as it stands in the words of an order."""


def spelled(text: str) -> str | None:
    """Give the UCUM unit that a written unit means (`"MG/DL"` -> `mg/dL`); None when it is none we know."""
    return _spelled(text) if len(text) <= LONGEST_UNIT else None


@lru_cache(maxsize=4096)
def _spelled(text: str) -> str | None:
    written = unicodedata.normalize("NFKC", text).strip()
    if written in _CASED:
        return _CASED[written]
    folded = fold(text)
    found = _aliases().get(folded)
    if found is None and _PER_AREA.match(folded):
        return "mL/min/{1.73_m2}" if "min" in folded else "mL/s/{1.73_m2}"
    if found is None and folded.startswith("{") and _ANNOTATION.fullmatch(folded):
        return "1"  # a lone annotation has no dimension; the fact decides whether it takes one
    return found


def ucum(quantity: Mapping[str, Any], aliases: Mapping[str, str] | None = None) -> str | None:
    """
    Give the UCUM unit of a FHIR Quantity: `""` when it has none, None when what it has cannot be read.

    `code` counts when its system is UCUM or missing, then `unit`; `aliases` are a site's own spellings
    (folded form -> UCUM). A reference range may explain a missing unit, but never supplies it.
    """
    code, unit, system = quantity.get("code"), quantity.get("unit"), quantity.get("system")
    if not aliases and _is_usual(code) and _is_usual(unit) and _is_usual(system):
        return _as_usual(code, unit, system)
    return _ucum(code, unit, system, aliases or {})


def _is_usual(text: Any) -> bool:  # noqa: ANN401 - any JSON
    return text is None or (text.__class__ is str and len(text) <= LONGEST_UNIT)


def _ucum(code: object, unit: object, system: object, aliases: Mapping[str, str]) -> str | None:
    is_ucum = not isinstance(system, str) or not system.strip() or normal_system(system) == UCUM
    written: list[str] = []
    if isinstance(code, int) and not isinstance(code, bool):
        code = str(code)  # `1` without quotes
    if isinstance(code, str) and code.strip() and is_ucum:
        written.append(code)
    if isinstance(unit, str) and unit.strip():
        written.append(unit)
    if not written:
        return ""
    for text in written:
        found = aliases.get(fold(text)) or spelled(text)
        if found is not None:
            return found
    return None


@lru_cache(maxsize=4096)
def _as_usual(code: str | None, unit: str | None, system: str | None) -> str | None:
    """Give the unit of a Quantity without a site's own spellings: a laboratory writes the same ones again and again."""
    return _ucum(code, unit, system, {})


def shown(quantity: Mapping[str, Any], aliases: Mapping[str, str] | None = None) -> str:
    """
    Give the words for a Quantity's unit that people may be shown: those that `ucum` understood.

    Where `unit` says something else than the `code` that counts, the code is shown. Of words that nobody understands
    those are shown that could be a unit; any other text is a stranger's and is not repeated.
    """
    meant = ucum(quantity, aliases)
    for text in (quantity.get("unit"), quantity.get("code")):
        if isinstance(text, str) and text.strip():
            understood = (aliases or {}).get(fold(text)) or spelled(text)
            if understood == meant if meant is not None else _COULD_BE_UNIT.fullmatch(text.strip()):
                return text
    return meant or ""


class Written(NamedTuple):
    """A unit as it was written: what `ucum` says of it, what is `shown` of it, and what its words alone mean."""

    meant: str | None
    shown: str
    worded: str | None


def written(quantity: Mapping[str, Any], aliases: Mapping[str, str] | None = None) -> Written:
    """Give all that is read of the unit of a FHIR Quantity."""
    code, unit, system = quantity.get("code"), quantity.get("unit"), quantity.get("system")
    if not aliases and _is_usual(code) and _is_usual(unit) and _is_usual(system):
        return _written_as_usual(code, unit, system)
    return Written(ucum(quantity, aliases), shown(quantity, aliases), ucum({"unit": unit}, aliases))


@lru_cache(maxsize=4096)
def _written_as_usual(code: str | None, unit: str | None, system: str | None) -> Written:
    quantity = {"code": code, "unit": unit, "system": system}
    return Written(ucum(quantity), shown(quantity), ucum({"unit": unit}))


_COULD_BE_UNIT = re.compile(r"[\w/*^.%µ°·()\[\]{} -]{1,24}")


def _factor(text: str) -> Decimal:
    over, slash, under = text.partition("/")
    return Decimal(over) / Decimal(under) if slash else Decimal(over)


@lru_cache(maxsize=1)
def factors() -> dict[tuple[str, str], tuple[str, Decimal]]:
    """Give (analyte, unit) -> (internal unit, factor), from `conversions.csv`."""
    return {
        (row["analyte"], row["from_unit"]): (row["to_unit"], _factor(row["factor"])) for row in _rows("conversions.csv")
    }


def convert(value: Decimal, unit: str | None, into: str, analyte: str = "") -> Converted | None:
    """
    Give a number in the unit `into`; None when the unit is missing or cannot be converted.

    `unit` is UCUM as given by `ucum` or `spelled`; `analyte` is the row family of `conversions.csv` (a mg/dL of
    calcium is not a mg/dL of creatinine). Dimensionless targets (`1`, `{score}`, `{count}`) need no unit.
    Magnitude never decides.
    """
    if unit is None:
        return None
    if unit == into:
        return Converted(value, into, unit)
    if into in {"1", "{score}", "{count}"} and (unit in _DIMENSIONLESS or (into == "1" and unit == "g/mL")):
        return Converted(value, into, unit)
    row = factors().get((analyte, unit))
    if row is None or row[0] != into:
        return None
    return Converted(value * row[1], into, unit, row[1])


def milligrams(value: Decimal, unit: str | None) -> Decimal | None:
    """Give a mass in mg; None for anything that is not a mass."""
    factor = MILLIGRAMS_IN.get(unit or "")
    return None if factor is None else value * factor


_DAYS = {
    "h": Decimal(1) / 24,
    "d": Decimal(1),
    "wk": Decimal(7),
    "mo": Decimal(28),
    "a": Decimal(365),
}


def ordered_days(value: Decimal, unit: str | None) -> Decimal | None:
    """Give an ordered period in days, as the specification counts them (week 7, month 28)."""
    factor = _DAYS.get(unit or "")
    return None if factor is None else value * factor
