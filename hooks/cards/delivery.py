"""
The cards that speak of the data: a list did not come, or not whole, a report or an order could not be read, and a
check that matters hung on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from hooks.cards.wording import capital, frame, shortened, word
from recommenders.vocabulary.facts import Fact

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from hooks.cards.wording import Speaker
    from recommenders.assessing.assessment import Assessment, Verdict
    from recommenders.vocabulary.logic import Evidence
    from recommenders.vocabulary.records import Order

FAILED = frozenset({"not-delivered", "list-cut"})
"""Reasons of an unknown fact that are the delivery's and not the chart's."""
MOST_NAMED = 4
MOST_IN_HEADLINE = 3


@dataclass(frozen=True, slots=True)
class Undelivered:
    """The prefetch keys that did not come whole, and the checks that were not made for it."""

    keys: tuple[str, ...]
    checks: tuple[Verdict, ...]


def hanging(assessment: Assessment) -> Undelivered | None:
    """Give what was not delivered and the alerts and tasks that hung on it; None where none did."""
    keys = tuple(sorted(assessment.facts.unavailable))
    if not keys:
        return None
    checks = tuple(
        verdict
        for verdict in assessment.verdicts.values()
        if verdict.state == "undecided" and verdict.voice in {"alert", "task"} and _hangs(verdict, assessment)
    )
    return Undelivered(keys, checks) if checks else None


def _hangs(verdict: Verdict, assessment: Assessment) -> bool:
    return any(reason in FAILED for reason in _reasons(verdict, assessment))


def _reasons(verdict: Verdict, assessment: Assessment) -> Iterator[str | None]:  # noqa: ARG001
    for condition in verdict.criterion.undecided():
        yield getattr(condition.evidence, "reason", None)


def delivery_card(undelivered: Undelivered, assessment: Assessment, speaker: Speaker) -> dict[str, Any]:
    """Write it: which lists, and which checks were not made."""
    names = [frame(key, speaker.language, "keys") for key in undelivered.keys]
    keys = speaker.listed(names)
    few = speaker.listed(names[:MOST_IN_HEADLINE]) + (" …" if len(names) > MOST_IN_HEADLINE else "")
    rules = [verdict.rule for verdict in undelivered.checks]
    named = _few(rules, speaker)
    return {
        "summary": shortened(speaker.frame("delivery_summary", keys=few, count=str(len(rules)))),
        "detail": speaker.frame(
            "delivery_detail", keys=keys, rules=named, guidance=assessment.guidance, day=speaker.day_of_assessment()
        ),
        "indicator": "info",
        "key": "|".join(["delivery", *undelivered.keys, *rules]),
    }


@dataclass(frozen=True, slots=True)
class Unread:
    """The examinations that were done and whose reports were not understood, and the checks not made for it."""

    examinations: tuple[tuple[str, dt.date], ...]
    checks: tuple[Verdict, ...]


def unread(assessment: Assessment) -> Unread | None:
    """Give what was examined and not read, and the alerts and tasks that hung on nothing else; None where none did."""
    if not any(study.is_unread for study in assessment.facts.studies):
        return None
    found: dict[tuple[str, dt.date], None] = {}
    checks = []
    for verdict in assessment.verdicts.values():
        if verdict.state != "undecided" or verdict.voice not in {"alert", "task"}:
            continue
        open_ = [condition.evidence for condition in verdict.criterion.undecided()]
        told = [(one.name.removesuffix(".result"), one.date) for one in open_ if _is_unread_examination(one)]
        if told and len(told) == len(open_):
            checks.append(verdict)
            found |= dict.fromkeys((name, day) for name, day in told if day is not None)
    return Unread(tuple(sorted(found)), tuple(checks)) if found else None


def _is_unread_examination(evidence: Evidence) -> TypeGuard[Fact]:
    return isinstance(evidence, Fact) and evidence.name.startswith("img.") and evidence.reason == "unread"


def unread_card(one: Unread, assessment: Assessment, speaker: Speaker) -> dict[str, Any]:
    """Write it: which examinations, and which checks were not made."""
    rules = [verdict.rule for verdict in one.checks]
    done = [
        speaker.frame("examination_done", name=speaker.labels((name,)), day=speaker.day(day))
        for name, day in one.examinations
    ]
    return {
        "summary": shortened(capital(speaker.frame("unread_summary", list=speaker.listed(done)))),
        "detail": speaker.frame(
            "unread_detail",
            rules=_few(rules, speaker),
            guidance=assessment.guidance,
            day=speaker.day_of_assessment(),
        ),
        "indicator": "info",
        "key": "|".join(["unread", *(f"{name} {day}" for name, day in one.examinations), *rules]),
    }


def _few(rules: list[str], speaker: Speaker) -> str:
    return speaker.listed(rules[:MOST_NAMED]) + (" …" if len(rules) > MOST_NAMED else "")


@dataclass(frozen=True, slots=True)
class Untold:
    """An order to be signed of which nobody can tell the drug, or how much it is, and the checks not made for it."""

    order: Order
    checks: tuple[Verdict, ...] = ()


def untold(assessment: Assessment) -> tuple[Untold, ...]:
    """Give the orders at hand that could not be judged, though they are, or speak of, one of our drugs."""
    found = []
    for order in assessment.facts.orders:
        if not order.at_hand or order.unjudged is None:
            continue
        checks = _unchecked_doses(order, assessment)
        if order.hint if order.unjudged == "drug" else checks:
            found.append(Untold(order, checks))
    return tuple(found)


def _unchecked_doses(order: Order, assessment: Assessment) -> tuple[Verdict, ...]:
    """Give the alerts and tasks that lack the dose of this order."""
    doses = (order.dose_mg, order.dose_mg_m2, order.daily_mg, order.largest_dose_mg)
    return tuple(
        verdict
        for verdict in assessment.verdicts.values()
        if verdict.state == "undecided"
        and verdict.voice in {"alert", "task"}
        and any(condition.evidence is dose for condition in verdict.criterion.undecided() for dose in doses)
    )


def untold_card(one: Untold, assessment: Assessment, speaker: Speaker) -> dict[str, Any]:
    """Write it: which order, what cannot be told of it, and which checks were not made."""
    rules = [verdict.rule for verdict in one.checks]
    which = "untold_drug" if one.order.unjudged == "drug" else "untold_dose"
    drug = word((one.order.hint if one.order.unjudged == "drug" else one.order.drug) or "", speaker.language)
    named = _few(rules, speaker)
    closing = {"rules": named, "guidance": assessment.guidance, "day": speaker.day_of_assessment()}
    return {
        "summary": shortened(speaker.frame(f"{which}_summary", drug=drug)),
        "detail": speaker.frame(f"{which}_detail", **closing),
        "indicator": "info",
        "key": "|".join([which, one.order.reference, *rules]),
    }
