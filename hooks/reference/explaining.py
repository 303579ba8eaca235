"""Explains one assessment to an engineer: every rule with its verdict, what it read, and what it lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hooks.cards.trace import because
from hooks.cards.wording import Speaker
from recommenders.assessing.topics import TOPICS
from recommenders.vocabulary.dictionary import DICTIONARY
from recommenders.vocabulary.facts import Fact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hooks.cards.wording import Language
    from hooks.views import Judged
    from recommenders.assessing.assessment import Verdict
    from recommenders.vocabulary.facts import FactSpec
    from recommenders.vocabulary.logic import Condition, Criterion

MARKS = {True: "yes", False: "no ", None: "?  "}
JOINED = {
    "all": "all of",
    "any": "any of",
    "count": "so many of",
    "not": "not",
    "documented": "documented",
    "known": "known",
    "given": "as another rule came out",
}


def as_json(judged: Judged) -> dict[str, Any]:
    """Give the whole assessment as JSON: rules with their criteria, facts, computed values, notes."""
    assessment = judged.assessment
    return {
        "as_of": assessment.as_of.isoformat(),
        "guidance": assessment.guidance,
        "hook": assessment.hook,
        "scope": assessment.scope.kind,
        "rules": [_rule(verdict) for verdict in assessment.verdicts.values()],
        "not_looked_at": list(not_looked_at(judged)),
        "failed": list(assessment.failed),
        "values": dict(assessment.values),
        "facts": [_fact(spec, fact) for spec, fact in assessment.facts.known_facts() if _is_worth_telling(fact)],
        "unavailable": sorted(assessment.facts.unavailable),
        "notes": [{"resource": note.resource, "reason": note.reason} for note in judged.mapped.notes],
    }


def _rule(verdict: Verdict) -> dict[str, Any]:
    return {
        "rule": verdict.rule,
        "title": verdict.info.title,
        "recommender": verdict.recommender,
        "state": verdict.state,
        "indicator": verdict.indicator,
        "missing": list(verdict.missing),
        "criterion": _tree(verdict.criterion),
    }


def _tree(criterion: Criterion) -> dict[str, Any]:
    if criterion.condition is not None:
        return {"holds": criterion.holds} | because(criterion.condition)
    return {"holds": criterion.holds, "op": criterion.op, "parts": [_tree(part) for part in criterion.parts]}


def _fact(spec: FactSpec, fact: Fact) -> dict[str, Any]:
    told: dict[str, Any] = {"fact": spec.name, "date": fact.date.isoformat() if fact.date else None}
    told |= {"resources": list(fact.resources), "reason": fact.reason, "flags": list(fact.flags), "sent": fact.sent}
    return {key: value for key, value in told.items() if value not in (None, [])}


def _is_worth_telling(fact: Fact) -> bool:
    return bool(fact.resources) or (fact.reason not in (None, "missing", "not-delivered", "inputs"))


def not_looked_at(judged: Judged) -> Iterator[str]:
    """Yield the rules that had no say in this call: another hook, another kind of order, or out of scope."""
    for topic in TOPICS:
        for rule in topic.guidance.rules:
            if rule not in judged.assessment.verdicts:
                yield rule


def as_text(judged: Judged, language: Language) -> Iterator[str]:
    """Yield the explanation line by line."""
    assessment = judged.assessment
    speaker = Speaker(assessment, language)
    scope = assessment.scope.kind
    yield f"{assessment.hook} on {assessment.as_of}, guidance {assessment.guidance}, in scope by: {scope}"
    yield from _section("Facts that were read", _fact_lines(judged, speaker))
    yield from _section("Computed", (f"{key} = {value}" for key, value in assessment.values.items()))
    yield from _section("Notes on the data", (f"{note.resource}: {note.reason}" for note in judged.mapped.notes))
    yield from _section("Lists that did not come", sorted(assessment.facts.unavailable))
    yield from _section("Rule topics that failed", assessment.failed)
    for verdict in assessment.verdicts.values():
        yield ""
        yield from _rule_lines(verdict, speaker)
    others = list(not_looked_at(judged))
    yield from _section("Not looked at on this call (other hook, other orders, or out of scope)", [", ".join(others)])


def _section(heading: str, lines: Iterable[str]) -> Iterator[str]:
    found = [line for line in lines if line]
    if found:
        yield ""
        yield heading
        yield from (f"  {line}" for line in found)


def _fact_lines(judged: Judged, speaker: Speaker) -> Iterator[str]:
    for spec, fact in judged.assessment.facts.known_facts():
        if not _is_worth_telling(fact):
            continue
        details = [fact.date.isoformat() if fact.date else "", *fact.resources, *fact.flags]
        state = speaker.value(fact) if fact.is_known else f"unknown: {fact.reason}"
        if not fact.is_known and fact.sent:
            state += f", sent as {fact.sent}"
        yield f"{spec.name}: {state} ({', '.join(detail for detail in details if detail)})".removesuffix(" ()")


def _rule_lines(verdict: Verdict, speaker: Speaker) -> Iterator[str]:
    yield f"{verdict.rule}  {verdict.state.upper()}  [{verdict.recommender}, {verdict.indicator}]  {verdict.info.title}"
    yield from _tree_lines(verdict.criterion, speaker, depth=1)
    if verdict.missing:
        yield f"  lacks: {', '.join(verdict.missing)}"


def _tree_lines(criterion: Criterion, speaker: Speaker, depth: int) -> Iterator[str]:
    indent = "  " * depth
    if criterion.condition is not None:
        yield f"{indent}{MARKS[criterion.holds]} {_condition(criterion.condition, speaker)}"
        return
    if not criterion.parts:
        yield f"{indent}{MARKS[criterion.holds]} {JOINED['given']}"
        return
    yield f"{indent}{MARKS[criterion.holds]} {JOINED[criterion.op]}"
    for part in criterion.parts:
        yield from _tree_lines(part, speaker, depth + 1)


def _condition(condition: Condition, speaker: Speaker) -> str:
    fact = condition.evidence
    relation = "" if condition.relation == "known" else f" {condition.relation} {speaker.limit(condition.limit)}"
    if not isinstance(fact, Fact):
        return f"{condition.fact}{relation}"
    state = speaker.value(fact) if fact.is_known else f"unknown ({fact.reason})"
    origin = ", ".join([fact.date.isoformat() if fact.date else "", *fact.resources]).strip(", ")
    return f"{condition.fact}{relation}: {state}" + (f" ({origin})" if origin else "")


def dictionary() -> list[dict[str, Any]]:
    """Give the fact dictionary as JSON: what may be asked about a patient."""
    return [
        {
            key: value
            for key, value in {
                "name": spec.name,
                "path": spec.path,
                "kind": spec.kind,
                "unit": spec.unit,
                "words": list(spec.words),
                "silence_means_no": spec.closed,
                "derived": spec.derived,
                "en": spec.en,
                "zh-CN": spec.zh,
            }.items()
            if value not in ("", [], False)
        }
        for spec in DICTIONARY.values()
    ]
