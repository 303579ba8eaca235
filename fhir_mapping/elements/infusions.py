"""How long and in how much: infusion time, push, volume of diluent, from rates or from text."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping.elements.amounts import NUMBER, TO, VOLUMES, Amount, amount, inner, number, words
from fhir_mapping.elements.intervals import UNITS_OF_TIME, replace_first, time_unit
from fhir_mapping.terms.codes import code_text
from fhir_mapping.terms.exact import listed
from fhir_mapping.terms.units import MILLIGRAMS_IN, fold
from fhir_mapping.words.fold import compiled
from fhir_mapping.words.plain import plain, rewritten

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_mapping.terms.drugs import Identified

A_DAY = Decimal(1440)
"""Minutes; the open end of "at least so long"."""
_LASTING = rf"(?P<low>\d+(?:\.\d+)?)(?:{TO}(?P<high>\d+(?:\.\d+)?))?"
_TIME_WORD = r"(?:minutes?|mins?|hours?|hrs?|h|seconds?|secs?|sec|s)(?![a-z])"
_TIME_SIGN = r"(?:分钟|分|小时|秒钟?|min|h|s)"
_AND_MINUTES = r"(?:\s*(?:and|又|零)?\s*(?P<more>\d{1,2})\s*(?:minutes?|mins?|min|分钟|分)(?![a-z]))?"
_INFUSION = (
    compiled(
        r"(?:over|during|infus\w*(?:\s+time)?(?:\s+(?:over|for|in))?|(?<=ml )in|(?<=mg )in|(?<=iv )in"
        r"|\bin(?=\s*\d+\s*sec))\s*"
        r"(?:a period of\s*)?"
        rf"(?P<least>at least|no less than|not less than|(?:a )?minimum of|>=|≥|>)?\s*{_LASTING}\s*"
        rf"(?P<unit>{_TIME_WORD}){_AND_MINUTES}"
    ),
    compiled(
        r"(?:静脉滴注|静脉输注|静脉点滴|滴注时间|输注时间|静脉推注|静滴|滴注|输注|点滴|泵入|滴入|静推|推注|ivgtt|持续|维持)\s*[,，(]?\s*"
        r"(?:每[^,，。;；]{1,8}次\s*[,，]?\s*)?(?:时间)?\s*"
        rf"(?P<least>不少于|至少|不短于|大于|>=|≥|>)?\s*{_LASTING}\s*(?P<unit>{_TIME_SIGN}){_AND_MINUTES}(?P<after>以上)?"
    ),
    compiled(
        rf"(?P<least>不少于|至少|不短于|大于|>=|≥|>)?\s*{_LASTING}\s*(?P<unit>{_TIME_SIGN}){_AND_MINUTES}(?P<after>以上)?"
        r"(?:内)?(?:持续|缓慢)?(?:滴完|输完|推完|静脉滴注|静脉输注|静脉点滴|静脉推注|静脉注射|静推|滴注|输注|静滴|滴入|泵入|推注)"
    ),
    compiled(
        rf"(?P<least>>=|≥|>)?\s*(?<![\d.]){_LASTING}\s*-?\s*(?P<unit>{_TIME_WORD}){_AND_MINUTES}\s*-?\s*"
        r"(?:(?:iv|intravenous|continuous|slow)\s+)*(?:infusion|drip)\b"
    ),
    compiled(
        rf"(?:\biv|\bml|\bns|saline|\bivgtt|氯化钠|盐水)\s*[,;]?\s*(?P<least>>=|≥|>)?\s*{_LASTING}\s*"
        rf"(?P<unit>minutes?|mins?|分钟)(?![a-z]){_AND_MINUTES}(?!\s*(?:before|after|prior|post|pre|apart|前|后|内))"
    ),
)
_SPELT = (
    (compiled(r"\bhalf (?:an? )?hour\b"), "30 min"),
    (compiled(r"(?<!个)半个?小时"), "30分钟"),
    (compiled(r"\b(one|two|three|four|an)(?= (?:hours?|minutes?)\b)"), None),
    (compiled(r"(?<![\d一二两三四五六七八九十])([一二两三四])(?=个?半?小时)"), None),
    (compiled(r"(?<=\d)(?:个半(?=小时)| ?1/2(?= ?(?:hours?|hrs?|h)\b))"), ".5"),
    (compiled(r"(?<=\d)个(?=小时)"), ""),
)
"""Times in words; None: the word is a number."""
_NUMBERS = {"one": 1, "an": 1, "two": 2, "three": 3, "four": 4, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4}
_PUSH = compiled(
    r"\b(?:iv|i\.v\.|intravenous|slow|rapid)?[ -]?(?:push|bolus)(?:es)?\b|\bivp\b"
    r"|静推|推注|(?:静脉|\biv\s*)推|静注(?!射用)"
)
_NO_PUSH = compiled(
    r"\b(?:no|not|never|avoid)\b[^.;]{0,30}\b(?:push|bolus)|(?:不可|不得|禁止|勿|避免)[^。；]{0,6}(?:静推|推注)"
    r"|\bpush (?:oral )?fluids"
)
_HOURS = ("hour", "hours", "hr", "hrs", "h", "小时")
_SECONDS = ("second", "seconds", "sec", "secs", "s", "秒", "秒钟")
_SALINE = (
    r"(?:0\.9\s*%?\s*)?"
    r"(?:nacl|sodium chloride|normal saline|saline|ns\b|氯化钠|生理盐水|盐水|葡萄糖|glucose|dextrose|d5w)"
)
_DILUENT = (
    compiled(rf"{_SALINE}[^\d%]{{0,12}}?{NUMBER}(?:{TO}{NUMBER})?\s*(?P<unit>ml|毫升|l)(?![a-z])"),
    compiled(rf"{NUMBER}(?:{TO}{NUMBER})?\s*(?P<unit>ml|毫升|l)\s*(?:of\s+|的)?\s*{_SALINE}"),
    compiled(
        rf"(?:diluted? in|dissolved? in|in|溶于|溶入|加入|稀释至|稀释于|加至)\s*{NUMBER}(?:{TO}{NUMBER})?\s*"
        r"(?P<unit>ml|毫升|l)(?![a-z])"
    ),
)


def text_infusion(text: str) -> tuple[Decimal, Decimal] | None:
    """
    Read an infusion time in minutes ("over 15 min", "1 h 30 min", "静滴2-4小时", "30 s"); None when none is told.
    """
    folded = _in_digits(plain(text))
    for pattern in _INFUSION:
        if hit := pattern.search(folded):
            factor = _minutes_in(hit["unit"])
            more = Decimal(hit["more"] or 0)
            low, high = (Decimal(each) * factor + more for each in (hit["low"], hit["high"] or hit["low"]))
            if hit["unit"] in _SECONDS:
                low, high = low / 60, high / 60
            if hit["least"] or hit.groupdict().get("after"):
                high = max(high, A_DAY)
            return (low, high) if low <= high else None
    return None


def _in_digits(folded: str) -> str:
    for pattern, digits in _SPELT:
        folded = pattern.sub(lambda hit, digits=digits: str(_NUMBERS[hit[1]]) if digits is None else digits, folded)  # type: ignore[misc] # bound at once
    return folded


def says_push(text: str) -> bool:
    """Tell whether a text orders a push or bolus into the vein ("IV push", "静推"); a warning against one does not."""
    folded = plain(text)
    return bool(_PUSH.search(folded)) and not _NO_PUSH.search(folded)


def without_push(text: str, words_: str) -> str:
    """Give a text with the words for a push written anew."""
    return rewritten(text, _PUSH.pattern, words_)


def _minutes_in(unit: str) -> Decimal:
    return Decimal(60) if unit in _HOURS else Decimal(1)


def text_diluent(text: str) -> tuple[Decimal, Decimal] | None:
    """Read the volume of saline ("in 100 mL", "0.9%氯化钠 100 ml", "溶于500-1000ml"); None when none is told."""
    folded = plain(text)
    for pattern in _DILUENT:
        if hit := pattern.search(folded):
            factor = Decimal(1000) if hit["unit"] == "l" else Decimal(1)
            numbers = [Decimal(group) * factor for group in hit.groups() if group and re.fullmatch(r"[\d.]+", group)]
            if numbers and numbers[0] <= numbers[-1]:
                return numbers[0], numbers[-1]
    return None


def replace_infusion(text: str, words_: str) -> str:
    """Give a text with its infusion time written anew."""
    return replace_first(text, _INFUSION, words_)


def replace_diluent(text: str, words_: str) -> str:
    """Give a text with its volume of saline written anew."""
    return replace_first(text, _DILUENT, words_)


_MINUTES = {
    "s": Decimal(1) / 60,
    "min": Decimal(1),
    "h": Decimal(60),
    "d": A_DAY,
}


def rates(instruction: Mapping[str, Any]) -> list[dict[str, Any]]:
    return listed(instruction.get("doseAndRate")) or [dict(instruction)]  # an administration's `dosage` is flat


def has_dose(rate: Mapping[str, Any]) -> bool:
    return any(isinstance(rate.get(name), dict) for name in ("doseQuantity", "doseRange", "dose"))


def structured_infusion(
    instruction: Mapping[str, Any],
    dose: Amount | None,
    diluent: tuple[Decimal, Decimal] | None,
    product: Identified,
) -> tuple[Decimal, Decimal] | None:
    repeat = inner(inner(instruction, "timing"), "repeat")
    duration, longest = number(repeat.get("duration")), number(repeat.get("durationMax"))
    factor = _MINUTES.get(words(repeat.get("durationUnit")))
    if duration is not None and factor is not None:
        return duration * factor, max(longest or duration, duration) * factor
    volume = _volume(instruction, dose, diluent, product)
    for rate in rates(instruction):
        if found := _rate_minutes(rate, volume, dose):
            return found
    return None


def _volume(
    instruction: Mapping[str, Any],
    dose: Amount | None,
    diluent: tuple[Decimal, Decimal] | None,
    product: Identified,
) -> Decimal | None:
    """Give the volume to run in: the saline, else the dose in mL; a product's own volume is only the drug's."""
    if diluent is not None and diluent[0] == diluent[1]:
        return diluent[0]
    if dose is not None and dose.kind == "mL" and dose.low == dose.high:
        return dose.low
    for rate in listed(instruction.get("doseAndRate")):
        found = amount(rate.get("doseQuantity"))
        if found is not None and found.kind == "mL":
            return found.low
    ready = product.strength.mg_per_ml
    if dose is not None and dose.kind == "mg" and ready and dose.low == dose.high:
        return (
            dose.low / ready if ready <= Decimal("0.1") else None
        )  # a ready-to-use bag (4 mg in 100 mL), no concentrate
    return None


def _rate_minutes(
    rate: Mapping[str, Any], volume: Decimal | None, dose: Amount | None
) -> tuple[Decimal, Decimal] | None:
    quantity = rate.get("rateQuantity")
    if isinstance(quantity, dict):
        value = number(quantity.get("value"))
        unit = fold(code_text(quantity.get("code")) or words(quantity.get("unit")))
        over, _, under = unit.partition("/")
        minutes = _MINUTES.get(UNITS_OF_TIME.get(under.rstrip("s"), under)) if under != "min" else Decimal(1)
        if value and minutes:
            if over in VOLUMES and volume is not None:
                time = volume / (value * VOLUMES[over]) * minutes
                return time, time
            if over in MILLIGRAMS_IN and dose is not None and dose.kind == "mg" and dose.low == dose.high:
                time = dose.low / (value * MILLIGRAMS_IN[over]) * minutes
                return time, time
    ratio = rate.get("rateRatio")
    if isinstance(ratio, dict):
        above, below = ratio.get("numerator"), ratio.get("denominator")
        if isinstance(above, dict) and isinstance(below, dict):
            return _ratio_minutes(above, below, volume)
    return None


def _ratio_minutes(
    above: Mapping[str, Any], below: Mapping[str, Any], volume: Decimal | None
) -> tuple[Decimal, Decimal] | None:
    run, span = amount(above), number(below.get("value"))
    minutes = _MINUTES.get(time_unit(below) or "")
    if run is None or run.kind != "mL" or not run.low or not span or minutes is None:
        return None
    whole = span * minutes
    if volume is not None:
        time = volume / run.low * whole
        return time, time
    # "100 mL in 15 min" without another volume is the whole infusion; "400 mL in 1 h" is a rate and tells nothing
    return (whole, whole) if span != 1 else None
