"""Fracture risk (Mirels), cord compression (ESCC) and the timing of surgery."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Literal

from recommenders.bone_protection import bone_risk_tier
from recommenders.patient.advice import Advice, Label, Phrase, Proposal, ProposedService, Service
from recommenders.patient.lesions import (
    LONG_BONES,
    SPINE,
    bone_operated,
    event_criterion,
    in_spine,
    lies_in,
    names_spine,
    newest_date,
    none_if_whole,
    possible_sites,
    same_place,
    site_word,
    study_result,
    treated_since,
    weight_bearing,
)
from recommenders.vocabulary.facts import known
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import NO, YES, Criterion, Logical, all_of, any_of, documented, given
from recommenders.vocabulary.scores import GradedItem, Score

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from recommenders.patient.advice import Case, Fill, Value
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Finding, Reading
    from recommenders.vocabulary.guidance import Indicator, Limits
    from recommenders.vocabulary.records import Event, Lesion

GUIDANCE = guidance("surgical_timing")
_TABLES = GUIDANCE.tables

SurgicalClass = Literal["urgent-review", "consider", "contraindications-present", "insufficient-data"]


# --- fracture risk ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FractureRisk:
    """
    The Mirels score of one lesion, from what is told to what is possible.

    `applies` says whether this is a metastasis or myeloma lesion of a limb's long bone; `operated` whether that
    bone was operated on or after the day of the finding.
    """

    lesion: Lesion
    applies: Criterion
    score: Score
    operated: Criterion

    @property
    def total(self) -> Reading:
        """The score as a reading; an interval while items are missing."""
        return self.score.total

    @property
    def place(self) -> Fill:
        """The bone, in words."""
        return place(self.lesion.site)


def fracture_risks(case: Case) -> tuple[FractureRisk, ...]:
    """Give the Mirels score of each lesion that may have one, the highest first."""
    return case.once(_fracture_risks)


def _fracture_risks(case: Case) -> tuple[FractureRisk, ...]:
    limits = case.limits(GUIDANCE)
    risks = [_fracture_risk(case.facts, lesion, limits) for lesion in case.facts.lesions]
    scored = [risk for risk in risks if not risk.applies.no]
    return tuple(
        sorted(scored, key=lambda r: (-r.score.lowest, -r.score.highest, site_word(r.lesion.site) or "", r.lesion.id))
    )


def threatening_fractures(case: Case) -> tuple[FractureRisk, ...]:
    """Give the lesions with a Mirels score of 8, or certainly 9 or more, that were not operated since."""
    limits = case.limits(GUIDANCE)
    return tuple(
        risk
        for risk in fracture_risks(case)
        if (risk.applies & ~risk.operated).yes
        and (risk.total.equals(limits.mirels_borderline) | (risk.total >= limits.mirels_high)).yes
    )


def _fracture_risk(facts: Facts, lesion: Lesion, limits: Limits) -> FractureRisk:
    tables = _TABLES["mirels"]
    sites = {bone: tables["site"][bone] for bone in possible_sites(lesion.site) if bone in tables["site"]}
    items = (
        GradedItem(fact=lesion.type, answers=_answers(lesion.type, tables["type"])),
        GradedItem(fact=lesion.cortical_fraction, answers=_size_answers(lesion.cortical_fraction, limits)),
        GradedItem(fact=lesion.site, answers=sites or tables["site"]),
        GradedItem(fact=lesion.pain, answers=_answers(lesion.pain, tables["pain"])),
    )
    return FractureRisk(
        lesion=lesion,
        applies=lies_in(lesion.site, LONG_BONES, "long-bone") & lesion.nature.one_of("metastasis", "myeloma"),
        score=Score("mirels_total", items),
        operated=bone_operated(facts, lesion.site, newest_date(lesion, *(item.fact for item in items)), lesion.side),
    )


def _answers(finding: Finding, points: Mapping[str, int]) -> Mapping[str, int]:
    words = (finding.value,) if finding.is_known else finding.possible or tuple(points)
    return {str(word): points[str(word)] for word in words}


def _size_answers(fraction: Reading, limits: Limits) -> Mapping[str, int]:
    under, over = fraction < limits.cortex_one_third, fraction > limits.cortex_two_thirds
    excluded = {
        "under-a-third": under.no,
        "a-third-to-two-thirds": under.yes or over.yes,
        "over-two-thirds": over.no,
    }
    return {word: points for word, points in _TABLES["mirels"]["size"].items() if not excluded[word]}


def risk_pct(points: int) -> int:
    """Give the fracture risk that the source names for a score, in per cent; from 9 on it is "or more"."""
    rows = [row for row in _TABLES["mirels_risk"] if points >= row["from"]]
    return int(max(rows, key=lambda row: row["from"])["pct"])


def _risk(lowest: int, highest: int) -> Phrase:
    low, high = risk_pct(lowest), risk_pct(highest)
    top = risk_pct(max(row["from"] for row in _TABLES["mirels_risk"]))
    if low == high:
        return Phrase("risk-or-more" if high == top else "risk", {"pct": low})
    return Phrase("risk-from-to-or-more" if high == top else "risk-from-to", {"low": low, "high": high})


def _mirels_line(risk: FractureRisk) -> Phrase:
    score = risk.score
    fill: dict[str, Fill] = {"site": risk.place, "risk": _risk(score.lowest, score.highest)}
    if score.is_told:
        return Phrase("mirels-told", fill | {"n": score.lowest})
    missing = tuple(Label(item.fact.name) for item in score.open_items)
    return Phrase("mirels-range", fill | {"min": score.lowest, "max": score.highest, "list": missing})


def _mirels_answers(risk: FractureRisk) -> Iterator[Phrase]:
    """For each missing item, what each answer would give."""
    for item in risk.score.open_items:
        answers: list[Fill] = []
        for word, lowest, highest in risk.score.if_answered(item):
            fill: dict[str, Fill] = {"answer": _answer(item, word), "risk": _risk(lowest, highest)}
            if lowest == highest:
                answers.append(Phrase("answer-total", fill | {"n": lowest}))
            else:
                answers.append(Phrase("answer-range", fill | {"min": lowest, "max": highest}))
        yield Phrase("what-it-would-give", {"item": Label(item.fact.name), "list": tuple(answers)})


def _answer(item: GradedItem, word: str) -> Fill:
    if item.fact.name == "lesions[].cortical_fraction":
        return Phrase(f"size-{word}")
    if item.fact.name == "lesions[].pain":
        return Phrase(f"pain-{word}")
    return Phrase("site-femur-other") if word == "femur-other" else word


def place(site: Finding) -> Fill:
    """Give a lesion's site as it fills a sentence."""
    return site_word(site) or Phrase("site-not-told")


def _mirels(case: Case) -> Iterator[Advice]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    risks = fracture_risks(case)
    reasons = (*diagnoses(case), "lesions[]")

    for risk in risks:
        score, lesion = risk.score, risk.lesion
        band: dict[str, Fill] = {"mirels_min": score.lowest, "mirels_max": score.highest}
        fracture_imminent = risk.total >= limits.mirels_high
        low = risk.total <= limits.mirels_low
        severe_and_loaded = (weight_bearing(lesion) & lesion.pain.is_("severe")).yes

        yield Advice(
            rule="MIRELS-001",
            because=risk.applies & given(score.is_told) & all_of(known(item.fact) for item in score.items),
            fill={"n": score.lowest, "site": risk.place},
        )
        yield Advice(
            rule="MIRELS-003",
            because=documented(risk.applies & risk.total.equals(limits.mirels_borderline)),
            unless=risk.operated,
            notes=(_mirels_line(risk),),
            proposals=(_ask("orthopaedic-consultation", reasons),),
        )
        yield Advice(
            rule="MIRELS-004",
            because=risk.applies & fracture_imminent,
            unless=risk.operated,
            indicator="critical" if severe_and_loaded else "warning",
            fill=band,
            points=(0, 1, 3) if score.is_told else (0, 1, 2, 3),
            notes=(_mirels_line(risk),),
            proposals=(_ask("orthopaedic-consultation", reasons, urgent=True),),
        )
        yield Advice(
            rule="MIRELS-005",
            because=risk.applies & given(not score.is_told) & ~documented(fracture_imminent) & ~documented(low),
            indicator="warning" if score.lowest >= limits.mirels_borderline.value else "info",
            fill={
                "min": score.lowest,
                "max": score.highest,
                "list": tuple(Label(item.fact.name) for item in score.open_items),
                **band,
            },
            notes=(_mirels_line(risk), *_mirels_answers(risk)),
        )

    if risks:
        # one reassuring sentence for the patient: only when no long bone can score higher
        yield Advice(
            rule="MIRELS-002",
            because=documented(all_of(risk.applies & (risk.total <= limits.mirels_low) for risk in risks)),
            fill={"mirels_min": risks[0].score.lowest, "mirels_max": risks[0].score.highest},
            points=(1,) if all(risk.score.is_told for risk in risks) else (0, 1),
            notes=tuple(_mirels_line(risk) for risk in risks),
        )
    if not facts.lesions.items:
        # nothing is known of any lesion: asked for only where bone disease is on record
        yield Advice(rule="MIRELS-004", because=documented(bone_disease(case)) & facts.lesions.any(weight_bearing))


# --- the spinal cord ----------------------------------------------------------------------------------------


def spine_lesion(case: Case) -> Criterion:
    """Tell whether there is a spine lesion; unknown when no lesion is on record."""
    return case.facts.lesions.any(in_spine)


def graded_since_deficit(case: Case) -> Criterion:
    """Tell whether the ESCC grade is on or after the neurological deficit; an older one does not reassure."""
    grade, deficit = case.facts.spine.escc, case.facts.spine.neuro_deficit
    in_time = grade.date is not None and (deficit.date is None or grade.date >= deficit.date)
    return known(grade) & given(in_time)


def cord_compressed(case: Case) -> Criterion:
    """Tell whether cord compression is a current entry of the problem list (30 days, or undated)."""
    found = any_of(event_criterion(event) for event in _compressions(case))
    return none_if_whole(case.facts, found, "sre[].type", "conditions")


def _compressions(case: Case) -> list[Event]:
    facts, window = case.facts, int(case.limits(GUIDANCE).cord_compression_current.value)
    return [
        event
        for event in facts.sre
        if event.type == "spinal-cord-compression"
        and event.active
        and (event.date is None or (facts.as_of - event.date).days <= window)
    ]


def grade_compresses(case: Case) -> Criterion:
    """Tell whether the ESCC grade is one of compression (2 or 3)."""
    return case.facts.spine.escc.one_of("2", "3")


def spine_treated(case: Case, since: dt.date | None, *, radiotherapy: bool) -> Criterion:
    """
    Tell whether the spine was operated (or irradiated) on or after a day, with no deficit recorded since.

    Never unknown; a treatment that does not name the spine does not count.
    """
    facts, deficit = case.facts, case.facts.spine.neuro_deficit
    if since is not None and deficit.value is True and deficit.date is not None:
        since = max(since, deficit.date)
    kinds: tuple[Literal["bone-surgery", "bone-radiotherapy"], ...] = (
        ("bone-surgery", "bone-radiotherapy") if radiotherapy else ("bone-surgery",)
    )
    return treated_since(facts, kinds, names_spine, since)


def _grade_words(grade: Finding) -> str:
    return str(grade.value) if grade.is_known else "/".join(grade.possible)


def _cord(case: Case) -> Iterator[Advice]:
    facts = case.facts
    grade, deficit = facts.spine.escc, facts.spine.neuro_deficit
    reasons = (*diagnoses(case), "spine.neuro_deficit", "lesions[]")
    has_grade = given(grade.is_known or bool(grade.possible))
    # the grade is asked for only where the spine is known to be involved
    involved = any_of(
        (
            has_grade,
            documented(deficit),
            documented(facts.clin.nerve_compression),
            documented(facts.spine.instability.one_of("at-risk", "unstable")),
            documented(facts.spine.osteolysis_paraplegia_risk),
            cord_compressed(case),
            documented(spine_lesion(case)),
        )
    )
    cord_in_question = given(involved.yes)
    fill: dict[str, Fill] = {"g": _grade_words(grade)}
    older = (
        (Phrase("grade-before-deficit", fill),) if (known(grade) & deficit & ~graded_since_deficit(case)).yes else ()
    )
    narrowed = (Phrase("grade-narrowed", fill),) if grade.possible and not grade.is_known else ()
    no_mri = (Phrase("mri-contraindicated"),) if facts.local.mri_contraindicated.value is True else ()

    yield Advice(rule="ESCC-001", because=cord_in_question & grade.one_of("0", "1a", "1b"), fill=fill, notes=narrowed)
    yield Advice(
        rule="ESCC-002",
        because=cord_in_question & grade.is_("1c"),
        fill=fill,
        proposals=(_ask("spine-surgery-consultation", reasons),),
    )
    yield Advice(
        rule="ESCC-003",
        because=cord_in_question & grade_compresses(case),
        unless=spine_treated(case, grade.date, radiotherapy=True),
        fill=fill,
        notes=older,
        proposals=(
            _ask("spine-surgery-consultation", reasons, urgent=True),
            _ask("radiation-oncology-consultation", reasons, action=1, urgent=True),
        ),
    )
    yield Advice(
        rule="ESCC-004",
        because=documented(deficit) & spine_lesion(case) & ~graded_since_deficit(case),
        fill=fill,
        notes=(*older, *narrowed, *no_mri),
        proposals=() if no_mri else (_ask("mri-spine", reasons, urgent=True),),
    )


# --- surgery: indications, time points, contraindications ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """
    One line of the consensus lists: whether it was found, and whether all that was found was dealt with since.

    A finding is dealt with once surgery naming the same bone is dated on or after it.
    """

    rule: str
    kind: Literal["indications", "times", "contraindications"]
    found: Criterion
    done: Criterion
    still_open: Criterion

    @property
    def state(self) -> Literal["yes", "no", "unknown"]:
        """Whether it counts, in a word."""
        return "yes" if self.still_open.yes else "no" if self.still_open.no else "unknown"

    @property
    def words(self) -> Phrase:
        """The line, in a few words."""
        return Phrase(f"item-{self.rule}")


Treated = tuple[Logical, Criterion]
"""One finding that an item rests on, and whether it was dealt with since."""


def _item(rule: str, kind: Literal["indications", "times", "contraindications"], *findings: Treated) -> Item:
    found, done = any_of(finding for finding, _ in findings), _all_done(findings)
    return Item(rule, kind, found, done, found & ~done if done.yes else found)


def _all_done(findings: Iterable[Treated]) -> Criterion:
    """Tell whether everything that was certainly found was dealt with; never unknown."""
    treatments = [done for finding, done in findings if finding.criterion().yes]
    return any_of(treatments) if treatments and all(done.yes for done in treatments) else NO


@dataclass(frozen=True, slots=True)
class Surgery:
    """
    The consensus lists for this patient.

    `found` says whether a leading line (indications 6 to 8, any time point) was found in bone that is diseased,
    `done` whether all of that was dealt with since, `contraindicated` whether a contraindication is present.
    `urgent` holds the triggers that make the review urgent, with words.
    """

    items: tuple[Item, ...]
    scope: Criterion
    found: Criterion
    done: Criterion
    contraindicated: Criterion
    urgent: tuple[tuple[Phrase, Criterion], ...]

    def of(self, kind: str, state: str = "yes") -> tuple[Item, ...]:
        """Give the lines of one list in one state."""
        return tuple(item for item in self.items if item.kind == kind and item.state == state)

    @property
    def is_urgent(self) -> bool:
        """Whether an urgent trigger is certainly there."""
        return any(trigger.yes for _, trigger in self.urgent)


_LEADING = frozenset({"SURG-006", "SURG-007", "SURG-008", *(f"SURG-02{n}" for n in range(1, 10))})


def _asked_together(disease: Criterion, finding: Criterion) -> Criterion:
    # one half must be on record before the other is asked for: no surgical questions about healthy bone
    return disease & finding if disease.yes or finding.yes else NO


def bone_disease(case: Case) -> Criterion:
    """Tell whether surgery of bone is a question at all: bone metastasis, or myeloma with a fracture or lesion."""
    facts = case.facts
    any_lesion = facts.lesions.any(lambda _: YES)
    return facts.dx.bone_met | (facts.dx.mm & (facts.pathological_fracture.current | any_lesion))


def diagnoses(case: Case) -> tuple[str, ...]:
    """Give the names of the diagnoses on record that an order can give as its reason."""
    dx = case.facts.dx
    found = (dx.bone_met, dx.mm, dx.smm, dx.lung_cancer, dx.other_solid_cancer)
    return tuple(finding.name for finding in found if finding.value is True)


def surgery(case: Case) -> Surgery:
    """Give the consensus lists on surgery, line by line, for this patient."""
    return case.once(_surgery)


def _surgery(case: Case) -> Surgery:
    facts, limits = case.facts, case.limits(GUIDANCE)
    lesions, spine, status = facts.lesions, facts.spine, facts.status
    fracture = facts.pathological_fracture
    risks = fracture_risks(case)

    def operated(lesion: Lesion, *components: Finding) -> Criterion:
        return bone_operated(facts, lesion.site, newest_date(lesion, *components), lesion.side)

    def spine_operated(finding: Finding) -> Criterion:
        return spine_treated(case, finding.date, radiotherapy=False)

    def per_lesion(rule: str, reached: Callable[[Lesion], Logical], *components: str) -> Item:
        """Make a time point that any lesion may reach."""
        if not lesions.items:
            return _item(rule, "times", (none_known, NO))
        return _item(rule, "times", *((reached(x), operated(x, *(getattr(x, c) for c in components))) for x in lesions))

    none_known = lesions.any(lambda _: NO)
    compressions = tuple(
        (event_criterion(event), spine_treated(case, event.date, radiotherapy=False)) for event in _compressions(case)
    )
    fracture_operated = bone_operated(facts, fracture.bone, fracture.current.date, fracture.side.value)
    counted = [x for x in lesions if x.nature.value in {"metastasis", "undetermined"}]
    isolated_operated = all_of(operated(x) for x in counted) if counted else NO
    local_symptoms = lesions.any(lambda x: x.pain.one_of("moderate", "severe"))

    imminent = tuple((risk.applies & (_as_minimum(risk) >= limits.mirels_high), risk.operated) for risk in risks)
    unscored = () if lesions.items else ((none_known, NO),)

    items = (
        _item("SURG-001", "indications", (status.life_expectancy > limits.life_expectancy, NO)),
        _item("SURG-002", "indications", (status.fit_for_surgery, NO)),
        _item("SURG-003", "indications", (facts.local.qol_benefit_expected, NO)),
        _item("SURG-004", "indications", (facts.local.long_pfs_expected, NO)),
        _item("SURG-005", "indications", (facts.local.systemic_effective & local_symptoms, NO)),
        _item("SURG-006", "indications", (facts.dx.bone_met_isolated, isolated_operated)),
        _item("SURG-007", "indications", *imminent, *unscored, (facts.local.high_fracture_risk, NO)),
        _item(
            "SURG-008",
            "indications",
            (spine.instability.one_of("at-risk", "unstable"), spine_operated(spine.instability)),
            (spine.escc.one_of("1c", "2", "3"), spine_operated(spine.escc)),
            *compressions,
        ),
        _item("SURG-011", "contraindications", (status.life_expectancy < limits.life_expectancy, NO)),
        _item("SURG-012", "contraindications", (_multiple_destruction(facts, limits), NO)),
        _item("SURG-013", "contraindications", (facts.dx.visceral_met_organs >= limits.several_organs, NO)),
        _item(
            "SURG-014",
            "contraindications",
            (~status.fit_for_surgery, NO),
            (status.ecog.equals(limits.poor_condition), NO),
        ),
        _item(
            "SURG-021",
            "times",
            (all_of((facts.ever.malignancy, facts.dx.bone_met_isolated, facts.bx.bone_done)), isolated_operated),
        ),
        per_lesion("SURG-022", lambda x: _destroyed_on_xray(facts, x), "type", "imaging"),
        per_lesion("SURG-023", lambda x: x.after_conservative.is_("progressing"), "after_conservative"),
        per_lesion("SURG-024", lambda x: x.after_conservative.is_("pain-worse"), "after_conservative"),
        per_lesion("SURG-025", lambda x: x.after_conservative.is_("function-not-recovered"), "after_conservative"),
        _item("SURG-026", "times", (fracture.current, fracture_operated)),
        _item(
            "SURG-027",
            "times",
            (spine.neuro_deficit, spine_operated(spine.neuro_deficit)),
            (facts.clin.nerve_compression, spine_operated(facts.clin.nerve_compression)),
            (grade_compresses(case), spine_operated(spine.escc)),
        ),
        _item(
            "SURG-028", "times", (spine.osteolysis_paraplegia_risk, spine_operated(spine.osteolysis_paraplegia_risk))
        ),
        per_lesion("SURG-029", lambda x: ~x.sensitive_rt_chemo, "sensitive_rt_chemo"),
    )
    scope = bone_disease(case)
    leading = tuple(item for item in items if item.rule in _LEADING)
    return Surgery(
        items=items,
        scope=scope,
        found=_asked_together(scope, any_of(item.found for item in leading)),
        done=_all_done((item.found, item.done) for item in leading),
        contraindicated=any_of(item.found for item in items if item.kind == "contraindications"),
        urgent=tuple(_urgent(case, items, risks)),
    )


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


def _destroyed_on_xray(facts: Facts, lesion: Lesion) -> Criterion:
    """Tell whether an X-ray showed destruction of a weight-bearing bone there."""
    seen = [
        study
        for study in facts.studies
        if study.modality == "xray"
        and study.result == "positive"
        and same_place(study.site, site_word(lesion.site)) is True
    ]
    on_xray = lesion.imaging.is_("xray") | any_of(study_result(study) for study in seen)
    return weight_bearing(lesion) & lesion.type.one_of("osteolytic", "mixed") & on_xray


def _as_minimum(risk: FractureRisk) -> Reading:
    return replace(risk.total, name="mirels_min", lacks=())


def _urgent(case: Case, items: tuple[Item, ...], risks: tuple[FractureRisk, ...]) -> Iterator[tuple[Phrase, Criterion]]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    by_rule = {item.rule: item for item in items}
    bone = lies_in(facts.pathological_fracture.bone, (*LONG_BONES, *SPINE), "long-bone-or-spine")
    severe = any_of(
        risk.applies & (risk.total >= limits.mirels_high) & risk.lesion.pain.is_("severe") & ~risk.operated
        for risk in risks
    )
    yield Phrase("urgent-fracture"), by_rule["SURG-026"].still_open & bone
    yield Phrase("urgent-cord"), grade_compresses(case) & ~spine_treated(case, facts.spine.escc.date, radiotherapy=True)
    yield by_rule["SURG-027"].words, by_rule["SURG-027"].still_open
    yield by_rule["SURG-028"].words, by_rule["SURG-028"].still_open
    yield Phrase("urgent-mirels"), severe


def surgical_class(case: Case) -> SurgicalClass | None:
    """
    Give the class of the synthesis (SURG-030); None where it does not apply or all was dealt with.

    An urgent trigger always wins: contraindications are listed beside it, never instead of it.
    """
    lists = surgery(case)
    whole = lists.found & ~lists.done
    if whole.no:
        return None
    if whole.unknown:
        return "insufficient-data"
    if lists.is_urgent:
        return "urgent-review"
    return "contraindications-present" if lists.contraindicated.yes else "consider"


def _surgical_lists(case: Case) -> Iterator[Advice]:
    facts, lists = case.facts, surgery(case)
    on_record = documented(lists.scope)

    for item in lists.items:
        # the lines are told inside SURG-030, so they speak only where it may: bone disease on record
        because = _asked_together(lists.scope, item.found) if item.rule in _LEADING else on_record & item.found
        yield Advice(rule=item.rule, because=because, unless=item.done)

    verdict = surgical_class(case)
    yield Advice(
        rule="SURG-030",
        because=lists.found,
        unless=lists.done,
        indicator=_urgency(case, lists),
        fill={
            "k": len(lists.of("indications")),
            "t": len(lists.of("times")),
            "c": len(lists.of("contraindications")),
        },
        notes=tuple(_list_lines(lists, verdict, facts)),
        proposals=(
            _ask(
                "orthopaedic-consultation",
                (*diagnoses(case), "pathological_fracture.current", "lesions[]"),
                urgent=lists.is_urgent,
            ),
        ),
    )

    triggers = tuple(words for words, trigger in lists.urgent if trigger.yes)
    against = tuple(item.words for item in lists.of("contraindications"))
    urgency_or_contraindication = lists.contraindicated & given(lists.is_urgent)
    low_score_or_xray = case.fired("MIRELS-002") & case.fired("SURG-022")
    neither_over_nor_under = facts.status.life_expectancy.equals(case.limits(GUIDANCE).life_expectancy)
    conflicts = (urgency_or_contraindication, low_score_or_xray, neither_over_nor_under)
    yield Advice(
        rule="SURG-031",
        because=case.fired("SURG-030") & any_of(documented(conflict) for conflict in conflicts),
        points=tuple(place for place, conflict in enumerate(conflicts) if conflict.yes),
        notes=(Phrase("both-sides", {"list": triggers, "against": against}),)
        if urgency_or_contraindication.yes
        else (),
    )


def _urgency(case: Case, lists: Surgery) -> Indicator:
    if lists.is_urgent:
        return "critical"
    if case.fired("MIRELS-004").yes:
        return "warning"
    times = {item.rule for item in lists.of("times")}
    if times == {"SURG-022"} and case.fired("MIRELS-002").yes:
        return "info"
    return "warning" if times and not lists.contraindicated.yes else "info"


def _list_lines(lists: Surgery, verdict: SurgicalClass | None, facts: Facts) -> Iterator[Phrase]:
    if verdict is not None:
        yield Phrase(f"class-{verdict}")
    if triggers := tuple(words for words, trigger in lists.urgent if trigger.yes):
        yield Phrase("urgent-because", {"list": triggers})
    for kind in ("indications", "times", "contraindications"):
        for state in ("yes", "unknown", "no"):
            if found := tuple(item.words for item in lists.of(kind, state)):
                yield Phrase(f"{kind}-{state}", {"list": found})
    if done := tuple(item.words for item in lists.items if item.done.yes):
        yield Phrase("dealt-with", {"list": done})
    if facts.pathological_fracture.current.value is True and not facts.pathological_fracture.bone.is_known:
        yield Phrase("fracture-bone-not-told")


# --- interventional treatment -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CementRisk:
    """One of the five contraindications to osteoplasty, in its parts."""

    words: str
    present: Criterion


def _cement_risks(case: Case) -> tuple[CementRisk, ...]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    status = facts.status
    return (
        CementRisk("cement-neuro", status.severe_neuro_disease.criterion()),
        CementRisk("cement-unfit", ~status.fit_for_surgery),
        CementRisk("cement-coagulopathy", status.coagulopathy_uncontrolled.criterion()),
        CementRisk("cement-invasion", facts.local.invades_critical_structures.criterion()),
        CementRisk("cement-infection", status.active_infection.criterion()),
        CementRisk("cement-many", facts.dx.bone_met_count > limits.many_metastases),
        CementRisk("cement-diffuse", facts.dx.diffuse_metastases.criterion()),
    )


def _interventional(case: Case) -> Iterator[Advice]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    reasons = (*diagnoses(case), "lesions[]")
    lists = surgery(case)

    def irradiated_before(lesion: Lesion) -> Criterion:
        word, longest = site_word(lesion.site), limits.after_radiotherapy.value
        earlier = [
            event
            for event in facts.sre
            if event.type == "bone-radiotherapy"
            and same_place(event.site, word) is True
            and event.date is not None
            and (facts.as_of - event.date).days > longest
        ]
        found = any_of(event_criterion(event) for event in earlier)
        return none_if_whole(facts, found, "sre[].type", "procedures")

    def painful(lesion: Lesion) -> Criterion:
        return lesion.pain.one_of("moderate", "severe")

    surgery_unsuitable = ~facts.status.fit_for_surgery | lists.contraindicated
    ablation = facts.lesions.any(lambda x: painful(x) & (surgery_unsuitable | irradiated_before(x)))
    yield Advice(
        rule="SURG-032",
        because=documented(facts.dx.bone_met) & documented(ablation),
        proposals=(_ask("interventional-radiology-consultation", reasons),),
    )
    yield Advice(rule="SURG-033", because=case.fired("SURG-032"))

    risks = _cement_risks(case)
    present = tuple(Phrase(risk.words) for risk in risks if risk.present.yes)
    open_ = tuple(Phrase(risk.words) for risk in risks if risk.present.unknown)
    to_check = (Phrase("to-be-checked", {"list": open_}),) if open_ else ()
    cord_or_fracture_first = any_of(
        (
            documented(facts.spine.escc.one_of("1c", "2", "3")),
            documented(facts.spine.neuro_deficit),
            case.fired("MIRELS-004"),
        )
    )
    suited = [_suits_cement(lesion) & ~cord_or_fracture_first for lesion in facts.lesions]
    any_risk = any_of(risk.present for risk in risks)
    for lesion, suits in zip(facts.lesions, suited, strict=True):
        yield Advice(
            rule="SURG-034",
            because=suits & ~documented(any_risk),
            notes=(Phrase("lesion-at", {"site": place(lesion.site)}), *to_check),
            proposals=(_ask("interventional-radiology-consultation", reasons),),
        )
    yield Advice(
        rule="SURG-035",
        because=documented(any_of(suited)) & any_risk,
        indicator="warning",
        fill={"list": present},
        notes=to_check,
    )
    dangerous = facts.status.coagulopathy_uncontrolled | facts.status.active_infection
    for order in case.orders_at_hand:
        if "osteoplasty" in order.kinds:
            yield Advice(
                rule="SURG-035",
                because=any_risk,
                indicator="critical" if dangerous.yes else "warning",
                fill={"list": present},
                notes=to_check,
                order=order.reference,
            )


def _suits_cement(lesion: Lesion) -> Criterion:
    where = lies_in(lesion.site, _TABLES["osteoplasty_bones"], "osteoplasty-bone")
    return all_of((lesion.type.is_("osteolytic"), lesion.pain.one_of("moderate", "severe"), where))


def _myeloma(case: Case) -> Iterator[Advice]:
    facts = case.facts
    fracture = facts.pathological_fracture
    findings: list[Treated] = [
        (fracture.current, bone_operated(facts, fracture.bone, fracture.current.date, fracture.side.value))
    ]
    findings += [
        (x.pain.is_("severe"), bone_operated(facts, x.site, newest_date(x, x.pain), x.side)) for x in facts.lesions
    ]
    yield Advice(
        rule="SURG-036",
        because=(facts.dx.mm | facts.dx.smm) & documented(case.once(bone_risk_tier).high),
        unless=_all_done(findings),
        proposals=(_ask("orthopaedic-consultation", (*diagnoses(case), "pathological_fracture.current", "lesions[]")),),
    )


# --- all of it ----------------------------------------------------------------------------------------------


@cache  # made of closed lists: a few, for all patients
def _ask(service: Service, reasons: tuple[str, ...], *, action: int = 0, urgent: bool = False) -> Proposal:
    item = ProposedService(service=service, priority="urgent" if urgent else "routine")
    return Proposal(action=action, items=(item,), reasons=reasons)


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    yield from _mirels(case)
    yield from _cord(case)
    yield from _surgical_lists(case)
    yield from _interventional(case)
    yield from _myeloma(case)


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11); Mirels of the highest-scoring lesion."""
    found: dict[str, Value] = {}
    if sure := [risk for risk in fracture_risks(case) if risk.applies.yes]:
        score = sure[0].score
        found |= {"mirels_min": score.lowest, "mirels_max": score.highest}
        if score.is_told:
            found["mirels_total"] = score.lowest
        if risk_pct(score.lowest) == risk_pct(score.highest):
            found["mirels_fracture_risk_pct"] = risk_pct(score.lowest)
    grade = case.facts.spine.escc
    if grade.is_known:
        found["escc_grade"] = str(grade.value)
    return found
