"""The one card that speaks of the data: a list did not come, or not whole, and a check that matters hung on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hooks.cards.wording import frame, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hooks.cards.wording import Speaker
    from recommenders.assessing.assessment import Assessment, Verdict

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
    named = speaker.listed(rules[:MOST_NAMED]) + (" …" if len(rules) > MOST_NAMED else "")
    return {
        "summary": shortened(speaker.frame("delivery_summary", keys=few, count=str(len(rules)))),
        "detail": speaker.frame(
            "delivery_detail", keys=keys, rules=named, guidance=assessment.guidance, day=speaker.day(assessment.as_of)
        ),
        "indicator": "info",
        "key": "|".join(["delivery", *undelivered.keys, *rules]),
    }
