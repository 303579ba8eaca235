"""The command line as people expect it: `--json`, `-`, colours, progress, completion, and a version at once."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
import responses
from click.testing import CliRunner, Result

from hooks import terminal
from hooks.reference.samples import request_for
from hooks.tools.cli import COMMANDS, main
from hooks.trust.keys import new_key, signed_token
from tests import fhir_servers as fhir
from tests.conftest import ROOT, environment, oncobone
from tests.fhir_servers import serving
from tests.replay import export
from tests.stores import recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("day_of_the_tests")

PAGE = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")


def leaves(group: click.Group | None = None, before: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by the words that name it."""
    group = group or main
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        words = (*before, name)
        yield from leaves(found, words) if isinstance(found, click.Group) else [(" ".join(words), found)]


ALL = dict(leaves())


def run(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), input=stdin)


# --- the table of commands ----------------------------------------------------------------------------------


def test_the_help_says_of_each_command_what_it_says_itself() -> None:
    told = " ".join(run("--help").output.split())
    for name, (_, _, line) in COMMANDS.items():
        command = main.get_command(click.Context(main), name)
        assert command is not None
        own = " ".join((command.help or "").split())
        assert own.startswith(line.removesuffix(".")), name
        assert f"{name} {line}" in told


def test_help_and_names_are_told_before_the_rules_are_read() -> None:
    for arguments, wanted in (("--version", "oncobone, version "), ("--help", "Usage: oncobone")):
        script = f"import sys; sys.argv = ['oncobone', '{arguments}']; from hooks.tools.cli import main\n"
        script += "try: main(prog_name='oncobone')\nexcept SystemExit: pass\n"
        script += (
            "print([n for n in sys.modules if n.startswith(('recommenders', 'fhir_mapping', 'flask', 'pydantic'))])"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603 - our own Python
        assert done.stdout.startswith(wanted)
        assert done.stdout.splitlines()[-1] == "[]"


def test_a_service_starts_without_what_it_may_never_need(tmp_path: Path) -> None:
    """Tokens are not checked, no FHIR server is asked, no table is to be changed: each is read where it is needed."""
    never = ("alembic", "jwt", "requests", "sqlalchemy.dialects.postgresql", "urllib3")
    script = "import sys; from hooks.tools import starting; from hooks.configuration import load\n"
    script += "from hooks.running.warming import make_app; make_app(load())\n"
    script += f"print([n for n in {never} if n in sys.modules])"
    env = os.environ | {"ONCOBONE_DATABASE_URL": f"sqlite:///{tmp_path / 'store.sqlite'}"}
    command = [sys.executable, "-c", script]
    for _ in range(2):  # at the first start the tables are made
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)  # noqa: S603 - our own Python
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_takes_less_than_three_tenths_of_a_second() -> None:
    def cost() -> float:
        process = subprocess.Popen(oncobone("--version"), stdout=subprocess.DEVNULL)  # noqa: S603 - our own command
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return used.ru_utime + used.ru_stime

    assert min(cost() for _ in range(3)) < 0.3, "seconds of CPU"


# --- JSON ---------------------------------------------------------------------------------------------------


def without_json() -> set[str]:
    """Those that the handbook names, with what they give instead."""
    table = PAGE.split("Without `--json`")[1].split("Standard input")[0]
    return set(re.findall(r"`([a-z ]+)`", "".join(line.split("|")[1] for line in table.splitlines() if "|" in line)))


def test_each_command_whose_answer_is_data_gives_it_as_json() -> None:
    assert {name for name, one in ALL.items() if not any("--json" in p.opts for p in one.params)} == without_json()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that a command may ask for: a request, a store with a call, a finished replay, a key."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "request.json").write_text(json.dumps(request_for("mgus")), encoding="utf-8")
    recorded(f"sqlite:///{folder / 'store.sqlite'}", "open")
    export(folder / "in", 6)
    (folder / "site.toml").write_text('language = "zh"\n', encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONCOBONE_NOW", "2026-11-22")
        patch.setenv("ONCOBONE_DATABASE_URL", f"sqlite:///{folder / 'store.sqlite'}")
        done = run(
            "replay", "run", str(folder / "in"), "--to", str(folder / "run"), "--workers", "1",
            "--link", str(folder / "who.ndjson"),
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        assert run("keys", "new", "--out", str(folder / "keys")).exit_code == 0
    return folder


JSON: dict[str, tuple[tuple[str, ...], str]] = {
    "audit head": ((), "list"),
    "audit verify": ((), "entries"),
    "audit who": (("p1", "--tenant", "open"), "calls"),
    "call": (("--request", "request.json"), "cards"),
    "catalogue": ((), "topics"),
    "config check": ((), "settings"),
    "doctor": (("--fhir", "BASE", "--patient", "p1", "--token", "t"), "searches"),
    "explain": (("--request", "request.json"), "rules"),
    "facts": ((), "list"),
    "feedback report": ((), "list"),
    "keys explain": (("not.a.token", "--endpoint", "/cds-services/x", "--config", "signed.toml"), "problems"),
    "purge": (("--older-than", "10y", "--dry-run", "--yes"), "cards"),
    "replay cohort": (("run", "--rule", "BP-001"), "list"),
    "replay diff": (("run", "run"), "rules"),
    "replay run": (("in", "--to", "run", "--workers", "1", "--link", "who.ndjson"), "arms"),
    "replay show": (("run",), "arms"),
    "samples": ((), "list"),
    "validate": (("request.json",), "used"),
}
"""Command -> what it needs, and what its JSON holds."""


@pytest.mark.parametrize("command", sorted(set(ALL) - without_json()))
def test_the_answer_is_json_and_nothing_else(command: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", f"sqlite:///{place / 'store.sqlite'}")
    (place / "signed.toml").write_text(
        'auth = "signed"\npublic_url = "https://cds.example"\n[[clients]]\nissuer = "i"\nkeys_file = "keys/jwks.json"\n'
    )
    arguments, holds = JSON[command]
    with serving(fhir.well) as server:
        done = run(*command.split(), *(server.base if each == "BASE" else each for each in arguments), "--json")
    assert done.exit_code in {0, 1}, done.output
    told = json.loads(done.stdout)
    assert isinstance(told, list) if holds == "list" else holds in told, done.stdout[:500]


# --- standard input -----------------------------------------------------------------------------------------


def parameters() -> Iterator[tuple[str, click.Parameter]]:
    for name, command in ALL.items():
        yield from ((name, each) for each in command.params)


WRITTEN = {"--draft", "--output", "--to", "--link", "--out", "--charts", "--add-to", "--requests"}
CERTIFICATES = {"--ca-file"}
"""Opened by the TLS library itself."""


def test_wherever_a_file_is_read_standard_input_will_do() -> None:
    for name, each in parameters():
        if isinstance(each.type, click.File) and "r" in each.type.mode:
            assert isinstance(each.type, terminal.InputFile), (name, each.opts)
        elif isinstance(each.type, click.Path) and not isinstance(each.type, terminal.SettingsFile):
            folder = not each.type.file_okay or (name, each.name) == ("replay run", "source")
            assert folder or (WRITTEN | CERTIFICATES) & set(each.opts), (name, each.opts)
        if "--config" in each.opts:
            assert isinstance(each.type, terminal.SettingsFile), name


def read_from_stdin() -> list[tuple[str, str]]:
    of_files = (terminal.InputFile, terminal.SettingsFile)
    found = [(name, each.opts[0]) for name, each in parameters() if isinstance(each.type, of_files)]
    return [each for each in found if each[0] not in {"serve", "database downgrade", "keys explain"}]


SETTINGS = 'language = "zh"\n'
NEEDS: dict[str, tuple[str, ...]] = {
    **{command: arguments for command, (arguments, _) in JSON.items()},
    "audit verify": (),
    "database upgrade": (),
    "dossier": ("--request", "request.json", "-o", "page.html"),
    "keys token": ("--key", "keys/private-key.pem", "--issuer", "i", "--audience", "https://a.example/"),
}


@pytest.mark.parametrize(("command", "option"), read_from_stdin())
def test_a_file_may_come_by_standard_input(
    command: str, option: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("ONCOBONE_DATABASE_URL", f"sqlite:///{place / 'store.sqlite'}")
    files = {
        "--config": SETTINGS,
        "--key": (place / "keys" / "private-key.pem").read_text(),
        "--link": (place / "who.ndjson").read_text(),
        "--expect-from": run("audit", "head").stdout,
        "--drafts": json.dumps({"resourceType": "Bundle", "type": "collection", "entry": []}),
    }
    text = files.get(option, (place / "request.json").read_text(encoding="utf-8"))
    with serving(fhir.well) as server:
        given = [server.base if each == "BASE" else each for each in NEEDS[command]]
        if option == "--drafts":
            given = ["--fhir", server.base, "--patient", "p1", "--hook", "order-sign", "--token", "t"]
        if option in given:
            del given[given.index(option) : given.index(option) + 2]
        if option == "file":
            given.remove("request.json")
            given.append("-")
        else:
            given += [option, "-"]
        done = run(*command.split(), *given, stdin=text)
    assert done.exit_code == 0 or command in {"validate", "doctor"}, done.output
    assert not isinstance(done.exception, Exception) or isinstance(done.exception, SystemExit)
    broken = run(*command.split(), *given, stdin="not what it should be ][")
    assert broken.exit_code != 0, "it was read"


def test_two_files_cannot_both_be_standard_input() -> None:
    done = run("explain", "--request", "-", "--config", "-", stdin="{}")
    assert done.exit_code == 2
    assert "standard input is read by --request already" in " ".join(done.output.replace("│", " ").split())


def test_a_population_by_standard_input_is_refused_with_what_to_do(place: Path, tmp_path: Path) -> None:
    done = run("replay", "run", "-", "--to", str(tmp_path / "run"), "--config", str(place / "site.toml"))
    assert done.exit_code == 1
    assert "save it to a file first" in done.output


# --- what a terminal shows ----------------------------------------------------------------------------------


def on_a_terminal(*arguments: str, folder: Path, **variables: str) -> str:
    """Run the command with a terminal for its output, and give what it showed there."""
    ours, theirs = pty.openpty()
    env = environment(ONCOBONE_NOW="2026-11-22") | {"TERM": "xterm-256color"} | variables
    process = subprocess.Popen(  # noqa: S603 - our own command
        oncobone(*arguments), stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=folder
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # what Linux says when the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    process.wait()
    return shown.decode()


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True)],
)
def test_colours_are_for_terminals_that_want_them(variables: dict[str, str], coloured: bool, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(request_for("zoledronic-order-crcl-45")), encoding="utf-8")
    shown = on_a_terminal("call", "--request", str(file), folder=tmp_path, **variables)
    assert "fired:" in shown
    assert ("\x1b[" in shown) is coloured


class Terminal(io.StringIO):
    """A terminal that keeps what it was shown."""

    def isatty(self) -> bool:
        return True


def test_what_takes_long_is_said_where_somebody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "PATIENCE_S", 0.01)
    for screen, told in ((Terminal(), "Asking the server …\n"), (io.StringIO(), "")):
        monkeypatch.setattr(sys, "stderr", screen)
        with terminal.patience("Asking the server"):
            time.sleep(0.2)
        assert screen.getvalue() == told


def test_what_takes_no_time_is_not_spoken_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    with terminal.patience("Asking"), terminal.Progress() as progress:
        for done in range(10):
            progress("Reading", done, 10)
    assert screen.getvalue() == ""


def test_progress_is_a_bar_on_a_terminal_and_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "PATIENCE_S", 0.0)
    for screen, term, bar in (
        (Terminal(), "xterm", True),
        (Terminal(), "dumb", False),
        (io.StringIO(), "xterm", False),
    ):
        monkeypatch.setenv("TERM", term)
        monkeypatch.setattr(sys, "stderr", screen)
        with terminal.Progress() as progress:
            for done in range(1, 11):
                progress("Reading", done, 10)
        shown = screen.getvalue()
        assert ("\x1b[" in shown) is bar, shown
        assert ("\r" in shown) is bar, shown
        assert "10/10" in shown if bar else shown == "Reading: 1 of 10\n"


# --- completion ---------------------------------------------------------------------------------------------


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment in which `oncobone` is this one."""
    words = oncobone()
    shim = tmp_path / "oncobone"
    shim.write_text(f'#!/bin/sh\nexec {words[0]} -c "{words[2]}" "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    env = environment()
    return env | {"PATH": f"{tmp_path}:{env['PATH']}"}


def test_completion_is_had_as_the_handbook_says(shell: dict[str, str]) -> None:
    bash, zsh, fish = re.findall(r"```sh\n(.+?)\s+#.*\n```", PAGE)
    script = (
        bash
        + """
    try() {
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _oncobone_completion oncobone; echo "${COMPREPLY[*]}"
    }
    try oncobone rep
    try oncobone audit ""
    try oncobone call --lang
    try oncobone call --language z
    """
    )
    done = subprocess.run(["bash", "-c", script], env=shell, capture_output=True, text=True, check=True)  # noqa: S603, S607
    assert done.stdout.splitlines() == ["replay", "head verify who", "--language", "zh-CN"]
    for line, mark in ((zsh, "#compdef oncobone"), (fish, "function _oncobone_completion")):
        source = re.search(r"_ONCOBONE_COMPLETE=\w+ oncobone", line)
        assert source
        done = subprocess.run(["sh", "-c", source[0]], env=shell, capture_output=True, text=True, check=True)  # noqa: S603, S607
        assert mark in done.stdout


# --- small things that cost somebody an hour ----------------------------------------------------------------


def test_a_token_may_be_signed_with_a_key_that_is_in_no_file(place: Path) -> None:
    pem = (place / "keys" / "private-key.pem").read_text()
    done = run("keys", "token", "--key", "-", "--issuer", "i", "--audience", "https://a.example/", stdin=pem)
    assert done.exit_code == 0
    assert done.stdout.count(".") == 2
    assert signed_token(new_key("ES384"), "i", "a").count(".") == 2


@pytest.mark.parametrize("command", sorted(ALL))
def test_help_is_given_without_a_database_or_settings(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONCOBONE_CONFIG", "nowhere.toml")
    done = run(*command.split(), "--help")
    assert done.exit_code == 0, done.output
    assert list(tmp_path.iterdir()) == []


@responses.activate
def test_text_of_others_cannot_command_the_terminal(place: Path) -> None:
    card = {
        "summary": "\x1b]0;title\x07 hello",
        "indicator": "info",
        "detail": "\x1b[2J",
        "source": {"label": "\x1b[31m"},
    }
    responses.post("https://cds.example.org/cds-services/s", json={"cards": [card]})
    arguments = ("--request", str(place / "request.json"), "--url", "cds.example.org", "--service", "s")
    done = run("call", *arguments)
    assert "hello" in done.output
    assert "\x1b" not in done.output
    assert "\x07" not in done.output
