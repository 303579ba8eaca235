"""Laws of the myeloma topics that no single case shows: symmetry, ranges, monotony, exclusiveness, trends."""

from __future__ import annotations

import datetime as dt
import importlib
import inspect
import re
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommenders import myeloma_staging, myeloma_treatment
from recommenders.assessing.assessment import Assessment, assess
from recommenders.patient.advice import Phrase, ProposedService
from recommenders.patient.light_chains import involved_chain, involved_of_chains, light_chain_ratio
from recommenders.patient.myeloma_class import myeloma_class
from recommenders.patient.series import columns_of, history, series_table
from recommenders.patient.trends import evolving
from recommenders.vocabulary.dictionary import Facts
from recommenders.vocabulary.facts import Reading, exactly, replace
from recommenders.vocabulary.guidance import Guidance, sources
from tests.vignettes import DEFAULT_DAY, facts_of

STAGING = myeloma_staging.GUIDANCE
TREATMENT = myeloma_treatment.GUIDANCE
few = settings(max_examples=60, deadline=None)
BLANK = Facts(as_of=DEFAULT_DAY)

tenths = st.integers(0, 1000).map(lambda n: Decimal(n) / 10)
chain = st.decimals(min_value=0, max_value=5000, places=2)
tri = st.sampled_from([True, False, "unknown"])
STAGES = ("I", "II", "III")
R2_GROUPS = ("low", "low-intermediate", "intermediate-high", "high")
MAYO = ("low", "intermediate", "high")
IMWG = ("low", "low-intermediate", "intermediate", "high")


def assessed(**case: Any) -> Assessment:
    found = assess(facts_of(case), "patient-view")
    assert not found.failed
    return found


NO_EVENT: dict[str, Any] = {
    "patient": {"age": 60, "sex": "male", "weight": 75},
    "lab": {"ca_total": Decimal("2.30"), "albumin": 40, "creatinine": 80, "hb": 130},
}


def smouldering(mm: dict[str, Any], cyto: dict[str, Any] | None = None, **more: Any) -> Assessment:
    stated = {"mri_focal": 0, "lytic_lesions": 0, **mm}
    return assessed(facts={**NO_EVENT, "dx": {"smm": True}, "mm": stated, "cyto": cyto or {}}, **more)


# --- light chains -------------------------------------------------------------------------------------------


@given(kappa=chain, lambda_=chain, marrow=tenths, m_protein=tenths)
@few
def test_it_does_not_matter_which_of_the_two_light_chains_is_involved(
    kappa: Decimal, lambda_: Decimal, marrow: Decimal, m_protein: Decimal
) -> None:
    one = smouldering({"bmpc": marrow, "m_protein": m_protein, "kappa": kappa, "lambda_": lambda_})
    other = smouldering({"bmpc": marrow, "m_protein": m_protein, "kappa": lambda_, "lambda_": kappa})
    assert {rule: v.state for rule, v in one.verdicts.items()} == {rule: v.state for rule, v in other.verdicts.items()}
    assert one.values == other.values


def below(limit: Decimal, blank: Reading) -> Reading:
    return replace(blank, low=Decimal(0), high=limit, high_open=True, reason=None, date=DEFAULT_DAY)


def reading(value: Decimal, blank: Reading) -> Reading:
    return exactly(blank, value, date=DEFAULT_DAY)


@given(kappa=chain, lambda_=chain)
@few
def test_no_light_chain_divides_by_zero_and_the_ratio_is_one_or_more(kappa: Decimal, lambda_: Decimal) -> None:
    mm = BLANK.mm
    involved = involved_of_chains(reading(kappa, mm.kappa), reading(lambda_, mm.lambda_), mm.flc_ratio_kl, mm.flcr)
    if kappa == lambda_ == 0:
        assert not involved.is_known
        return
    assert involved.low is not None
    assert involved.high is not None
    assert 1 <= involved.low <= involved.high


@given(limit=st.decimals(min_value="0.1", max_value=10, places=1), share=st.integers(1, 99), other=chain)
@few
def test_a_chain_below_a_limit_gives_a_range_that_holds_the_true_ratio(
    limit: Decimal, share: int, other: Decimal
) -> None:
    mm = BLANK.mm
    low, big = below(limit, mm.lambda_), reading(other + limit, mm.kappa)
    truly = (other + limit) / (limit * share / 100)
    involved = involved_of_chains(big, low, mm.flc_ratio_kl, mm.flcr)
    assert involved.low is not None
    assert involved.high is not None
    assert involved.low <= truly <= involved.high


def test_a_chain_written_as_zero_is_below_one_unit_of_its_last_written_digit() -> None:
    mm = BLANK.mm
    kappa = reading(Decimal(210), mm.kappa)
    for written, least in (("0", 210), ("0.0", 2100), ("0.00", 21000)):
        zero = exactly(mm.lambda_, Decimal(written), date=DEFAULT_DAY, sent_value=Decimal(written), sent_unit="mg/L")
        assert involved_of_chains(kappa, zero, mm.flc_ratio_kl, mm.flcr).low == least
    in_mg_dl = exactly(mm.lambda_, Decimal("0.0"), date=DEFAULT_DAY, sent_value=Decimal("0.0"), sent_unit="mg/dL")
    assert involved_of_chains(kappa, in_mg_dl, mm.flc_ratio_kl, mm.flcr).low == 210


@pytest.mark.parametrize("tiny", ["0E+500", "0E-500", "1E-400", "1E-999999", "0.0009"])
def test_a_vanishing_chain_is_below_what_any_assay_tells(tiny: str) -> None:
    found = smouldering({"bmpc": 15, "m_protein": 15, "kappa": 210, "lambda_": Decimal(tiny)})
    assert found.values["mm_class"] == "active-mm"
    assert "MM-003" in found.of("fired")


def test_the_reported_ratio_is_taken_when_it_is_newer_or_narrower_than_the_chains() -> None:
    mm = BLANK.mm
    kappa, lambda_ = reading(Decimal(300), mm.kappa), reading(Decimal(10), mm.lambda_)
    reported = reading(Decimal(31), mm.flc_ratio_kl)
    assert light_chain_ratio(kappa, lambda_, reported).low == 30
    older = replace(kappa, date=DEFAULT_DAY - dt.timedelta(20))
    assert light_chain_ratio(older, replace(lambda_, date=older.date), reported).low == 31
    assert light_chain_ratio(kappa, below(Decimal(12), mm.lambda_), reported).low == 31
    stale_report = replace(reported, date=DEFAULT_DAY - dt.timedelta(20))
    assert light_chain_ratio(kappa, below(Decimal(12), mm.lambda_), stale_report).low == 25


@given(kappa=chain, lambda_=chain)
@few
def test_the_involved_chain_is_the_larger_one(kappa: Decimal, lambda_: Decimal) -> None:
    mm = BLANK.mm
    one, other = reading(kappa, mm.kappa), reading(lambda_, mm.lambda_)
    ratio = light_chain_ratio(one, other, mm.flc_ratio_kl)
    assert involved_chain(one, other, ratio, mm.flc_involved).value == max(kappa, lambda_)


def test_chains_of_different_days_are_marked() -> None:
    mm = BLANK.mm
    earlier = replace(reading(Decimal(300), mm.kappa), date=DEFAULT_DAY - dt.timedelta(3))
    assert "different-days" in light_chain_ratio(earlier, reading(Decimal(10), mm.lambda_), mm.flc_ratio_kl).flags


# --- stages and groups --------------------------------------------------------------------------------------

ISS_ITEMS = st.fixed_dictionaries(
    {
        "b2m": st.integers(10, 90).map(lambda n: Decimal(n) / 10),
        "baseline_albumin": st.integers(20, 50),
        "baseline_ldh": st.integers(100, 500).map(lambda n: {"value": n, "reference_high": 250}),
    }
)
GENES = st.fixed_dictionaries({name: st.booleans() for name in ("del17p", "t4_14", "t14_16", "gain1q", "del13q")})


def staged(mm: dict[str, Any], cyto: dict[str, Any]) -> Assessment:
    return assessed(facts={"dx": {"mm": True}, "mm": {"onset_date": DEFAULT_DAY, **mm}, "cyto": cyto})


@given(mm=ISS_ITEMS, cyto=GENES, other=ISS_ITEMS, other_genes=GENES, missing=st.data())
@few
def test_a_missing_item_never_gives_a_stage_that_a_completed_record_would_not(
    mm: dict[str, Any], cyto: dict[str, Any], other: dict[str, Any], other_genes: dict[str, Any], missing: st.DataObject
) -> None:
    lost = missing.draw(st.sets(st.sampled_from([*mm, *cyto]), min_size=1))
    gapped = staged(
        {k: v for k, v in mm.items() if k not in lost}, {k: v for k, v in cyto.items() if k not in lost}
    ).values
    completed = staged(
        {k: other[k] if k in lost else v for k, v in mm.items()},
        {k: other_genes[k] if k in lost else v for k, v in cyto.items()},
    ).values
    for key in ("iss_stage", "riss_stage", "r2iss_points", "r2iss_group"):
        assert gapped.get(key) in {None, completed[key]}, key


def worse(value: Any, worsening: int) -> Any:
    return {**value, "value": value["value"] + worsening} if isinstance(value, dict) else value + worsening


@given(mm=ISS_ITEMS, cyto=GENES, which=st.sampled_from(["b2m", "baseline_albumin", "baseline_ldh", "genes"]))
@few
def test_a_worse_value_never_lowers_the_stage(mm: dict[str, Any], cyto: dict[str, Any], which: str) -> None:
    before = staged(mm, cyto).values
    changed = dict(mm)
    if which != "genes":
        changed[which] = worse(mm[which], -5 if which == "baseline_albumin" else 5)
    after = staged(changed, dict.fromkeys(cyto, True) if which == "genes" else cyto).values
    for key, order in (("iss_stage", STAGES), ("riss_stage", STAGES), ("r2iss_group", R2_GROUPS)):
        assert order.index(str(after[key])) >= order.index(str(before[key])), key
    assert Decimal(after["r2iss_points"]) >= Decimal(before["r2iss_points"])


SMM_ITEMS = st.fixed_dictionaries(
    {
        "bmpc": st.integers(0, 599).map(lambda n: Decimal(n) / 10),
        "m_protein": st.integers(0, 600).map(lambda n: Decimal(n) / 10),
        "flc_ratio_kl": st.integers(2, 98).map(Decimal),
    }
)


@given(mm=SMM_ITEMS, cyto=GENES, other=SMM_ITEMS, other_genes=GENES, missing=st.data())
@few
def test_a_missing_item_never_gives_a_risk_group_that_a_completed_record_would_not(
    mm: dict[str, Any], cyto: dict[str, Any], other: dict[str, Any], other_genes: dict[str, Any], missing: st.DataObject
) -> None:
    lost = missing.draw(st.sets(st.sampled_from([*mm, *cyto]), min_size=1))
    gapped = smouldering(
        {k: v for k, v in mm.items() if k not in lost}, {k: v for k, v in cyto.items() if k not in lost}
    ).values
    completed = smouldering(
        {k: other[k] if k in lost else v for k, v in mm.items()},
        {k: other_genes[k] if k in lost else v for k, v in cyto.items()},
    ).values
    for key in (
        "mayo2008_factors",
        "mayo2018_factors",
        "mayo2018_risk",
        "imwg2020_factors",
        "imwg2020_2y_risk_pct",
        "imwg_score",
        "imwg_score_risk",
    ):
        assert gapped.get(key) in {None, completed[key]}, key


@given(mm=SMM_ITEMS, cyto=GENES, which=st.sampled_from(["bmpc", "m_protein", "flc_ratio_kl", "genes"]))
@few
def test_a_worse_value_never_lowers_the_risk_group(mm: dict[str, Any], cyto: dict[str, Any], which: str) -> None:
    before = smouldering(mm, cyto).values
    changed = dict(mm)
    if which != "genes":
        changed[which] = min(worse(mm[which], 11), Decimal("99.9") if which == "flc_ratio_kl" else Decimal(999))
    after = smouldering(changed, dict.fromkeys(cyto, True) if which == "genes" else cyto).values
    if after["mm_class"] == "active-mm":
        assert Decimal(changed["bmpc"]) >= 60
        return
    for key, order in (("mayo2018_risk", MAYO), ("imwg_score_risk", IMWG)):
        assert order.index(str(after[key])) >= order.index(str(before[key])), key
    for key in ("mayo2008_factors", "imwg2020_factors", "imwg2020_2y_risk_pct", "imwg_score"):
        assert Decimal(after[key]) >= Decimal(before[key]), key


# --- the class ----------------------------------------------------------------------------------------------

ANY_PATIENT = st.fixed_dictionaries(
    {
        "mm": st.sampled_from([True, False]),
        "smm": st.sampled_from([True, False]),
        "mgus": st.sampled_from([True, False]),
        "bmpc": st.sampled_from([0, 5, 10, 20, 59, 60, 90, None]),
        "m_protein": st.sampled_from([0, 5, 20, 30, 45, None]),
        "flc_ratio_kl": st.sampled_from([1, 8, 25, 120, None]),
        "kappa": st.sampled_from([50, 100, 2000, None]),
        "mri_focal": st.sampled_from([0, 1, 2, None]),
        "hb": st.sampled_from([90, 100, 130, None]),
    }
)


@given(told=ANY_PATIENT)
@settings(max_examples=150, deadline=None)
def test_the_classes_exclude_each_other_and_agree_with_what_is_shown(told: dict[str, Any]) -> None:
    mm = {k: told[k] for k in ("bmpc", "m_protein", "flc_ratio_kl", "kappa", "mri_focal") if told[k] is not None}
    lab = {**NO_EVENT["lab"], "hb": told["hb"]} if told["hb"] is not None else {"ca_total": Decimal("2.30")}
    dx = {k: True for k in ("mm", "smm", "mgus") if told[k]} or {"plasmacytoma": True}
    facts = {"dx": dx, "patient": NO_EVENT["patient"], "lab": lab, "mm": {**mm, "lytic_lesions": 0}}
    found = assessed(facts=facts)
    fired = set(found.of("fired"))
    the_class = found.case.once(myeloma_class)
    assert found.values["mm_class"] == the_class.word
    assert sum(is_it.yes for is_it in (the_class.is_active_mm, the_class.is_smm, the_class.is_mgus)) <= 1
    assert len(fired & {"MM-001", "MM-004", "MM-005"}) <= 1
    for rule, word in (("MM-001", "active-mm"), ("MM-004", "smm"), ("MM-005", "mgus")):
        if rule in fired:
            assert the_class.word == word
    if told["mm"]:
        assert the_class.word == "active-mm"
    if the_class.word == "active-mm":
        assert not {rule for rule in fired if rule.startswith("SMM-")}
        assert not fired & {"BP-021", "BP-022", "MM-004", "MM-005", "MM-006"}
    if "MM-003" in fired:
        assert not fired & {"SMM-001", "SMM-002", "SMM-003", "SMM-004", "SMM-005", "BP-021", "BP-022"}
    assert not {"SMM-009", "SMM-010"} <= fired


def test_the_events_are_named_with_their_values_and_the_marrow_is_not_said_twice() -> None:
    marrow = {"value": 62, "date": dt.date(2026, 9, 30)}
    found = smouldering({"bmpc": marrow, "m_protein": 26, "mri_focal": 2, "lytic_lesions": "unknown"})

    def named(rule: str) -> list[str]:
        events: Any = found.verdicts[rule].advices[0].fill["events"]
        return [phrase.key for phrase in events]

    assert named("MM-002") == ["event-marrow", "event-mri"]
    assert named("MM-003") == ["event-mri"]
    only_the_marrow = smouldering({"bmpc": marrow, "m_protein": 26})
    assert only_the_marrow.verdicts["MM-003"].advices[0].fill["events"] == (
        Phrase("full-marrow", {"limit": Decimal(60)}),
    )
    assert [event.letter for event in found.case.once(myeloma_class).unknown_events] == ["B", "Li"]


# --- trends -------------------------------------------------------------------------------------------------


def day(before: int) -> dt.date:
    return DEFAULT_DAY - dt.timedelta(before)


def test_a_relapse_is_measured_from_the_lowest_value_not_from_diagnosis() -> None:
    facts = {"dx": {"mm": True}, "mm": {"m_protein": 10}}
    found = assessed(facts=facts, series={"mm.m_protein": [[day(300), 40], [day(150), 7], [day(40), 9]]})
    trend = found.case.once(evolving)
    assert trend.m_protein.yes
    assert trend.changes[0].earlier.date == day(150)
    assert trend.changes[0].change.value == 3


def test_in_smouldering_disease_the_same_course_is_measured_from_the_earliest_value() -> None:
    found = smouldering(
        {"bmpc": 15, "m_protein": 10}, series={"mm.m_protein": [[day(300), 40], [day(150), 7], [day(40), 9]]}
    )
    trend = found.case.once(evolving)
    assert trend.m_protein.no
    assert trend.changes[0].earlier.date == day(300)


def test_a_myeloma_without_an_earlier_value_leaves_the_trend_open_and_asks_for_the_marker() -> None:
    trend = assessed(facts={"dx": {"mm": True}, "mm": {"m_protein": 10}}).case.once(evolving)
    assert trend.m_protein.unknown
    assert trend.m_protein.missing() == ("mm.m_protein",)


def test_an_earlier_value_below_a_limit_is_an_interval_in_the_trend_too() -> None:
    def trend_from(earlier: str) -> Any:
        facts = {"dx": {"mm": True}, "mm": {"m_protein": 3}}
        return assessed(facts=facts, series={"mm.m_protein": [[day(100), earlier]]}).case.once(evolving).m_protein

    assert trend_from("<1").yes
    assert trend_from("<2").unknown
    assert trend_from(">2").no


def test_a_flag_says_since_when_the_marker_moved() -> None:
    found = smouldering({"bmpc": 15, "m_protein": 25}, series={"mm.m_protein": [[day(200), 20]]})
    flags: Any = found.verdicts["SMM-006"].advices[0].fill["flags"]
    assert [(flag.key, flag.fill["since"], flag.fill["change"].value) for flag in flags] == [
        ("flag-m-protein", day(200), 5)
    ]


def test_one_high_creatinine_asks_for_a_second_one_before_it_counts_as_a_change_of_the_disease() -> None:
    once = smouldering({"bmpc": 15, "m_protein": 25}, series={"lab.creatinine": [[day(200), 60]]})
    assert "SMM-006" in once.of("fired")
    assert "SMM-009" not in once.of("fired")
    twice = smouldering({"bmpc": 15, "m_protein": 25}, series={"lab.creatinine": [[day(200), 60], [day(30), 79]]})
    assert {"SMM-006", "SMM-009"} <= set(twice.of("fired"))
    not_yet = smouldering({"bmpc": 15, "m_protein": 25}, series={"lab.creatinine": [[day(200), 60], [day(30), 62]]})
    assert "SMM-006" in not_yet.of("fired")
    assert "SMM-009" not in not_yet.of("fired")


def test_two_different_results_of_the_same_day_contradict_each_other_and_neither_counts() -> None:
    facts = facts_of(
        {"facts": {"dx": {"smm": True}}, "series": {"lab.hb": [[day(90), 150], [day(90), 120], [day(60), 130]]}}
    )
    assert [reading.date for reading in history(facts, "lab.hb")] == [day(60)]


def test_the_series_table_puts_markers_side_by_side_by_day() -> None:
    found = smouldering(
        {"bmpc": 15, "m_protein": 25, "kappa": 60, "lambda_": 10},
        series={
            "mm.m_protein": [[day(200), 20]],
            "mm.kappa": [[day(200), 30], [day(100), 40]],
            "mm.lambda_": [[day(200), 10], [day(100), 10]],
        },
    )
    table = series_table(found.case, ("mm.m_protein", "mm.flcr"))
    assert [row.date for row in table.rows] == [day(200), day(100), DEFAULT_DAY]
    assert [[r and r.rounded for r in row.readings] for row in table.rows] == [[20, 3], [None, 4], [25, 6]]
    assert table.left_out == 0


def test_a_long_series_keeps_its_earliest_and_newest_rows_and_counts_the_rest() -> None:
    found = smouldering(
        {"bmpc": 15, "m_protein": 25}, series={"mm.m_protein": [[day(7 * n), 20 + n] for n in range(1, 40)]}
    )
    table = series_table(found.case, columns_of("SMM-006"))
    longest = STAGING.tables["series"]["rows"]
    assert len(table.rows) == longest
    assert table.left_out == 40 - longest
    assert table.rows[0].date == day(7 * 39)
    assert table.rows[-1].date == DEFAULT_DAY


def test_series_columns_are_facts_of_the_dictionary() -> None:
    for columns in STAGING.tables["series"]["columns"].values():
        for path in columns:
            assert isinstance(BLANK.fact(path), Reading)


# --- what is never done -------------------------------------------------------------------------------------


@given(mm=SMM_ITEMS)
@few
def test_pangea_is_linked_and_never_computed(mm: dict[str, Any]) -> None:
    found = smouldering(mm)
    assert "SMM-007" in found.of("fired")
    assert not [key for key in found.values if "pangea" in key.lower()]
    assert sources()["X:PANGEA"].url


@given(
    dose=st.integers(1, 400),
    age=st.integers(18, 90),
    mrd=st.sampled_from(["positive", "negative", "unknown"]),
    del17p=tri,
)
@few
def test_no_order_is_ever_proposed_for_a_melphalan_dose(dose: int, age: int, mrd: str, del17p: object) -> None:
    found = assess(
        facts_of(
            {
                "facts": {
                    "dx": {"mm": True},
                    "patient": {"age": age},
                    "mm": {"mrd": mrd},
                    "cyto": {"del17p": del17p},
                },
                "orders": [{"drug": "melphalan", "route": "IV", "dose_mg_m2": dose}],
            }
        ),
        "order-sign",
    )
    assert not found.failed
    for rule in TREATMENT.rules:
        for advice in found.verdicts[rule].advices if rule in found.verdicts else ():
            items = [item for proposal in advice.proposals for item in proposal.items]
            assert all(isinstance(item, ProposedService) for item in items)
            assert not items or rule == "TX-012"


def test_the_score_with_del17p_is_told_beside_the_score_without() -> None:
    none = dict.fromkeys(("t4_14", "t14_16", "gain1q", "del13q"), False)
    mm = {"bmpc": 21, "m_protein": 15, "kappa": 110, "lambda_": 10}
    values = smouldering(mm, {**none, "del17p": True}).values
    assert (values["imwg_score"], values["imwg_score_with_del17p"]) == (5, 7)
    assert "imwg_score_with_del17p" not in smouldering(mm, {**none, "del17p": True, "gain1q": True}).values


def test_an_unconfirmed_baseline_is_said() -> None:
    def unconfirmed(mm: dict[str, Any]) -> bool:
        found = assessed(facts={"dx": {"mm": True}, "mm": mm})
        return found.verdicts["MM-010"].advices[0].holds["no-onset"].yes

    assert unconfirmed({"b2m": 6})
    assert not unconfirmed({"b2m": 6, "onset_date": DEFAULT_DAY})


def test_a_range_is_given_where_an_item_is_missing() -> None:
    found = assessed(facts={"dx": {"mm": True}, "mm": {"onset_date": DEFAULT_DAY, "b2m": 3}})
    (advice,) = found.verdicts["MM-010"].advices
    assert advice.whole.unknown
    assert advice.has_range.yes
    assert advice.fill["iss"] == Phrase("between", {"low": "I", "high": "II"})
    assert (found.values["iss_stage_min"], found.values["iss_stage_max"]) == ("I", "II")
    found = smouldering({"bmpc": 21, "m_protein": 15})
    (advice,) = found.verdicts["SMM-002"].advices
    assert advice.has_range.yes
    assert advice.fill["risk"] == Phrase("to", {"low": Phrase("risk-intermediate"), "high": Phrase("risk-high")})
    assert advice.fill["p"] == Phrase("between", {"low": Decimal(18), "high": Decimal(44)})
    assert (found.values["mayo2018_factors_min"], found.values["mayo2018_factors_max"]) == (1, 2)


def test_nothing_known_is_no_range() -> None:
    (advice,) = assessed(facts={"dx": {"mm": True}}).verdicts["MM-010"].advices
    assert advice.has_range.no


def test_a_fall_of_the_phase_into_history_keeps_the_relapse() -> None:
    old = {"value": "relapsed", "date": day(400)}
    found = assessed(facts={"dx": {"mm": True}, "mm": {"b2m": 6, "phase": old}})
    assert "MM-010" not in found.of("fired")
    assert not found.facts.mm.phase.is_known


# --- the data beside the rules ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("guidance", "modules"),
    [
        (
            STAGING,
            (
                "myeloma_staging",
                "staging.classes",
                "staging.parts",
                "staging.smouldering",
                "staging.stages",
                "patient.explanations",
                "patient.myeloma_class",
                "patient.myeloma_models",
                "patient.myeloma_risk",
                "patient.series",
                "patient.trends",
            ),
        ),
        (TREATMENT, ("myeloma_treatment", "patient.melphalan")),
    ],
    ids=["staging", "treatment"],
)
def test_every_limit_and_phrase_is_used(guidance: Guidance, modules: tuple[str, ...]) -> None:
    text = "\n".join(inspect.getsource(importlib.import_module(f"recommenders.{name}")) for name in modules)
    assert [name for name in guidance.entries if f".{name}" not in text] == []
    patterns = [re.sub(r"\{[^{}]*\}", ".+", key) for key in re.findall(r'Phrase\(\s*f?"([^"]+)"', text)]
    patterns += re.findall(r'\("([a-z-]+)", mm\.', text)  # what makes it smouldering myeloma
    patterns += [f"event-{key}" for key in re.findall(r'Arm\("([a-z-]+)"', text)]
    patterns += ["(group|risk)-.+", "class-.+"]
    patterns += [re.escape(key) for key in guidance.phrases if f'"{key}"' in text]
    unused = [key for key in guidance.phrases if not any(re.fullmatch(pattern, key) for pattern in patterns)]
    assert unused == []


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_published_risks_on_the_cards_are_those_of_the_tables(language: str) -> None:
    tables = STAGING.tables

    def said(rule: str) -> str:
        info = STAGING.rules[rule]
        return " ".join(part.text(language) for part in (*info.points, *info.source_lines))

    def listed(numbers: Any) -> list[str]:
        return [format(Decimal(number).normalize(), "f") for number in numbers]

    def has(rule: str, numbers: Any) -> bool:
        text = re.findall(r"\d+(?:\.\d+)?", said(rule))
        return all(number in text for number in listed(numbers))

    assert has("SMM-001", tables["mayo_2008_risk"]["five_year_pct"].values())
    assert has("SMM-001", tables["mayo_2008_risk"]["two_year_pct"].values())
    assert has("SMM-002", [row["two_year_pct"] for row in tables["mayo_2018_groups"]])
    assert has("SMM-003", [row["two_year_pct"] for row in tables["imwg_2020_groups"]])
    assert has("SMM-004", [row["two_year_pct"] for row in tables["imwg_score_groups"]])
    assert has("MM-011", tables["riss_survival"]["five_year_pct"].values())
    assert has("MM-012", [value for key, value in tables["r2iss_points"].items() if key != "source"])
    for marker in ("light_chain_ratio", "m_protein", "marrow"):
        steps = tables["imwg_points"][marker]
        assert has("SMM-004", [step["above"] for step in steps])
        assert has("SMM-004", [step["points"] for step in steps])


@pytest.mark.parametrize("guidance", [STAGING, TREATMENT], ids=["staging", "treatment"])
def test_every_number_of_a_limit_stands_in_the_wording_of_a_rule(guidance: Guidance) -> None:
    text = " ".join(
        part.en for info in guidance.rules.values() for part in (info.summary, *info.points, *info.if_missing)
    )
    numbers = set(re.findall(r"\d+(?:\.\d+)?", text))
    spelled = {"m_protein_none", "mayo_2018_high", "event_window", "kidney_disease_before"}
    missing = [
        name
        for name, entries in guidance.entries.items()
        if name not in spelled and format(entries[-1].value.normalize(), "f") not in numbers
    ]
    assert missing == []
