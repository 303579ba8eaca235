"""The laboratory's own range for a result: the one for this patient, in the fact's unit; never a default."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping.terms import units
from fhir_mapping.terms.codes import code_text, codings, texts_of
from fhir_mapping.terms.exact import is_number, number
from fhir_mapping.words.fold import compiled, fold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.terms.dictionary import ReadingRule
    from recommenders.vocabulary.facts import Reading

_SEX = {
    "male": frozenset({"male", "m", "248153007", "男", "男性"}),
    "female": frozenset({"female", "f", "248152002", "女", "女性"}),
}
_RANGE_TEXT = compiled(r"^\s*(\d+(?:\.\d+)?)\s*(?:-|–|~|至|to)\s*(\d+(?:\.\d+)?)\s*(\D.*)?$")
_LIMIT_TEXT = compiled(r"^\s*(<=?|≤|>=?|≥)\s*(\d+(?:\.\d+)?)\s*(\D.*)?$")


def own_range(
    reading: Reading, observation: Mapping[str, Any], rule: ReadingRule, context: ReadingContext, sex: str | None = None
) -> tuple[Decimal | None, Decimal | None]:
    """
    Give the laboratory's own range (low, high) for a reading, in the fact's unit.

    Several ranges that nothing tells apart (other sex or age) are no range; there is never a default.
    """
    entries = [entry for entry in observation.get("referenceRange", ()) if isinstance(entry, dict)]
    entries = [entry for entry in entries if "type" not in entry or _normal(entry)]
    plain = [entry for entry in entries if not entry.get("appliesTo") and not entry.get("age")]
    if not plain and sex in _SEX:
        plain = [entry for entry in entries if _applies(entry, sex) and not entry.get("age")]
    if len(plain) != 1:
        return None, None
    return _limits(plain[0], reading, rule, context)


def _normal(entry: Mapping[str, Any]) -> bool:
    kinds = {code_text(coding.get("code")) for coding in codings(entry.get("type"))}
    return not kinds or "normal" in kinds


def _applies(entry: Mapping[str, Any], sex: str) -> bool:
    told = {code_text(c.get("code")).lower() for c in codings(entry.get("appliesTo"))}
    told |= {fold(said).strip() for said in texts_of(entry.get("appliesTo"))}
    return bool(told & _SEX[sex])


def _limits(
    entry: Mapping[str, Any], reading: Reading, rule: ReadingRule, context: ReadingContext
) -> tuple[Decimal | None, Decimal | None]:
    found: list[Decimal | None] = []
    for name in ("low", "high"):
        end = entry.get(name)
        if not isinstance(end, dict) or not is_number(end.get("value")):
            found.append(None)
            continue
        unit = units.ucum(end, context.site.unit_aliases)
        found.append(_in_unit(number(end["value"]), unit if unit != "" else reading.sent_unit or "", rule, reading))
    if found[0] is not None or found[1] is not None or not isinstance(entry.get("text"), str):
        return found[0], found[1]
    return _limits_in_words(entry["text"], reading, rule)


def _limits_in_words(said: str, reading: Reading, rule: ReadingRule) -> tuple[Decimal | None, Decimal | None]:
    folded = fold(said)
    both = _RANGE_TEXT.match(folded)
    if both:
        unit = units.spelled(both[3]) if both[3] and both[3].strip() else reading.sent_unit or ""
        return _in_unit(Decimal(both[1]), unit, rule, reading), _in_unit(Decimal(both[2]), unit, rule, reading)
    one = _LIMIT_TEXT.match(folded)
    if one:
        unit = units.spelled(one[3]) if one[3] and one[3].strip() else reading.sent_unit or ""
        edge = _in_unit(Decimal(one[2]), unit, rule, reading)
        return (None, edge) if one[1][0] in "<≤" else (edge, None)
    return None, None


def _in_unit(value: Decimal, unit: str | None, rule: ReadingRule, reading: Reading) -> Decimal | None:
    converted = units.convert(value, unit, reading.unit, rule.analyte)
    return converted.value if converted else None
