"""The consensus lists on surgery of bone, line by line, and the reasons for a surgeon's review, bone by bone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter, is_not
from typing import TYPE_CHECKING, Literal

import msgspec

from recommenders.patient.advice import Case
from recommenders.patient.fracture_risk import fracture_risks
from recommenders.patient.lesions import (
    LONG_BONES,
    SPINE,
    bone_operated,
    event_criterion,
    fractured_bone,
    lies_in,
    newest_date,
    shows,
    study_result,
    weight_bearing,
    whole_skeleton,
)
from recommenders.patient.scored_lesions import ScoredLesion
from recommenders.patient.spine import compressions, grade_compresses, instability, spine_treated
from recommenders.vocabulary.bones import SPINE_REGIONS, bone_of
from recommenders.vocabulary.dictionary import BLANK
from recommenders.vocabulary.facts import replace
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import NO, YES, Criterion, Logical, all_of, any_of, documented, given

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from decimal import Decimal

    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Fact, Reading
    from recommenders.vocabulary.guidance import Limits
    from recommenders.vocabulary.records import Lesion

GUIDANCE = guidance("surgical_timing")
"""The topic's limits: the lists are asked for by several topics."""
_TABLES = GUIDANCE.tables
FIXABLE: tuple[str, ...] = tuple(_TABLES["fixable_bones"])
SPINE_KEY = "spine"
"""What a finding of the spine is about when no vertebra is told."""

Kind = Literal["indications", "times", "contraindications"]
SurgicalClass = Literal["urgent-review", "consider", "contraindications-present", "insufficient-data"]
Treated = tuple[Logical, Criterion]
"""One finding that a line rests on, and whether it was dealt with since."""
Found = tuple[Criterion, Criterion]
"""The same as it came out."""


class Item(msgspec.Struct, frozen=True):
    """
    One line of the consensus lists: whether it was found, and whether all that was found was dealt with since.

    A finding is dealt with once surgery naming the same bone is dated on or after it.
    """

    rule: str
    kind: Kind
    found: Criterion
    done: Criterion
    still_open: Criterion


class Reason(msgspec.Struct, frozen=True):
    """
    One reason for a surgeon's review of one bone.

    `rule` is the line of the lists, `lesion` where it was found in one; `led` says that a rule of its own speaks for
    it (a fracture, the cord, a high score).
    """

    rule: str
    about: str | None
    found: Criterion
    done: Criterion
    lesion: Lesion | None = None
    led: bool = False


@dataclass(frozen=True, slots=True)
class Surgery:
    """
    The consensus lists for this patient.

    `reasons` are what a review rests on: a fracture, a high fracture risk, instability, compression, failed
    conservative treatment, a lesion proved isolated; a life expectancy is never one. `found` tells whether any of them
    was found, in bone that is diseased, `done` whether all of it was dealt with.
    """

    by_rule: Mapping[str, Item]
    scope: Criterion
    reasons: tuple[Reason, ...]
    found: Criterion
    done: Criterion
    contraindicated: Criterion

    @property
    def items(self) -> Iterable[Item]:
        """All lines."""
        return self.by_rule.values()

    def of(self, rule: str) -> Item:
        """Give one line."""
        return self.by_rule[rule]


def asked_together(disease: Criterion, finding: Criterion) -> Criterion:
    """Join both; one half must be on record before the other is asked for: no question about healthy bone."""
    return disease & finding if disease.yes or finding.yes else NO


def dealt_with(finding: Logical, done: Callable[[], Criterion]) -> Found:
    """Give a finding with whether it was dealt with; of what is not certainly found nobody asks that."""
    found = finding.criterion()
    return found, done() if found.yes else NO


def all_done(findings: Iterable[Treated]) -> Criterion:
    """Tell whether everything that was certainly found was dealt with; never unknown."""
    treatments = [done for finding, done in findings if finding.criterion().yes]
    return any_of(treatments) if treatments and all(done.yes for done in treatments) else NO


def bone_disease(case: Case) -> Criterion:
    """Tell whether surgery of bone is a question at all: bone metastasis, or myeloma with a fracture or lesion."""
    return case.once(_bone_disease)


def _bone_disease(case: Case) -> Criterion:
    facts = case.facts
    any_lesion = facts.lesions.any(lambda _: YES)
    return facts.dx.bone_met | (facts.dx.mm & (facts.pathological_fracture.current | any_lesion))


def diagnoses(case: Case) -> tuple[str, ...]:
    """Give the names of the diagnoses on record that an order can give as its reason."""
    return case.once(_diagnoses)


def _diagnoses(case: Case) -> tuple[str, ...]:
    dx = case.facts.dx
    found = (dx.bone_met, dx.mm, dx.smm, dx.lung_cancer, dx.other_solid_cancer)
    return tuple(finding.name for finding in found if finding.value is True)


def fixable(lesion: Lesion) -> Criterion:
    """Tell whether a surgeon can fix the bone of a lesion."""
    return lies_in(lesion.site, FIXABLE, "fixable")


def hurts(lesion: Lesion) -> Criterion:
    """Tell whether a lesion hurts at least moderately."""
    return lesion.pain.one_of("moderate", "severe")


def isolated(case: Case) -> Criterion:
    """Tell whether a lesion is the only one, shown to be so by a study of the whole skeleton."""
    return case.once(_isolated)


def _isolated(case: Case) -> Criterion:
    proved = whole_skeleton(case.facts, case.limits(GUIDANCE).whole_skeleton) is not None
    return case.facts.dx.bone_met_isolated & given(proved)


def surgery(case: Case) -> Surgery:
    """Give the consensus lists on surgery, line by line, for this patient."""
    return case.once(_surgery)


def _surgery(case: Case) -> Surgery:
    if _is_told_of_bones(case.facts):
        of_bones = _of_bones(case)
    else:
        of_bones = _of_untold_bones(case.guidance_day, *sorted((case.site or {}).items()))
    items, scope = (*of_bones.items, *_of_the_patient(case)), bone_disease(case)
    return Surgery(
        by_rule={item.rule: item for item in items},
        scope=scope,
        reasons=of_bones.reasons,
        found=asked_together(scope, of_bones.any_reason),
        done=of_bones.done,
        contraindicated=any_of([item.found for item in items if item.kind == "contraindications"]),
    )


class OfBones(msgspec.Struct, frozen=True):
    """The lines that rest on bones and on what to expect, and the reasons for a review, together and one by one."""

    items: tuple[Item, ...]
    reasons: tuple[Reason, ...]
    any_reason: Criterion
    done: Criterion


def _of_bones(case: Case) -> OfBones:
    reasons = tuple(_reasons(case))
    return OfBones(
        items=(*_indications(case), *_contraindications(case), *_times(case)),
        reasons=reasons,
        any_reason=any_of([reason.found for reason in reasons]),
        done=all_done([(reason.found, reason.done) for reason in reasons]),
    )


_TOLD_OF_BONES = attrgetter(
    "status.life_expectancy",
    "status.fit_for_surgery",
    "dx.bone_met_count",
    "clin.nerve_compression",
    "local",
    "spine",
    "pathological_fracture",
)
_UNTOLD_OF_BONES = _TOLD_OF_BONES(BLANK)


def _is_told_of_bones(facts: Facts) -> bool:
    """Tell whether anything is on record that `OfBones` rests on; of most patients nothing is."""
    listed = facts.lesions.items or not facts.lesions.whole or facts.sre or facts.studies
    return bool(listed) or any(map(is_not, _TOLD_OF_BONES(facts), _UNTOLD_OF_BONES))


@lru_cache(maxsize=16)  # of a few days and sites; nothing of a patient is in it
def _of_untold_bones(guidance_day: dt.date, *site: tuple[str, Decimal]) -> OfBones:
    """Give what comes out where nothing is told of bones: the same for everybody."""
    return _of_bones(Case(BLANK, "patient-view", dict(site), guidance_day=guidance_day))


def surgical_class(case: Case) -> SurgicalClass | None:
    """
    Give the class of the synthesis (SURG-030); None where it does not apply or all was dealt with.

    An urgent trigger always wins: contraindications are listed beside it, never instead of it.
    """
    if bone_disease(case).no:
        return None
    lists = surgery(case)
    whole = lists.found & ~lists.done
    if whole.no:
        return None
    if whole.unknown:
        return "insufficient-data"
    if is_urgent(case):
        return "urgent-review"
    return "contraindications-present" if lists.contraindicated.yes else "consider"


# --- the lines ----------------------------------------------------------------------------------------------


def _item(rule: str, kind: Kind, *findings: Treated) -> Item:
    found = any_of([finding for finding, _ in findings])
    done = all_done(findings) if found.yes else NO
    return Item(rule, kind, found, done, found & ~done if done.yes else found)


def _operated(case: Case, lesion: Lesion, *components: Fact) -> Criterion:
    return bone_operated(case.facts, lesion.bone, newest_date(lesion, *components))


def _of_the_spine(case: Case, found: Logical, fact: Fact) -> Found:
    """Give a finding of the spine with whether the spine was operated since the day of that fact."""
    return dealt_with(found, lambda: spine_treated(case, fact.date, radiotherapy=False))


class SpineFindings(msgspec.Struct, frozen=True):
    """What of the spine asks for a surgeon, each with whether the spine was operated since."""

    unstable: Found
    graded: Found
    coded: tuple[Found, ...]
    deficit: Found
    nerves: Found
    compressed: Found
    osteolysis: Found


def _spine_findings(case: Case) -> SpineFindings:
    facts, spine, stability = case.facts, case.facts.spine, instability(case)
    nerves, risk = facts.clin.nerve_compression, spine.osteolysis_paraplegia_risk
    return SpineFindings(
        unstable=_of_the_spine(case, stability.one_of("at-risk", "unstable"), stability),
        graded=_of_the_spine(case, spine.escc.one_of("1c", "2", "3"), spine.escc),
        coded=tuple(
            [
                (event_criterion(event), spine_treated(case, event.date, radiotherapy=False))
                for event in compressions(case)
            ]
        ),
        deficit=_of_the_spine(case, spine.neuro_deficit, spine.neuro_deficit),
        nerves=_of_the_spine(case, nerves, nerves),
        compressed=_of_the_spine(case, grade_compresses(case), spine.escc),
        osteolysis=_of_the_spine(case, risk, risk),
    )


def _of_the_patient(case: Case) -> Iterator[Item]:
    """Yield the lines that rest on the disease as a whole, and on the state that the patient is in."""
    facts, limits = case.facts, case.limits(GUIDANCE)
    status, only = facts.status, isolated(case)
    proved = all_of((facts.ever.malignancy, only, facts.bx.bone_done))
    yield _item("SURG-006", "indications", dealt_with(only, lambda: _isolated_operated(case)))
    yield _item("SURG-013", "contraindications", (facts.dx.visceral_met_organs >= limits.several_organs, NO))
    yield _item(
        "SURG-014",
        "contraindications",
        (~status.fit_for_surgery, NO),
        (status.ecog.equals(limits.poor_condition), NO),
    )
    yield _item("SURG-021", "times", dealt_with(proved, lambda: _isolated_operated(case)))


def _indications(case: Case) -> Iterator[Item]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    status, local, spine = facts.status, facts.local, case.once(_spine_findings)
    risks = fracture_risks(case)
    imminent = tuple((risk.applies & (as_minimum(risk) >= limits.mirels_high), risk.operated) for risk in risks)
    unscored = () if facts.lesions.items else ((facts.lesions.any(lambda _: NO), NO),)
    yield _item("SURG-001", "indications", (status.life_expectancy > limits.life_expectancy, NO))
    yield _item("SURG-002", "indications", (status.fit_for_surgery, NO))
    yield _item("SURG-003", "indications", (local.qol_benefit_expected, NO))
    yield _item("SURG-004", "indications", (local.long_pfs_expected, NO))
    yield _item("SURG-005", "indications", (local.systemic_effective & facts.lesions.any(hurts), NO))
    yield _item("SURG-007", "indications", *imminent, *unscored, (local.high_fracture_risk, NO))
    yield _item("SURG-008", "indications", spine.unstable, spine.graded, *spine.coded)


def _contraindications(case: Case) -> Iterator[Item]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    yield _item("SURG-011", "contraindications", (facts.status.life_expectancy < limits.life_expectancy, NO))
    yield _item("SURG-012", "contraindications", (_multiple_destruction(facts, limits), NO))


def _times(case: Case) -> Iterator[Item]:
    facts, spine = case.facts, case.once(_spine_findings)
    for rule, reached, component in _PER_LESION:
        yield _per_lesion(case, rule, reached, component)
    yield _item("SURG-026", "times", dealt_with(facts.pathological_fracture.current, lambda: _fracture_operated(facts)))
    yield _item("SURG-027", "times", spine.deficit, spine.nerves, spine.compressed)
    yield _item("SURG-028", "times", spine.osteolysis)


def _fracture_operated(facts: Facts) -> Criterion:
    return bone_operated(facts, fractured_bone(facts), facts.pathological_fracture.current.date)


def _per_lesion(case: Case, rule: str, reached: Callable[[Facts, Lesion], Criterion], *components: str) -> Item:
    """Make a time point that any lesion may reach."""
    facts = case.facts
    if not facts.lesions.items:
        return _item(rule, "times", (facts.lesions.any(lambda _: NO), NO))
    told = ((x, tuple(getattr(x, name) for name in components)) for x in facts.lesions)
    return _item(rule, "times", *((reached(facts, x), _operated(case, x, *parts)) for x, parts in told))


def _isolated_operated(case: Case) -> Criterion:
    counted = [x for x in case.facts.lesions if x.nature.value in {"metastasis", "undetermined"}]
    return all_of(_operated(case, x) for x in counted) if counted else NO


def _multiple_destruction(facts: Facts, limits: Limits) -> Criterion:
    """
    Tell whether there are several metastases with destruction.

    One of them destructive is enough, unless so many are known to be osteogenic that only one remains.
    """
    count = facts.dx.bone_met_count
    counted = [x for x in facts.lesions if x.nature.value in {"metastasis", "undetermined"}]
    intact = sum(x.type.value == "osteogenic" for x in counted)
    enough_left = count.high is None or count.high - intact >= limits.several_lesions.value
    destroyed = facts.lesions.any(
        lambda x: x.nature.one_of("metastasis", "undetermined") & x.type.one_of("osteolytic", "mixed")
    )
    return (count >= limits.several_lesions) & destroyed & given(enough_left)


def destroyed_on_xray(facts: Facts, lesion: Lesion) -> Criterion:
    """Tell whether an X-ray showed destruction of a weight-bearing bone there."""
    seen = [
        study
        for study in facts.studies
        if study.modality == "xray" and study.result == "positive" and study.site and shows(study, lesion.bone)
    ]
    on_xray = lesion.imaging.is_("xray") | any_of(study_result(study) for study in seen)
    return weight_bearing(lesion) & lesion.type.one_of("osteolytic", "mixed") & on_xray


def _after_conservative(word: str) -> Callable[[Facts, Lesion], Criterion]:
    return lambda _, lesion: lesion.after_conservative.is_(word)


_PER_LESION: tuple[tuple[str, Callable[[Facts, Lesion], Criterion], str], ...] = (
    ("SURG-022", destroyed_on_xray, "type"),
    ("SURG-023", _after_conservative("progressing"), "after_conservative"),
    ("SURG-024", _after_conservative("pain-worse"), "after_conservative"),
    ("SURG-025", _after_conservative("function-not-recovered"), "after_conservative"),
    ("SURG-029", lambda _, lesion: ~lesion.sensitive_rt_chemo, "sensitive_rt_chemo"),
)


def as_minimum(risk: ScoredLesion) -> Reading:
    """Give the lowest possible score as a reading of its own."""
    return replace(risk.total, name="mirels_min", lacks=())


# --- the reasons for a review -------------------------------------------------------------------------------


def _reasons(case: Case) -> Iterator[Reason]:
    yield from _of_the_fracture(case)
    yield from _of_the_cord(case)
    yield from _of_the_score(case)
    yield from _of_stability(case)
    yield from _of_the_only_lesion(case)
    for lesion in case.facts.lesions:
        yield from _of_one_lesion(case, lesion)


def _of_the_fracture(case: Case) -> Iterator[Reason]:
    facts = case.facts
    fracture, bone = facts.pathological_fracture, fractured_bone(facts)
    repairable = lies_in(fracture.bone, FIXABLE, "fixable") if fracture.bone.is_known else YES
    found = fracture.current & repairable
    yield Reason(
        "SURG-026",
        bone.whole.key if bone.site else None,
        *dealt_with(found, lambda: _fracture_operated(facts)),
        led=True,
    )


def _of_the_cord(case: Case) -> Iterator[Reason]:
    grade, spine = case.facts.spine.escc, case.once(_spine_findings)
    yield Reason("SURG-027", SPINE_KEY, *spine.deficit, led=True)
    yield Reason("SURG-027", SPINE_KEY, *spine.compressed, led=True)
    yield Reason("SURG-027", SPINE_KEY, *spine.nerves, led=True)
    yield Reason("SURG-028", SPINE_KEY, *spine.osteolysis, led=True)
    yield Reason("SURG-008", SPINE_KEY, *_of_the_spine(case, grade.is_("1c"), grade), led=True)
    for coded in spine.coded:
        yield Reason("SURG-008", SPINE_KEY, *coded, led=True)


def _of_the_score(case: Case) -> Iterator[Reason]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    for risk in fracture_risks(case):
        high = risk.applies & (as_minimum(risk) >= limits.mirels_high)
        yield Reason("SURG-007", risk.about, high, risk.operated, risk.lesion, led=True)
    if not facts.lesions.items:
        yield Reason("SURG-007", None, facts.lesions.any(lambda _: NO), NO, led=True)
    limb = [x for x in facts.lesions if not lies_in(x.site, LONG_BONES, "long-bone").no]
    one = limb[0] if len(limb) == 1 else None
    done = _operated(case, one, facts.local.high_fracture_risk) if one else NO
    about = one.bone.whole.key if one else None
    yield Reason("SURG-007", about, facts.local.high_fracture_risk.criterion(), done, one)


def _of_stability(case: Case) -> Iterator[Reason]:
    computed = "from-score" in instability(case).flags
    unstable = case.once(_spine_findings).unstable
    yield Reason("SURG-008", SPINE_KEY, *unstable, led=computed and not _is_charted(case))


def _is_charted(case: Case) -> bool:
    return case.facts.spine.sins.is_known


def _of_the_only_lesion(case: Case) -> Iterator[Reason]:
    facts = case.facts
    for lesion in facts.lesions:
        worth_it = hurts(lesion) | documented(facts.bx.bone_done)
        found = isolated(case) & fixable(lesion) & worth_it
        yield Reason("SURG-006", lesion.bone.whole.key, found, _operated(case, lesion), lesion)


def _of_one_lesion(case: Case, lesion: Lesion) -> Iterator[Reason]:
    facts = case.facts
    in_pelvis = lies_in(lesion.site, _TABLES["pelvic_bones"], "pelvis")
    worse = hurts(lesion) | lesion.trend.is_("progressing")
    extra = {
        "SURG-022": in_pelvis & hurts(lesion),
        "SURG-029": fixable(lesion) & worse,
    }
    for rule, reached, component in _PER_LESION:
        found = reached(facts, lesion) & extra.get(rule, fixable(lesion))
        done = _operated(case, lesion, getattr(lesion, component))
        yield Reason(rule, lesion.bone.whole.key, found, done, lesion)


def is_urgent(case: Case) -> bool:
    """Tell whether a trigger that makes the review urgent is certainly there."""
    return case.once(_is_urgent)


def _is_urgent(case: Case) -> bool:
    return any(trigger.yes for trigger in _urgent(case, surgery(case)))


def _urgent(case: Case, lists: Surgery) -> Iterator[Criterion]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    bone = lies_in(facts.pathological_fracture.bone, (*LONG_BONES, *SPINE), "long-bone-or-spine")
    yield lists.of("SURG-026").still_open & bone
    yield grade_compresses(case) & ~spine_treated(case, facts.spine.escc.date, radiotherapy=True)
    yield lists.of("SURG-027").still_open
    yield lists.of("SURG-028").still_open
    for risk in fracture_risks(case):
        severe = risk.applies & (risk.total >= limits.mirels_high) & risk.lesion.pain.is_("severe")
        yield severe & ~risk.operated


def is_spinal(about: str | None) -> bool:
    """Tell whether an advice is about a vertebra, the sacrum or the spine as a whole."""
    return about is not None and bone_of(about).site in {*SPINE_REGIONS, "sacrum"}
