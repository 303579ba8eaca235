"""Whether a suggestion is itself safe: it is judged as if it were a draft order about to be signed (§0.8)."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Literal

from recommenders.assessing.assessment import assess_case
from recommenders.assessing.topics import TOPICS
from recommenders.patient import derived, recency
from recommenders.patient.advice import ChangedOrder, ChartAlone, ProposedMedication
from recommenders.patient.precautions import calcium_too_high_for_supplements, jaw_at_risk
from recommenders.vocabulary.dictionary import BLANK
from recommenders.vocabulary.facts import exactly, replace, stated
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.records import DENOSUMAB, Order

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from recommenders.assessing.assessment import Assessment
    from recommenders.patient.advice import Case, Item
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.records import OrderKind

Objection = Literal["unknown_dose", "unbuilt", "unchecked", "age", "pregnancy", "jaw", "allergy", "calcium"]
"""Why a suggestion is left out, when no rule says it: each has its words in the card's frame."""

NEVER_FIRE: frozenset[str] = frozenset({"DOSE-003", "DOSE-004", "DOSE-007", "DOSE-010", "DOSE-011"})
"""Rules that stop a suggested order whatever their indicator."""

MUST_BE_KNOWN: frozenset[str] = frozenset({"DOSE-010", "DOSE-011"})
"""Those of them that a test on its way silences: for a suggestion it has to be back."""

MENDED_APART: frozenset[str] = frozenset({"DOSE-002", "DOSE-025", "DOSE-026", "DOSE-029"})
"""Rules on route and speed of a draft; another button mends those, so they stop no correction of its dose."""

SUGGESTED = "MedicationRequest#suggested"
"""The reference of a suggested order while it is judged."""

_BONE_AGENTS = frozenset({"denosumab", "zoledronic", "ibandronate", "incadronate"})
_SUPPLEMENTS = frozenset({"calcium-oral", "vitamin-d-oral"})
_KINDS: Mapping[str, tuple[OrderKind, ...]] = {
    "denosumab": ("bma",),
    "zoledronic": ("bma",),
    "ibandronate": ("bma",),
    "incadronate": ("bma",),
    "calcium-oral": ("calcium",),
    "vitamin-d-oral": ("vitamin-d",),
    "calcium-gluconate-iv": ("calcium",),
    "mesna": ("mesna",),
}
_DRUGS = {"calcium-oral": "calcium", "vitamin-d-oral": "vitamin-d", "calcium-gluconate-iv": "calcium-gluconate"}
_OSTEOPOROSIS_DOSE = Decimal(60)
GUIDANCE = guidance("order_safety")


def unsafe_because(item: Item, assessment: Assessment) -> tuple[str, ...]:
    """
    Give what speaks against suggesting an order: ids of rules that would stop it, and words of `Objection`.

    Empty when nothing does. A suggested service is always safe; a medication, new or corrected, is judged as
    the draft at hand at order-sign, with the recency windows of orders and the other drafts as background.
    """
    if not isinstance(item, ProposedMedication | ChangedOrder):
        return ()
    judged = assessment.case.once(_judged_so_far)
    if item not in judged:  # several rules suggest the same order
        judged[item] = (
            _medication(item, assessment) if isinstance(item, ProposedMedication) else _correction(item, assessment)
        )
    return judged[item]


def _judged_so_far(case: Case) -> dict[Item, tuple[str, ...]]:  # noqa: ARG001 - the shape that `Case.once` asks for
    return {}


def as_draft_order(item: ProposedMedication, facts: Facts) -> Order:
    """Give a suggested medication as the draft order it would become; doses of vitamin D stay untold (IU)."""
    order = Order(reference=SUGGESTED, kinds=_KINDS[item.drug], drug=_drug(item), at_hand=True, has_id=False)
    day = facts.as_of
    dose = item.dose if item.drug != "vitamin-d-oral" else None
    times = item.times_per_day or len(item.hours) or (1 if item.once or (item.interval_days or 0) >= 1 else None)
    parts: dict[str, Fact] = {}
    if dose is not None:
        single = dose / item.times_per_day if item.times_per_day and item.drug in _SUPPLEMENTS else dose
        parts["dose_mg"] = exactly(order.dose_mg, single, date=day)
        parts["largest_dose_mg"] = exactly(order.largest_dose_mg, single, date=day)
        if times:
            parts["daily_mg"] = exactly(order.daily_mg, single * times, date=day)
    parts |= _as_given(order, item, day)
    if _is_for_hypercalcaemia(item):
        parts["indication"] = stated(order.indication, "hypercalcaemia", date=day)
    return replace(order, **parts)


def _is_for_hypercalcaemia(item: ProposedMedication) -> bool:
    """Tell whether a bone agent is suggested against a high calcium, not as a course."""
    return item.indication == "hypercalcaemia"


def _as_given(order: Order, item: ProposedMedication | ChangedOrder, day: dt.date) -> dict[str, Fact]:
    """Give the parts of an order that say how a drug is given, as far as a suggestion names them."""
    parts: dict[str, Fact] = {}
    if item.route is not None:
        parts["route"] = stated(order.route, item.route, date=day)
    for name in ("interval_days", "infusion_min", "diluent_ml"):
        if (value := getattr(item, name)) is not None:
            parts[name] = exactly(getattr(order, name), value, date=day)
    return parts


def corrected(order: Order, change: ChangedOrder, facts: Facts) -> Order:
    """Give a draft order with the parts of a suggested correction replaced."""
    day = facts.as_of
    parts: dict[str, Fact] = {}
    if change.dose_mg is not None:
        parts["dose_mg"] = exactly(order.dose_mg, change.dose_mg, date=day)
        parts["largest_dose_mg"] = exactly(order.largest_dose_mg, change.dose_mg, date=day)
    parts |= _as_given(order, change, day)
    drug = order.drug
    if change.infusion_min is not None:
        parts["push"] = stated(order.push, False, date=day)
    if change.dose_mg is not None and drug == "denosumab-unspecified":
        drug = "denosumab-60" if change.dose_mg == _OSTEOPOROSIS_DOSE else "denosumab-120"
    starts = change.starts or order.starts
    return replace(order, drug=drug, at_hand=True, starts=starts, **parts)


def _drug(item: ProposedMedication) -> str:
    if item.drug == "denosumab":
        return "denosumab-60" if item.dose == _OSTEOPOROSIS_DOSE else "denosumab-120"
    return _DRUGS.get(item.drug, item.drug)


# --- the judgement ------------------------------------------------------------------------------------------


def _medication(item: ProposedMedication, assessment: Assessment) -> tuple[str, ...]:
    found: list[str] = []
    if item.dose is None and item.drug != "calcium-gluconate-iv":  # the sources name no dose of gluconate
        found.append("unknown_dose")
    found += _patient(assessment, _allergies(item.drug))
    if item.drug in _SUPPLEMENTS and calcium_too_high_for_supplements(assessment.case).yes:
        found.append("calcium")
    order = as_draft_order(item, assessment.facts)
    is_bma = item.drug in _BONE_AGENTS
    others = [
        replace(other, at_hand=False)
        for other in assessment.facts.orders
        # a bone agent is suggested instead of the one at hand, never beside it
        if not (is_bma and other.is_bma and other.at_hand)
    ]
    found += _rules(order, others, assessment, absolutely=is_bma)
    # the alarm that suggests it says itself: fluids first
    against = {"BP-011"} if _is_for_hypercalcaemia(item) else set()
    return tuple(rule for rule in dict.fromkeys(found) if rule not in against)


def _correction(item: ChangedOrder, assessment: Assessment) -> tuple[str, ...]:
    draft = next((order for order in assessment.facts.orders if order.reference == item.order), None)
    if draft is None or not draft.has_id:
        return ("unbuilt",)
    order = corrected(draft, item, assessment.facts)
    others = [replace(other, at_hand=False) for other in assessment.facts.orders if other is not draft]
    found = [
        *_patient(assessment, _allergies(str(order.drug))),
        *_rules(order, others, assessment, absolutely=True),
    ]
    mended_apart = MENDED_APART & set(assessment.of("fired"))
    return tuple(dict.fromkeys(rule for rule in found if rule not in mended_apart))


def _allergies(drug: str) -> str | None:
    """Give the fact that an allergy to this drug would stand in; None when no such fact is kept."""
    if drug == "denosumab" or drug in DENOSUMAB:
        return "allergy.denosumab"
    if drug == "mesna":
        return "allergy.mesna"
    if drug == "ifosfamide":
        return "allergy.ifosfamide"
    agents = ("zoledronic", "ibandronate", "incadronate", "pamidronate", "clodronate", "other-bisphosphonate")
    return "allergy.bisphosphonate" if drug.startswith(agents) else None


def _patient(assessment: Assessment, allergy: str | None) -> list[str]:
    """Give what in the patient forbids any suggested medication; doubt counts where it was put on record."""
    facts = assessment.case.facts
    adult = assessment.case.limits(GUIDANCE).adult_age
    found: list[str] = []
    if facts.patient.age.is_known and not (facts.patient.age >= adult).yes:
        found.append("age")
    pregnant = facts.patient.pregnant
    if (pregnant.criterion() | pregnant.is_suspected()).yes or pregnant.reason == "contradictory":
        found.append("pregnancy")
    if jaw_at_risk(facts).yes or facts.onj.status.reason == "contradictory":
        found.append("jaw")
    if allergy is not None:
        known_allergy = facts.fact(allergy)
        if getattr(known_allergy, "value", None) is True or known_allergy.reason in {"suspected", "contradictory"}:
            found.append("allergy")
    return found


def _rules(order: Order, others: list[Order], assessment: Assessment, *, absolutely: bool) -> list[str]:
    """
    Give the rules that would stop this order.

    For a bone agent or a correction every critical rule counts. Beside calcium, vitamin D and mesna only those
    that the order brings about: hypocalcaemia is critical by itself, and calcium is its treatment.
    """
    with_it = _judged(assessment, (order, *others))
    stopped = _stops(with_it)
    if not absolutely and stopped:
        nothing = replace(Order(reference=SUGGESTED, at_hand=True, has_id=False), kinds=("other",))
        stopped -= _stops(_judged(assessment, (nothing, *others)))
    found = [rule for rule in with_it.verdicts if rule in stopped]
    return [*found, "unchecked"] if with_it.failed else found


def _judged(assessment: Assessment, orders: tuple[Order, ...]) -> Assessment:
    """Judge these orders, as far as a rule could stop one: what is open stops none, and is not asked for."""
    case = assessment.case.once(_at_order).with_orders(orders)
    return assess_case(case, with_values=False, only=_may_stop())


@cache
def _may_stop() -> frozenset[str]:
    """The rules that could stop an order: one of their faces is critical, or they stop whatever their face."""
    rules = {rule: info for topic in TOPICS for rule, info in topic.guidance.rules_at("order-sign").items()}
    alarms = {rule for rule, info in rules.items() if "alert" in {info.voice, *(face.voice for face in info.variants)}}
    return NEVER_FIRE | MUST_BE_KNOWN | alarms


def _at_order(case: Case) -> ChartAlone:
    """The chart as it will count when the suggested order is signed; the same for every suggestion."""
    site = case.site
    if case.guidance_day != case.facts.as_of:
        return ChartAlone(derived.derive(recency.as_seen(as_read(case.facts), "order", site), site), "order-sign", site)
    return ChartAlone(seen_at_order(case.facts, site), "order-sign", site)


def seen_at_order(facts: Facts, site: Mapping[str, Decimal] | None = None) -> Facts:
    """Give facts that are seen at the chart as they count at an order: the very same where nothing is too old there."""
    read = as_read(facts)
    seen = recency.as_seen(read, "order", site)
    return facts if seen is read else derived.derive(seen, site)


def _stops(assessment: Assessment) -> set[str]:
    return {
        rule
        for rule, verdict in assessment.verdicts.items()
        if (verdict.state == "fired" and (verdict.indicator == "critical" or rule in NEVER_FIRE))
        or (verdict.state == "suppressed" and rule in MUST_BE_KNOWN)
    }


_CALCULATED = frozenset({"calculated", "uncorrected"})


def as_read(facts: Facts) -> Facts:
    """
    Give the facts without what was calculated from others.

    They were worked out with the windows of another hook: at signing a weight of two months ago is too old,
    and so is the clearance that came of it.
    """
    paths = ("lab.crcl", "lab.ca_corr", "patient.bsa")
    calculated = [path for path in paths if not _CALCULATED.isdisjoint(facts.fact(path).flags)]
    if "lab.ca_corr" in calculated:
        calculated.append("lab.ca_corr_mg_dl")
    return facts.with_facts({path: BLANK.fact(path) for path in calculated}) if calculated else facts
