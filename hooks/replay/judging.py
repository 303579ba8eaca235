"""
All that the service would have said of one patient: `judged`, the one function that every engine runs.

It is a function of the patient's lines and the run's plan alone: no clock, no file, no word in any language.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from fhir_mapping.chart import Mapped, read_chart
from fhir_mapping.delivery.context import WrongPatientError
from fhir_mapping.delivery.screening import CHART_TYPES, ORDER_TYPES, Screen
from fhir_mapping.terms import dates, exact
from fhir_mapping.terms.decode import TooManyEntriesError
from fhir_mapping.terms.exact import ResourceFaultError
from fhir_mapping.terms.site import SiteMapping, site_mapping
from hooks.cards.arranging import arrange
from hooks.cards.cards import values_of
from hooks.cards.repeat import content, repeat_key
from hooks.replay.parting import NO_CALL
from hooks.replay.patients import Chart, chart_of, delivery
from hooks.services import audience, services_of
from recommenders.assessing.assessment import Assessment, assess
from recommenders.vocabulary.dictionary import DICTIONARY
from recommenders.vocabulary.guidance import CHART_HOOKS, Limit

if TYPE_CHECKING:
    from hooks.cards.arranging import Draft
    from hooks.replay.plan import Plan
    from hooks.services import Service
    from hooks.settings import Settings
    from recommenders.assessing.assessment import Verdict
    from recommenders.vocabulary.guidance import Hook
    from recommenders.vocabulary.logic import Condition

Row = tuple[str, dict[str, Any]]
"""A table's name and one row of it."""

INTERRUPTIVE = "critical"
"""The indicator whose cards an EHR may put before everything else."""
DIGEST_BYTES = 8
_PATH_OF = {spec.name: path for path, spec in DICTIONARY.items()}
LONGEST_WORDING = 80


@dataclass(frozen=True)
class Judge:
    """A plan made ready: what stays the same from patient to patient. `key` makes the pseudonyms."""

    plan: Plan
    key: bytes

    @cached_property
    def run(self) -> str:
        """The run's name."""
        return self.plan.run()

    @cached_property
    def salt(self) -> bytes:
        """The question's hash: results of one question have the same pseudonyms, those of another question others."""
        return self.plan.question().encode()

    @cached_property
    def mapping(self) -> SiteMapping:
        """The site's mapping, which all arms share."""
        return site_mapping(self.plan.main.mapping)

    @cached_property
    def screen(self) -> Screen:
        """The screen of this site, for codes that nobody reads."""
        return Screen(self.mapping)

    @cached_property
    def services(self) -> Mapping[str, tuple[Service, ...]]:
        """The services of each arm."""
        return {name: services_of(settings) for name, settings in self.plan.arms.items()}

    def pseudonym(self, kind: str, identifier: str) -> str:
        """Give 16 hexadecimal digits for an id, the same within one question; nobody can go back without the key."""
        told = f"{kind}|{identifier}".encode("utf-8", "replace")
        return hashlib.blake2b(told, digest_size=DIGEST_BYTES, key=self.key, salt=self.salt).hexdigest()


@dataclass(frozen=True, slots=True)
class Call:
    """One call that is asked: a day, an encounter, or orders that were written together."""

    hook: Hook
    trigger: str
    moment: dt.datetime
    as_it_is: bool
    name: str
    practitioner: str = ""
    unit: str = ""
    orders: tuple[bytes, ...] = ()
    without: frozenset[str] = frozenset()
    assumed: int = 0


def judged(patient: str, lines: Iterable[tuple[str, bytes]], judge: Judge) -> Iterator[Row]:
    """Yield the rows of one patient: calls in scope with their cards and verdicts, facts, and codes nobody reads."""
    teller = _Teller(judge, patient)
    chart = chart_of(patient, lines, judge.plan.zone)
    for call in calls(chart, judge):
        yield from teller.call(chart, call)
    if teller.is_ours:
        yield from _unmapped(chart, judge)


def checked(patient: str, lines: Iterable[tuple[str, bytes]], judge: Judge) -> Iterator[Row]:
    """Judge one whom the screen left out: a row `broken`, with the words of the diagnoses, when it was wrong."""
    teller = _Teller(judge, patient)
    chart = chart_of(patient, lines, judge.plan.zone)
    for call in calls(chart, judge):
        for _ in teller.call(chart, call):
            pass
    if teller.is_ours:
        yield "broken", {"patient": teller.patient, "words": "; ".join(_wordings(chart))}


# --- which calls --------------------------------------------------------------------------------------------


def calls(chart: Chart, judge: Judge) -> Iterator[Call]:
    """Yield the calls that the plan asks of a patient, in order of time."""
    plan = judge.plan
    if not plan.calls:
        for day in plan.days:
            moment = plan.moment(day)
            for hook in plan.hooks:
                if hook in CHART_HOOKS:
                    yield Call(hook, "day", moment, plan.is_now(moment), day.isoformat())
        return
    found: list[Call] = []
    if "encounters" in plan.calls:
        found += _encounters(chart, plan)
    if "orders" in plan.calls:
        found += _orders(chart, judge)
    yield from sorted(found, key=lambda call: (call.moment, call.hook, call.name))


def _encounters(chart: Chart, plan: Plan) -> Iterator[Call]:
    for line in chart.of("Encounter"):
        resource = _whole(line.raw)
        period = resource.get("period")
        moment, assumed = _moment(period.get("start") if isinstance(period, dict) else None, plan)
        if moment is None or resource.get("status") in NO_CALL:
            continue
        for hook in plan.hooks:
            if hook in CHART_HOOKS:
                yield Call(
                    hook,
                    "encounter",
                    moment,
                    plan.is_now(moment),
                    line.name,
                    _reference(*exact.listed(resource.get("participant")), name="individual"),
                    _code(resource.get("serviceType")),
                    assumed=assumed,
                )


def _orders(chart: Chart, judge: Judge) -> Iterator[Call]:
    """
    Orders that one person wrote at one time are signed together.

    Of one without a disease of ours only the orders that may concern us are asked: the others are out of scope.
    """
    plan, screen = judge.plan, judge.screen
    is_diseased = any(screen.may_concern(line.raw) for line in chart.of(*sorted(CHART_TYPES)))
    together: dict[tuple[str, str], list[tuple[str, bytes]]] = {}
    for line in chart.of(*sorted(ORDER_TYPES)):
        resource = _whole(line.raw)
        written = resource.get("authoredOn")
        if not isinstance(written, str) or resource.get("status") in NO_CALL or resource.get("intent") == "proposal":
            continue
        together.setdefault((written, _reference(resource, name="requester")), []).append(
            (f"{line.kind}/{line.name}", line.raw)
        )
    for (written, who), orders in sorted(together.items()):
        moment, assumed = _moment(written, plan)
        if moment is None or not (is_diseased or any(screen.may_concern(raw, orders=True) for _, raw in orders)):
            continue
        for hook in plan.hooks:
            if hook not in CHART_HOOKS:
                yield Call(
                    hook,
                    "order",
                    moment,
                    plan.is_now(moment),
                    f"{written}|{who}",
                    who,
                    orders=tuple(_as_draft(raw) for _, raw in orders),
                    without=frozenset(name for name, _ in orders),
                    assumed=assumed,
                )


def _moment(told: object, plan: Plan) -> tuple[dt.datetime | None, int]:
    """Give the moment of a past call within the plan's days; one told as a day is at its end, which is assumed."""
    stamp = dates.parse(told, plan.zone)
    if stamp is None or stamp.precision in {"year", "month"} or not plan.days[0] <= stamp.day <= plan.days[-1]:
        return None, 0
    if stamp.moment is not None:
        return stamp.moment, 0
    return plan.moment(stamp.day), 1


def _as_draft(raw: bytes) -> bytes:
    members = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    return msgspec.json.encode(members | {"status": msgspec.Raw(b'"draft"')})


def _whole(raw: bytes) -> Mapping[str, Any]:
    try:
        return exact.whole(raw)
    except ResourceFaultError:
        return {}


def _reference(*holders: Mapping[str, Any], name: str) -> str:
    for holder in holders:
        told = holder.get(name)
        if isinstance(told, dict) and isinstance(told.get("reference"), str):
            return str(told["reference"])
    return ""


def _code(concept: object) -> str:
    listed = exact.listed(concept.get("coding")) if isinstance(concept, dict) else []
    return next((str(one["code"])[:64] for one in listed if isinstance(one.get("code"), str)), "")


# --- what is said -------------------------------------------------------------------------------------------


@dataclass
class _Teller:
    """Tells one patient's calls as rows, and counts how often a card was there before."""

    judge: Judge
    identifier: str
    is_ours: bool = False
    shown: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    @cached_property
    def patient(self) -> str:
        """The patient's pseudonym."""
        return self.judge.pseudonym("patient", self.identifier)

    def call(self, chart: Chart, call: Call) -> Iterator[Row]:
        """Judge one call: once read, for each arm and service assessed."""
        plan = self.judge.plan
        given = delivery(chart, plan.delivered, None if call.as_it_is else call.moment, without=call.without)
        if _is_empty(given.prefetch.get("patient")):
            return  # not born yet, or without a Patient
        refused, mapped = "", None
        try:
            mapped = read_chart(
                given.prefetch,
                patient_id=self.identifier,
                now=call.moment,
                timezone=plan.zone,
                draft_orders=_drafts(call.orders) if call.orders else None,
                selections=_selected(call) if call.hook == "order-select" else None,
                site=self.judge.mapping,
            )
        except (WrongPatientError, TooManyEntriesError, ResourceFaultError) as error:
            refused = type(error).__name__.removesuffix("Error")
        for place, (arm, settings) in enumerate(plan.arms.items()):
            for service in self.judge.services[arm]:
                if service.hook == call.hook:
                    yield from self._answer(call, given.counts, mapped, refused, arm, settings, service, place == 0)

    def _answer(
        self,
        call: Call,
        counts: Counter[str],
        mapped: Mapped | None,
        refused: str,
        arm: str,
        settings: Settings,
        service: Service,
        first: bool,
    ) -> Iterator[Row]:
        name = self.judge.pseudonym("call", f"{self.patient}|{service.id}|{call.hook}|{call.trigger}|{call.name}")
        day = call.moment.astimezone(self.judge.plan.zone).date().isoformat()
        common: dict[str, Any] = {
            "run": self.judge.run,
            "arm": arm,
            "call": name,
            "patient": self.patient,
            "hook": call.hook,
            "moment": int(call.moment.timestamp() * 1000),
            "day": day,
            "trigger": call.trigger,
            "reader": audience(service, call.practitioner, settings),
            "practitioner": self.judge.pseudonym("practitioner", call.practitioner) if call.practitioner else "",
            "unit": call.unit,
            "rewound": counts["rewound"],
            "assumed": counts["assumed"] + call.assumed,
            "hindsight": counts["hindsight"],
            "refused": refused,
        }
        if mapped is None:
            yield "calls", {**common, **_NOTHING}
            return
        assessment = assess(
            mapped.facts,
            call.hook,
            recommenders=service.recommenders,
            site=settings.site or None,
            guidance_day=self.judge.plan.guidance_day,
        )
        if not assessment.in_scope:
            return
        self.is_ours = True
        drafts = arrange(assessment, settings.voices, settings.most_cards).cards
        by_indicator = Counter(draft.indicator for draft in drafts)
        kinds = sorted({kind for order in assessment.case.orders_at_hand for kind in order.kinds})
        yield (
            "calls",
            common
            | {
                "order_kinds": kinds,
                "scope": assessment.scope.kind,
                "cards": len(drafts),
                "critical": by_indicator["critical"],
                "warning": by_indicator["warning"],
                "info": by_indicator["info"],
                "undecided": len(assessment.of("undecided")),
                "failed": list(assessment.failed),
            },
        )
        for place, draft in enumerate(drafts, 1):
            yield "cards", self._card(name, arm, service, place, draft, assessment)
        told: set[str] = set()
        for verdict in assessment.verdicts.values():
            if verdict.state != "not met":
                supports = [condition for advice in verdict.advices for condition in advice.whole.support()]
                yield "verdicts", self._verdict(name, arm, verdict, supports)
                if first:
                    told.update(_facts_of(verdict, supports))
        yield from self._facts(day, assessment, told)

    def _card(
        self, call: str, arm: str, service: Service, place: int, draft: Draft, assessment: Assessment
    ) -> dict[str, Any]:
        key = repeat_key(content(draft, values_of(draft, assessment), assessment.facts.orders))
        self.shown[arm, service.id, key] += 1
        return {
            "run": self.judge.run,
            "arm": arm,
            "call": call,
            "place": place,
            "recommender": draft.recommender,
            "indicator": draft.indicator,
            "lead": draft.lead.rule,
            "rules": sorted(draft.rules),
            # which card it is again can be told within the run only: the key of the card itself holds values
            "repeat_key": self.judge.pseudonym("card", f"{self.patient}|{key}"),
            "nth_time": self.shown[arm, service.id, key],
        }

    def _verdict(self, call: str, arm: str, verdict: Verdict, supports: Sequence[Condition]) -> dict[str, Any]:
        return {
            "run": self.judge.run,
            "arm": arm,
            "call": call,
            "rule": verdict.rule,
            "state": verdict.state,
            "indicator": verdict.indicator,
            "missing": sorted(verdict.missing) if verdict.state == "undecided" else [],
            "limits": [{"name": name, "value": value} for name, value in sorted(set(_limits(supports)))],
        }

    def _facts(self, day: str, assessment: Assessment, names: Iterable[str]) -> Iterator[Row]:
        """Tell the state of each fact that a verdict rested on or waits for."""
        for path in sorted({_PATH_OF[name] for name in names if name in _PATH_OF}):
            fact = assessment.facts.fact(path)
            age = None if fact.date is None else (assessment.as_of - fact.date).days
            yield (
                "facts",
                {
                    "run": self.judge.run,
                    "patient": self.patient,
                    "day": day,
                    "fact": path,
                    "state": fact.reason or "known",
                    "age_days": age,
                },
            )


_NOTHING: Mapping[str, Any] = {
    "order_kinds": [],
    "scope": "",
    "cards": 0,
    "critical": 0,
    "warning": 0,
    "info": 0,
    "undecided": 0,
    "failed": [],
}


def _is_empty(patient: object) -> bool:
    return not isinstance(patient, bytes) or b'"entry":[]' in patient


def _drafts(orders: Sequence[bytes]) -> bytes:
    entries = b",".join(b'{"resource":%s}' % raw for raw in orders)
    return b'{"resourceType":"Bundle","type":"collection","entry":[%s]}' % entries


def _selected(call: Call) -> list[str]:
    return sorted(call.without)


def _facts_of(verdict: Verdict, supports: Iterable[Condition]) -> Iterator[str]:
    """Yield the facts that a verdict rested on or waits for; a condition may speak of none."""
    undecided = (condition for advice in verdict.advices for condition in advice.whole.undecided())
    for condition in itertools.chain(supports, undecided):
        yield condition.fact
        yield from condition.evidence.lacks


def _limits(supports: Iterable[Condition]) -> Iterator[tuple[str, str]]:
    """Yield the limits that a verdict was measured by, met or not."""
    for condition in supports:
        listed = condition.limit if isinstance(condition.limit, tuple) else (condition.limit,)
        for limit in listed:
            if isinstance(limit, Limit):
                yield limit.name, _written(limit.value)


@lru_cache(maxsize=1024)
def _written(value: Decimal) -> str:
    return f"{value.normalize():f}"


def _unmapped(chart: Chart, judge: Judge) -> Iterator[Row]:
    """Yield the local codes of results that no rule reads, counted; words of a result are never kept."""
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for line in chart.of("Observation"):
        found = judge.screen.unread(line.raw)
        if found is not None:
            counts[(*found, _unit(line.raw))] += 1
    for (kind, system, code, unit), count in sorted(counts.items()):
        yield "unmapped", {"type": kind, "system": system, "code": code, "unit": unit, "count": count}


def _unit(raw: bytes) -> str:
    quantity = _whole(raw).get("valueQuantity")
    told = quantity.get("code") or quantity.get("unit") if isinstance(quantity, dict) else None
    return told if isinstance(told, str) and len(told) <= 24 and not any(c.isspace() for c in told) else ""


def _wordings(chart: Chart) -> Iterator[str]:
    """Yield what the diagnoses of a chart are called, for the one who has to mend the screen."""
    for line in chart.of("Condition"):
        concept = _whole(line.raw).get("code")
        concept = concept if isinstance(concept, dict) else {}
        codes = [f"{one.get('system')}|{one.get('code')}" for one in exact.listed(concept.get("coding"))]
        said = concept.get("text")
        yield " ".join([*codes, f'"{said[:LONGEST_WORDING]}"' if isinstance(said, str) else ""]).strip()
