"""What one Condition says of one fact, and what comes of all that several Conditions say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fhir_mapping.terms import dates, dictionary
from fhir_mapping.terms.dictionary import MYELOMA
from fhir_mapping.words import targets
from recommenders.vocabulary.facts import Finding, replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.diagnoses.diagnosis import Diagnosis
    from fhir_mapping.terms.dictionary import DiagnosisRule
    from fhir_mapping.words.assertions import Verdict
MALIGNANT = frozenset(concept for rule in dictionary.DIAGNOSES if rule.malignant for concept in rule.concepts) | MYELOMA
"""Concepts that are a cancer."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What one Condition says of one fact."""

    says: Verdict
    diagnosis: Diagnosis
    from_text: bool = False


def rule_of(fact: str) -> DiagnosisRule:
    """Give how a fact is told by Conditions."""
    return _RULES[fact]


_RULES = {one.fact: one for one in reversed(dictionary.DIAGNOSES)}


def says(rule: DiagnosisRule, diagnosis: Diagnosis, *, remission_counts: bool = False) -> Statement | None:
    """
    Give what a Condition says of a fact; None when it does not speak of it.

    Words beside a code that names a place or a class only decide what it is; beside a code that says something else
    they raise a question, unless they say what the code says and more.
    """
    if not _shows_a_sign(rule, diagnosis):
        return None
    coded = bool(diagnosis.concepts & rule.concepts) or any(match.code in rule.codes for match in diagnosis.matches)
    verdicts = [diagnosis.spoken[term] for term in rule.terms if term in diagnosis.spoken]
    claim: Verdict | None = None
    from_text = diagnosis.titled
    if coded and not _yields(rule, diagnosis):
        claim = _coded(verdicts)
    elif verdicts and (not diagnosis.is_trap or _is_beside(rule, diagnosis)):
        claim, from_text = _strongest(verdicts), True
        if claim is not None and diagnosis.concepts and not _decides(rule, diagnosis):
            asks = claim in {"present", "suspected"} and not _is_in_title(rule, diagnosis)
            claim = "suspected" if asks else None
    if claim is None and _maybe(rule, diagnosis):
        claim = "suspected"
    if claim is None:
        return None
    return in_state(claim, diagnosis, from_text=from_text, rule=rule, remission_counts=remission_counts)


def _shows_a_sign(rule: DiagnosisRule, diagnosis: Diagnosis) -> bool:
    """Tell whether a Condition can speak of a fact: a concept, a code or a word of the rule is in it."""
    signs = rule.signs
    if not (signs.isdisjoint(diagnosis.concepts) and signs.isdisjoint(diagnosis.spoken)):
        return True
    return bool(rule.codes) and any(match.code in rule.codes for match in diagnosis.matches)


def _coded(verdicts: Sequence[Verdict]) -> Verdict:
    """Set the words beside a code that states the fact: they may doubt it, deny it or speak of a mere risk."""
    if "suspected" in verdicts:
        return "suspected"
    denied = {"absent", "hypothetical", "other", "contradictory"} & set(verdicts)
    return "contradictory" if denied and "present" not in verdicts else "present"


def _maybe(rule: DiagnosisRule, diagnosis: Diagnosis) -> bool:
    """Tell whether a code or a word leaves it open that the fact is meant."""
    return bool(diagnosis.concepts & rule.suspect_concepts) or any(
        diagnosis.spoken.get(term) in {"present", "suspected"} for term in rule.suspect_terms
    )


def _is_beside(rule: DiagnosisRule, diagnosis: Diagnosis) -> bool:
    """Tell whether the codes name only a place or class of what the words of a rule name."""
    concepts = {match.concept for match in diagnosis.matches}
    return bool(concepts) and concepts <= rule.beside


def _decides(rule: DiagnosisRule, diagnosis: Diagnosis) -> bool:
    """Tell whether the words of a rule decide beside the codes: these are vague, or the words say them too."""
    if _is_beside(rule, diagnosis):
        return True
    if rule.metastasis and diagnosis.concepts & MALIGNANT:
        return True  # a cancer and its metastasis are one Condition on many lists
    if _is_in_title(rule, diagnosis):
        return False
    return any(
        other is not rule
        and diagnosis.concepts & other.concepts
        and any(diagnosis.spoken.get(term) == "present" for term in other.terms)
        for other in dictionary.DIAGNOSES
    )


def _is_in_title(rule: DiagnosisRule, diagnosis: Diagnosis) -> bool:
    """Tell whether a code's own title has the words of a rule: the table takes it for something else on purpose."""
    return any(targets.occurs(match.display, *rule.terms) for match in diagnosis.matches)


def _yields(rule: DiagnosisRule, diagnosis: Diagnosis) -> bool:
    """Tell whether the words name something more special than a vague code, of which this rule's words say nothing."""
    if any(term in diagnosis.spoken for term in rule.terms):
        return False
    return any(
        other is not rule
        and _is_beside(other, diagnosis)
        and any(diagnosis.spoken.get(term) == "present" for term in other.terms)
        for other in dictionary.DIAGNOSES
    )


def _strongest(verdicts: Sequence[Verdict]) -> Verdict | None:
    order: tuple[Verdict, ...] = ("present", "contradictory", "suspected", "absent", "historical", "unread")
    return next((one for one in order if one in verdicts), None)


def in_state(
    claim: Verdict, diagnosis: Diagnosis, *, from_text: bool, rule: DiagnosisRule, remission_counts: bool
) -> Statement | None:
    """Give a claim as the state of its Condition has it; None where it then says nothing."""
    if diagnosis.state == "refuted":
        return Statement("absent", diagnosis, from_text) if claim in {"present", "suspected", "contradictory"} else None
    if diagnosis.state == "history" and not (remission_counts and diagnosis.status == "remission"):
        return Statement("historical", diagnosis, from_text) if claim in {"present", "historical"} else None
    if diagnosis.state == "suspected" and claim == "present":
        claim = "suspected"
    if rule.metastasis and diagnosis.reported and claim == "present":
        claim = "suspected"
    return Statement(claim, diagnosis, from_text)


def settle(rule: DiagnosisRule, statements: Sequence[Statement], context: ReadingContext) -> Finding | None:
    """
    Give one finding from what several Conditions say; None when none of them speaks of it.

    Confirmed wins unless it was refuted later; refuted and confirmed of equal or unknown date contradict.
    """
    if not statements:
        return None
    blank = dictionary.blank_finding(rule.fact)
    by: dict[Verdict, list[Statement]] = {}
    for one in statements:
        by.setdefault(one.says, []).append(one)
    if "contradictory" in by and "present" not in by:
        return _found(blank, by["contradictory"], rule, None, "contradictory")
    claim: Verdict | None = next((one for one in ("present", "suspected") if one in by), None)
    if claim is not None:
        return _against(by.get("absent", ()), claim, by[claim], rule, context)
    if "absent" in by and not rule.yes_only:
        return _found(blank, by["absent"], rule, False, None)
    if "unread" in by and blank.is_known:
        return _found(blank, by["unread"], rule, None, "no-value")
    return None


def _against(
    refuted: Sequence[Statement],
    claim: Verdict,
    claimed: Sequence[Statement],
    rule: DiagnosisRule,
    context: ReadingContext,
) -> Finding:
    """Set what is claimed beside what refutes it: the later one counts, of equal or unknown date both contradict."""
    blank = dictionary.blank_finding(rule.fact)
    later = _later(refuted, claimed) if refuted else False
    if later is None:
        return _found(blank, [*claimed, *refuted], rule, None, "contradictory")
    if later:
        return _found(blank, refuted, rule, False, None)
    if claim == "suspected":
        return _found(blank, claimed, rule, None, "suspected")
    return _aged(_found(blank, claimed, rule, True, None), claimed, rule, context)


def _later(refuted: Sequence[Statement], claimed: Sequence[Statement]) -> bool | None:
    """Tell whether the refutation was recorded later; None when that cannot be told."""
    one = [statement.diagnosis.recorded for statement in refuted]
    other = [statement.diagnosis.recorded for statement in claimed]
    if None in one or None in other:
        return None
    newest_no = max((stamp for stamp in one if stamp), key=dates.order)
    newest_yes = max((stamp for stamp in other if stamp), key=dates.order)
    if dates.same_time(newest_no, newest_yes):
        return None
    return dates.order(newest_no) > dates.order(newest_yes)


def _found(
    blank: Finding,
    statements: Sequence[Statement],
    rule: DiagnosisRule,
    value: bool | None,
    reason: Any,  # noqa: ANN401 - a Reason or None
) -> Finding:
    ordered = sorted(statements, key=lambda one: one.diagnosis.item.name)
    flags: list[str] = []
    if all(one.from_text for one in ordered):
        flags.append("from-text")
    if all(one.diagnosis.reported for one in ordered):
        flags.append("reported")
    stamps = [
        one.diagnosis.since if rule.dated_by_onset else one.diagnosis.recorded or one.diagnosis.onset for one in ordered
    ]
    known = [stamp.day for stamp in stamps if stamp is not None]
    day = max(known, default=None)
    if rule.dated_by_onset and value is True and None in stamps:
        day = None  # one that tells no date counts as now
    return replace(
        blank,
        value=value,
        reason=reason,
        date=day,
        resources=tuple(dict.fromkeys(one.diagnosis.item.name for one in ordered)),
        flags=tuple(flags),
    )


def _aged(found: Finding, statements: Sequence[Statement], rule: DiagnosisRule, context: ReadingContext) -> Finding:
    """Old entries left active on a problem list are unknown, not true (`stale_after`)."""
    if rule.stale_after is None:
        return found
    days = [one.diagnosis.recorded or one.diagnosis.onset for one in statements]
    fresh = [stamp is None or (context.today - stamp.day).days <= rule.stale_after for stamp in days]
    return found if any(fresh) else replace(found, value=None, reason="stale")
