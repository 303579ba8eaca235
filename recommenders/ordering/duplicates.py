"""Two agents at once, one drug in two strengths, and the same drug twice: among the drafts and on the chart."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from recommenders.ordering.parts import GUIDANCE, drug_name, filled, is_drug, removal, shown, shown_day
from recommenders.patient.advice import Advice, ChangedOrder, Phrase, Proposal
from recommenders.patient.courses import GUIDANCE as COURSES
from recommenders.patient.courses import DrugSet, is_active, overlap_after_stop
from recommenders.patient.earlier_doses import chart_without_drafts, day_of
from recommenders.patient.order_intent import cancer_in_bone
from recommenders.vocabulary.facts import Finding, replace
from recommenders.vocabulary.guidance import ORDER_HOOKS
from recommenders.vocabulary.logic import NO, Condition, Criterion, any_of, at_least, documented, given, leaf
from recommenders.vocabulary.records import BISPHOSPHONATES, DENOSUMAB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from recommenders.patient.advice import Case, Fill
    from recommenders.vocabulary.records import Course, Order

TABLETS = frozenset({"ibandronate-oral", "other-bisphosphonate"})
INFUSIONS = frozenset({"zoledronic", "ibandronate", "incadronate", "pamidronate"})


# --- two agents ---------------------------------------------------------------------------------------------


def several_agents(case: Case) -> Criterion:
    """Tell whether there may be more than one antiresorptive agent, drafted, standing or given lately."""
    together = case.once(_together)
    there = len(together.drafts) + len(together.chart.courses) + len(together.chart.possible)
    return given(there > 1 or not together.chart.listed.delivered)


def two_agents(case: Case) -> Iterator[Advice]:
    """Yield what is said of two antiresorptive agents at once, drafted, standing or given lately."""
    together = case.once(_together)
    yield from _denosumab_and_bisphosphonate(case, together)
    yield from _two_strengths_of_denosumab(case, together)
    yield from _two_bisphosphonates(case, together)


@dataclass(frozen=True, slots=True)
class Member:
    """One agent of a pair: a draft, or a course that stands or has ended lately."""

    drug: str
    state: Literal["drafted", "standing", "ended"]
    order: Order | None = None
    course: Course | None = None

    @property
    def last_day(self) -> dt.date | None:
        """The day of its last dose that went in."""
        last = self.course.last_dose if self.course else None
        return last.date if last is not None else None


@dataclass(frozen=True, slots=True)
class Together:
    """The agents of the chart (those that overlap with a dose given now) and of the drafts, at hand or not."""

    chart: DrugSet
    drafts: tuple[Order, ...]

    def present(self, classes: Iterable[str]) -> Criterion:
        """Tell whether one of these classes is drafted or overlaps."""
        wanted = frozenset(classes)
        drafted = [is_drug(order, wanted) for order in self.drafts if order.drug in wanted]
        return any_of((*drafted, self.chart.includes(wanted)))

    def strength_open(self) -> Criterion:
        """Be unknown where a denosumab is there whose strength is not told; else no."""
        unspecified = "denosumab-unspecified"
        if any(order.drug == unspecified for order in self.drafts):
            return leaf(Condition("order.dose_mg", "known", None, Finding(name="order.dose_mg"), None))
        if unspecified in self.chart.classes:
            return leaf(Condition("bma.courses", "known", None, Finding(name="bma.courses"), None))
        return NO

    def members(self, classes: Iterable[str]) -> list[Member]:
        """Give the members of these classes: drafts (those at hand first), then what stands, then what has ended."""
        wanted = frozenset(classes)
        drafts = sorted((o for o in self.drafts if o.drug in wanted), key=lambda order: not order.at_hand)
        courses = sorted((c for c in self.chart.courses if c.drug in wanted), key=lambda course: not is_active(course))
        found = [Member(str(order.drug), "drafted", order=order) for order in drafts]
        return found + [Member(c.drug, "standing" if is_active(c) else "ended", course=c) for c in courses]


def _together(case: Case) -> Together:
    chart = case.once(chart_without_drafts).overlap
    drafts = tuple(order for order in case.facts.orders if order.is_bma) if case.hook in ORDER_HOOKS else ()
    at_hand = [order for order in drafts if order.at_hand]
    if at_hand:
        day = min(day_of(case, order) for order in at_hand)
        chart = replace(chart, courses=tuple(one for one in chart.courses if is_active(one) or _lasts(case, one, day)))
    return Together(chart, drafts)


def _window(case: Case, drug: str) -> dt.timedelta:
    """Give how long after its last dose an ended course is too near to another agent."""
    limits = case.limits(COURSES)
    if drug == "zoledronic-5":
        return dt.timedelta(int(limits.zoledronic_5_lasts.value))
    if drug == "denosumab-60":
        return dt.timedelta(int(limits.denosumab_60_lasts.value))
    return dt.timedelta(int(overlap_after_stop(drug, limits).value))


def _lasts(case: Case, course: Course, day: dt.date) -> bool:
    last = course.last_dose
    if last is None:
        return False
    end = last.date + _window(case, course.drug)
    return end >= day if course.drug in {"denosumab-60", "zoledronic-5"} else end > day


@dataclass(frozen=True, slots=True)
class Pair:
    """Two members; `first` is the one that is at hand or newer."""

    first: Member
    second: Member

    @property
    def is_drafted_beside_active(self) -> bool:
        """Whether one is being ordered while the other stands."""
        return self.first.state == "drafted" and self.second.state == "standing"

    @property
    def both_stand(self) -> bool:
        """Whether neither has ended."""
        return self.second.state != "ended"


def _pair(one: list[Member], other: list[Member]) -> Pair | None:
    if not one or not other:
        return None
    order = ("drafted", "standing", "ended")
    first, second = sorted((one[0], other[0]), key=lambda member: order.index(member.state))
    if first.order is not None and second.order is not None and second.order.at_hand and not first.order.at_hand:
        first, second = second, first
    return Pair(first, second)


def _advice(case: Case, rule: str, because: Criterion, pair: Pair | None, holds: dict[str, Criterion]) -> Advice:
    """Make the advice of a duplicate rule; both agents are named with their state."""
    if pair is None:
        return Advice(rule=rule, because=because, holds=holds)
    last = pair.second.last_day if pair.second.state == "ended" else None
    next_due = None if last is None else last + _window(case, pair.second.drug)
    days = None if last is None else (case.facts.as_of - last).days
    return Advice(
        rule=rule,
        because=because,
        holds=holds,
        fill={
            "drug_a": drug_name(pair.first.drug),
            "drug_b": drug_name(pair.second.drug),
            "state_a": _state(pair.first),
            "state_b": _state(pair.second),
        }
        | filled(
            {
                "last_dose": None if last is None else shown_day(last),
                "days_ended": days,
                "next_due": None if next_due is None else shown_day(next_due),
            }
        ),
        proposals=_offers(case, rule, pair, next_due),
        order=pair.first.order.reference if pair.first.order is not None and pair.first.order.at_hand else None,
        beside=() if pair.second.order is None else (pair.second.order.reference,),
    )


def _offers(case: Case, rule: str, pair: Pair, next_due: dt.date | None) -> tuple[Proposal, ...]:
    order = pair.first.order
    if case.hook not in ORDER_HOOKS or order is None or not order.at_hand:
        return ()
    fill: dict[str, Fill] = {"drug_a": drug_name(pair.first.drug)}
    if next_due is None:
        return tuple(replace(proposal, fill=fill) for proposal in removal(order))
    if rule == "DOSE-015" or pair.second.drug == "zoledronic-5":
        return ()  # a year, or another strength of the same drug: no day to start on
    change = ChangedOrder(order=order.reference, starts=next_due)
    return (Proposal(button="later", items=(change,), fill=fill | {"next_due": shown_day(next_due)}),)


def _state(member: Member) -> Phrase:
    if member.state == "drafted":
        return Phrase("ordered-now")
    if member.state == "ended":
        return Phrase("ended", {"day": shown_day(member.last_day)})
    since = member.course.started if member.course else None
    return Phrase("active-undated") if since is None else Phrase("active-since", {"day": shown_day(since)})


def _denosumab_and_bisphosphonate(case: Case, together: Together) -> Iterator[Advice]:
    because = together.present(DENOSUMAB) & together.present(BISPHOSPHONATES)
    if not case.may_hold(because):
        return
    pair = _pair(together.members(DENOSUMAB), together.members(BISPHOSPHONATES))
    holds = {
        "drafted-beside-active": given(pair is not None and pair.is_drafted_beside_active),
        "other-ended": given(pair is not None and not pair.both_stand),
        "both-active": given(pair is not None and pair.both_stand),
    }
    yield _advice(case, "DOSE-014", because, pair, holds)


def _two_strengths_of_denosumab(case: Case, together: Together) -> Iterator[Advice]:
    xgeva, prolia = together.present({"denosumab-120"}), together.present({"denosumab-60"})
    because = (xgeva & prolia) | ((xgeva | prolia) & together.strength_open())
    if not case.may_hold(because):
        return
    pair = _pair(together.members({"denosumab-120"}), together.members({"denosumab-60"}))
    ended = None if pair is None or pair.both_stand else pair.second.drug
    holds = {
        "sixty-ended": given(ended == "denosumab-60"),
        "hundred-twenty-ended": given(ended == "denosumab-120"),
        "both-active-in-cancer": given(pair is not None and pair.both_stand) & documented(cancer_in_bone(case)),
    }
    yield _advice(case, "DOSE-015", because, pair, holds)


def _two_bisphosphonates(case: Case, together: Together) -> Iterator[Advice]:
    because = at_least(2, [together.present({drug}) for drug in sorted(BISPHOSPHONATES)])
    if not case.may_hold(because):
        return
    members = together.members(BISPHOSPHONATES)
    others = [member for member in members if members and member.drug != members[0].drug]
    pair = _pair(members, others)
    ended = pair is not None and not pair.both_stand
    yearly = pair is not None and ended and pair.second.drug == "zoledronic-5"
    drugs = {member.drug for member in (pair.first, pair.second)} if pair is not None else set()
    tablet_beside_infusion = bool(drugs & TABLETS) and bool(drugs & INFUSIONS) and not ended
    holds = {
        "drafted-beside-active": given(pair is not None and pair.is_drafted_beside_active),
        "yearly-dose-given": given(yearly),
        "other-ended": given(ended and not yearly),
        "tablet-beside-infusion": given(tablet_beside_infusion) & documented(cancer_in_bone(case)),
    }
    yield _advice(case, "DOSE-016", because, pair, holds)


# --- the same drug twice ------------------------------------------------------------------------------------


def same_drug_twice(case: Case, order: Order) -> Iterator[Advice]:
    """Yield whether the drug of a draft at hand is drafted once more, or stands ordered already with an interval."""
    twin = _twin(case, order)
    chart = case.once(chart_without_drafts)
    running = [
        course
        for course in chart.items
        if course.drug == order.drug and is_active(course) and course.interval_days is not None
    ]
    other = running[0] if running else None
    active = DrugSet("bma.current", tuple(running), (), case.facts.courses).includes({str(order.drug)})
    drafted = is_drug(twin, {str(order.drug)}) if twin is not None else NO
    if not case.may_hold(drafted | active):
        return
    yield Advice(
        rule="DOSE-027",
        because=~order.loading & (drafted | active),
        holds={"twice-here": given(twin is not None), "already-active": given(twin is None)},
        fill={"drug": drug_name(order.drug), "other_order": _other_order(twin, other)},
        proposals=tuple(replace(proposal, fill={"drug": drug_name(order.drug)}) for proposal in removal(order)),
        order=order.reference,
        beside=() if twin is None else (twin.reference,),
    )


def _twin(case: Case, order: Order) -> Order | None:
    """Give a draft of the same drug for the same week; of two at hand the later one is told of the earlier."""
    place = case.facts.orders.index(order)
    week = dt.timedelta(int(case.limits(GUIDANCE).same_order_within.value))
    for number, other in enumerate(case.facts.orders):
        if other is order or other.drug != order.drug or other.loading.value is True:
            continue
        if other.at_hand and number > place:
            continue
        if abs(day_of(case, other) - day_of(case, order)) < week:
            return other
    return None


def _other_order(twin: Order | None, running: Course | None) -> Phrase:
    if twin is not None:
        day: Fill = shown_day(twin.starts) if twin.starts is not None else Phrase("ordered-now")
        return Phrase("other-order", {"dose": shown(twin.dose_mg), "day": day})
    if running is None or running.started is None:
        return Phrase("active-undated")
    return Phrase("active-since", {"day": shown_day(running.started)})
