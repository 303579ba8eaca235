"""One plan, not five cards: the order of steps where several disciplines speak about the same patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recommenders.patient.advice import Phrase
from recommenders.vocabulary.guidance import guidance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recommenders.assessing.assessment import Assessment

GUIDANCE = guidance("plan")


@dataclass(frozen=True, slots=True)
class Step:
    """
    One step: its sentence (a phrase of `plan.toml`), the fired rules it comes from, and its sources.

    Sources are those of the rules, as keys of `sources.toml`; `OUR` says that the order is a site setting.
    """

    phrase: Phrase
    rules: tuple[str, ...]
    sources: tuple[str, ...]


def order_of_steps(assessment: Assessment) -> tuple[Step, ...]:
    """
    Give the steps in the order in which they belong, from the rules that fired.

    Empty unless at least two disciplines (surgery, radiotherapy, bone agent, biopsy, systemic therapy) speak;
    a mere line on systemic therapy does not count as the second one.
    """
    fired = {rule: verdict for rule, verdict in assessment.verdicts.items() if verdict.state == "fired"}
    steps: list[Step] = []
    speaking: set[str] = set()
    for row in GUIDANCE.tables["steps"]:
        chosen = tuple(rule for rule in row["rules"] if rule in fired and _is_loud_enough(row, fired[rule].indicator))
        if not chosen or any(rule in fired for rule in row.get("unless", ())):
            continue
        lines = (line for rule in chosen for line in fired[rule].info.source_lines)
        own = ("OUR",) if row.get("site_setting") else ()
        sources = tuple(dict.fromkeys((*(line.source for line in lines), *own)))
        steps.append(Step(Phrase(row["phrase"]), chosen, sources))
        speaking.update(row["disciplines"])
    return tuple(steps) if len(speaking - {"systemic-therapy"}) >= GUIDANCE.tables["disciplines_needed"] else ()


def _is_loud_enough(row: Mapping[str, Any], indicator: str) -> bool:
    return not row.get("only_critical") or indicator == "critical"
