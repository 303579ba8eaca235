"""A run is a function of its input and its plan: workers, order, copies and kills change no byte of it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from fhir_mapping.chart import read_chart
from hooks.replay import engines, judging, results
from hooks.replay.errors import LEFT_OUT, ReplayError
from hooks.replay.running import read_link
from hooks.settings import Settings
from recommenders.assessing.assessment import assess
from recommenders.vocabulary.facts import replace
from tests.conftest import ROOT, environment, oncobone
from tests.fhir import coded, condition, patient
from tests.replay import export, people, replay, rows, tables, write_lines

Json = dict[str, Any]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An export, and a run over it."""
    folder = tmp_path_factory.mktemp("plain")
    given = export(folder / "export")
    assert replay([given], folder / "run").code == 0
    return given, folder / "run"


def test_many_workers_give_the_same_bytes(plain: tuple[Path, Path], tmp_path: Path) -> None:
    replay([plain[0]], tmp_path / "run", engine=engines.Local(2))
    assert tables(tmp_path / "run") == tables(plain[1])


def test_the_order_of_files_and_lines_changes_nothing(tmp_path: Path) -> None:
    people_s = [one for person in people(12) for one in person]
    runs = []
    for seed in range(3):
        dice = random.Random(seed)
        shuffled = dice.sample(people_s, len(people_s))
        cut = dice.randrange(1, len(shuffled))
        folder = tmp_path / f"in-{seed}"
        write_lines(folder, shuffled[:cut], "b.ndjson")
        write_lines(folder, shuffled[cut:], "a.ndjson")
        replay([folder], tmp_path / f"run-{seed}")
        runs.append(without_names(tmp_path / f"run-{seed}"))
    assert runs[0] == runs[1] == runs[2]
    assert runs[0]["verdicts"]


def without_names(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows but the run's name and its pseudonyms, which hang on the input's bytes."""
    database, _ = results.opened(folder)
    found = {}
    for table, chosen in (
        ("calls", "hook, day, scope, cards, critical, warning, info, undecided"),
        ("cards", "place, recommender, indicator, lead, rules, nth_time"),
        ("verdicts", "rule, state, indicator, missing, limits"),
        ("facts", "day, fact, state, age_days"),
    ):
        found[table] = database.execute(f"SELECT {chosen} FROM {table} ORDER BY ALL").fetchall()  # noqa: S608 - ours
    return found


def test_a_patient_in_two_exports_counts_once(plain: tuple[Path, Path], tmp_path: Path) -> None:
    twice = tmp_path / "twice"
    shutil.copytree(plain[0], twice / "one")
    shutil.copytree(plain[0], twice / "two")
    for path in (twice / "two").glob("*.ndjson"):  # other files, the same patients
        if path.name != "log.ndjson":
            path.write_text("\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    outcome = replay([twice / "one", twice / "two"], tmp_path / "run")
    assert outcome.told["counts"]["patients"] == 24
    assert without_names(tmp_path / "run") == without_names(plain[1])


def test_of_two_versions_the_newer_counts_whichever_comes_first(tmp_path: Path) -> None:
    def version(code: str, day: str) -> Json:
        told = condition("c", coded("http://hl7.org/fhir/sid/icd-10-cm", code))
        return told | {"meta": {"lastUpdated": f"{day}T00:00:00Z"}}

    old, new = version("C34.11", "2026-01-01"), version("I10", "2026-02-01")
    for number, (one, other) in enumerate(((old, new), (new, old))):
        write_lines(tmp_path / f"in-{number}", [patient(), one, other])
        replay([tmp_path / f"in-{number}"], tmp_path / f"run-{number}")
        assert rows(tmp_path / f"run-{number}", "SELECT count(*) FROM calls") == [(0,)]


def test_what_the_server_deleted_is_gone(tmp_path: Path) -> None:
    cancer = condition("c", coded("http://hl7.org/fhir/sid/icd-10-cm", "C34.11"))
    write_lines(tmp_path / "in", [patient(), cancer])
    replay([tmp_path / "in"], tmp_path / "run-1")
    gone = {"resourceType": "Bundle", "entry": [{"request": {"method": "DELETE", "url": "Condition/c"}}]}
    write_lines(tmp_path / "in" / "deleted", [gone])
    replay([tmp_path / "in"], tmp_path / "run-2")
    counts = [rows(tmp_path / f"run-{number}", "SELECT count(*) FROM calls")[0][0] for number in (1, 2)]
    assert counts == [1, 0]


# --- stopped and gone on ------------------------------------------------------------------------------------


class Stopped(Exception):  # noqa: N818 - a kill
    """Somebody pulled the plug."""


@pytest.mark.parametrize(("stage", "after"), [("screen", 1), ("gather", 1), ("judge", 1), ("judge", 9)])
def test_a_run_that_is_stopped_goes_on_to_the_same_bytes(
    plain: tuple[Path, Path], tmp_path: Path, stage: str, after: int
) -> None:
    def stop(now: str, done: int, _: int) -> None:
        if now == stage and done >= after:
            raise Stopped

    to = tmp_path / "run"
    with pytest.raises(Stopped):
        replay([plain[0]], to, progress=stop)
    assert not (to / "run.json").exists()
    assert not (to / "spool").exists()
    finished = len(list((to / "parts").glob("part-????"))) if stage == "judge" else 0
    assert finished == (after if stage == "judge" else 0)
    seen: list[int] = []
    replay([plain[0]], to, progress=lambda now, _, of: seen.append(of) if now == "judge" else None)
    assert set(seen) == {16 - finished}  # what was done is not done again
    assert tables(to) == tables(plain[1])
    assert not (to / "parts").exists()


@pytest.mark.parametrize("seed", range(4))
def test_a_run_that_is_stopped_again_and_again_anywhere_ends_with_the_same_bytes(
    plain: tuple[Path, Path], tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    to = tmp_path / "run"
    for _ in range(3):
        left = chance.randrange(40)

        def stop(*_: object) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Stopped

        with contextlib.suppress(Stopped):
            replay([plain[0]], to, progress=stop)
    replay([plain[0]], to)
    assert tables(to) == tables(plain[1])
    assert {path.name for path in to.iterdir()} == {path.name for path in plain[1].iterdir()}


def test_a_part_that_was_being_written_when_the_power_went_is_done_again(
    plain: tuple[Path, Path], tmp_path: Path
) -> None:
    def stop(now: str, done: int, _: int) -> None:
        if now == "judge" and done >= 3:
            raise Stopped

    to = tmp_path / "run"
    with pytest.raises(Stopped):
        replay([plain[0]], to, progress=stop)
    part = min((to / "parts").glob("part-????"))
    part.rename(part.with_name(f"{part.name}.tmp"))
    (part.with_name(f"{part.name}.tmp") / "calls.ndjson").write_bytes(b'{"half": ')
    replay([plain[0]], to)
    assert tables(to) == tables(plain[1])


@pytest.fixture(scope="module")
def commanded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], Path]:
    """An export, the settings of a command, and a run by it that nobody stopped."""
    folder = tmp_path_factory.mktemp("commanded")
    given = export(folder / "export", 40)
    url = f"sqlite:///{folder / 'store.sqlite'}"
    settings = environment(ONCOBONE_DATABASE_URL=url, ONCOBONE_NOW="2026-11-22")
    assert started(given, folder / "whole", settings).wait(100) == 0
    return given, settings, folder / "whole"


def started(given: Path, to: Path, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own command
        oncobone("replay", "run", str(given), "--to", str(to), "--workers", "1"),
        env=settings,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("seconds", [2.0, 3.5, 5.0])
def test_a_killed_command_is_given_again_and_ends_with_the_same_bytes(
    commanded: tuple[Path, dict[str, str], Path], tmp_path: Path, seconds: float
) -> None:
    given, settings, whole = commanded
    killed = started(given, tmp_path / "run", settings)
    time.sleep(seconds)
    killed.send_signal(signal.SIGKILL)
    killed.wait(30)
    assert started(given, tmp_path / "run", settings).wait(100) == 0
    assert tables(tmp_path / "run") == tables(whole)
    left = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert left == sorted([*tables(whole), "plan.json", "run.json"])


def test_a_finished_run_is_told_again_and_not_done_again(plain: tuple[Path, Path], tmp_path: Path) -> None:
    told = replay([plain[0]], plain[1], progress=lambda *_: pytest.fail("nothing is to be done"))
    assert told.told["run"] == results.read_run(plain[1])["run"]
    del tmp_path


def test_a_folder_of_another_run_or_with_something_else_in_it_is_refused(
    plain: tuple[Path, Path], tmp_path: Path
) -> None:
    with pytest.raises(ReplayError, match="another run"):
        replay([plain[0]], plain[1], seed=5)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ReplayError, match="not empty"):
        replay([plain[0]], tmp_path)


# --- the screen ---------------------------------------------------------------------------------------------


def test_judging_everybody_says_the_same_of_ours(plain: tuple[Path, Path], tmp_path: Path) -> None:
    outcome = replay([plain[0]], tmp_path / "run", all_patients=True)
    assert outcome.told["counts"]["candidates"] == 24
    assert without_names(tmp_path / "run") == without_names(plain[1])


def test_one_whom_the_screen_left_out_wrongly_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = condition("c", coded("http://hl7.org/fhir/sid/icd-10-cm", "C34.11", text="Lung cancer"))
    write_lines(tmp_path / "in", [patient(), told])
    monkeypatch.setattr("fhir_mapping.delivery.screening.Screen.concerns", lambda *_, **__: False)
    with pytest.raises(ReplayError, match=r"left out 1 .* in scope.*C34\.11.*Lung cancer.*--all-patients"):
        replay([tmp_path / "in"], tmp_path / "run")
    assert not (tmp_path / "run" / "run.json").exists()


def test_one_in_a_hundred_of_those_left_out_and_at_least_two_hundred_are_checked(plain: tuple[Path, Path]) -> None:
    counts = results.read_run(plain[1])["counts"]
    assert counts["checked"] == counts["patients"] - counts["candidates"] > 0


def test_a_sample_is_the_same_for_the_same_seed(plain: tuple[Path, Path], tmp_path: Path) -> None:
    told = [replay([plain[0]], tmp_path / str(n), sample=10, seed=seed) for n, seed in enumerate((1, 1, 2))]
    assert [one.told["counts"]["patients"] for one in told] == [10, 10, 10]
    assert tables(tmp_path / "0") == tables(tmp_path / "1")
    assert tables(tmp_path / "0") != tables(tmp_path / "2")


# --- what is left out ---------------------------------------------------------------------------------------


def test_bad_lines_are_named_by_file_and_line_and_make_the_key_partial(tmp_path: Path) -> None:
    cancer = condition("c", coded("http://hl7.org/fhir/sid/icd-10-cm", "C34.11"))
    path = write_lines(tmp_path / "in", [patient(), cancer])
    secret = "Mustermann-4711"
    with path.open("a", encoding="utf-8") as file:
        file.write(f'{{"resourceType":"Procedure","subject":{{"reference":"Patient/p1"}},"note":"{secret}\n')
    outcome = replay([tmp_path / "in"], tmp_path / "run")
    assert outcome.code == LEFT_OUT
    assert outcome.left_out == ["1 lines that cannot be read"]
    assert rows(tmp_path / "run", "SELECT file, line, reason FROM refused") == [("lines.ndjson", 3, "not JSON")]
    assert not any(secret.encode() in path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    states = dict(rows(tmp_path / "run", "SELECT fact, state FROM facts"))
    assert "not-delivered" in states.values()


def test_a_type_that_did_not_come_is_not_delivered_and_one_that_was_asked_for_is_empty(tmp_path: Path) -> None:
    cancer = condition("c", coded("http://hl7.org/fhir/sid/icd-10-cm", "C79.51"))
    write_lines(tmp_path / "in", [patient(), cancer])
    replay([tmp_path / "in"], tmp_path / "run-1")
    told = results.read_run(tmp_path / "run-1")
    assert {"medications", "observations", "allergies"} <= set(told["not_delivered"])
    log = [
        {"eventId": "kickoff", "eventDetail": {"exportUrl": "https://x/$export?_type=Patient,Condition,Observation"}}
    ]
    write_lines(tmp_path / "in", log, "log.ndjson")
    replay([tmp_path / "in"], tmp_path / "run-2")
    assert "observations" not in results.read_run(tmp_path / "run-2")["not_delivered"]


def test_a_filter_of_the_export_is_told_as_something_left_out(tmp_path: Path) -> None:
    cancer = condition("c", coded("http://hl7.org/fhir/sid/icd-10-cm", "C34.11"))
    write_lines(tmp_path / "in", [patient(), cancer])
    (tmp_path / "in" / ".metadata").write_text('{"filters": {"Observation": ["category=laboratory"]}}')
    outcome = replay([tmp_path / "in"], tmp_path / "run")
    assert outcome.code == LEFT_OUT
    assert outcome.left_out == ["what a filter of the export passed over (Observation)"]


@pytest.mark.parametrize(
    ("resources", "why"),
    [
        ([patient()], "Condition: no such"),
        ([condition("c", {"text": "x"})], "Patient: no such"),
    ],
)
def test_without_patients_or_diagnoses_there_is_no_answer(tmp_path: Path, resources: list[Json], why: str) -> None:
    write_lines(tmp_path / "in", resources)
    with pytest.raises(ReplayError, match=why):
        replay([tmp_path / "in"], tmp_path / "run")


def test_data_without_a_patient_and_strays_are_counted(tmp_path: Path) -> None:
    cancer = condition("c", coded("http://hl7.org/fhir/sid/icd-10-cm", "C34.11"), subject={"reference": "Patient/gone"})
    stray = condition("d", {"text": "x"}, subject={"reference": "Group/7"})
    write_lines(tmp_path / "in", [patient(), cancer, stray])
    outcome = replay([tmp_path / "in"], tmp_path / "run")
    counts = outcome.told["counts"]
    assert (counts["without_patient"], counts["strays"], outcome.code) == (1, 1, LEFT_OUT)


def test_a_topic_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cancer = condition("c", coded("http://hl7.org/fhir/sid/icd-10-cm", "C34.11"))
    write_lines(tmp_path / "in", [patient(), cancer])
    real = assess

    def failing(*given: Any, **more: Any) -> Any:
        return replace(real(*given, **more), failed=("workup",))

    monkeypatch.setattr(judging, "assess", failing)
    outcome = replay([tmp_path / "in"], tmp_path / "run")
    assert outcome.code == LEFT_OUT
    assert outcome.left_out == ["1 calls in which a topic failed (workup)"]


def test_a_patient_with_more_than_a_chart_holds_is_refused_and_named(tmp_path: Path) -> None:
    cancer = condition("c", coded("http://hl7.org/fhir/sid/icd-10-cm", "C34.11"))
    many = [condition(f"x{n}", coded("http://hl7.org/fhir/sid/icd-10-cm", "C34.11")) for n in range(5001)]
    write_lines(tmp_path / "in", [patient(), cancer, *many])
    outcome = replay([tmp_path / "in"], tmp_path / "run")
    assert rows(tmp_path / "run", "SELECT refused, cards FROM calls") == [("TooManyEntries", 0)]
    assert outcome.code == LEFT_OUT


# --- privacy ------------------------------------------------------------------------------------------------


def test_no_id_name_birth_date_or_value_stands_in_a_result(tmp_path: Path) -> None:
    told = patient(id="secret-id-1", name=[{"family": "Geheim"}], birthDate="1961-07-13")
    subject = {"reference": "Patient/secret-id-1"}
    cancer = condition("secret-condition", coded("http://hl7.org/fhir/sid/icd-10-cm", "C79.51"), subject=subject)
    low = {
        "resourceType": "Observation",
        "id": "secret-result",
        "status": "final",
        "code": coded("http://loinc.org", "2000-8"),
        "subject": subject,
        "effectiveDateTime": "2026-11-20",
        "valueQuantity": {"value": 1.777, "unit": "mmol/L", "code": "mmol/L", "system": "http://unitsofmeasure.org"},
    }
    write_lines(tmp_path / "in", [told, cancer, low])
    link = tmp_path / "apart" / "who.ndjson"
    link.parent.mkdir()
    replay([tmp_path / "in"], tmp_path / "run", link=link)
    database, _ = results.opened(tmp_path / "run")
    said = [repr(database.table(table).fetchall()) for table in results.RUN_TABLES]
    said += [(tmp_path / "run" / name).read_text() for name in ("run.json", "plan.json")]
    for secret in ("secret", "Geheim", "1961", "1.777"):
        assert not any(secret in one for one in said)
    assert stat.S_IMODE(link.stat().st_mode) == 0o600
    assert list(read_link(link.read_bytes()).values()) == ["secret-id-1"]
    assert rows(tmp_path / "run", "SELECT patient FROM calls")[0][0] in read_link(link.read_bytes())


def test_a_bundle_that_is_named_after_its_patient_is_not_named_in_a_result(tmp_path: Path) -> None:
    cancer = condition("c", coded("http://hl7.org/fhir/sid/icd-10-cm", "C34.11"))
    entries = [{"resource": patient()}, {"resource": cancer}, {"resource": 7}]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "Erika_Mustermann_4711.json").write_text(
        json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries})
    )
    assert replay([tmp_path / "in"], tmp_path / "run").code == LEFT_OUT
    (told,) = rows(tmp_path / "run", "SELECT file, reason FROM refused")
    assert told[0].startswith("sha256:")
    assert not any(b"Mustermann" in path.read_bytes() for path in (tmp_path / "run").iterdir())


def test_what_lies_on_the_disk_meanwhile_is_for_its_owner_only_and_goes(tmp_path: Path) -> None:
    given = export(tmp_path / "export", 12)
    modes: dict[str, int] = {}

    def look(now: str, done: int, _: int) -> None:
        spool = tmp_path / "run" / "spool"
        if now == "judge" and done == 1 and spool.is_dir():
            modes["."] = stat.S_IMODE(spool.stat().st_mode)
            modes.update({path.name: stat.S_IMODE(path.stat().st_mode) for path in spool.iterdir()})

    replay([given], tmp_path / "run", progress=look)
    assert modes.pop(".") == 0o700
    assert set(modes.values()) == {0o600}
    assert not (tmp_path / "run" / "spool").exists()


def test_pseudonyms_hang_on_key_and_question(tmp_path: Path) -> None:
    given = export(tmp_path / "export", 12)
    replay([given], tmp_path / "one")
    replay([given], tmp_path / "two", arms={"default": Settings(), "other": Settings()})
    replay([given], tmp_path / "three", calls=("encounters",))
    names = [{row[0] for row in rows(tmp_path / run, "SELECT patient FROM calls")} for run in ("one", "two", "three")]
    assert names[0] == names[1]
    assert not names[0] & names[2]


def test_the_audit_record_is_written_before_anybody_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = export(tmp_path / "export", 6)
    kept: list[Any] = []
    real = read_chart

    def read(*told: Any, **more: Any) -> Any:
        assert kept
        return real(*told, **more)

    monkeypatch.setattr(judging, "read_chart", read)
    replay([given], tmp_path / "run", records=kept)
    assert kept[0]["patients"] == 6
    assert "link" not in json.dumps(kept[0]) or kept[0]["linked"] is False


def test_a_process_that_is_ended_from_outside_is_told_and_the_run_goes_on(
    plain: tuple[Path, Path], tmp_path: Path
) -> None:
    engine = engines.Local(2)

    def end(now: str, done: int, _: int) -> None:
        if now == "judge" and done == 1:
            assert engine._pool is not None
            for process in list(engine._pool._processes.values()):
                os.kill(process.pid or 0, signal.SIGKILL)

    with pytest.raises(ReplayError, match="same command again"):
        replay([plain[0]], tmp_path / "run", engine=engine, progress=end)
    replay([plain[0]], tmp_path / "run")
    assert tables(tmp_path / "run") == tables(plain[1])
