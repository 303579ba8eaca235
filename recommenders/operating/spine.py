"""The spine: compression of the cord (ESCC), stability (SINS), compressed nerves and the risk of paraplegia."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.operating.parts import GUIDANCE, anything_against, urgently
from recommenders.patient.advice import Advice, Phrase, Proposal
from recommenders.patient.lesions import imaged_within, newest_date, shows_spine
from recommenders.patient.services import all_asked, ask, not_asked
from recommenders.patient.spine import (
    any_compression,
    compressions,
    cord_compressed,
    grade_compresses,
    graded_since_deficit,
    new_leg_weakness,
    reported_compression,
    spine_lesion,
    spine_treated,
    stabilities,
)
from recommenders.patient.surgery import SPINE_KEY, Surgery, asked_together, diagnoses
from recommenders.vocabulary.facts import known
from recommenders.vocabulary.later import Later
from recommenders.vocabulary.logic import Criterion, any_of, documented, given

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from recommenders.patient.advice import Case, Fill, Proposal, Service


# --- the spinal cord ----------------------------------------------------------------------------------------


def _both_called(case: Case, since: dt.date | None) -> tuple[Proposal, ...]:
    reasons = (*diagnoses(case), "spine.neuro_deficit", "lesions[]")
    both = (
        ask("urgent-spine-surgery-consultation", "spine-surgery-consultation", reasons, urgent=True),
        ask("urgent-radiation-oncology-consultation", "radiation-oncology-consultation", reasons, urgent=True),
    )
    return not_asked(case, both, since)


def cord_in_question(case: Case) -> Criterion:
    """Tell whether the spine is known to be involved: only then is the grade asked for."""
    facts = case.facts
    grade = facts.spine.escc
    involved = any_of(
        (
            facts.spine.neuro_deficit,
            facts.clin.nerve_compression,
            facts.spine.instability.one_of("at-risk", "unstable"),
            facts.spine.osteolysis_paraplegia_risk,
            cord_compressed(case),
            spine_lesion(case),
        )
    )
    return given(grade.is_known or bool(grade.possible) or involved.yes)


def graded_cord(case: Case) -> Iterator[Advice]:
    """ESCC-001 to ESCC-003: what the grade of compression asks for."""
    facts = case.facts
    grade, deficit = facts.spine.escc, facts.spine.neuro_deficit
    in_question = cord_in_question(case)
    reasons = (*diagnoses(case), "spine.neuro_deficit", "lesions[]")

    yield Advice(
        rule="ESCC-001",
        because=in_question & grade.one_of("0", "1a", "1b"),
        about=SPINE_KEY,
        holds={"deficit-unexplained": documented(deficit) & graded_since_deficit(case)},
    )
    prompt = (
        ask("spine-surgery-consultation", "spine-surgery-consultation", reasons),
        ask("radiation-oncology-consultation", "radiation-oncology-consultation", reasons),
    )
    yield Advice(
        rule="ESCC-002",
        because=in_question & grade.is_("1c"),
        unless=spine_treated(case, grade.date, radiotherapy=True) | all_asked(case, prompt[:1], grade.date),
        about=SPINE_KEY,
        holds={"no-deficit": ~documented(deficit)},
        proposals=not_asked(case, prompt, grade.date),
    )
    yield Advice(
        rule="ESCC-003",
        because=in_question & grade_compresses(case),
        unless=spine_treated(case, grade.date, radiotherapy=True),
        about=SPINE_KEY,
        holds={"against": anything_against(case)},
        proposals=_both_called(case, grade.date),
    )


def deficit_not_graded(case: Case) -> Iterator[Advice]:
    """ESCC-004: a deficit beside a lesion of the spine, and no grade since."""
    facts = case.facts
    grade, deficit = facts.spine.escc, facts.spine.neuro_deficit
    reasons = (*diagnoses(case), "spine.neuro_deficit", "lesions[]")
    older = documented(known(grade) & deficit & ~graded_since_deficit(case))
    no_mri = documented(facts.local.mri_contraindicated)
    image = (
        ask("whole-spine-ct-today", "ct-whole-spine", reasons, urgent=True)
        if no_mri.yes
        else ask("whole-spine-mri-today", "mri-whole-spine", reasons, urgent=True)
    )
    yield Advice(
        rule="ESCC-004",
        because=documented(deficit) & spine_lesion(case) & ~graded_since_deficit(case),
        about=SPINE_KEY,
        holds={"no-mri": no_mri, "grade-older": older},
        proposals=(*not_asked(case, (image,), deficit.date), *_both_called(case, deficit.date)),
    )


def reported_cord(case: Case) -> Iterator[Advice]:
    """ESCC-005: compression by other names: a report's own words, a code, new weakness of the legs."""
    facts = case.facts
    report, weakness = facts.spine.reported_compression, facts.clin.leg_weakness
    coded, reported, weak = cord_compressed(case), reported_compression(case), new_leg_weakness(case)
    days = [day for day in (report.date if reported.yes else None, *_coded_days(case)) if day is not None]
    days += [weakness.date] if weak.yes and weakness.date is not None else []
    since = max(days, default=None)
    grade = facts.spine.escc
    graded = known(grade) & given(grade.date is not None and (since is None or grade.date >= since))
    cancer = any_of((facts.dx.bone_met, facts.dx.mm, facts.dx.lung_cancer, facts.dx.other_solid_cancer))
    has_mri = imaged_within(facts, ("mri",), case.limits(GUIDANCE).spine_imaged, shows_spine, since)
    offered: tuple[Proposal, ...] = ()
    if (~reported & ~has_mri).yes:
        offered = not_asked(case, _whole_spine(case, diagnoses(case)), since)
    undated = given(coded.yes and since is None) & ~documented(spine_lesion(case))
    yield Advice(
        rule="ESCC-005",
        because=documented(cancer) & any_compression(case) & ~graded,
        unless=spine_treated(case, since, radiotherapy=True),
        fill={
            "cord_reason": _cord_reason(reported.yes, coded.yes),
            "quote": report.sent or "",
            "date": since or "",
            "code_text": Phrase("cord-code"),
        },
        about=SPINE_KEY,
        holds={
            "undated": undated,
            "reported": reported,
            "coded": coded & given(since is not None) & documented(spine_lesion(case)),
            "weak-legs": weak & ~coded,
        },
        proposals=(*offered, *_both_called(case, since)),
    )


def _coded_days(case: Case) -> list[dt.date | None]:
    return [event.date for event in compressions(case)]


def _cord_reason(reported: bool, coded: bool) -> Phrase:
    return Phrase("cord-reported" if reported else "cord-code" if coded else "cord-weakness")


# --- the stability of the spine -----------------------------------------------------------------------------


def sins_stability(case: Case) -> Iterator[Advice]:
    """SINS-001 and -002: the score from its six items; a stability that somebody recorded wins over a computed one."""
    limits = case.limits(GUIDANCE)
    for one in stabilities(case):
        score, lesion = one.score, one.lesion
        since = newest_date(lesion, *(item.fact for item in score.items))
        unstable = one.total >= limits.sins_unstable
        service: Service = "spine-surgery-consultation"
        reasons = (*diagnoses(case), "lesions[]")
        if unstable.yes:
            consult = (urgently(service, reasons, one.about),)
        else:
            consult = (ask(service, service, reasons, about=one.about),)
        word = "sins-unstable" if unstable.yes else "sins-at-risk"
        fill: dict[str, Fill] = {"sins": one.in_numbers, "sins_class": Phrase(word)}
        yield Advice(
            rule="SINS-001",
            because=documented(one.applies & (one.total < limits.sins_at_risk)),
            fill=fill,
            about=one.about,
        )
        yield Advice(
            rule="SINS-002",
            because=documented(one.applies & (one.total >= limits.sins_at_risk)),
            unless=one.operated | all_asked(case, consult, since),
            fill=fill,
            about=one.about,
            holds={"unstable": unstable, "against": anything_against(case)},
            proposals=consult,
        )


def compressed_nerves(case: Case, lists: Surgery) -> Iterator[Advice]:
    """SURG-027: a root is a task; a deficit that no lesion of the spine explains is the cord until shown otherwise."""
    facts = case.facts
    item, deficit, nerves = lists.of("SURG-027"), facts.spine.neuro_deficit, facts.clin.nerve_compression
    reasons = (*diagnoses(case), "spine.neuro_deficit", "clin.nerve_compression", "lesions[]")
    has_deficit = documented(deficit)
    since = deficit.date if has_deficit.yes else nerves.date
    wanted: tuple[Proposal, ...]
    if has_deficit.yes:
        consult = ask("urgent-spine-surgery-consultation", "spine-surgery-consultation", reasons, urgent=True)
        wanted = (*_whole_spine(case, reasons), consult)
    else:
        wanted = (ask("spine-surgery-consultation", "spine-surgery-consultation", reasons),)
    yield Advice(
        rule="SURG-027",
        because=asked_together(lists.scope, item.found),
        unless=item.done | all_asked(case, wanted[:1] if has_deficit.no else wanted, since),
        fill={"date": since or ""},
        about=SPINE_KEY,
        holds=Later(
            lambda: {
                "deficit-without-lesion": has_deficit & ~documented(spine_lesion(case)),
                "deficit": has_deficit,
            }
        ),
        proposals=not_asked(case, wanted, since),
    )


def _whole_spine(case: Case, reasons: tuple[str, ...]) -> tuple[Proposal, ...]:
    """Give the order of an urgent MRI, where one is possible."""
    if documented(case.facts.local.mri_contraindicated).yes:
        return ()
    return (ask("whole-spine-mri-today", "mri-whole-spine", reasons, urgent=True),)


def paraplegia_risk(case: Case, lists: Surgery) -> Iterator[Advice]:
    """SURG-028: osteolysis that threatens the cord."""
    facts = case.facts
    item, risk = lists.of("SURG-028"), facts.spine.osteolysis_paraplegia_risk
    reasons = (*diagnoses(case), "lesions[]")
    wanted = [ask("urgent-spine-surgery-consultation", "spine-surgery-consultation", reasons, urgent=True)]
    if imaged_within(facts, ("mri",), case.limits(GUIDANCE).spine_imaged, shows_spine).no:
        wanted += _whole_spine(case, reasons)
    yield Advice(
        rule="SURG-028",
        because=asked_together(lists.scope, item.found),
        unless=item.done,
        fill={"date": risk.date or ""},
        about=SPINE_KEY,
        holds=Later(lambda: {"against": anything_against(case)}),
        proposals=not_asked(case, tuple(wanted), risk.date),
    )
