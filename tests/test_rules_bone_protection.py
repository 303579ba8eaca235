"""Bone protection and its monitoring: laws that hold for every patient, and what is suggested."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hooks.cards.wording import LANGUAGES, Speaker
from recommenders.assessing.assessment import Assessment, assess
from recommenders.assessing.speaking import utterances
from recommenders.monitoring import calcium_after_denosumab
from recommenders.patient.advice import Case, Item, ProposedMedication, ProposedService
from recommenders.patient.courses import bma, first_dose, sre_during_bma
from recommenders.patient.derived import derive
from recommenders.patient.myeloma_bone import bone_risk_tier, smouldering_verdicts
from recommenders.patient.recency import as_seen, setting_of
from recommenders.patient.renal import ibandronate_dose, zoledronic_dose
from recommenders.vocabulary.dictionary import DICTIONARY, Facts
from recommenders.vocabulary.facts import replace
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.records import Event
from tests.vignettes import facts_of, load_all

TODAY = dt.date(2026, 11, 22)
MINE = (*guidance("bone_protection").rules, *guidance("monitoring").rules)
LUNG: dict[str, Any] = {"dx.lung_cancer": True, "dx.bone_met": True, "status.life_expectancy": 12}


def patient(facts: dict[str, Any], **lists: Any) -> Facts:
    """Make a patient of facts by dotted path; `courses`, `orders`, `lesions` as in a vignette."""
    return facts_of({"facts": facts, **lists})


def looked_at(facts: Facts, hook: Any = "patient-view") -> Assessment:
    found = assess(facts, hook)
    assert not {"bone_protection", "monitoring"} & set(found.failed)
    return found


def case_of(facts: Facts, hook: Any = "patient-view") -> Case:
    return Case(derive(as_seen(facts, setting_of(hook))), hook)


def on(drug: str, *doses: dt.date, **more: Any) -> dict[str, Any]:
    return {"drug": drug, "doses": list(doses), **more}


def fired(found: Assessment) -> set[str]:
    return {rule for rule in MINE if rule in found.verdicts and found.verdicts[rule].state == "fired"}


def suggested(found: Assessment, rule: str) -> list[Item]:
    """Give the items of all suggestions of a rule that fired."""
    verdict = found.verdicts[rule]
    assert verdict.state == "fired"
    return [item for advice in verdict.advices for proposal in advice.proposals for item in proposal.items]


def medicines(items: list[Item]) -> dict[str, ProposedMedication]:
    return {item.drug: item for item in items if isinstance(item, ProposedMedication)}


def services(items: list[Item]) -> list[str]:
    return [item.service for item in items if isinstance(item, ProposedService)]


# --- any patient ---------------------------------------------------------------------------------------------

VALUES: dict[str, list[Any]] = {
    "patient.age": [17, 18, 64, 65, 80],
    "patient.sex": ["male", "female"],
    "patient.weight": [50, 70],
    "status.life_expectancy": [2.9, 3, 12],
    "dx.lung_cancer": [True],
    "dx.other_solid_cancer": [True],
    "dx.bone_met": [True, False],
    "dx.mm": [True],
    "dx.smm": [True],
    "dx.mgus": [True],
    "dx.osteoporosis": [True],
    "dx.hypercalcaemia_malignancy": [True],
    "onj.status": ["suspected", "confirmed"],
    "dental.signs": [True],
    "dental.last_exam": [dt.date(2026, 10, 1), dt.date(2026, 5, 22)],
    "dental.unrestorable_teeth": [True],
    "dental.invasive_planned": [True],
    "lab.ca_total": [1.89, 2.05, 2.10, 2.30, 2.61, 2.76, 3.05],
    "lab.albumin": [25, 40, 50],
    "lab.creatinine": [70, 170, 220],
    "lab.creatinine_baseline": [70, 124],
    "lab.phosphate": [1.1],
    "lab.magnesium": [0.8],
    "lab.hb": [90, 130],
    "other.dialysis": [True],
    "meds.calcium": [True],
    "meds.vitd": [True],
    "meds.calcium_daily": [200, 500],
    "meds.vitd_daily": [200, 400],
    "meds.ici": [True],
    "meds.glucocorticoid": [True],
    "mm.on_antimyeloma": [True],
    "mm.bmpc": [5, 12, 20, 25, 65],
    "mm.m_protein": [15, 20, 30],
    "mm.kappa": [50, 900],
    "mm.lambda_": [10, 0.9],
    "mm.mri_focal": [0, 1, 2],
    "mm.pet_focal_active": [True, False],
    "mm.pet_suvmax": [4.2, 6],
    "mm.lytic_lesions": [0, 1],
    "mm.response": ["VGPR", "PR"],
    "mm.bmd_decreased": [True],
    "cyto.gain1q": [True, False],
    "cyto.del17p": [True, False],
    "bone.markers_persistently_normal": [True, False],
    "bone.ctx": [{"value": 700, "reference_high": 600}],
    "pathological_fracture.current": [True],
}
DAYS = [dt.date(2024, 11, 1), dt.date(2025, 11, 1), dt.date(2026, 5, 1), dt.date(2026, 11, 1)]
DRUGS = ["denosumab-120", "denosumab-60", "zoledronic", "ibandronate", "other-bisphosphonate"]

chosen_facts = st.lists(st.sampled_from(sorted(VALUES)), max_size=25, unique=True).flatmap(
    lambda paths: st.fixed_dictionaries({path: st.sampled_from(VALUES[path]) for path in paths})
)
contradictions: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {"lab.ca_total": {"rivals": [2.0, 2.8]}}, {"lab.albumin": {"rivals": [25, 45]}}]
)
courses = st.lists(
    st.builds(
        lambda drug, status, doses, interval: on(drug, *sorted(doses), status=status, interval_days=interval),
        st.sampled_from(DRUGS),
        st.sampled_from(["active", "completed", "stopped", "reported"]),
        st.lists(st.sampled_from(DAYS), min_size=1, max_size=3, unique=True),
        st.sampled_from([28, 84]),
    ),
    max_size=2,
    unique_by=lambda course: course["drug"],
)
lesions = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["osteolytic", "osteogenic"]),
            "pain": st.sampled_from(["none", "mild", "moderate", "severe"]),
            "imaging": st.sampled_from(["mri", "xray"]),
            "stable_months": st.sampled_from([6, 14]),
            "nature": st.sampled_from(["myeloma", "metastasis"]),
        },
    ),
    max_size=2,
)
events = st.lists(
    st.builds(lambda day: {"type": "pathological-fracture", "date": day}, st.sampled_from(DAYS)), max_size=1
)
orders = st.lists(
    st.builds(
        lambda drug, dose: {"drug": drug, "dose_mg": dose, "route": "IV"},
        st.sampled_from(["denosumab-120", "zoledronic", "ibandronate"]),
        st.sampled_from([3, 4, 120]),
    ),
    min_size=1,
    max_size=2,
)


@st.composite
def patients(draw: st.DrawFn) -> tuple[Facts, Any]:
    """Any patient, at the opening of the chart or at the signing of an order."""
    hook = draw(st.sampled_from(["patient-view", "order-sign"]))
    case: dict[str, Any] = {
        "facts": draw(chosen_facts) | draw(contradictions),
        "courses": draw(courses),
        "lesions": draw(lesions),
        "sre": draw(events),
    }
    if hook == "order-sign":
        case["orders"] = draw(orders)
    return facts_of(case), hook


any_patient = given(patients())
many = settings(max_examples=150, deadline=None)

SPEAKS_OF_THE_UNKNOWN: dict[str, str] = {
    "BP-001": "forgetting low calcium, the jaw or the age lifts the objection to a start",
    "BP-002": "asks for the prognosis that was forgotten",
    "BP-003": "forgetting hypercalcaemia lifts an exemption",
    "BP-004": "forgetting the metastasis is what it warns of",
    "BP-005": "forgetting low calcium or the jaw lifts the hold that supersedes it",
    "BP-008": "follows from a start that is advised",
    "BP-009": "asks for what was forgotten",
    "BP-011": "without albumin calcium is not corrected",
    "BP-013": "without albumin calcium is not corrected",
    "BP-020": "forgetting low calcium, the jaw or the age lifts the objection to a start",
    "BP-021": "as BP-020; and without its events the coded smouldering disease stands",
    "BP-022": "forgetting a metastasis, or the events of active myeloma, leaves the coded disease",
    "BP-024": "forgetting the stop criteria leaves a stop unexplained",
    "BP-025": "without its events the coded smouldering disease stands",
    "BP-026": "without albumin calcium is not corrected",
    "BP-027": "forgetting low calcium or the jaw lifts the hold that supersedes it",
    "BP-032": "follows from a start that is advised",
    "BP-034": "follows from BP-026",
    "BP-036": "follows from a start that is advised",
    "MON-001": "asks for the dental examination that was forgotten",
    "MON-002": "asks for the dental examination that was forgotten",
    "MON-003": "asks for the calcium that was forgotten",
    "MON-004": "without albumin calcium is not corrected",
    "MON-005": "asks for the creatinine that was forgotten",
    "MON-007": "asks for the electrolytes that were forgotten",
    "MON-008": "asks for the marker that was forgotten",
    "MON-009": "asks for the M-protein or light chains that were forgotten",
    "MON-010": "asks for the infusion time that was forgotten",
    "SUPP-001": "forgetting high calcium lifts the objection to supplements",
    "SUPP-002": "without albumin calcium is not corrected",
    "SUPP-003": "forgetting high calcium lifts the objection to supplements",
}
"""The only rules that may begin to speak because a fact became unknown, and why."""


@many
@given(patients(), st.data())
def test_forgetting_a_fact_never_makes_a_rule_speak_unless_it_speaks_of_the_unknown(
    drawn: tuple[Facts, Any], data: st.DataObject
) -> None:
    facts, hook = drawn
    known = [path for path in VALUES if facts.fact(path).is_known and facts.fact(path).resources]
    if not known:
        return
    path = data.draw(st.sampled_from(known))
    less = facts.with_facts({path: facts.fact(path).forget("missing")})
    begins = fired(looked_at(less, hook)) - fired(looked_at(facts, hook))
    assert begins <= set(SPEAKS_OF_THE_UNKNOWN), f"forgetting {path} makes {begins} speak"


dangers = st.fixed_dictionaries(
    {},
    optional={
        "lab.ca_total": st.sampled_from([1.89, 2.09, 2.10, 2.30, {"rivals": [2.0, 2.8]}]),
        "lab.albumin": st.sampled_from([25, 40, 50, {"rivals": [25, 45]}]),
        "onj.status": st.sampled_from(["suspected", "confirmed", {"unknown": "suspected"}]),
        "dental.signs": st.just(True),
        "patient.age": st.sampled_from([12, 17, 18, 70]),
    },
)


@many
@given(dangers, st.sampled_from(["denosumab-120", "zoledronic"]))
def test_continue_and_hold_are_never_said_together(danger: dict[str, Any], drug: str) -> None:
    facts = LUNG | {"dx.mm": True, "mm.response": "VGPR"} | danger
    running = on(drug, dt.date(2026, 9, 1), dt.date(2026, 11, 1), interval_days=28)
    found = looked_at(
        patient(facts, courses=[running], sre=[{"type": "pathological-fracture", "date": dt.date(2026, 10, 1)}])
    )
    said = fired(found)
    assert said & {"BP-005", "BP-027", "MON-004", "MON-006"}
    assert not (said & {"BP-005", "BP-027"} and said & {"MON-004", "MON-006"})


@many
@any_patient
def test_continue_and_hold_are_never_said_together_to_anybody(drawn: tuple[Facts, Any]) -> None:
    said = fired(looked_at(*drawn))
    assert not (said & {"BP-005", "BP-027"} and said & {"MON-004", "MON-006"})


@many
@any_patient
def test_nobody_with_high_calcium_is_advised_calcium_or_vitamin_d(drawn: tuple[Facts, Any]) -> None:
    found = looked_at(*drawn)
    if not (found.case.cautious("highest").lab.ca_corr > Decimal("2.60")).yes:
        return
    assert not fired(found) & {"SUPP-001", "SUPP-003"}
    for rule in fired(found):
        assert not {"calcium-oral", "vitamin-d-oral"} & set(medicines(suggested(found, rule))), rule


CONTRADICTIONS = [
    ("BP-001", "BP-003"),
    ("BP-001", "BP-022"),
    ("BP-003", "BP-011"),
    ("BP-003", "BP-013"),
    ("BP-011", "BP-013"),
    ("BP-011", "SUPP-001"),
    ("BP-013", "SUPP-001"),
    ("BP-020", "BP-021"),
    ("BP-020", "BP-022"),
    ("BP-020", "BP-024"),
    ("BP-021", "BP-022"),
    ("BP-036", "MON-006"),
    ("SUPP-001", "SUPP-002"),
    ("SUPP-001", "SUPP-003"),
    ("SUPP-002", "SUPP-003"),
]


@many
@any_patient
def test_rules_that_contradict_each_other_never_speak_together(drawn: tuple[Facts, Any]) -> None:
    facts, hook = drawn
    said = fired(looked_at(facts, hook))
    for one, other in CONTRADICTIONS:
        if (one, other) == ("BP-036", "MON-006") and not facts.onj.status.one_of("suspected", "confirmed").yes:
            continue  # loose teeth alone are a reason to look, not to wait with the advice
        assert not {one, other} <= said, f"{one} beside {other}"


@many
@any_patient
def test_an_undecided_rule_names_what_it_lacks(drawn: tuple[Facts, Any]) -> None:
    found = looked_at(*drawn)
    for rule in MINE:
        if rule in found.verdicts and found.verdicts[rule].state == "undecided":
            assert found.verdicts[rule].missing, rule


@many
@given(dangers, st.sampled_from([LUNG, {"dx.mm": True}, {"dx.smm": True, "mm.mri_focal": 1, "mm.bmpc": 12}]))
def test_no_start_is_advised_to_a_child_with_low_calcium_or_with_a_bad_jaw(
    danger: dict[str, Any], disease: dict[str, Any]
) -> None:
    found = looked_at(patient(disease | danger))
    facts = found.facts
    low_calcium = facts.lab.ca_corr < Decimal("2.10")
    bad_jaw = facts.onj.status.one_of("suspected", "confirmed") | facts.onj.status.is_suspected()
    forbidden = (facts.patient.age < 18) | low_calcium | bad_jaw
    advised = fired(found) & {"BP-001", "BP-020", "BP-021"}
    assert bool(advised) is not forbidden.yes


@many
@any_patient
def test_without_an_order_at_hand_an_order_hook_is_silent(drawn: tuple[Facts, Any]) -> None:
    facts, _ = drawn
    put_aside = replace(facts, orders=tuple(replace(order, at_hand=False) for order in facts.orders))
    assert fired(looked_at(put_aside, "order-sign")) == set()


# --- what is suggested ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clearance", "dose"),
    [
        ("60.1", "4"),
        ("60.04", "3.5"),  # 60.0 after rounding
        ("60.0", "3.5"),
        ("50.0", "3.5"),
        ("49.9", "3.3"),
        ("40.0", "3.3"),
        ("39.9", "3.0"),
        ("30.0", "3.0"),
        ("29.96", "3.0"),  # 30.0 after rounding
        ("29.9", None),
    ],
)
def test_zoledronic_acid_is_suggested_at_the_dose_that_the_clearance_allows(clearance: str, dose: str | None) -> None:
    found = looked_at(patient(LUNG | {"lab.crcl": clearance, "lab.ca_total": 2.30}))
    medicine = medicines(suggested(found, "BP-001")).get("zoledronic")
    assert (medicine and medicine.dose) == (None if dose is None else Decimal(dose))
    assert found.values.get("zoledronic_recommended_dose_mg") == (None if dose is None else Decimal(dose))


@pytest.mark.parametrize(
    ("clearance", "dose"), [("50.0", 6), ("49.9", 4), ("30.0", 4), ("29.9", 2), ({"low": 29, "high": 31}, None)]
)
def test_ibandronate_has_its_own_dose_by_clearance(clearance: Any, dose: int | None) -> None:
    case = case_of(patient({"lab.crcl": clearance}))
    assert ibandronate_dose(case, case.facts.lab.crcl) == dose


@pytest.mark.parametrize("extra", [{}, {"lab.crcl": 70, "other.dialysis": True}, {"lab.crcl": {"low": 55, "high": 65}}])
def test_no_zoledronic_acid_is_suggested_where_no_dose_can_be_told(extra: dict[str, Any]) -> None:
    found = looked_at(patient(LUNG | extra))
    assert set(medicines(suggested(found, "BP-001"))) == {"denosumab"}
    case = found.case
    assert zoledronic_dose(case, case.facts.lab.crcl) is None


def test_denosumab_and_zoledronic_acid_exclude_each_other_and_no_companion_excludes_anything() -> None:
    found = looked_at(patient(LUNG | {"lab.crcl": 67, "lab.ca_total": 2.30}))
    (advice,) = found.verdicts["BP-001"].advices
    assert {proposal.button: proposal.alternative for proposal in advice.proposals} == {
        "denosumab": "agent",
        "zoledronic-acid": "agent",
        "supplements": None,
    }


@pytest.mark.parametrize(("day", "offered"), [(dt.date(2026, 11, 8), True), (dt.date(2026, 11, 7), False)])
def test_an_agent_is_named_only_where_calcium_is_recent_enough_to_sign_it(day: dt.date, offered: bool) -> None:
    found = looked_at(patient(LUNG | {"lab.crcl": 67, "lab.ca_total": {"value": 2.30, "date": day}}))
    holds = found.verdicts["BP-001"].advices[0].holds
    assert holds["agent-offered"].yes is offered
    assert holds["calcium-unknown"].yes is not offered


def test_a_start_that_waits_for_a_calcium_on_order_is_not_asked_for_again() -> None:
    waiting = looked_at(patient(LUNG, requested=[{"service": "calcium"}]))
    assert waiting.verdicts["BP-001"].state == "suppressed"
    known = looked_at(patient(LUNG | {"lab.ca_total": 2.30}, requested=[{"service": "calcium"}]))
    assert "BP-001" in fired(known)


def test_what_is_done_already_is_not_suggested_again() -> None:
    done = {
        "dental.last_exam": dt.date(2026, 10, 1),
        "meds.calcium": True,
        "meds.vitd": True,
        "lab.ca_total": 2.30,
        "lab.albumin": 40,
        "lab.creatinine": 70,
        "lab.phosphate": 1.1,
        "lab.magnesium": 0.8,
    }
    items = suggested(looked_at(patient(LUNG | done)), "BP-001")
    assert set(medicines(items)) == {"denosumab"}
    assert services(items) == []


def test_the_checklist_asks_only_for_what_is_missing() -> None:
    some = {"lab.ca_total": 2.30, "lab.creatinine": 70, "lab.phosphate": {"value": 1.1, "date": dt.date(2026, 8, 1)}}
    found = looked_at(patient(LUNG | some))
    assert services(suggested(found, "BP-009")) == ["phosphate", "magnesium"]


@pytest.mark.parametrize(
    ("change", "courses_before", "offered"),
    [
        ({}, [], True),
        ({"lab.creatinine": 400}, [], True),
        ({"lab.creatinine": 401}, [], False),
        ({"lab.creatinine": {"unknown": "missing"}}, [], False),
        ({"other.dialysis": True}, [], False),
        ({"onj.status": "suspected"}, [], False),
        ({"patient.age": 17}, [], False),
        ({"patient.age": {"unknown": "missing"}}, [], False),
        ({}, [on("zoledronic", dt.date(2026, 11, 15))], False),  # 7 days ago
        ({}, [on("zoledronic", dt.date(2026, 11, 14))], True),
        ({}, [on("denosumab-120", dt.date(2026, 11, 1))], False),  # 21 days ago
        ({}, [on("denosumab-60", dt.date(2026, 11, 1))], False),
        ({}, [on("denosumab-120", dt.date(2026, 10, 31))], True),
        ({}, [{"drug": "denosumab-120"}], False),  # ordered, and nobody knows when it was given
    ],
)
def test_zoledronic_acid_for_hypercalcaemia_is_suggested_under_its_own_conditions_only(
    change: dict[str, Any], courses_before: list[Any], offered: bool
) -> None:
    base = {"dx.lung_cancer": True, "lab.ca_total": 3.20, "lab.albumin": 40, "lab.creatinine": 120, "patient.age": 60}
    found = looked_at(patient(base | change, courses=courses_before))
    given_once = medicines(suggested(found, "BP-011")).get("zoledronic")
    assert (given_once is not None) is offered
    if given_once:
        assert given_once.dose == Decimal(4)
        assert given_once.once
        assert given_once.infusion_min == 15
    assert "hydration" in services(suggested(found, "BP-011"))


def test_no_second_zoledronic_acid_is_suggested_beside_the_one_being_signed() -> None:
    facts = {"dx.lung_cancer": True, "lab.ca_total": 3.20, "lab.albumin": 40, "lab.creatinine": 120, "patient.age": 60}
    found = looked_at(patient(facts, orders=[{"drug": "zoledronic", "dose_mg": 4, "route": "IV"}]), "order-sign")
    assert medicines(suggested(found, "BP-011")) == {}


def test_zoledronic_acid_is_spaced_and_denosumab_is_not_without_a_plan() -> None:
    for drug, offered in (("zoledronic", True), ("denosumab-120", False)):
        running = on(drug, dt.date(2024, 1, 1), dt.date(2026, 11, 1), interval_days=28)
        found = looked_at(patient({"dx.mm": True, "lab.crcl": 70, "lab.ca_total": 2.30}, courses=[running]))
        spaced = medicines(suggested(found, "BP-023"))
        assert bool(spaced) is offered
        if offered:
            assert spaced["zoledronic"].dose == Decimal(4)
            assert spaced["zoledronic"].interval_days == 84


@pytest.mark.parametrize(
    ("calcium", "albumin", "gluconate", "asks_for_albumin"),
    [
        (2.05, 40, True, False),
        (1.90, None, False, True),
        (1.89, None, True, True),
        ({"rivals": [1.80, 2.30]}, 40, False, False),
        (2.12, {"rivals": [32, 42]}, False, False),
    ],
)
def test_calcium_into_the_vein_is_suggested_only_on_a_result_that_can_be_relied_on(
    calcium: Any, albumin: Any, gluconate: bool, asks_for_albumin: bool
) -> None:
    facts = {"dx.mm": True, "lab.ca_total": calcium} | ({} if albumin is None else {"lab.albumin": albumin})
    found = looked_at(patient(facts, courses=[on("denosumab-120", dt.date(2026, 11, 15))]))
    items = suggested(found, "MON-004")
    assert ("calcium-gluconate-iv" in medicines(items)) is gluconate
    assert ("albumin" in services(items)) is asks_for_albumin


def test_two_results_that_contradict_each_other_are_repeated_before_calcium_is_given() -> None:
    facts = {"dx.mm": True, "lab.ca_total": {"rivals": [2.05, 2.35]}, "lab.albumin": 40}
    found = looked_at(patient(facts, courses=[on("denosumab-120", dt.date(2026, 11, 15))]))
    holds = found.verdicts["MON-004"].advices[0].holds
    assert holds["contradictory"].yes
    assert holds["treat"].no


@pytest.mark.parametrize(
    ("taken", "drugs", "circumstance"),
    [
        ({}, {"calcium-oral", "vitamin-d-oral"}, None),
        ({"meds.calcium": True}, {"vitamin-d-oral"}, "vitamin-d-missing"),
        ({"meds.vitd": True}, {"calcium-oral"}, "calcium-missing"),
    ],
)
def test_only_the_missing_supplement_is_suggested_and_named(
    taken: dict[str, Any], drugs: set[str], circumstance: str | None
) -> None:
    facts = LUNG | {"lab.ca_total": 2.30} | taken
    found = looked_at(patient(facts, courses=[on("zoledronic", dt.date(2026, 11, 1))]))
    (advice,) = found.verdicts["SUPP-001"].advices
    assert set(medicines(suggested(found, "SUPP-001"))) == drugs
    one_missing = {name for name in ("calcium-missing", "vitamin-d-missing") if advice.holds[name].yes}
    assert one_missing == ({circumstance} if circumstance else set())


# --- sources, tiers, doses and dates -------------------------------------------------------------------------


def test_each_source_is_judged_by_its_own_words() -> None:
    facts = {"dx.smm": True, "mm.bmpc": 9.9, "mm.m_protein": 15, "mm.mri_focal": 1, "cyto.gain1q": False}
    found = looked_at(patient(facts))
    (advice,) = found.verdicts["BP-021"].advices
    assert {verdict.line: verdict.holds for verdict in advice.verdicts} == {0: False, 1: True, 3: True, 4: None}
    verdicts = found.case.once(smouldering_verdicts)
    assert set(verdicts.cn2022.missing()) == {"mm.flcr", "mm.pet_focal_active"}
    lines = guidance("bone_protection").rules["BP-021"].source_lines
    assert [lines[verdict.line].en.split(",")[0] for verdict in advice.verdicts] == [
        "Mayo",
        "IMWG",
        "NCCN 2024 V3",
        "Chinese guideline 2022",
    ]


@pytest.mark.parametrize(
    ("facts", "lesions_seen", "word"),
    [
        ({}, [], None),
        ({"mm.lytic_lesions": 0}, [{"type": "osteogenic", "pain": "none"}], None),
        ({"mm.lytic_lesions": 0, "mm.bmd_decreased": True}, [{"type": "osteogenic", "pain": "none"}], "low"),
        ({"mm.lytic_lesions": 0}, [{"type": "osteogenic", "pain": "moderate"}], "low"),
        ({"mm.bmd_decreased": True}, [], None),
        ({"mm.lytic_lesions": 1}, [], "mid"),
        ({}, [{"type": "osteolytic"}], "mid"),
        ({"pathological_fracture.current": True}, [], "high"),
        ({"mm.lytic_lesions": 1}, [{"pain": "severe"}], "high"),
    ],
)
def test_the_bone_risk_tier_is_told_only_when_it_is_certain_or_at_least_mid(
    facts: dict[str, Any], lesions_seen: list[Any], word: str | None
) -> None:
    tier = case_of(patient(facts, lesions=lesions_seen)).once(bone_risk_tier)
    assert tier.word == word
    assert tier.is_told.yes is (word is not None)


@pytest.mark.parametrize(
    ("course", "first"),
    [
        (None, True),
        (on("denosumab-120", dt.date(2026, 10, 1)), False),
        (on("denosumab-unspecified", dt.date(2026, 10, 1)), False),
        (on("denosumab-60", dt.date(2026, 10, 1)), True),
        (on("zoledronic", dt.date(2026, 10, 1)), True),
        ({"drug": "denosumab-120"}, None),
        ({"drug": "denosumab-120", "doses": [{"date": dt.date(2026, 10, 1), "kind": "order-date"}]}, None),
        (
            {
                "drug": "denosumab-120",
                "status": "completed",
                "doses": [{"date": dt.date(2026, 10, 1), "kind": "order-date"}],
            },
            False,
        ),
        (on("denosumab-120", dt.date(2026, 10, 1), status="reported"), None),
    ],
)
def test_a_first_dose_is_one_without_an_earlier_dose_and_an_order_is_no_dose(course: Any, first: bool | None) -> None:
    facts = patient(
        {"dx.mm": True},
        courses=[course] if course else [],
        orders=[{"drug": "denosumab-120", "dose_mg": 120, "route": "SC"}],
    )
    case = case_of(facts, "order-sign")
    assert first_dose(case, facts.orders[0]).holds is first


def test_without_a_medication_list_no_dose_is_called_the_first() -> None:
    facts = patient({"dx.mm": True}, no_medication_list=True, orders=[{"drug": "denosumab-120"}])
    found = first_dose(case_of(facts, "order-sign"), facts.orders[0])
    assert found.unknown
    assert found.missing() == ("bma.last_dose_date",)


def test_a_skeletal_event_without_a_date_is_neither_before_nor_during_treatment() -> None:
    facts = patient(LUNG, courses=[on("denosumab-120", dt.date(2026, 10, 1))])
    undated = replace(facts, sre=(Event(type="pathological-fracture", date=None),))
    assert looked_at(undated).verdicts["BP-005"].missing == ("sre[].date",)
    assert sre_during_bma(case_of(facts)).no
    assert sre_during_bma(case_of(replace(facts, unavailable=frozenset({"procedures"})))).unknown


def test_results_that_were_not_delivered_are_not_called_overdue() -> None:
    facts = patient(LUNG, courses=[on("denosumab-120", dt.date(2026, 6, 1), dt.date(2026, 11, 1))])
    assert calcium_after_denosumab(case_of(facts)).overdue.yes
    silent = replace(facts, unavailable=frozenset({"observations"}))
    assert calcium_after_denosumab(case_of(silent)).overdue.missing() == ("lab.ca_total",)


def test_an_osteoporosis_drug_counts_as_a_bone_agent_only_beside_a_diagnosis_in_scope() -> None:
    both = [{"drug": "denosumab-120", "dose_mg": 120, "route": "SC"}, {"drug": "denosumab-60", "dose_mg": 60}]
    with_diagnosis = looked_at(patient({"dx.mm": True}, orders=both), "order-sign")
    without = looked_at(patient({}, orders=both), "order-sign")
    assert len(with_diagnosis.verdicts["MON-001"].advices) == 2
    assert len(without.verdicts["MON-001"].advices) == 1


def test_months_that_reach_back_further_than_the_record_are_said_to_be_at_least_so_many() -> None:
    running = on("zoledronic", dt.date(2025, 1, 1), dt.date(2026, 11, 1), interval_days=28, truncated=True)
    found = looked_at(patient(LUNG, courses=[running]))
    assert "bma_months" not in found.values
    assert case_of(patient(LUNG, courses=[running])).once(bma).months.flags == ("at-least",)
    said = Speaker(found, "en").say(
        guidance("bone_protection").rules["BP-006"].points[0],
        guidance("bone_protection"),
        found.verdicts["BP-006"].advices[0],
    )
    assert said.startswith("On treatment for ≥ 22 months")


CASES = [vignette for vignette in load_all() if vignette.topic in {"bone_protection", "monitoring"}]


@pytest.mark.parametrize("language", LANGUAGES)
def test_whatever_is_said_is_filled_in_and_short_enough(language: Any) -> None:
    for vignette in CASES:
        found = looked_at(vignette.facts, vignette.hook)
        speaker = Speaker(found, language)
        for said in utterances(found):
            if said.rule not in MINE:
                continue
            topic, advice = said.guidance, said.advice
            headline = speaker.headline(said.summary, topic, advice)
            lines = [headline, *(speaker.say(line, topic, advice) for line in (*said.do, *said.unless))]
            buttons = {button.key: button for button in said.info.buttons}
            lines += [speaker.say(buttons[one.button], topic, advice, **one.fill) for one in advice.proposals]
            assert len(headline) <= 139, (vignette.name, said.rule)
            for line in lines:
                assert "{" not in line, (vignette.name, said.rule, line)


def test_every_fact_that_a_law_forgets_is_in_the_dictionary() -> None:
    assert set(VALUES) <= set(DICTIONARY)
