"""What a dosage says as a whole: dose, route, interval, infusion, amount per day; from structure, else from text."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping.elements.amounts import Amount, amount, amount_range, number, text_amounts, words
from fhir_mapping.elements.infusions import has_dose, rates, says_push, structured_infusion, text_diluent, text_infusion
from fhir_mapping.elements.intervals import (
    _PRN,
    DAILY,
    Timing,
    _a_day,
    is_ambiguous_interval,
    text_days,
    text_interval,
    text_times_a_day,
    timing,
)
from fhir_mapping.elements.routes import route_of, text_route
from fhir_mapping.terms.codes import code_text, codings, texts_of
from fhir_mapping.terms.drug_names import DRUGS, is_local
from fhir_mapping.terms.exact import listed
from fhir_mapping.words.fold import compiled
from fhir_mapping.words.plain import plain
from recommenders.vocabulary.facts import Finding, Reading, declared, replace
from recommenders.vocabulary.records import Order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.terms.drugs import Identified
    from recommenders.vocabulary.facts import Reason

ONE_PERCENT = Decimal("0.01")
LOADING_DOSES = 3

BLANK: dict[str, Any] = {name: blank for name, (blank, _) in declared(Order).items()}
"""The parts of an order as unknown facts."""
_LOADING = compiled(r"\bloading\b|负荷")


# --- one dosage ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One dosage instruction as read: its possible doses, route, timing, infusion and the words it came with."""

    amount: Amount | None
    amounts: tuple[Amount, ...]
    route: str | None
    timing: Timing
    infusion: tuple[Decimal, Decimal] | None
    diluent: tuple[Decimal, Decimal] | None
    sequence: Decimal | None
    text: str
    from_text: frozenset[str]
    contradictory: bool = False
    unreadable: bool = False
    is_local: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Dosing:
    """
    What a medication order says about dosing, as the parts of an `Order`.

    `starts` and `events` are the planned days; `reasons` what a reader should know of how it was read.
    """

    dose_mg: Reading = BLANK["dose_mg"]
    largest_dose_mg: Reading = BLANK["largest_dose_mg"]
    daily_mg: Reading = BLANK["daily_mg"]
    daily_iu: Reading = field(default_factory=lambda: Reading(name="order.daily_iu", unit="[iU]/d", decimals=0))
    dose_mg_m2: Reading = BLANK["dose_mg_m2"]
    route: Finding = BLANK["route"]
    interval_days: Reading = BLANK["interval_days"]
    infusion_min: Reading = BLANK["infusion_min"]
    diluent_ml: Reading = BLANK["diluent_ml"]
    push: bool = False
    treatment_days: Reading = BLANK["treatment_days"]
    loading: bool = False
    local: bool = False
    first: Amount | None = None
    times_a_day: Decimal | None = None
    starts: dt.date | None = None
    ends: dt.date | None = None
    events: tuple[dt.date, ...] = ()
    text: str = ""
    reasons: tuple[str, ...] = ()


def read(
    instructions: object,
    product: Identified,
    *,
    context: ReadingContext,
    resource: str = "",
    notes: Iterable[str] = (),
) -> Dosing:
    """
    Read the dosage instructions of one order (or the `dosage` of an administration or statement).

    The first step is the dose at hand, the largest of all single doses goes into `largest_dose_mg`. What the
    structure does not say is looked for in the instruction's text, then in `notes`.
    """
    extra = tuple(note for note in notes if note)
    ordered = sorted(enumerate(listed(instructions)), key=lambda pair: (number(pair[1].get("sequence")) or 0, pair[0]))
    steps = [_step(instruction, product, context, extra) for _, instruction in ordered]
    if not steps:
        steps = [_step({}, product, context, extra)]
    return _joined(steps, product, context, resource)


def _step(instruction: Mapping[str, Any], product: Identified, context: ReadingContext, notes: Sequence[str]) -> Step:
    told = [words(instruction.get("text")), words(instruction.get("patientInstruction")), *_sig(instruction)]
    told += [text for extra in listed(instruction.get("additionalInstruction")) for text in texts_of(extra)]
    own = "; ".join(dict.fromkeys(text for text in told if text))
    text = own or "; ".join(notes)
    from_text: set[str] = set()
    when = timing(instruction, context)
    if _PRN.search(plain(own)):
        when = replace(when, prn=True, interval=None)
    chosen, contradictory, every = _structured_dose(instruction)
    spoken = text_amounts(text)
    if chosen is None and not contradictory and spoken:
        from_text.add("dose")
        every = spoken
        contradictory = len(spoken) > 1
        chosen = spoken[0] if len(spoken) == 1 else None
    if when.interval is None and not when.prn and not when.once and (found := text_interval(text)):
        from_text.add("interval")
        when = replace(when, interval=found, times_a_day=when.times_a_day or _a_day(found))
    if when.times_a_day is None and (hours := text_times_a_day(text)):
        when = replace(when, times_a_day=hours)
    route = route_of(instruction, context)
    if route is None and (spoken_route := text_route(own or text)):
        from_text.add("route")
        route = spoken_route
    diluent = text_diluent(text)
    infusion = structured_infusion(instruction, chosen, diluent, product)
    if infusion is None and (told_time := text_infusion(text)):
        from_text.add("infusion")
        infusion = told_time
    return Step(
        chosen,
        every,
        route,
        when,
        infusion,
        diluent,
        number(instruction.get("sequence")),
        text,
        frozenset(from_text),
        contradictory,
        is_local=any(is_local(said) for said in texts_of(instruction.get("route"))),
        unreadable=chosen is None and any(has_dose(rate) for rate in rates(instruction)),
    )


def _sig(instruction: Mapping[str, Any]) -> list[str]:
    """Some feeds put the order's line into an extension or a bare `sig`."""
    found = [words(instruction.get("sig"))]
    found += [words(extension.get("valueString")) for extension in listed(instruction.get("extension"))]
    return found


def _structured_dose(instruction: Mapping[str, Any]) -> tuple[Amount | None, bool, tuple[Amount, ...]]:
    """Give the dose ordered, whether several contradict each other, and every dose that stands there."""
    doses: list[tuple[str, Amount]] = []
    for rate in rates(instruction):
        quantity = rate.get("doseQuantity")
        found = amount(quantity if quantity is not None else rate.get("dose")) or amount_range(rate.get("doseRange"))
        if found is None:
            daily = amount(rate.get("rateQuantity"))
            found = daily if daily is not None and daily.daily else None  # a continuous infusion per day
        if found is not None:
            kind = next((code_text(coding.get("code")) for coding in codings(rate.get("type"))), "")
            doses.append((kind, found))
    if not doses:
        return None, False, ()
    ranked = {"ordered": 0, "": 1, "calculated": 2}
    best = min(ranked.get(kind, 1) for kind, _ in doses)
    chosen = tuple(dict.fromkeys(found for kind, found in doses if ranked.get(kind, 1) == best))
    if len(chosen) == 1:
        return chosen[0], False, chosen
    # the same dose said as milligrams and as millilitres is no contradiction
    masses = [found for found in chosen if found.kind == "mg"]
    if len(masses) == 1:
        return masses[0], False, tuple(masses)
    return None, True, chosen


# --- all steps together -------------------------------------------------------------------------------------


def _joined(steps: Sequence[Step], product: Identified, context: ReadingContext, resource: str) -> Dosing:
    first = _at_hand(steps, context.today)
    maker = _Maker(product, context, resource, context.today)
    reasons: list[str] = []
    if first.contradictory:
        reasons.append("several-doses")
    from_text = frozenset(part for step in steps for part in step.from_text)
    if from_text:
        reasons.append("from-text")
    if first.timing.interval is None and is_ambiguous_interval(first.text):
        reasons.append("ambiguous-interval")
    spoken = text_amounts(first.text)
    single = maker.mg(first.amount)
    said = maker.mg(spoken[0]) if len(spoken) == 1 and "dose" not in first.from_text else None
    if single and said and (said[1] < single[0] or said[0] > single[1]):
        reasons.append("text-differs-from-dose")
    doses = [dose for step in steps for found in step.amounts if (dose := maker.mg(found))]
    largest = max(doses, key=lambda dose: (dose[1], dose[0]), default=None)
    flags = ("from-text",) if "dose" in first.from_text else ()
    why, lacks = _why_unknown(first)
    daily, times = _daily(steps, maker)
    per_area = first.amount if first.amount is not None and first.amount.kind == "mg/m2" else None
    return Dosing(
        dose_mg=maker.reading("dose_mg", single, flags, why, lacks),
        largest_dose_mg=maker.reading("largest_dose_mg", largest, flags, why, lacks),
        daily_mg=maker.reading("daily_mg", daily, flags, why, lacks),
        daily_iu=maker.iu(first, times),
        dose_mg_m2=maker.reading("dose_mg_m2", (per_area.low, per_area.high) if per_area else None, flags),
        route=maker.route(first),
        interval_days=maker.reading("interval_days", first.timing.interval, _flag(first, "interval")),
        infusion_min=maker.reading("infusion_min", first.infusion, _flag(first, "infusion")),
        diluent_ml=maker.reading("diluent_ml", first.diluent, ("from-text",) if first.diluent else ()),
        push=any(says_push(step.text) for step in steps),
        treatment_days=maker.reading("treatment_days", _treatment_days(first)),
        loading=any(_LOADING.search(plain(step.text)) for step in steps) or _is_daily_loading(first, product),
        local=product.local or first.is_local,
        first=first.amount,
        times_a_day=times,
        starts=min((step.timing.starts for step in steps if step.timing.starts), default=None),
        ends=max((step.timing.ends for step in steps if step.timing.ends), default=None),
        events=tuple(sorted({day for step in steps for day in step.timing.events})),
        text="; ".join(dict.fromkeys(step.text for step in steps if step.text)),
        reasons=tuple(reasons),
    )


def _at_hand(steps: Sequence[Step], today: dt.date) -> Step:
    """Give the step that counts today: of loading and maintenance with days told the current one, else the first."""
    current = (step for step in steps if _covers(step.timing, today))
    return next(current, steps[0])


def _covers(told: Timing, today: dt.date) -> bool:
    return told.starts is not None and told.starts <= today and (told.ends is None or today <= told.ends)


def _flag(step: Step, part: str) -> tuple[str, ...]:
    return ("from-text",) if part in step.from_text else ()


def _treatment_days(step: Step) -> tuple[Decimal, Decimal] | None:
    """Give on how many days a daily order is given in all, as counted or as its text says; one for a single dose."""
    if step.timing.once:
        return Decimal(1), Decimal(1)
    days = text_days(step.text)
    if days is None and step.timing.interval == DAILY and step.timing.times_a_day == 1:
        days = step.timing.doses
    return None if days is None or days < 1 else (days, days)


def _why_unknown(step: Step) -> tuple[Reason, tuple[str, ...]]:
    """Tell why a dose that is not known is unknown, and which body size it would need."""
    if step.contradictory:
        return "contradictory", ()
    if step.amount is None:
        return ("unit" if step.unreadable else "missing"), ()
    if step.amount.kind == "mg/m2":
        return "inputs", ("patient.bsa",)
    if step.amount.kind == "mg/kg":
        return "inputs", ("patient.weight",)
    return "unit", ()


def _is_daily_loading(step: Step, product: Identified) -> bool:
    """Ibandronate once a day for at most three days is its loading scheme."""
    doses = step.timing.doses or text_days(step.text)
    daily = step.timing.interval == DAILY
    return "ibandronate" in product.drugs and daily and doses is not None and doses <= LOADING_DOSES


def _daily(steps: Sequence[Step], maker: _Maker) -> tuple[tuple[Decimal, Decimal] | None, Decimal | None]:
    """Give the mg on a day of treatment and the doses on it; steps of one sequence are given together."""
    together = [step for step in steps if step.sequence == steps[0].sequence]
    low = high = times = Decimal(0)
    for step in together:
        a_day = step.timing.times_a_day
        if step.amount is not None and step.amount.daily:
            a_day = Decimal(1)
        elif a_day is None and len(together) > 1 and not step.timing.prn:
            a_day = Decimal(1)  # several lines of one order, each given once
        dose = maker.mg(step.amount)
        if a_day is None or step.timing.prn:
            return None, None
        times += a_day
        if dose is None:
            return None, times if len(together) == 1 else None
        low, high = low + dose[0] * a_day, high + dose[1] * a_day
    return (low, high), times


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes readings of one order: they share its day and its reference."""

    product: Identified
    context: ReadingContext
    resource: str
    today: dt.date

    def mg(self, found: Amount | None) -> tuple[Decimal, Decimal] | None:
        """Give an amount in mg, with body size and the product's strength where they are known."""
        if found is None:
            return None
        if found.kind == "mg":
            return found.low, found.high
        factor: tuple[Decimal, Decimal] | None = None
        strength = self.product.strength
        if found.kind == "mg/m2":
            factor = _ends(self.context.bsa)
        elif found.kind == "mg/kg":
            factor = _ends(self.context.weight)
        elif found.kind == "mL" and strength.mg_per_ml:
            factor = strength.mg_per_ml, strength.mg_per_ml
        elif found.kind == "piece" and strength.mg_per_piece:
            factor = strength.mg_per_piece, strength.mg_per_piece
        if factor is None:
            return None
        return self._labelled(found.low * factor[0]), self._labelled(found.high * factor[1])

    def _labelled(self, mg: Decimal) -> Decimal:
        """1.7 mL of 70 mg/mL are 119 mg by arithmetic and 120 mg by label."""
        products = DRUGS[self.product.drugs[0]].products if len(self.product.drugs) == 1 else {}
        told = products.get(self.product.product or "")
        nominal = told.mg if told else None
        return nominal if nominal is not None and abs(mg - nominal) <= nominal * ONE_PERCENT else mg

    def reading(
        self,
        part: str,
        ends: tuple[Decimal, Decimal] | None,
        flags: tuple[str, ...] = (),
        why: Reason = "missing",
        lacks: tuple[str, ...] = (),
    ) -> Reading:
        """Give the order's part with its value, or unknown with the reason."""
        blank: Reading = BLANK[part]
        day, names = self.today, (self.resource,) if self.resource else ()
        if ends is None:
            return replace(blank, reason=why, lacks=lacks, resources=names if why != "missing" else ())
        return replace(blank, low=ends[0], high=ends[1], reason=None, flags=flags, date=day, resources=names)

    def iu(self, step: Step, times: Decimal | None) -> Reading:
        """Give the international units a day, when the dose is told in them."""
        blank = Reading(name="order.daily_iu", unit="[iU]/d", decimals=0)
        if step.amount is None or step.amount.kind != "IU" or times is None:
            return blank
        low, high = step.amount.low * times, step.amount.high * times
        return replace(blank, low=low, high=high, reason=None, date=self.today, resources=(self.resource,))

    def route(self, step: Step) -> Finding:
        """Give the route: as written, else as the product leaves no choice."""
        blank: Finding = BLANK["route"]
        names = (self.resource,) if self.resource else ()
        if step.route is not None:
            flags = ("from-text",) if "route" in step.from_text else ()
            return replace(blank, value=step.route, reason=None, flags=flags, date=self.today, resources=names)
        only = self._only_route()
        if only is None:
            return blank
        return replace(blank, value=only, reason=None, flags=("from-product",), date=self.today, resources=names)

    def _only_route(self) -> str | None:
        product = self.product
        if len(product.drugs) == 1 and (route := DRUGS[product.drugs[0]].route):
            return route
        if product.product == "oral":
            return "PO"
        if product.product == "injection":
            return "IV" if product.drugs == ("melphalan",) else None
        if product.oral and not product.injected and not product.local:
            return "PO"
        return None


def _ends(reading: Reading) -> tuple[Decimal, Decimal] | None:
    if not reading.is_known or reading.low is None or reading.high is None:
        return None
    return reading.low, reading.high
