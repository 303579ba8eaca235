"""The documents say what is true: the README's commands run, its answer is the real one, links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from fhir_mapping.terms.queries import templates
from hooks.configuration import VARIABLES
from hooks.errors import WORDS
from hooks.settings import Settings, table
from hooks.tools.cli import COMMANDS, main
from tests.conftest import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Server

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BEGIN, END = "<!-- answer: begin -->", "<!-- answer: end -->"
USUAL = "http://127.0.0.1:8080"
RENEW = "ONCOBONE_RENEW_README"
"""Set to 1, the test writes the answer into the README instead of holding it against it."""


def blocks(page: Path, language: str = "sh") -> list[str]:
    """The code blocks of one kind."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands(block: str) -> Iterator[str]:
    """The commands of a block, continued lines joined, comments dropped."""
    for line in block.replace("\\\n", " ").splitlines():
        said = line.partition(" #")[0].strip()
        if said and not said.startswith("#"):
            yield said


def run(command: str, server: Server, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one command of the README as a reader would, against the server of the tests."""
    binaries = folder / "bin"
    binaries.mkdir(exist_ok=True)
    script = binaries / "oncobone"
    command = command.replace(".venv/bin/oncobone", "oncobone")
    script.write_text(
        f"#!{sys.executable}\nfrom hooks.tools.cli import main\nmain(prog_name='oncobone')\n", encoding="utf-8"
    )
    script.chmod(0o755)
    path = os.pathsep.join([str(binaries), os.environ["PATH"]])
    return subprocess.run(  # noqa: S602 - the README's own commands
        command.replace(USUAL, server.url),
        shell=True,
        cwd=ROOT,
        env=environment(PATH=path, NO_PROXY="127.0.0.1", no_proxy="127.0.0.1"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def answer_of(text: str) -> str:
    return text.partition(BEGIN)[2].partition(END)[0].strip()


def test_the_commands_of_the_readme_run(server: Server, tmp_path: Path) -> None:
    ran = 0
    for block in blocks(README):
        for command in commands(block):
            words = shlex.split(command)
            program = next(word for word in words if "=" not in word)
            if program == "make":
                assert_is_a_target(words[words.index("make") + 1 :])
                continue
            if program == "curl" and shutil.which("curl") is None:
                continue
            done = run(command, server, tmp_path)
            assert done.returncode == 0, f"{command}\n{done.stderr}"
            assert done.stdout.strip(), command
            ran += 1
    assert ran >= 2


def assert_is_a_target(words: list[str]) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(words) <= set(targets), words


def test_the_answer_in_the_readme_is_what_the_command_prints(server: Server, tmp_path: Path) -> None:
    text = README.read_text(encoding="utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    before = text.partition(BEGIN)[0]
    block = re.findall(r"^```sh\n(.*?)^```", before, re.MULTILINE | re.DOTALL)[-1]
    command = next(each for each in commands(block) if each.startswith(".venv/bin/oncobone call"))
    done = run(command, server, tmp_path)
    assert done.returncode == 0, done.stderr
    printed = f"```text\n{done.stdout.strip()}\n```"
    if os.environ.get(RENEW):
        README.write_text(f"{before}{BEGIN}\n{printed}\n{text[text.index(END) :]}", encoding="utf-8")
        return
    assert answer_of(text) == printed, f"run: {RENEW}=1 pytest tests/test_readme.py"


@pytest.mark.parametrize("page", [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"], ids=str)
def test_links_inside_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


SETTINGS = re.compile(r"(<!-- settings: begin -->\n).*?(<!-- settings: end -->)", re.DOTALL)


def test_the_table_of_settings_is_made_of_the_model() -> None:
    text = README.read_text(encoding="utf-8")
    written = SETTINGS.sub(lambda found: found[1] + "\n".join(table()) + "\n" + found[2], text)
    if os.environ.get(RENEW):
        README.write_text(written, encoding="utf-8")
        return
    assert text == written, f"run: {RENEW}=1 pytest tests/test_readme.py"


def test_every_setting_that_the_readme_names_is_one() -> None:
    named = set(re.findall(r"`(ONCOBONE_[A-Z_]+)`", README.read_text(encoding="utf-8")))
    assert named - {"ONCOBONE_CONFIG"} <= set(VARIABLES)


# --- the integration guide ----------------------------------------------------------------------------------

GUIDE = (ROOT / "docs" / "integration.md").read_text(encoding="utf-8")


def test_the_guide_shows_the_templates_that_discovery_offers() -> None:
    for hook in ("patient-view", "encounter-start", "order-select", "order-sign"):
        for key, template in templates(hook).items():
            assert f"| `{key}` | `{template}` |" in GUIDE


def test_the_guide_has_a_cure_for_every_status_of_the_services_paths() -> None:
    described = json.loads((ROOT / "hooks" / "openapi.json").read_text(encoding="utf-8"))
    statuses = {
        status
        for path, item in described["paths"].items()
        if path.startswith("/cds-services")
        for method in item.values()
        if isinstance(method, dict)
        for status in method.get("responses", {})
        if status >= "400"
    }
    listed = set(re.findall(r"^\| (\d{3})", GUIDE, re.MULTILINE))
    assert statuses <= listed
    assert all(int(status) in WORDS for status in listed)


def test_the_guide_names_every_member_of_both_extensions(server: Server) -> None:
    body = json.loads((ROOT / "fixtures" / "requests" / "zoledronic-order-crcl-45.json").read_text(encoding="utf-8"))
    answered = server.call(body).json()
    trace, evaluation = (
        GUIDE.partition(f"`org.oncobone.{name}`")[2].split("\n### ")[0] for name in ("trace", "evaluation")
    )
    for member in answered["cards"][0]["extension"]["org.oncobone.trace"]:
        assert f"`{member}`" in trace
    for member in answered["extension"]["org.oncobone.evaluation"]:
        assert f"`{member}`" in evaluation


def test_the_guides_settings_can_be_used() -> None:
    for block in blocks(ROOT / "docs" / "integration.md", "toml"):
        given = tomllib.loads(block)
        if "clients" in given:
            for client in given["clients"]:
                client.pop("keys_file", None)  # a file of the reader's own
        Settings.model_validate(given)


def test_every_command_that_the_documents_name_is_one() -> None:
    text = README.read_text(encoding="utf-8") + "".join(
        page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md"))
    )
    named = set(re.findall(r"(?:^|`|\s{2})(?:\.venv/bin/)?oncobone ([a-z]+)", text, re.MULTILINE))
    assert named <= COMMANDS.keys(), named - COMMANDS.keys()
    for name in sorted(named):
        assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0


# --- the hazard log -----------------------------------------------------------------------------------------


def test_every_proof_in_the_hazard_log_exists() -> None:
    page = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
    proofs = re.findall(r"`(test_\w+\.py)::(test_\w+)`", page)
    assert len(proofs) > 40
    for file, name in proofs:
        text = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"{file}::{name}"
    for row in re.findall(r"^\| ([HSC]-\d+) \|.*$", page, re.MULTILINE):
        line = next(each for each in page.splitlines() if each.startswith(f"| {row} |"))
        assert "test_" in line, f"{row} has no proof"


def test_every_one_of_the_ten_dangers_is_held_by_a_hazard_of_the_log() -> None:
    page = (ROOT / "docs" / "safety.md").read_text(encoding="utf-8")
    ids = set(re.findall(r"^\| ([HSC]-\d+) \|", page, re.MULTILINE))
    dangers = re.findall(r"^(\d+)\. .*: ((?:H-\d+(?:, )?)+)\.$", page, re.MULTILINE)
    assert [number for number, _ in dangers] == [str(number) for number in range(1, 11)]
    for _, held in dangers:
        assert set(held.split(", ")) <= ids
