"""One call's assessment: run the topics in order and sort what they say into fired, suppressed, undecided."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec.structs import replace

from recommenders.assessing.topics import TOPICS, Topic
from recommenders.patient import derived, recency
from recommenders.patient.advice import Advice, Case
from recommenders.patient.faces import voice_of
from recommenders.patient.scope import Scope, scope_of
from recommenders.vocabulary.guidance import CHART_HOOKS, INDICATOR_OF, ORDER_HOOKS, VERSION, VOICES, RuleInfo
from recommenders.vocabulary.logic import Criterion, Joined

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping, Set
    from decimal import Decimal

    from recommenders.patient.advice import Value
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.guidance import Guidance, Hook, Indicator, Recommender, Voice
    from recommenders.vocabulary.records import OrderKind

State = Literal["fired", "suppressed", "superseded", "undecided", "not met"]


class Verdict(msgspec.Struct, frozen=True, eq=False):
    """What became of one rule: its state, what it said, and whose name it bears on this hook."""

    rule: str
    info: RuleInfo
    topic: Topic
    recommender: Recommender
    state: State
    advices: tuple[Advice, ...]
    hook: Hook

    @property
    def criterion(self) -> Criterion:
        """Its condition, to be shown: of one advice, or that one of several holds."""
        wholes = tuple(advice.whole for advice in self.advices)
        return wholes[0] if len(wholes) == 1 else Joined(wholes[0].holds, "any", wholes)

    @property
    def voice(self) -> Voice:
        """The loudest voice among what it said."""
        voices = [voice_of(self.info, advice, self.hook) for advice in self.advices]
        return max(voices, key=VOICES.index, default=self.info.voice)

    @property
    def indicator(self) -> Indicator:
        """The indicator of a card that it would lead."""
        return INDICATOR_OF[self.voice]

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the facts that keep it undecided."""
        return self.criterion.missing()


class Assessment(msgspec.Struct, frozen=True, eq=False, dict=True):
    """All rules of one call, sorted; `values` are the computed values of the specification's §1.11."""

    case: Case
    hook: Hook
    scope: Scope
    verdicts: Mapping[str, Verdict]
    values: Mapping[str, Value]
    guidance: str = VERSION
    failed: tuple[str, ...] = ()

    @property
    def facts(self) -> Facts:
        """The facts as they were seen."""
        return self.case.facts

    @property
    def as_of(self) -> dt.date:
        """The day of the evaluation."""
        return self.case.facts.as_of

    @property
    def in_scope(self) -> bool:
        """Whether the patient, or an order at hand, is any of our business."""
        return self.scope.kind != "none"

    def of(self, state: State) -> tuple[str, ...]:
        """Give the ids of the rules in a state, in their order."""
        return tuple(self._by_state.get(state, ()))

    @cached_property
    def _by_state(self) -> Mapping[State, list[str]]:
        found: dict[State, list[str]] = {}
        for rule, verdict in self.verdicts.items():
            found.setdefault(verdict.state, []).append(rule)
        return found


def assess(
    facts: Facts,
    hook: Hook,
    *,
    recommenders: Iterable[Recommender] | None = None,
    site: Mapping[str, Decimal] | None = None,
    whole: bool = False,
    with_values: bool = True,
    guidance_day: dt.date | None = None,
) -> Assessment:
    """
    Assess one patient at one hook.

    `recommenders` restricts who may speak (None: all); `site` holds a hospital's own choices
    (`topic.limit` or `windows.fact`). `facts` are as read: staleness and derived facts are worked out here.
    A topic that fails is named in `failed` and the others still speak. Topics that certainly have nothing to say
    are passed over, unless the `whole` is asked for (to show every rule, also those that are not met).
    `with_values` False leaves the values out where only the verdicts are wanted. `guidance_day` is the day whose
    limits count, when it is another than the day of the facts: yesterday's chart by today's guidance, or the reverse.
    """
    seen = seen_at(facts, hook, site, guidance_day)
    return assess_seen(
        seen,
        hook,
        recommenders=recommenders,
        site=site,
        whole=whole,
        with_values=with_values,
        guidance_day=guidance_day,
    )


def seen_at(
    facts: Facts, hook: Hook, site: Mapping[str, Decimal] | None = None, guidance_day: dt.date | None = None
) -> Facts:
    """Give facts as they count at a hook: too old is unknown, and what follows from others is filled in."""
    return derived.derive(recency.as_seen(facts, recency.setting_of(hook), site), site, guidance_day)


def assess_seen(
    seen: Facts,
    hook: Hook,
    *,
    recommenders: Iterable[Recommender] | None = None,
    site: Mapping[str, Decimal] | None = None,
    whole: bool = False,
    with_values: bool = True,
    guidance_day: dt.date | None = None,
) -> Assessment:
    """Assess facts that are `seen_at` this hook already; see `assess`."""
    case = Case(seen, hook, site, whole=whole, guidance_day=guidance_day)
    return assess_case(case, recommenders=recommenders, with_values=with_values)


def assess_case(
    case: Case,
    *,
    recommenders: Iterable[Recommender] | None = None,
    with_values: bool = True,
    only: frozenset[str] | None = None,
) -> Assessment:
    """
    Assess a case that nobody was asked about yet; see `assess`.

    Where the answer of `only` some rules matters, what has none of them is passed over; others may be there as well.
    """
    scope = case.once(scope_of)
    verdicts: dict[str, Verdict] = {}
    values: dict[str, Value] = {}
    failed: list[str] = []
    if scope.kind != "none":
        speakers = None if recommenders is None else frozenset(recommenders)
        if with_values:
            values.update(_patient_values(case))
        at_hand = _kinds_at_hand(case)
        for topic in TOPICS:
            looked_at, case.wanted = _looked_at(topic.guidance, case.hook, at_hand, scope.only, only)
            try:
                found = list(_verdicts(case, topic, looked_at)) if case.wanted else []
                if with_values:
                    values.update(topic.values(case))
            except Exception:  # noqa: BLE001 - one topic's fault must not silence the others; it is named
                failed.append(topic.name)
                continue
            verdicts |= {one.rule: one for one in found if speakers is None or one.recommender in speakers}
        # once all topics have spoken
        verdicts |= {rule: _settled(case, verdicts[rule]) for rule in case.superseded_rules if rule in verdicts}
        for verdict in verdicts.values():
            for advice in verdict.advices:
                values |= advice.values
        case.all_have_spoken()
    return Assessment(case, case.hook, scope, verdicts, values, failed=tuple(failed))


def _verdicts(case: Case, topic: Topic, looked_at: Set[str]) -> Iterator[Verdict]:
    rules = topic.guidance.rules
    if not (case.whole or case.hook in ORDER_HOOKS or topic.concerns(case)):
        return
    said: dict[str, list[tuple[State, Advice]]] = {}
    for advice in topic.rules(case):
        rule = advice.rule
        if rule in looked_at:
            case.hear(advice, rules[rule].supersedes)
            state = state_of(advice)
            if state != "not met" or case.whole:  # most rules are not, and nobody asks for them
                said.setdefault(rule, []).append((state, advice))
    at_order = case.hook in ORDER_HOOKS
    for rule in sorted(said, key=topic.guidance.places.__getitem__):
        info, found = rules[rule], said[rule]
        recommender: Recommender = "order-safety" if at_order else info.recommender
        state, first = found[0]
        advices: tuple[Advice, ...] = (first,)
        if len(found) > 1:
            state = min((one for one, _ in found), key=WEIGHTIEST.index)
            advices = tuple([advice for one, advice in found if one == state])
        yield Verdict(rule, info, topic, recommender, state, advices, case.hook)


def _kinds_at_hand(case: Case) -> frozenset[OrderKind]:
    """Give the kinds of order at hand; none at the chart."""
    if case.hook in CHART_HOOKS:
        return frozenset()
    return frozenset(kind for order in case.orders_at_hand for kind in order.kinds)


@lru_cache(maxsize=4096)  # a few for each kind of order; nothing of a patient is in it
def _looked_at(
    guidance: Guidance, hook: Hook, at_hand: frozenset[OrderKind], *onlys: frozenset[str] | None
) -> tuple[Set[str], Set[str]]:
    """
    Give the rules of a topic that speak on this hook and of the kinds of order at hand, and those of them asked for.

    `onlys` are what the scope leaves of all rules, and what the caller asks for (None: all).
    """
    in_scope, asked_for = onlys
    here = {
        rule
        for rule, info in guidance.rules_at(hook).items()
        if hook in CHART_HOOKS
        or ((in_scope is None or rule in in_scope) and (not info.orders or not at_hand.isdisjoint(info.orders)))
    }
    return here, here if asked_for is None else here & asked_for


def state_of(advice: Advice) -> State:
    """Tell what became of one advice by itself."""
    truth = advice.truth
    if truth:
        return "superseded" if advice.superseded else "fired"
    if truth is None:
        return "undecided"
    return "suppressed" if advice.because.holds and advice.unless.holds else "not met"


WEIGHTIEST: tuple[State, ...] = ("fired", "undecided", "superseded", "suppressed", "not met")
"""The state of a rule that said several things is the first of these."""


def _settled(case: Case, verdict: Verdict) -> Verdict:
    """Apply supersession once all topics have spoken (one level deep, no cycles)."""
    if verdict.state in {"fired", "undecided"} and case.is_superseded(verdict.rule):
        state: State = "superseded" if verdict.state == "fired" else "not met"
        return replace(verdict, state=state)
    return verdict


def _patient_values(case: Case) -> Iterator[tuple[str, Value]]:
    facts = case.facts
    for key, reading in (
        ("age_years", facts.patient.age),
        ("ca_corrected_mmol_l", facts.lab.ca_corr),
        ("crcl_ml_min", facts.lab.crcl),
        ("creatinine_rise_umol_l", facts.lab.creatinine_rise),
    ):
        if reading.is_known and reading.rounded is not None:
            yield key, reading.rounded


def guidance_of(rule: str) -> Guidance:
    """
    Give the guidance that a rule belongs to.

    Raises KeyError for a rule that no topic has.
    """
    for topic in TOPICS:
        if rule in topic.guidance.rules:
            return topic.guidance
    raise KeyError(rule)
