"""The command line: what it prints, and the exit codes 0 (it worked), 1 (refused) and 2 (used wrongly)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from hooks.tools.cli import main
from recommenders.assessing.topics import TOPICS
from recommenders.vocabulary.dictionary import DICTIONARY
from tests.conftest import environment, oncobone
from tests.wire import DAY, bundle, call_body, with_, without

if TYPE_CHECKING:
    from tests.conftest import Server

pytestmark = pytest.mark.usefixtures("day_of_the_tests")

RULES = {rule for topic in TOPICS for rule in topic.guidance.rules}


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), input=stdin)


def file_with(folder: Path, body: Any) -> str:
    path = folder / "request.json"
    path.write_text(body if isinstance(body, str) else json.dumps(body), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("hook", ["patient-view", "encounter-start", "order-select", "order-sign"])
def test_call_shows_the_cards_of_a_request_here_and_from_a_server_alike(
    server: Server, tmp_path: Path, hook: str
) -> None:
    file = file_with(tmp_path, call_body(hook))
    here, there = run("call", "--request", file), run("call", "--request", file, "--url", server.url)
    assert here.exit_code == there.exit_code == 0, here.output
    assert here.output == there.output
    assert "[CRITICAL]" in here.output or "[WARNING]" in here.output or "[INFO]" in here.output
    assert "guidance 20" in here.output


def test_call_reads_standard_input() -> None:
    done = run("call", "--request", "-", stdin=json.dumps(call_body()))
    assert done.exit_code == 0
    assert "fired:" in done.output


def test_call_gives_the_answer_as_json(server: Server, tmp_path: Path) -> None:
    file = file_with(tmp_path, call_body())
    done = run("call", "--request", file, "--json")
    assert json.loads(done.output) == server.call(call_body()).json()


def test_call_speaks_the_language_asked_for(tmp_path: Path) -> None:
    file = file_with(tmp_path, call_body())
    english, chinese = (run("call", "--request", file, "--language", each, "--json") for each in ("en", "zh-CN"))
    first = [json.loads(done.output)["cards"][0]["summary"] for done in (english, chinese)]
    assert first[0] != first[1]


def test_call_says_when_there_is_nothing_to_say(tmp_path: Path) -> None:
    done = run("call", "--request", file_with(tmp_path, with_(call_body(), "prefetch.conditions", bundle())))
    assert done.exit_code == 0
    assert "No cards: nothing here is in scope." in done.output


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("not json", "not valid JSON"),
        ("[]", "must be a JSON object"),
        (without(call_body(), "context.patientId"), "context.patientId"),
        (without(call_body(), "prefetch.conditions"), "prefetch.conditions"),
        (call_body(hook="appointment-book"), "no service here is for it"),
        (without(call_body(), "hook"), "hook"),
    ],
)
@pytest.mark.parametrize("command", ["call", "explain"])
def test_a_refused_request_ends_with_1_and_the_reason(tmp_path: Path, command: str, body: Any, told: str) -> None:
    done = run(command, "--request", file_with(tmp_path, body))
    assert done.exit_code == 1
    assert told in done.stderr
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("call",),
        ("call", "--request", "/nowhere/none.json"),
        ("call", "--request", "-", "--language", "fr"),
        ("explain",),
        ("serve", "--port", "70000"),
        ("nothing",),
        ("facts", "--xml"),
    ],
)
def test_a_command_used_wrongly_ends_with_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_a_wrong_setting_ends_with_1_and_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONCOBONE_PROT", "1")
    done = run("call", "--request", file_with(tmp_path, call_body()))
    assert done.exit_code == 1
    assert "ONCOBONE_PROT" in done.stderr


def test_a_server_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = run("call", "--request", file_with(tmp_path, call_body()), "--url", "http://127.0.0.1:1")
    assert done.exit_code == 1
    assert "cannot be reached" in done.stderr


def test_a_service_that_is_not_there_is_said(tmp_path: Path) -> None:
    file = file_with(tmp_path, call_body())
    for command in ("call", "explain"):
        done = run(command, "--request", file, "--service", "nope")
        assert done.exit_code == 1
        assert "oncobone-patient-view" in done.stderr


# --- explain --------------------------------------------------------------------------------------------------


def test_explain_shows_every_rule_with_its_verdict(tmp_path: Path) -> None:
    done = run("explain", "--request", file_with(tmp_path, call_body()))
    assert done.exit_code == 0, done.output
    for rule in RULES:
        assert rule in done.output
    for state in ("FIRED", "UNDECIDED", "NOT MET"):
        assert state in done.output
    assert "lacks: " in done.output
    assert "Condition/c-lung" in done.output


def test_explain_as_json_holds_the_whole_tree_of_each_rule(tmp_path: Path) -> None:
    done = run("explain", "--request", file_with(tmp_path, call_body("order-sign")), "--json")
    told = json.loads(done.output)
    assert {rule["rule"] for rule in told["rules"]} | set(told["not_looked_at"]) == RULES
    fired = [rule for rule in told["rules"] if rule["state"] == "fired"]
    assert fired
    for rule in fired:
        assert rule["criterion"]["holds"] is True
        assert leaves(rule["criterion"])
    for rule in told["rules"]:
        if rule["state"] == "undecided":
            assert rule["missing"]


def leaves(tree: dict[str, Any]) -> list[dict[str, Any]]:
    if "fact" in tree:
        return [tree]
    return [leaf for part in tree["parts"] for leaf in leaves(part)]


def test_explain_says_what_call_says(tmp_path: Path) -> None:
    file = file_with(tmp_path, call_body())
    called = json.loads(run("call", "--request", file, "--json").output)["extension"]["org.oncobone.evaluation"]
    explained = json.loads(run("explain", "--request", file, "--json").output)
    for state in ("fired", "suppressed", "superseded"):
        assert [rule["rule"] for rule in explained["rules"] if rule["state"] == state] == called.get(state, [])
    assert explained["notes"] == called.get("notes", [])


# --- facts, and the command as a program ------------------------------------------------------------------------


def test_facts_lists_the_whole_dictionary() -> None:
    listed = json.loads(run("facts", "--json").output)
    assert [entry["path"] for entry in listed] == list(DICTIONARY)
    text = run("facts").output
    assert "lab.ca_total  [mmol/L]" in text
    assert len(text.splitlines()) == len(DICTIONARY)


def test_the_command_says_its_version_and_what_it_can() -> None:
    told = run("--help").output
    for command in ("serve", "call", "explain", "facts", "feedback", "audit", "keys", "database"):
        assert command in told


def test_the_command_runs_as_a_program(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603 - our own command
        oncobone("call", "--request", file_with(tmp_path, call_body())),
        env=environment(ONCOBONE_NOW=DAY),
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "as of 2026-11-22" in done.stdout.decode()
    assert not list(Path(tmp_path).glob("*.sqlite*")), "a look at a request keeps nothing"
