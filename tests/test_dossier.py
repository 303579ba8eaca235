"""The dossier: what it tells of a call, that each line of a condition is true, and what it weighs."""

from __future__ import annotations

import dataclasses
import datetime as dt
import gzip
import itertools
import json
import math
import re
import tomllib
from decimal import Decimal
from importlib import resources
from typing import TYPE_CHECKING, Any, get_args

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from hooks.cards.wording import Speaker
from hooks.dossier import axis, body, drawing, trees
from hooks.dossier.page import fragment, whole_page
from hooks.dossier.texts import texts
from hooks.dossier.whole import Dossier, dossier_of
from hooks.reference import catalogue, samples
from hooks.reference.limits import limits_of
from hooks.settings import Settings
from hooks.tools.cli import main
from hooks.views import Desk
from recommenders.assessing.assessment import assess
from recommenders.vocabulary.bones import SITES
from recommenders.vocabulary.dictionary import DICTIONARY, Facts
from recommenders.vocabulary.facts import Reason, exactly, known
from recommenders.vocabulary.logic import Criterion, Op, all_of, any_of, documented
from recommenders.vocabulary.records import Course, Event, Order, Study
from tests.fhir import coded, condition, procedure
from tests.wire import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hooks.cards.wording import Language
    from hooks.dossier.trees import Branch
    from hooks.dossier.verdicts import RuleRow

DESK = Desk.of(Settings.model_validate({"now": DAY}))
SEEN = ("femur-and-cord", "smouldering-high-risk", "lung-denosumab-low-calcium")
NAMES = [sample.name for sample in samples.samples()]


def dossier(name: str, language: Language = "en", **changed: Any) -> Dossier:
    return dossier_of(DESK, json.dumps(samples.request_for(name) | changed).encode(), language)


def rules(found: Dossier) -> dict[str, RuleRow]:
    return {row.rule: row for row in found.rules}


def questions(branch: Branch) -> Iterator[Branch]:
    yield branch
    for part in branch.parts:
        yield from questions(part)


# --- conditions as trees ------------------------------------------------------------------------------------

BLANK = Facts(as_of=dt.date(2026, 11, 22))
CALCIUM = exactly(BLANK.lab.ca_total, Decimal("2.30"), date=dt.date(2026, 11, 12))


def told(criterion: Criterion, language: Language = "en") -> Branch:
    return trees.tree(criterion, Speaker(assess(BLANK, "patient-view"), language))


def test_an_exemption_that_rests_on_a_false_comparison_is_asked_the_way_it_is_true() -> None:
    low = Decimal("2.10") > CALCIUM
    assert dataclasses.astuple(told(~low)) == ("yes", "total calcium ≥ 2.1", "2.30 mmol/L, 12 Nov", (), 0)
    assert dataclasses.astuple(told(low)) == ("no", "total calcium < 2.1", "2.30 mmol/L, 12 Nov", (), 0)
    assert told(~low, "zh-CN").question == "总血钙 ≥ 2.1"


def test_a_denied_choice_is_told_part_by_part() -> None:
    both = ~any_of((Decimal("2.10") > CALCIUM, Decimal("2.75") < CALCIUM))
    branch = told(both)
    assert (branch.answer, branch.question) == ("yes", "all of these")
    assert [(part.answer, part.question) for part in branch.parts] == [
        ("yes", "total calcium ≥ 2.1"),
        ("yes", "total calcium ≤ 2.75"),
    ]


def test_what_is_not_known_is_said_with_its_reason() -> None:
    branch = told(all_of((BLANK.lab.ca_total < Decimal("2.10"), BLANK.status.fit_for_surgery, known(BLANK.lab.hb))))
    assert [part.answer for part in branch.parts] == ["unknown", "unknown", "no"]
    assert branch.parts[0].found == "not in the data"
    assert told(~documented(BLANK.dx.mm)).question == "not on record"


COMPARISONS = st.tuples(
    st.sampled_from(("<", "<=", ">", ">=")), st.decimals(Decimal(1), Decimal(4), places=2), st.booleans()
)


def _criterion(comparison: tuple[str, Decimal, bool]) -> Criterion:
    sign, limit, denied = comparison
    asked = {"<": limit > CALCIUM, "<=": limit >= CALCIUM, ">": limit < CALCIUM, ">=": limit <= CALCIUM}[sign]
    return ~asked if denied else asked


TREES = st.recursive(
    COMPARISONS.map(_criterion),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(all_of),
        st.lists(inner, min_size=1, max_size=3).map(any_of),
        inner.map(lambda one: ~one),
    ),
    max_leaves=8,
)
HOLDS = {"<": "__lt__", "≤": "__le__", ">": "__gt__", "≥": "__ge__"}


@given(TREES)
def test_every_answer_is_true_of_its_question_and_joins_to_the_answer_above(criterion: Criterion) -> None:
    branch = told(criterion)
    assert branch.answer == trees.ANSWERS[criterion.holds]
    for one in questions(branch):
        if not one.parts:
            sign, limit = re.fullmatch(r"total calcium ([<≤>≥]) (\S+)", one.question).groups()  # type: ignore[union-attr]
            assert (one.answer == "yes") is getattr(Decimal("2.30"), HOLDS[sign])(Decimal(limit))
        else:
            join = all if one.question == "all of these" else any
            assert (one.answer == "yes") is join(part.answer == "yes" for part in one.parts)


# --- what it tells ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh-CN"])
@pytest.mark.parametrize("name", NAMES)
def test_every_sample_has_a_page_that_needs_nothing_else(name: str, language: Language) -> None:
    found = dossier(name, language)
    page = whole_page(found)
    assert not re.search(r"<script|javascript:|\son[a-z]+=|<link|<img|@import|url\(", page)
    assert not re.search(r"""(?:src|href)=["'](?!#)""", page)
    assert len(gzip.compress(page.encode())) < 100_000
    assert set(re.findall(r'<a href="#([a-z]+)">', page)) <= set(re.findall(r'id="([a-z]+)"', page))
    for row in found.rules:
        for text in (*row.summaries, *row.do, *row.unless, *row.more, *row.changes):
            assert "{" not in text, (row.rule, text)


def test_why_is_this_recommended_and_what_would_change_it() -> None:
    found = dossier("lung-denosumab-low-calcium")
    row = rules(found)["MON-004"]
    assert row.state == "fired"
    asked = {one.question: (one.answer, one.found) for tree in row.trees for one in questions(tree)}
    answer, value = (
        asked["corrected calcium < 2.10 mmol/L"]
        if "corrected calcium < 2.10 mmol/L" in asked
        else asked["corrected calcium < 2.1 mmol/L"]
    )
    assert answer == "yes"
    assert value.startswith("2.02 mmol/L")
    open_ones = [one for one in found.rules if one.state == "undecided"]
    assert all(one.lacks for one in open_ones)
    assert all(one.change or one.rules for one in found.asks)


def test_every_rule_of_the_hook_is_there_in_one_state() -> None:
    found = dossier("femur-and-cord")
    ids = [row.rule for row in found.rules]
    assert len(ids) == len(set(ids))
    assert {row.state for row in found.rules} <= {"fired", "undecided", "suppressed", "superseded", "not_met"}
    everything = {rule for section in catalogue.sections() for rule in (one.rule for one in section.entries)}
    assert set(ids) | set(found.elsewhere) == everything


def test_when_the_last_dose_was_and_which_limit_lies_where() -> None:
    found = dossier("lung-denosumab-low-calcium").timeline
    lane = next(lane for lane in found.lanes if lane.kind == "dose")
    assert lane.last == f"last {Speaker.day(dossier('mgus').speaker, lane.marks[-1].day)}"
    panel = next(panel for panel in found.panels if panel.path == "lab.ca_corr")
    line = next(line for line in panel.limits if "MON-004" in line.rules)
    assert (line.sign, line.text) == ("<", "2.1")
    assert line.source
    newest = panel.points[-1]
    assert any(look.rule == "MON-004" and look.holds == "yes" for look in newest.looks)
    days = [point.day for point in panel.points]
    assert days == sorted(days)


@pytest.mark.parametrize("name", SEEN)
def test_every_limit_that_is_drawn_is_one_of_the_guidance_in_the_unit_of_its_fact(name: str) -> None:
    for panel in dossier(name).timeline.panels:
        spec = DICTIONARY[panel.path]
        assert set(panel.lines) <= set(panel.limits)
        for line in panel.limits:
            entries = [entry for rule in line.rules for _, entry in limits_of(rule)]
            mine = [entry for entry in entries if entry.unit == spec.unit and float(entry.value) == line.height]
            assert mine, (panel.path, line)


def test_a_long_bone_carries_its_mirels_score_with_the_range_that_a_missing_part_leaves() -> None:
    bones = {bone.site: bone for bone in dossier("femur-and-cord").skeleton.bones}
    femur = bones["femur-pertrochanteric"]
    assert femur.score is not None
    assert (femur.score.name, femur.score.total, femur.is_grave) == ("Mirels", "11", True)
    incomplete = dossier("femur-mirels-incomplete").skeleton.bones[0].score
    assert incomplete is not None
    assert incomplete.total == "8–10"
    assert sum(part.low for part in incomplete.parts) == 8
    assert sum(part.high for part in incomplete.parts) == 10
    escc = dossier("femur-and-cord").skeleton.scales[0]
    assert escc.possible == {"2"}


SINS = {
    "lesion-type": "osteolytic",
    "pain-mechanical": "mechanical",
    "vertebral-collapse": "over-half",
    "posterolateral-involvement": "bilateral",
}


OURS = {"system": "urn:oncobone:facts"}


def ours(code: str) -> dict[str, Any]:
    return {"coding": [OURS | {"code": code}]}


def with_sins(*, alignment: str | None) -> Dossier:
    """The patient with a metastasis of T8, whose items of the SINS are told, all or all but one."""
    request = samples.request_for("femur-and-cord")
    entries = request["prefetch"]["observations"]["entry"]
    t8 = next(
        one["resource"] for one in entries if one["resource"].get("bodySite", {}).get("text") == "thoracic spine T8"
    )
    plain = {key: value for key, value in t8.items() if key not in {"component", "bodySite"}}
    t8["component"] = [one for one in t8["component"] if one["code"]["coding"][0]["code"] not in SINS]
    t8["component"] += [{"code": ours(code), "valueCodeableConcept": ours(value)} for code, value in SINS.items()]
    if alignment is not None:
        told = {"id": "alignment", "code": ours("spinal-alignment"), "valueCodeableConcept": ours(alignment)}
        entries.append({"resource": plain | told})
    request["prefetch"]["observations"]["total"] = len(entries)
    return dossier_of(DESK, json.dumps(request).encode(), "en")


def test_a_vertebra_carries_the_six_items_of_the_sins_with_the_range_of_what_is_missing() -> None:
    found = with_sins(alignment="deformity").skeleton
    score = found.bones[0].score
    assert score is not None
    assert [part.points for part in score.parts] == ["1", "3", "2", "2", "3", "3"]
    assert (score.name, score.total, score.most, score.marks) == ("SINS", "14", 18, (7, 13))
    assert found.stability.possible == {"unstable"}
    unknown = with_sins(alignment=None).skeleton
    score = unknown.bones[0].score
    assert score is not None
    assert [(part.points, part.found) for part in score.parts if part.is_open] == [("0–4", "not in the data")]
    assert score.total == "12–16"
    assert unknown.stability.possible == {"at-risk", "unstable"}
    assert unknown.stability.found == "SINS 12–16"


def test_the_grade_of_the_cord_and_the_scores_stand_on_the_skeleton() -> None:
    found = with_sins(alignment="deformity")
    svg = body.skeleton(found.skeleton, found.speaker)
    assert re.findall(r'<text class="told[^"]*"[^>]*>([^<]+)', svg) == ["SINS 14", "Mirels 11", "ESCC 2"]
    ((x, y),) = body.at_level("T8")
    assert re.findall(r'<line class="told grave" x1="(\S+)" x2="\S+" y1="(\S+)"', svg)[-1] == (f"{x:.0f}", f"{y:.1f}")
    silent = dossier("lung-denosumab-low-calcium")
    assert "ESCC" not in body.skeleton(silent.skeleton, silent.speaker)


def test_an_open_or_a_done_rule_states_nothing_that_is_not_known() -> None:
    found = rules(dossier("femur-and-cord"))
    unfit = found["SURG-002"]
    assert unfit.state == "undecided"
    assert unfit.summaries == (unfit.title,)
    assert unfit.would_say == ("Recorded fit for surgery and anaesthesia.",)
    done = found["DX-004"]  # asks for an MRI that was done
    assert done.state == "suppressed"
    assert done.summaries == (done.title,)
    assert not done.do
    ranged = rules(dossier("smouldering-high-risk"))["SMM-003"]
    assert ranged.state == "undecided"
    assert "3 of 4" in ranged.summaries[0]  # a range is true, whatever is still open


def long_course() -> dict[str, Any]:
    """A year of one patient: doses, radiotherapy, a fracture and its operation, imaging, and results every month."""
    request = samples.request_for("lung-denosumab-low-calcium")
    prefetch, who = request["prefetch"], {"subject": {"reference": f"Patient/{request['context']['patientId']}"}}
    doses, results = prefetch["medicationAdministrations"]["entry"], prefetch["observations"]["entry"]
    calcium, creatinine = (
        next(one["resource"] for one in results if one["resource"]["code"].get("text") == name)
        for name in ("Calcium", "Creatinine")
    )
    for month in range(1, 10):
        day = dt.date(2026, month, 4 + month)
        given = doses[0]["resource"] | {"id": f"dose-{month}", "effectiveDateTime": day.isoformat()}
        value = calcium["valueQuantity"] | {"value": [2.41, 2.38, 2.4, 2.33, 2.36, 2.28, 2.24, 2.2, 2.12][month - 1]}
        low = calcium | {"id": f"ca-{month}", "effectiveDateTime": day.isoformat(), "valueQuantity": value}
        value = creatinine["valueQuantity"] | {"value": 70 + 2 * month}
        kidney = creatinine | {"id": f"crea-{month}", "effectiveDateTime": day.isoformat(), "valueQuantity": value}
        if month < 9:
            doses.append({"resource": given})
        results += [{"resource": low}, {"resource": kidney}]
    femur = {"bodySite": [{"text": "right proximal femur"}]}
    rays = procedure("rt", coded("http://snomed.info/sct", "1217123003", "Radiotherapy of bone metastasis"), when=None)
    rays |= femur | who | {"performedPeriod": {"start": "2026-03-02", "end": "2026-03-13"}}
    nail = procedure("nail", coded("http://snomed.info/sct", "179097005"), when="2026-06-18") | femur | who
    nail |= {"code": {"text": "Intramedullary nailing of right proximal femur for pathological fracture"}}
    broken = condition("broken", coded("http://snomed.info/sct", "11309961000119101"), recorded="2026-06-16") | who
    prefetch["procedures"].setdefault("entry", []).extend({"resource": one} for one in (rays, nail))
    prefetch["conditions"]["entry"].append({"resource": broken})
    for told in samples.request_for("femur-and-cord")["prefetch"]["observations"]["entry"]:
        if told["resource"]["id"] in {"obs-9", "obs-10", "obs-11"}:
            results.append({"resource": told["resource"] | who})
    results[-1]["resource"] = results[-1]["resource"] | {"effectiveDateTime": "2026-11-20"}
    for key in ("observations", "medicationAdministrations", "procedures", "conditions"):
        prefetch[key]["total"] = len(prefetch[key]["entry"])
    return request


def test_what_was_done_and_what_happened_stands_on_the_axis_of_the_results() -> None:
    found = dossier_of(DESK, json.dumps(long_course()).encode(), "en")
    lanes = {lane.kind: lane for lane in found.timeline.lanes}
    assert {"dose", "radiotherapy", "operation", "event"} <= set(lanes)
    assert len(lanes["dose"].marks) == 11
    (rays,) = lanes["radiotherapy"].marks
    assert (rays.day, rays.until) == (dt.date(2026, 3, 2), dt.date(2026, 3, 13))
    assert [mark.day for mark in lanes["operation"].marks] == [dt.date(2026, 6, 18)]
    assert [mark.day for mark in lanes["event"].marks] == [dt.date(2026, 6, 16)]
    panel = next(one for one in found.timeline.panels if one.path == "lab.creatinine")
    assert len(panel.points) == 10, "also results that no rule needs are drawn"
    svg = axis.time_axis(found.timeline, found.speaker, wide=True)
    for kind in ("dose", "radiotherapy", "operation", "event"):
        assert f'class="mark {kind}"' in svg


@pytest.mark.parametrize("name", ["long-course", "heavy"])
def test_drawing_every_result_changes_no_verdict(name: str) -> None:
    request = json.dumps(long_course() if name == "long-course" else heavy()).encode()
    service, judged = DESK.judge(request, DESK.services[:1])
    told = dossier_of(DESK, request, "en")
    for state in ("fired", "suppressed", "undecided"):
        assert {row.rule for row in told.rules if row.state == state} == set(judged.assessment.of(state))
    assert [card["summary"] for card in told.cards] == [
        card["summary"] for card in DESK.words(service, judged, "en")["cards"]
    ]
    series, whole = judged.mapped.facts.series, DESK.whole_series(judged).facts.series
    assert all(set(found) <= set(whole[path]) for path, found in series.items())


def test_a_model_shows_its_inputs_the_sum_and_the_range() -> None:
    found = {model.name: model for model in dossier("smouldering-high-risk").models.models}
    mayo = found["Mayo 2018 (20/2/20)"]
    assert mayo.sum.endswith(f"= {mayo.result.partition(' (')[0]}")
    assert len(mayo.inputs) == 3
    assert all(one.points for one in mayo.inputs)
    assert dossier("femur-and-cord").models.models[0].result == "65.3 mL/min"


def test_sources_that_differ_stand_first() -> None:
    found = dossier("smouldering-high-risk").opinions
    assert found
    assert [one.differ for one in found] == sorted((one.differ for one in found), reverse=True)
    for one in found:
        assert len(one.says) > 1
        assert one.differ is (len({says.answer for says in one.says}) > 1)
        assert all(says.source and says.text for says in one.says)


def test_what_was_not_read_is_said_with_its_reason() -> None:
    request = samples.request_for("lung-bone-pain")
    del request["prefetch"]["medications"]
    request["prefetch"]["observations"]["entry"].append(
        {"resource": {"resourceType": "Observation", "id": "bad", "status": "entered-in-error", "code": {"text": "x"}}}
    )
    data = dossier_of(DESK, json.dumps(request).encode(), "en").data
    assert "medications" in data.undelivered
    assert any("Observation/bad" in row.resources for row in data.notes)
    missing = {row.name: row.remark for row in data.of("missing")}
    assert missing
    assert all(missing.values())


def test_the_same_chart_is_asked_the_same_each_time() -> None:
    first, second = (dossier("femur-mirels-incomplete").asks for _ in range(2))
    assert first == second
    assert first


def test_a_refused_request_is_refused_here_too(tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text('{"hook": "patient-view"}', encoding="utf-8")
    done = CliRunner().invoke(main, ["dossier", "--request", str(file)])
    assert done.exit_code == 1
    assert "Refused (400)" in done.stderr


def test_the_command_writes_one_file(tmp_path: Path) -> None:
    file, page = tmp_path / "request.json", tmp_path / "page.html"
    file.write_text(json.dumps(samples.request_for("femur-and-cord")), encoding="utf-8")
    done = CliRunner().invoke(main, ["dossier", "--request", str(file), "-o", str(page), "--language", "zh-CN"])
    assert done.exit_code == 0, done.output
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert '<html lang="zh-CN">' in page.read_text(encoding="utf-8")


# --- pictures -----------------------------------------------------------------------------------------------


def test_every_site_can_be_pointed_at_on_both_sides() -> None:
    places = [spot for site in SITES if site != "bone" for spot in body.spots(site, "")]
    assert all(body.spots(site, "") for site in SITES if site != "bone")
    for one, other in itertools.combinations(places, 2):
        assert math.dist(one, other) >= body.NEAREST, (one, other)
    for site in ("femur", "rib"):
        (right,), (left,) = body.spots(site, "right"), body.spots(site, "left")
        assert right[0] < body.MIDDLE < left[0]  # the patient faces the reader


def test_everything_is_drawn_inside_the_picture() -> None:
    for name in ("smouldering-that-is-active", "lung-denosumab-low-calcium", "femur-and-cord"):
        found = dossier(name)
        for wide in (True, False):
            svg = axis.time_axis(found.timeline, found.speaker, wide=wide)
            width, height = map(float, re.search(r'viewBox="0 0 (\S+) (\S+)"', svg).groups())  # type: ignore[union-attr]
            circles = re.findall(r'<circle[^>]* cx="([\d.]+)" cy="([\d.]+)"', svg)
            assert circles
            assert all(0 <= float(x) <= width and 0 <= float(y) <= height for x, y in circles)


@given(st.lists(st.floats(0, 78), max_size=6), st.sampled_from((11, 13)))
def test_labels_are_moved_apart_in_their_order_and_no_further_than_need_be(places: list[float], gap: int) -> None:
    moved = drawing.apart(places, gap, 8, 78)
    order = sorted(range(len(places)), key=places.__getitem__)
    assert all(moved[after] - moved[before] >= gap - 1e-9 for before, after in itertools.pairwise(order))
    assert all(8 <= one <= max(78, 8 + gap * (len(places) - 1)) for one in moved)
    if all(8 <= one <= 78 for one in places) and all(
        places[after] - places[before] >= gap for before, after in itertools.pairwise(order)
    ):
        assert moved == places


def test_a_limit_is_drawn_with_its_direction_and_its_source() -> None:
    found = dossier("lung-denosumab-low-calcium")
    svg = axis.time_axis(found.timeline, found.speaker, wide=True)
    panel = next(panel for panel in found.timeline.panels if panel.path == "lab.ca_corr")
    for line in panel.lines:
        assert f">{Markup.escape(f'{line.sign} {line.text}')}<" in svg
        assert Markup.escape(line.source[:12]) in svg
    arrows = re.findall(r'<path class="arrow[^"]*" d="M\S+ (\S+)h8l-4 (-?\d+)z"', svg)
    turns = [int(turn) > 0 for _, turn in arrows[: len(panel.lines)]]
    assert turns == [line.sign in {"<", "≤"} for line in panel.lines]  # downwards where what is below is asked about


# --- words --------------------------------------------------------------------------------------------------


def test_every_word_is_there_in_both_languages() -> None:
    data = tomllib.loads(resources.files("hooks.dossier").joinpath("texts.toml").read_text(encoding="utf-8"))
    for key, row in data.items():
        assert set(row) == {"en", "zh-CN"}, key
        assert all(text.strip() for text in row.values()), key
    wanted = {f"why_{reason}" for reason in get_args(Reason)}
    wanted |= {f"op_{op}" for op in get_args(Op)} - {"op_leaf", "op_not"}
    for kind, name in ((Course, "status"), (Event, "type"), (Study, "modality"), (Order, "kinds")):
        annotation = str(kind.__annotations__[name])
        wanted |= {f"word_{word}" for word in re.findall(r"['\"]([a-z-]+)['\"]", annotation)}
    assert wanted <= set(texts("en"))


# --- weight -------------------------------------------------------------------------------------------------


def heavy() -> dict[str, Any]:
    """A chart of 500 resources: one sample's, with its results of two years."""
    request = samples.request_for("smouldering-that-is-active")
    entries = request["prefetch"]["observations"]["entry"]
    numbers = [one for one in entries if "valueQuantity" in one["resource"]]
    for place in range(500 - len(entries)):
        resource = json.loads(json.dumps(numbers[place % len(numbers)]["resource"]))
        day = dt.date(2026, 11, 1) - dt.timedelta(2 + place)
        resource |= {"id": f"more-{place}", "effectiveDateTime": day.isoformat()}
        entries.append({"resource": resource})
    request["prefetch"]["observations"]["total"] = len(entries)
    return request


def test_a_chart_of_500_resources_weighs_less_than_400_kb() -> None:
    found = dossier_of(DESK, json.dumps(heavy()).encode(), "en")
    assert sum(len(panel.points) for panel in found.timeline.panels) > 100
    assert len(gzip.compress(fragment(found).encode())) < 400_000
    assert len(gzip.compress(whole_page(found).encode())) < 400_000
