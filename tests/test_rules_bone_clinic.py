"""Laws of the bone clinic: fracture risk, cord compression, surgery, radiotherapy, work-up, and the shared plan."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recommenders.assessing.assessment import Assessment, assess
from recommenders.assessing.plan import GUIDANCE as PLAN
from recommenders.assessing.plan import order_of_steps
from recommenders.irradiating.targets import targets
from recommenders.patient.advice import Advice, Label, Phrase, ProposedService
from recommenders.patient.fills import GUIDANCE as SHARED
from recommenders.patient.fracture_risk import fracture_risks
from recommenders.patient.surgery import surgical_class
from recommenders.vocabulary.bones import same_place, same_site
from recommenders.vocabulary.facts import replace
from recommenders.vocabulary.guidance import INDICATORS, Guidance, guidance, sources
from recommenders.vocabulary.records import Lesions
from recommenders.vocabulary.scores import GradedItem, Score
from tests.vignettes import FOLDER, facts_of, load

if TYPE_CHECKING:
    from recommenders.vocabulary.dictionary import Facts

TOPICS = ("surgical_timing", "radiotherapy", "workup")
VIGNETTES = [vignette for topic in TOPICS for vignette in load(FOLDER / f"{topic}.toml")]
TODAY = dt.date(2026, 11, 22)

SITE_POINTS = {
    "humerus": 1,
    "radius": 1,
    "ulna": 1,
    "femur-other": 2,
    "tibia": 2,
    "fibula": 2,
    "femur-pertrochanteric": 3,
}
TYPE_POINTS = {"osteogenic": 1, "mixed": 2, "osteolytic": 3}
PAIN_POINTS = {"none": 1, "mild": 1, "moderate": 2, "severe": 3}
CORTEX_POINTS = {
    "0": 1,
    "32.9": 1,
    "33": 2,
    "33.3": 2,
    "33.4": 2,
    "50": 2,
    "66.6": 2,
    "66.7": 2,
    "67": 2,
    "67.1": 3,
    "100": 3,
}
ESCC = ("0", "1a", "1b", "1c", "2", "3")

quickly = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def case_with(**case: Any) -> Facts:
    """Make facts as the vignettes do."""
    return facts_of(case)


def seen(**case: Any) -> Assessment:
    found = assess(case_with(**case), case.get("hook", "patient-view"))
    assert not found.failed
    return found


def state(found: Assessment, rule: str) -> str:
    return found.verdicts[rule].state if rule in found.verdicts else "not looked at"


def loudness(found: Assessment, *prefixes: str) -> int:
    """The loudest indicator among the fired rules of these families; -1 when none fired."""
    return max(
        (
            INDICATORS.index(verdict.indicator)
            for rule, verdict in found.verdicts.items()
            if verdict.state == "fired" and rule.startswith(prefixes)
        ),
        default=-1,
    )


def told(found: Assessment) -> dict[str, tuple[str, str]]:
    """What became of each rule, and how loud."""
    return {rule: (verdict.state, verdict.indicator) for rule, verdict in found.verdicts.items()}


# --- scores -------------------------------------------------------------------------------------------------


def test_a_score_adds_what_is_told_and_ranges_over_what_is_not() -> None:
    facts = case_with(lesions=[{"site": "tibia"}])
    (lesion,) = facts.lesions
    score = Score(
        "mirels_total",
        (
            GradedItem(fact=lesion.site, answers={"tibia": 2}),
            GradedItem(fact=lesion.pain, answers={"mild": 1, "severe": 3}),
        ),
    )
    assert (score.lowest, score.highest, score.is_told) == (3, 5, False)
    assert score.total.lacks == ("lesions[].pain",)
    assert list(score.if_answered(score.open_items[0])) == [("mild", 3, 3), ("severe", 5, 5)]
    assert (score.total >= 3).yes
    assert (score.total >= 4).unknown
    assert (score.total >= 6).no


@pytest.mark.parametrize(
    ("one", "other", "place", "bone"),
    [
        ("femur", "femur-other", True, True),
        ("femur-pertrochanteric", "femur-other", False, True),
        ("femur-proximal", "femur-pertrochanteric", True, True),
        ("spine", "spine-lumbar", True, True),
        ("spine-thoracic", "spine-lumbar", False, False),
        ("humerus", "femur", False, False),
        ("lower-limb", "femur", None, None),
        ("lower-limb", "humerus", False, False),
        ("bone", "rib", None, None),
        (None, "rib", None, None),
        ("pelvis", "acetabulum", True, True),
    ],
)
def test_whether_two_entries_name_the_same_place(
    one: str | None, other: str | None, place: bool | None, bone: bool | None
) -> None:
    assert same_place(one, other) is place
    assert same_place(other, one) is place
    assert same_site(one, other) is bone


# --- Mirels -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mixture", list(itertools.product(SITE_POINTS, TYPE_POINTS, CORTEX_POINTS, PAIN_POINTS))[::7])
def test_every_mixture_of_items_gives_its_sum_and_the_verdict_of_its_band(mixture: tuple[str, str, str, str]) -> None:
    site, kind, cortex, pain = mixture
    total = SITE_POINTS[site] + TYPE_POINTS[kind] + CORTEX_POINTS[cortex] + PAIN_POINTS[pain]
    lesion = {
        "site": site,
        "type": kind,
        "cortical_fraction": Decimal(cortex),
        "pain": pain,
        "nature": "metastasis",
    }
    found = seen(facts={"dx": {"bone_met": True}}, lesions=[lesion])
    assert found.values["mirels_total"] == found.values["mirels_min"] == found.values["mirels_max"] == total
    expected = "MIRELS-002" if total <= 7 else "MIRELS-003" if total == 8 else "MIRELS-004"
    fired = {rule for rule in found.of("fired") if rule.startswith("MIRELS")}
    assert fired == {"MIRELS-001", expected}
    assert found.values["mirels_fracture_risk_pct"] == {"MIRELS-002": 4, "MIRELS-003": 15, "MIRELS-004": 33}[expected]


complete_lesions = st.fixed_dictionaries(
    {
        "site": st.sampled_from(sorted(SITE_POINTS)),
        "type": st.sampled_from(sorted(TYPE_POINTS)),
        "cortical_fraction": st.sampled_from(sorted(CORTEX_POINTS)).map(Decimal),
        "pain": st.sampled_from(sorted(PAIN_POINTS)),
        "nature": st.just("metastasis"),
    }
)


@quickly
@given(complete_lesions, st.sets(st.sampled_from(["type", "cortical_fraction", "pain", "femur-part"]), min_size=1))
def test_the_complete_score_lies_inside_the_range_and_keeps_its_verdict(
    lesion: dict[str, Any], forgotten: set[str]
) -> None:
    partial = {key: value for key, value in lesion.items() if key not in forgotten}
    if "femur-part" in forgotten and lesion["site"].startswith("femur"):
        partial["site"] = "femur"
    complete = seen(facts={"dx": {"bone_met": True}}, lesions=[lesion])
    ranged = seen(facts={"dx": {"bone_met": True}}, lesions=[partial])
    total = complete.values["mirels_total"]
    assert ranged.values["mirels_min"] <= total <= ranged.values["mirels_max"]  # type: ignore[operator] # numbers
    for verdict in ("MIRELS-002", "MIRELS-003", "MIRELS-004"):
        if state(ranged, verdict) == "fired":
            assert state(complete, verdict) == "fired"
    if state(ranged, "MIRELS-005") == "fired":
        assert not {"MIRELS-002", "MIRELS-003", "MIRELS-004"} & set(ranged.of("fired"))
    if state(complete, "MIRELS-004") == "fired":
        # a fracture that threatens is never left without a word
        assert {"MIRELS-004", "MIRELS-005"} & set(ranged.of("fired"))


def test_an_incomplete_score_names_what_is_missing_and_the_range_it_leaves() -> None:
    lesion = {"site": "femur-other", "type": "mixed", "cortical_fraction": 50, "nature": "metastasis"}
    found = seen(facts={"dx": {"bone_met": True}}, lesions=[lesion])
    (advice,) = found.verdicts["MIRELS-005"].advices
    assert (advice.fill["min"], advice.fill["max"]) == (7, 9)
    assert advice.fill["missing_item"] == (Label("lesions[].pain"),)
    (risk,) = fracture_risks(found.case)
    totals = {word: (low, high) for word, low, high in risk.score.if_answered(risk.score.open_items[0])}
    assert totals == {"none": (7, 7), "mild": (7, 7), "moderate": (8, 8), "severe": (9, 9)}


# --- nothing depends on the order of the chart --------------------------------------------------------------

any_lesion = st.fixed_dictionaries(
    {
        "nature": st.sampled_from(["metastasis", "myeloma", "benign", "undetermined"]),
        "site": st.sampled_from(
            ["femur", "femur-pertrochanteric", "humerus", "spine-lumbar", "rib", "pelvis", "lower-limb", "tibia"]
        ),
    },
    optional={
        "type": st.sampled_from(sorted(TYPE_POINTS)),
        "cortical_fraction": st.sampled_from(sorted(CORTEX_POINTS)).map(Decimal),
        "size": st.integers(5, 60),
        "pain": st.sampled_from(sorted(PAIN_POINTS)),
        "soft_tissue_mass": st.booleans(),
        "imaging": st.sampled_from(["xray", "ct", "mri"]),
        "after_conservative": st.sampled_from(["resolved", "pain-worse", "progressing"]),
        "date": st.dates(TODAY - dt.timedelta(30), TODAY),
    },
)
any_event = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["bone-surgery", "bone-radiotherapy", "spinal-cord-compression"]),
        "date": st.one_of(st.none(), st.dates(TODAY - dt.timedelta(120), TODAY)),
        "site": st.sampled_from([None, "femur", "spine-lumbar", "rib", "humerus"]),
    }
)
findings = st.fixed_dictionaries(
    {"dx.bone_met": st.just(True)},
    optional={
        "status.ecog": st.integers(0, 4),
        "status.life_expectancy": st.sampled_from([2, 3, 12]),
        "status.fit_for_surgery": st.booleans(),
        "spine.escc": st.sampled_from(ESCC),
        "spine.neuro_deficit": st.booleans(),
        "pathological_fracture.current": st.booleans(),
        "pathological_fracture.bone": st.sampled_from(["femur-other", "rib", "spine-lumbar"]),
        "dx.visceral_met_organs": st.integers(0, 3),
        "dx.lung_cancer": st.booleans(),
    },
)


@quickly
@given(findings, st.lists(any_lesion, min_size=2, max_size=4), st.lists(any_event, max_size=3), st.data())
def test_the_order_of_lesions_and_events_changes_nothing(
    facts: dict[str, Any], lesions: list[dict[str, Any]], events: list[dict[str, Any]], data: st.DataObject
) -> None:
    before = case_with(facts=facts, lesions=lesions, sre=events)
    after = replace(
        before,
        lesions=Lesions(tuple(data.draw(st.permutations(before.lesions.items)))),
        sre=tuple(data.draw(st.permutations(before.sre))),
    )
    first, second = assess(before, "patient-view"), assess(after, "patient-view")
    assert told(first) == told(second)
    assert first.values == second.values
    assert order_of_steps(first) == order_of_steps(second)


# --- a worse finding never lowers urgency -------------------------------------------------------------------

WORSE: dict[str, list[Any]] = {
    "type": ["osteogenic", "mixed", "osteolytic"],
    "pain": ["none", "mild", "moderate", "severe"],
    "cortical_fraction": [Decimal(20), Decimal(50), Decimal(80)],
    "site": ["humerus", "tibia", "femur-pertrochanteric"],
}


@quickly
@given(findings, complete_lesions, st.lists(any_lesion, max_size=2), st.sampled_from(sorted(WORSE)), st.data())
def test_a_worse_lesion_never_lowers_the_fracture_verdict(
    facts: dict[str, Any], lesion: dict[str, Any], others: list[dict[str, Any]], item: str, data: st.DataObject
) -> None:
    steps = WORSE[item]
    milder, worse = sorted(data.draw(st.lists(st.sampled_from(range(len(steps))), min_size=2, max_size=2)))
    one = seen(facts=facts, lesions=[lesion | {item: steps[milder]}, *others])
    other = seen(facts=facts, lesions=[lesion | {item: steps[worse]}, *others])
    assert loudness(one, "MIRELS") <= loudness(other, "MIRELS")
    if state(one, "SURG-030") == "fired":
        assert state(other, "SURG-030") == "fired"


@quickly
@given(findings, st.lists(any_lesion, min_size=1, max_size=3), st.lists(any_event, max_size=2), st.data())
def test_a_worse_cord_never_lowers_urgency(
    facts: dict[str, Any], lesions: list[dict[str, Any]], events: list[dict[str, Any]], data: st.DataObject
) -> None:
    milder, worse = sorted(data.draw(st.lists(st.sampled_from(range(len(ESCC))), min_size=2, max_size=2)))
    plain = {key: value for key, value in facts.items() if not key.startswith("spine")}
    families = ("ESCC", "RT-011", "SURG-030")

    def with_cord(grade: int, deficit: bool) -> Assessment:
        cord = {"spine.escc": ESCC[grade], "spine.neuro_deficit": deficit}
        return seen(facts=plain | cord, lesions=lesions, sre=events)

    for deficit in (False, True):
        assert loudness(with_cord(milder, deficit), *families) <= loudness(with_cord(worse, deficit), *families)
    assert loudness(with_cord(worse, deficit=False), *families) <= loudness(with_cord(worse, deficit=True), *families)


CONTRAINDICATIONS: tuple[dict[str, Any], ...] = (
    {"status.life_expectancy": 1},
    {"dx.visceral_met_organs": 4},
    {"status.fit_for_surgery": False},
    {"status.ecog": 4},
    {"dx.bone_met_count": 8},
)
URGENT: tuple[dict[str, Any], ...] = (
    {"spine.escc": "2"},
    {"spine.neuro_deficit": True},
    {"clin.nerve_compression": True},
    {"spine.osteolysis_paraplegia_risk": True},
    {"pathological_fracture.current": True, "pathological_fracture.bone": "femur-other"},
    {"pathological_fracture.current": True, "pathological_fracture.bone": "spine-lumbar"},
)


@pytest.mark.parametrize("urgent", URGENT, ids=str)
@pytest.mark.parametrize("against", CONTRAINDICATIONS, ids=str)
def test_no_contraindication_resolves_an_urgent_trigger_away(urgent: dict[str, Any], against: dict[str, Any]) -> None:
    lesion = {"site": "spine-lumbar", "nature": "metastasis", "type": "osteolytic"}
    families = ("ESCC", "RT-011", "SURG-02")
    plain = seen(facts={"dx.bone_met": True} | urgent, lesions=[lesion])
    found = seen(facts={"dx.bone_met": True} | urgent | against, lesions=[lesion])
    assert surgical_class(found.case) == "urgent-review"
    assert loudness(found, *families) == loudness(plain, *families) >= INDICATORS.index("warning")
    assert state(found, "SURG-030") == "fired"
    assert state(found, "SURG-031") == "fired"


# --- radiotherapy -------------------------------------------------------------------------------------------


@quickly
@given(findings, st.lists(any_lesion, min_size=1, max_size=4), st.lists(any_event, max_size=2))
def test_each_lesion_to_be_irradiated_has_exactly_one_row(
    facts: dict[str, Any], lesions: list[dict[str, Any]], events: list[dict[str, Any]]
) -> None:
    found = seen(facts=facts, lesions=lesions, sre=events)

    def said(rule: str) -> int:
        return len(found.verdicts[rule].advices) if state(found, rule) == "fired" else 0

    indicated = [target for target in targets(found.case) if target.indicated]
    placed = [target for target in indicated if target.row is not None]
    assert said("RT-001") == len(indicated)
    assert said("RT-002") + said("RT-003") + said("RT-004") == len(placed)
    # only a region's name leaves a lesion without a row
    assert all(target.lesion.site.value == "lower-limb" for target in indicated if target.row is None)


# --- suggestions --------------------------------------------------------------------------------------------


def every_advice() -> list[tuple[str, Guidance, Advice]]:
    found = []
    for vignette in VIGNETTES:
        assessment = assess(vignette.facts, vignette.hook, whole=True)
        for rule, verdict in assessment.verdicts.items():
            if verdict.topic.name in TOPICS:
                found += [(rule, verdict.topic.guidance, advice) for advice in verdict.advices]
    return found


ADVICES = every_advice()


def test_each_suggestion_is_a_service_order_labelled_by_the_guidance() -> None:
    for rule, topic, advice in ADVICES:
        for proposal in advice.proposals:
            assert proposal.button in {button.key for button in topic.rules[rule].buttons}, rule
            assert len(proposal.items) == 1
            assert all(isinstance(item, ProposedService) for item in proposal.items), rule


@pytest.mark.parametrize("rule", ["MIRELS-004", "ESCC-003", "ESCC-004", "RT-011"])
def test_what_is_urgent_is_ordered_as_urgent(rule: str) -> None:
    priorities = {
        item.priority
        for name, _, advice in ADVICES
        if name == rule
        for proposal in advice.proposals
        for item in proposal.items
        if isinstance(item, ProposedService)
    }
    assert priorities == {"urgent"}


@quickly
@given(findings, st.lists(any_lesion, max_size=2))
def test_no_mri_is_suggested_where_mri_is_contraindicated(facts: dict[str, Any], lesions: list[dict[str, Any]]) -> None:
    signs = {"local.mri_contraindicated": True, "clin.nerve_compression": True, "dx.lung_cancer": True}
    found = seen(facts=facts | signs, lesions=lesions)
    for verdict in found.verdicts.values():
        if verdict.state == "fired" and verdict.topic.name in TOPICS:
            for advice in verdict.advices:
                services = [i.service for p in advice.proposals for i in p.items if isinstance(i, ProposedService)]
                assert not [service for service in services if service.startswith("mri")], verdict.rule


# --- wording ------------------------------------------------------------------------------------------------


def phrases_in(value: object) -> list[Phrase]:
    if isinstance(value, Phrase):
        return [value, *(phrase for part in value.fill.values() for phrase in phrases_in(part))]
    if isinstance(value, tuple):
        return [phrase for part in value for phrase in phrases_in(part)]
    return []


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_every_line_of_every_vignette_can_be_said_and_leaves_no_brace_open(language: str) -> None:
    for rule, topic, advice in ADVICES:
        said = phrases_in(tuple(advice.fill.values()))
        for phrase in said:
            own = topic.phrases.get(phrase.key) or SHARED.phrases.get(phrase.key)
            assert own is not None, f"{rule}: {topic.topic}.toml has no phrase {phrase.key!r}"
            braces = set(re.findall(r"\{(\w+)\}", own.text(language)))
            assert braces <= set(phrase.fill), f"{rule}: {phrase.key} leaves {braces - set(phrase.fill)} open"


def test_every_phrase_of_these_topics_is_said_in_some_vignette() -> None:
    for name in TOPICS:
        topic = guidance(name)
        said = {
            phrase.key
            for rule, _, advice in ADVICES
            if rule in topic.rules
            for phrase in phrases_in(tuple(advice.fill.values()))
        }
        assert set(topic.phrases) - said == set(), name


# --- the shared plan ----------------------------------------------------------------------------------------


def example_4() -> Assessment:
    femur = {"site": "femur-pertrochanteric", "type": "osteolytic", "cortical_fraction": 60, "pain": "severe"}
    return seen(
        facts={
            "dx": {"lung_cancer": True, "bone_met": True},
            "status": {"ecog": 3, "life_expectancy": 2},
            "spine": {"escc": "2", "neuro_deficit": True},
        },
        lesions=[femur | {"nature": "metastasis"}, {"site": "spine-thoracic", "nature": "metastasis"}],
    )


def test_the_plan_puts_the_cord_first_then_the_fracture_then_radiotherapy() -> None:
    steps = [step.phrase.key for step in order_of_steps(example_4())]
    assert steps == [
        "cord-first",
        "fracture-before-radiotherapy",
        "team-agrees",
        "radiotherapy",
        "systemic-therapy",
    ]


def test_the_plan_asks_for_calcium_and_teeth_before_the_bone_agent() -> None:
    lesion = {"site": "rib", "pain": "moderate", "nature": "metastasis"}
    found = seen(
        facts={
            "dx": {"lung_cancer": True, "bone_met": True, "bone_met_count": 3},
            "status": {"ecog": 1, "life_expectancy": 12},
            "patient": {"age": 60},
        },
        lesions=[lesion],
    )
    steps = [step.phrase.key for step in order_of_steps(found)]
    assert steps.index("radiotherapy") < steps.index("before-bone-agent") < steps.index("bone-agent")


def test_one_discipline_alone_needs_no_plan() -> None:
    lesion = {"site": "pelvis", "nature": "metastasis", "after_conservative": "pain-worse"}
    found = seen(facts={"dx.bone_met": True, "dx.bone_met_count": 4}, lesions=[lesion])
    assert "SURG-030" in found.of("fired")
    assert order_of_steps(found) == ()


def test_each_step_comes_from_rules_that_fired_and_cites_known_sources() -> None:
    for vignette in VIGNETTES:
        assessment = assess(vignette.facts, vignette.hook)
        for step in order_of_steps(assessment):
            assert step.rules
            assert set(step.rules) <= set(assessment.of("fired"))
            assert step.sources
            assert set(step.sources) <= set(sources())
            assert step.phrase.key in PLAN.phrases


def test_every_step_names_rules_that_exist() -> None:
    everything = {rule for topic in (*TOPICS, "bone_protection", "monitoring") for rule in guidance(topic).rules}
    for row in PLAN.tables["steps"]:
        assert set(row["rules"]) | set(row.get("unless", ())) <= everything
        assert row["phrase"] in PLAN.phrases


# --- what the helpers give ----------------------------------------------------------------------------------


def test_the_surgical_class_is_told_for_each_situation() -> None:
    lesion = {"site": "pelvis", "nature": "metastasis"}
    bone: dict[str, Any] = {"dx.bone_met": True, "dx.bone_met_count": 4}
    worse = lesion | {"after_conservative": "pain-worse"}
    assert surgical_class(seen(facts=bone, lesions=[worse]).case) == "consider"
    with_contraindication = seen(facts=bone | {"status.life_expectancy": 2}, lesions=[worse])
    assert surgical_class(with_contraindication.case) == "contraindications-present"
    assert surgical_class(seen(facts=bone | {"spine.escc": "3"}, lesions=[worse]).case) == "urgent-review"
    assert surgical_class(seen(facts=bone, lesions=[lesion]).case) == "insufficient-data"
    assert surgical_class(seen(facts={"dx.smm": True}).case) is None


def test_the_highest_scoring_lesion_comes_first() -> None:
    low = {"site": "humerus", "type": "mixed", "cortical_fraction": 20, "pain": "mild", "nature": "metastasis"}
    high = low | {"site": "femur-pertrochanteric", "pain": "severe"}
    found = seen(facts={"dx.bone_met": True}, lesions=[low, high])
    assert [risk.score.lowest for risk in fracture_risks(found.case)] == [9, 5]
