"""`oncobone replay` as it is typed: exit codes, what is said, and what is written where."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from hooks.replay import results
from hooks.store.store import open_store
from hooks.tools.cli import main
from tests.fhir import coded, condition, patient
from tests.fhir_servers import Handler, Server
from tests.loopback import running
from tests.replay import people, rows, write_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]
LUNG = condition("c", coded("http://hl7.org/fhir/sid/icd-10-cm", "C34.11"))
BONE = condition("b", coded("http://hl7.org/fhir/sid/icd-10-cm", "C79.51"))


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings of ours but the day and a store of this test."""
    for name in list(os.environ):
        if name.startswith("ONCOBONE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ONCOBONE_NOW", "2026-11-22")
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", f"sqlite:///{tmp_path / 'store.sqlite'}")


def say(*arguments: str | Path) -> Result:
    result = CliRunner().invoke(main, ["replay", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_from_a_population_to_its_page(tmp_path: Path) -> None:
    """The ten minutes of the handbook, with a small population."""
    assert say("population", "--patients", "20", "--seed", "3", "--ours", "50", "--to", tmp_path / "in").exit_code == 0
    done = say("run", tmp_path / "in", "--to", tmp_path / "run", "--workers", "1", "--link", tmp_path / "who.ndjson")
    assert done.exit_code == 0, done.output
    assert re.search(r"On 2026-11-22, of 20 patients \d+ are ours", done.output)
    assert say("show", tmp_path / "run", "--language", "zh-CN").exit_code == 0
    assert say("show", tmp_path / "run", "--budget", "any=0/100").exit_code == 1
    assert say("show", tmp_path / "run", "--budget", "interruptive=100/100").exit_code == 0
    assert say("report", tmp_path / "run", "--to", tmp_path / "page.html", "--share").exit_code == 0
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    rule = rows(tmp_path / "run", "SELECT rule FROM verdicts WHERE state = 'fired' LIMIT 1")[0][0]
    listed = say("cohort", tmp_path / "run", "--rule", rule).output.split()
    named = say("cohort", tmp_path / "run", "--rule", rule, "--link", tmp_path / "who.ndjson").output.split()
    assert len(listed) == len(named) > 0
    assert all(re.fullmatch(r"[0-9a-f]{16}", one) for one in listed)
    assert all(one.startswith("pop-3-") for one in named)
    assert "Nothing changed" in say("diff", tmp_path / "run", tmp_path / "run").output


def test_done_but_something_left_out_is_three(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "in", [patient(), LUNG])
    path.write_text(path.read_text(encoding="utf-8") + "{broken\n", encoding="utf-8")
    done = say("run", tmp_path / "in", "--to", tmp_path / "run", "--workers", "1")
    assert done.exit_code == 3
    assert "Left out: 1 lines that cannot be read" in done.output
    assert say("run", tmp_path / "in", "--to", tmp_path / "run", "--workers", "1").exit_code == 3


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "IN", "--to", "RUN", "--day", "yesterday"], 2, "does not match"),
        (["run", "--to", "RUN"], 2, "give files or folders"),
        (["run", "IN", "--fhir", "http://x", "--to", "RUN"], 2, "give files or folders"),
        (["run", "IN"], 2, "--to"),
        (["run", "IN", "--to", "RUN", "--link", "RUN/who"], 2, "apart from the tables"),
        (["run", "NOWHERE", "--to", "RUN"], 1, "no such file"),
        (["run", "IN", "--to", "RUN", "--days", "x"], 1, "--days"),
        (["run", "IN", "--to", "RUN", "--calls", "visits"], 1, "--calls"),
        (["run", "IN", "--to", "RUN", "--hook", "order-sign"], 1, "--calls orders"),
        (["run", "IN", "--to", "RUN", "--engine", "quantum"], 1, "there are: local, spark"),
        (["run", "IN", "--to", "RUN", "--arm", "a"], 1, "NAME=FILE"),
        (["run", "IN", "--to", "RUN", "--arm", "a=NOWHERE"], 1, "cannot be read"),
        (["run", "--fhir", "ftp://x", "--to", "RUN"], 1, "FHIR base"),
        (["show", "IN"], 1, "no finished run"),
        (["show", "NOWHERE"], 2, "does not exist"),
        (["report", "IN", "--to", "page.html"], 1, "no finished run"),
        (["diff", "IN", "IN"], 1, "no finished run"),
        (["cohort", "IN", "--rule", "BP-001"], 1, "no finished run"),
        (["population", "--to", "IN"], 1, "not empty"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_code(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    write_lines(tmp_path / "in", [patient(), LUNG])
    places = {
        "IN": tmp_path / "in",
        "RUN": tmp_path / "run",
        "NOWHERE": tmp_path / "nowhere",
        "RUN/who": tmp_path / "run" / "who",
    }
    result = say(*(re.sub(r"IN$|RUN/who$|RUN$|NOWHERE$", lambda m: str(places[m[0]]), one) for one in arguments))
    assert result.exit_code == code, result.output
    assert said in result.output
    assert "Traceback" not in result.output


def test_arms_of_different_mappings_are_refused(tmp_path: Path) -> None:
    write_lines(tmp_path / "in", [patient(), LUNG])
    (tmp_path / "a.toml").write_text("")
    (tmp_path / "b.toml").write_text('[mapping]\ncn_icd_systems = ["http://his/icd"]\n')
    arms = ["--arm", f"a={tmp_path / 'a.toml'}", "--arm", f"b={tmp_path / 'b.toml'}"]
    refused = say("run", tmp_path / "in", "--to", tmp_path / "run", *arms)
    assert (refused.exit_code, "differ in mapping" in refused.output) == (1, True)


def test_two_settings_in_one_run_and_what_they_change(tmp_path: Path) -> None:
    write_lines(tmp_path / "in", [patient(), LUNG, BONE])
    (tmp_path / "strict.toml").write_text("[site.workup]\nmdt_due = 30\n")
    (tmp_path / "plain.toml").write_text("")
    arms = ["--arm", f"plain={tmp_path / 'plain.toml'}", "--arm", f"strict={tmp_path / 'strict.toml'}"]
    assert say("run", tmp_path / "in", "--to", tmp_path / "run", "--workers", "1", *arms).exit_code == 0
    assert rows(tmp_path / "run", "SELECT DISTINCT arm FROM calls ORDER BY arm") == [("plain",), ("strict",)]
    assert (
        say("diff", tmp_path / "run", tmp_path / "run", "--arms", "plain,strict", "--to", tmp_path / "d").exit_code == 0
    )
    assert (tmp_path / "d" / "changes.parquet").exists()
    assert say("diff", tmp_path / "run", tmp_path / "run", "--arms", "plain,loose").exit_code == 1


def test_who_ran_what_over_how_many_stands_in_the_audit_record(tmp_path: Path) -> None:
    write_lines(tmp_path / "in", [patient(), LUNG])
    say("run", tmp_path / "in", "--to", tmp_path / "run", "--workers", "1")
    store = open_store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    (entry,) = store.audit_entries(tenant="replay")
    assert not store.verify_audit()
    store.close()
    told = json.loads(entry.record)
    assert told["patients"] == 1
    assert re.fullmatch(r"[0-9a-f]{32}", told["user"])
    assert told["replay"] == json.loads((tmp_path / "run" / "run.json").read_text())["run"]
    assert "p1" not in entry.record


def test_without_the_store_nobody_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lines(tmp_path / "in", [patient(), LUNG])
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    monkeypatch.setenv("ONCOBONE_AUDIT_KEY_FILE", str(tmp_path / "key"))
    refused = say("run", tmp_path / "in", "--to", tmp_path / "run", "--workers", "1")
    assert refused.exit_code == 1
    assert "audit record" in refused.output
    assert not (tmp_path / "run" / "run.json").exists()


# --- a FHIR server ------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Server]:
    """A FHIR server with a small population, two patients a page, that has no ServiceRequests."""
    population = [list(one) for one in people(5, ours=1.0)]
    by_id = {one[0]["id"]: one for one in population}

    def answer(handler: Handler) -> None:
        path = handler.path.removeprefix("/fhir/")
        kind, _, query = path.partition("?")
        if kind.startswith("Patient/"):
            handler.send(json.dumps(by_id[kind.removeprefix("Patient/")][0]).encode())
            return
        if kind == "ServiceRequest":
            handler.send(b"{}", 404)
            return
        if kind == "Patient":
            page = int(query.partition("page=")[2] or 0)
            found = [one[0] for one in population[2 * page : 2 * page + 2]]
            more = [{"relation": "next", "url": f"{told.base}/Patient?page={page + 1}"}] if 2 * page + 2 < 5 else []
        else:
            who = query.partition("patient=")[2].partition("&")[0]
            found, more = [one for one in by_id[who] if one["resourceType"] == kind], []
        bundle = {"resourceType": "Bundle", "type": "searchset", "link": more, "id": str(uuid.uuid4())}
        if found:
            bundle["entry"] = [{"resource": one} for one in found]
        handler.send(json.dumps(bundle | {"meta": {"lastUpdated": dt.datetime.now(dt.UTC).isoformat()}}).encode())

    told = Server(answer)
    with running(told):
        yield told


def test_a_small_set_is_fetched_as_the_service_fetches(tmp_path: Path, server: Server) -> None:
    done = say("run", "--fhir", server.base, "--to", tmp_path / "run", "--workers", "1", "--day", "2026-11-22")
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert told["counts"]["patients"] == 5
    assert told["not_delivered"] == ["serviceRequests"]
    lines = [one for person in people(5, ours=1.0) for one in person]
    write_lines(tmp_path / "in", lines)
    asked = sorted(told["delivered"])
    log = [{"eventDetail": {"exportUrl": f"https://x?_type={','.join(asked)}", "transactionTime": told["transaction"]}}]
    write_lines(tmp_path / "in", log, "log.ndjson")
    say("run", tmp_path / "in", "--to", tmp_path / "lines", "--workers", "1", "--day", "2026-11-22")
    query = "SELECT rule, state, indicator, missing FROM verdicts ORDER BY ALL"
    assert rows(tmp_path / "run", query) == rows(tmp_path / "lines", query)


def test_a_run_over_a_server_goes_on_though_each_answer_has_another_id_and_time(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["run", "--fhir", server.base, "--to", str(tmp_path / "run"), "--workers", "1", "--day", "2026-11-22"]
    merge = results.merge
    monkeypatch.setattr(results, "merge", lambda *_: (_ for _ in ()).throw(OSError("the disk is full")))
    assert say(*command).exit_code == 1
    assert list((tmp_path / "run" / "parts").iterdir())
    monkeypatch.setattr(results, "merge", merge)
    assert say(*command).exit_code == 0
    assert (tmp_path / "run" / "run.json").exists()


def test_a_server_that_does_not_list_its_patients_is_refused(tmp_path: Path) -> None:
    with running(Server(lambda handler: handler.send(b"{}", 403))) as shut:
        refused = say("run", "--fhir", shut.base, "--to", tmp_path / "run")
    assert refused.exit_code == 1
    assert "does not list its patients" in refused.output


def test_the_service_starts_without_reading_the_replay() -> None:
    heavy = ("hooks.replay.", "duckdb", "vl_convert", "pyspark")
    script = f"import sys, hooks.tools.cli; print([m for m in sys.modules if m.startswith({heavy})])"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert told.stdout.strip() == "[]"
