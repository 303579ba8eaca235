"""What is made of a run: figures, the gate, what changed, who it is, and the page."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from hooks.replay import comparing, report, results, summary
from hooks.replay.errors import ReplayError
from hooks.replay.figures import Figures, Hidden, share_of, wilson
from hooks.replay.running import read_link
from hooks.settings import Settings
from recommenders.vocabulary.guidance import guidance
from tests.fhir import coded, condition, observation, patient, procedure, quantity
from tests.replay import export, replay, rows, write_lines

Json = dict[str, Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over a synthetic population, a year of encounters."""
    folder = tmp_path_factory.mktemp("run")
    replay([export(folder / "export", 40)], folder / "run", calls=("encounters",))
    return folder / "run"


# --- figures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (177, 1000, 0.1546, 0.2019)],
)
def test_wilson_s_interval(count: int, of: int, low: float, high: float) -> None:
    """As Newcombe's and Brown's tables have it, to three digits."""
    assert wilson(count, of) == pytest.approx((low, high), abs=0.001)
    assert share_of(count, of).interval == pytest.approx((low, high), abs=0.001)


def test_calls_of_one_patient_widen_the_interval_and_independent_ones_do_not() -> None:
    independent = share_of(50, 100, squares=(50, 50, 100))  # a hundred patients with one call
    clustered = share_of(50, 100, squares=(500, 500, 1000))  # ten with ten calls, in all of which it was, or in none
    assert independent.interval == pytest.approx(share_of(50, 100).interval)
    assert clustered.interval == pytest.approx(wilson(5, 10), abs=1e-9)


def test_the_first_sentence_and_the_rules_are_those_of_the_tables(run: Path) -> None:
    figures = Figures(run)
    calls, loud = rows(run, "SELECT count(*), count(*) FILTER (critical > 0) FROM calls")[0]
    assert (figures.interruptive.count, figures.interruptive.of) == (loud, calls)
    fired = dict(rows(run, "SELECT rule, count(*) FROM verdicts WHERE state = 'fired' GROUP BY rule"))
    assert {row["rule"]: row["share"].count for row in figures.rules()} == fired
    again = rows(run, "SELECT count(*) FILTER (nth_time > 1), count(*) FROM cards")[0]
    assert (figures.repeats.count, figures.repeats.of) == again
    assert figures.repeats.count
    for language in ("en", "zh-CN"):
        said = list(summary.text(run, language))
        assert f"{figures.our_patients}" in said[0]
        assert all("{" not in line for line in said)


@pytest.mark.parametrize(
    ("budget", "over"),
    [
        ("interruptive=49/100", True),
        ("interruptive=50/100", False),
        ("any=99/100", True),
        ("any=100/100", False),
        ("repeats=0/100", False),
    ],
)
def test_a_budget_is_a_gate(tmp_path: Path, budget: str, over: bool) -> None:
    """Two patients of ours, one of them with a calcium that cannot wait: half of the calls interrupt."""
    calm, loud = {"reference": "Patient/calm"}, {"reference": "Patient/loud"}
    write_lines(
        tmp_path / "in",
        [
            patient(id="calm"),
            patient(id="loud"),
            *(
                condition(f"{name}-{code}", coded("http://hl7.org/fhir/sid/icd-10-cm", code), subject=subject)
                for name, subject in (("a", calm), ("b", loud))
                for code in ("C34.11", "C79.51")
            ),
            observation("ca", "2000-8", quantity(3.6, "mmol/L", code="mmol/L"), when=1, subject=loud),
        ],
    )
    replay([tmp_path / "in"], tmp_path / "run")
    assert bool(list(summary.over_budget(tmp_path / "run", budget))) is over


@pytest.mark.parametrize(
    "budget", ["interruptive", "interruptive=5", "interruptive=5/0", "loud=5/100", "interruptive=-1/100"]
)
def test_a_budget_that_is_none_is_refused(run: Path, budget: str) -> None:
    with pytest.raises(ReplayError, match="--budget"):
        list(summary.over_budget(run, budget))


def test_a_cohort_is_those_of_whom_the_rule_says_it_on_their_last_call(tmp_path: Path) -> None:
    def lung(number: int, *, bone: bool) -> list[Json]:
        subject = {"reference": f"Patient/p{number}"}
        who = patient(id=f"p{number}")
        found = [condition(f"l{number}", coded("http://hl7.org/fhir/sid/icd-10-cm", "C34.11"), subject=subject)]
        if bone:
            found.append(condition(f"b{number}", coded("http://hl7.org/fhir/sid/icd-10-cm", "C79.51"), subject=subject))
        return [who, *found]

    write_lines(tmp_path / "in", [*lung(1, bone=True), *lung(2, bone=False)])
    link = tmp_path / "who.ndjson"
    replay([tmp_path / "in"], tmp_path / "run", link=link)
    rule, who = rows(
        tmp_path / "run",
        "SELECT rule, min(patient) FROM verdicts JOIN calls USING (call) WHERE state = 'fired'"
        " GROUP BY rule HAVING count(*) = 1 ORDER BY rule",
    )[0]
    found = summary.cohort(tmp_path / "run", rule, "fired", None, None)
    assert found == [who]
    assert read_link(link.read_bytes())[who] in {"p1", "p2"}
    with pytest.raises(ReplayError, match="no rule"):
        summary.cohort(tmp_path / "run", "BP-999", "fired", None, None)
    with pytest.raises(ReplayError, match="no fact"):
        summary.cohort(tmp_path / "run", rule, "undecided", "lab.unobtainium", None)


def test_who_waits_for_a_fact_is_found_by_its_path_or_its_name(run: Path) -> None:
    rule, fact = rows(run, "SELECT rule, m FROM verdicts, unnest(missing) AS t(m) WHERE state = 'undecided' LIMIT 1")[0]
    by_name = summary.cohort(run, rule, "undecided", fact, None)
    assert by_name
    assert set(by_name) <= set(summary.cohort(run, rule, "undecided", None, None))


# --- what changed -------------------------------------------------------------------------------------------


def test_two_runs_of_the_same_are_the_same(run: Path) -> None:
    database, _, _ = comparing.changes(run, run, ("default", "default"))
    assert comparing.table(database) == []
    assert any("Nothing changed" in line for line in comparing.text(run, run, ("default", "default"), None, "en"))


KEY = "workup.mdt_due"
"""A site's own choice: how many days after the last discussion the next one is due."""
VALUE = guidance("workup").entries["mdt_due"][0].value


def discussed(number: int, days: int) -> list[Json]:
    """A patient with a bone metastasis who was discussed so many days ago."""
    subject = {"reference": f"Patient/m{number}"}
    found = [
        condition(f"c{number}-{code}", coded("http://hl7.org/fhir/sid/icd-10-cm", code), recorded=400, subject=subject)
        for code in ("C34.11", "C79.51")
    ]
    talk = procedure(f"t{number}", {"text": "Multidisciplinary team meeting"}, when=days, subject=subject)
    return [patient(id=f"m{number}"), *found, talk]


def test_moving_a_limit_changes_just_the_patients_on_that_side_of_it(tmp_path: Path) -> None:
    spans = {number: 20 + 10 * number for number in range(14)}
    write_lines(tmp_path / "in", [one for number, days in spans.items() for one in discussed(number, days)])
    moved = VALUE - 40
    arms = {"old": Settings(), "new": Settings.model_validate({"site": {KEY: moved}})}
    link = tmp_path / "who.ndjson"
    replay([tmp_path / "in"], tmp_path / "run", arms=arms, link=link)
    database, _, _ = comparing.changes(tmp_path / "run", tmp_path / "run", ("old", "new"))
    who = read_link(link.read_bytes())
    changed = {who[row[0]] for row in database.execute("SELECT DISTINCT patient FROM changes").fetchall()}
    between = {f"m{number}" for number, days in spans.items() if moved < days <= VALUE}
    assert between
    assert changed == between
    assert database.execute('SELECT DISTINCT cause, "limit" FROM changes').fetchall() == [("limit", "mdt_due")]


def test_arms_are_the_runs_of_their_settings_alone(tmp_path: Path) -> None:
    given = export(tmp_path / "in", 24)
    other = Settings.model_validate({"site": {KEY: VALUE - 60}})
    replay([given], tmp_path / "both", arms={"one": Settings(), "two": other})
    replay([given], tmp_path / "one", arms={"one": Settings()})
    replay([given], tmp_path / "two", arms={"two": other})
    query = "SELECT call, rule, state, indicator, missing, limits FROM verdicts WHERE arm = '{}' ORDER BY ALL"
    for arm in ("one", "two"):
        assert rows(tmp_path / "both", query.format(arm)) == rows(tmp_path / arm, query.format(arm))
    one_way = comparing.table(comparing.changes(tmp_path / "one", tmp_path / "two", ("one", "two"))[0])
    assert one_way == comparing.table(comparing.changes(tmp_path / "both", tmp_path / "both", ("one", "two"))[0])


def test_changes_are_written_as_a_table_with_their_cause(tmp_path: Path) -> None:
    write_lines(tmp_path / "in", discussed(1, int(VALUE) - 5))
    arms = {"old": Settings(), "new": Settings.model_validate({"site": {KEY: VALUE - 60}})}
    replay([tmp_path / "in"], tmp_path / "run", arms=arms)
    said = list(comparing.text(tmp_path / "run", tmp_path / "run", ("old", "new"), tmp_path / "diff", "en"))
    assert len(said) > 1
    path = str(tmp_path / "diff" / "changes.parquet")
    described = results.connect().execute("DESCRIBE SELECT * FROM read_parquet(?)", [path]).fetchall()
    columns = [row[0] for row in described]
    assert columns == list(results.TABLES["changes"])


def test_other_questions_are_not_compared(run: Path, tmp_path: Path) -> None:
    replay([export(tmp_path / "in", 6)], tmp_path / "other")
    with pytest.raises(ReplayError, match="different questions"):
        comparing.changes(run, tmp_path / "other", ("default", "default"))


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplayError, match="no finished run"):
        Figures(tmp_path)


def test_patients_lines_that_a_stopped_run_left_are_told_with_their_age(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    os.utime(tmp_path / "spool", (1_790_000_000, 1_790_000_000))
    with pytest.raises(ReplayError, match=r"since 2026-09-21, left by a run that was stopped"):
        Figures(tmp_path)


def test_a_population_of_which_nobody_is_ours_is_said_in_words_not_in_shares(tmp_path: Path) -> None:
    """The public ten-patient export is such a one: no denominator, no percentage, no interval from 0 to 100."""
    write_lines(tmp_path / "in", [patient(), condition("c", coded("http://hl7.org/fhir/sid/icd-10-cm", "I10"))])
    replay([tmp_path / "in"], tmp_path / "run")
    lines = list(summary.text(tmp_path / "run", "en"))
    assert lines[0].endswith("of 1 patients none is ours: no card would have been shown.")
    assert not [line for line in lines if "interval" in line or "of 100" in line]
    assert not list(summary.over_budget(tmp_path / "run", "interruptive=5/100"))
    assert "none is ours" in report.page(tmp_path / "run", "en")


# --- the page -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_the_page_has_its_seven_sections_and_asks_nothing_of_others(run: Path, language: str) -> None:
    page = report.page(run, language)
    assert re.findall(r"<h2>(\d) ·", page) == list("1234567")
    assert page.count("<svg") >= 8
    assert page.count('<figure class="wide">') == page.count('<figure class="narrow">') >= 4
    assert all('role="img" aria-label="' in svg for svg in re.findall(r"<svg[^>]*>", page))
    assert not re.search(r"<script|<img|<link|@import|url\((?!#)|href=\"(?!#)", page)
    assert not re.findall(r"https?://(?!www\.w3\.org/|hl7|loinc)[\w.]+", page)
    assert summary.texts(language)["s6"] in page
    assert "{" not in re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    assert report.page(run, language) == page


def test_a_page_to_be_shared_shows_no_small_count(run: Path) -> None:
    shown = re.sub(r"<svg.*?</svg>", "", report.page(run, "en", share=True), flags=re.DOTALL)
    section = shown[shown.index("<h2>3") : shown.index("<h2>7")]
    counts = [int(number) for number in re.findall(r'<td class="n">(\d+)</td>', section)]
    cells = re.findall(r'<tr><td>[^<]+</td><td class="n">([^<]+)</td>', section)
    assert cells
    assert all(cell in {"0–7", "–"} or int(cell.replace(",", "")) % 5 == 0 or "." in cell for cell in cells), cells
    assert all(number > 7 or number == 0 for number in counts if number % 5 == 0)


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0–7"), (7, "0–7"), (8, "10"), (12, "10"), (13, "15"), (1234, "1,235")]
)
def test_counts_as_they_are_shared(number: int, told: str) -> None:
    assert Hidden(share=True).count(number) == told
    assert Hidden().count(number) == f"{number:,}"


def test_the_page_shows_what_changed_between_arms(tmp_path: Path) -> None:
    write_lines(tmp_path / "in", discussed(1, int(VALUE) - 5))
    arms = {"old": Settings(), "new": Settings.model_validate({"site": {KEY: VALUE - 60}})}
    replay([tmp_path / "in"], tmp_path / "run", arms=arms)
    page = report.page(tmp_path / "run", "en")
    section = page[page.index("<h2>5") : page.index("<h2>6")]
    assert "oncobone replay cohort" in section


def test_every_text_is_there_in_both_languages() -> None:
    english, chinese = summary.texts("en"), summary.texts("zh-CN")
    for key, text in english.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", chinese[key])), key
