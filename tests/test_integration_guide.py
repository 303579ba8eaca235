"""The integration guide is enough: a reader who does what it says gets to a signed call, a form and feedback."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from hooks.dossier.form.pages import DOORS
from hooks.settings import Settings
from tests.conftest import ROOT
from tests.guide import PAGE, Reader, steps
from tests.test_sandbox import needed

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.timeout(1200), pytest.mark.xdist_group("guide")]
GUIDE = PAGE.read_text(encoding="utf-8")
CLIENT = ROOT / "tests" / "first_client.mjs"
A_MINUTE = 60.0


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader who has done every marked step of the guide, in order, in an empty folder."""
    needed()
    reader = Reader(tmp_path_factory.mktemp("reader"))
    try:
        for step in steps():
            reader.follow(step)
        yield reader
    finally:
        reader.leave()


def test_every_step_of_the_guide_does_what_it_says(followed: Reader) -> None:
    assert len(steps()) >= 18
    assert len(followed.beside) == 2
    assert all(process.poll() is None for process in followed.beside)


def test_every_command_block_of_the_guide_is_a_step() -> None:
    assert len(re.findall(r"^```sh", GUIDE, re.MULTILINE)) == sum(step.kind.startswith("run") for step in steps())


def node() -> str:
    found = shutil.which("node")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("Node.js must be there when CI is set")
        pytest.skip("Node.js is not installed")
    return found


def test_a_client_written_from_the_guide_signs_saves_a_form_and_reports_within_a_minute(followed: Reader) -> None:
    place = {name: f"http://127.0.0.1:{followed.ports[port]}" for name, port in ADDRESSES.items()}
    shutil.copy(CLIENT, followed.folder)  # beside the guide's token.mjs
    begun = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own script
        [node(), CLIENT.name],
        cwd=followed.folder,
        env=os.environ | place,
        capture_output=True,
        text=True,
        timeout=A_MINUTE,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    for said in ("signed call: ", "form saved: QuestionnaireResponse/", "feedback stored"):
        assert said in done.stdout
    assert time.monotonic() - begun < A_MINUTE
    assert followed.run("oncobone feedback report --format csv") == 0
    assert re.search(r"^DOSE-003,.*", followed.said, re.MULTILINE)


ADDRESSES = {"SERVICE": "8080", "SIGNED": "8081", "EHR": "8091"}


def test_the_client_uses_nothing_but_node() -> None:
    names = re.findall(r'from "([^"]+)"', CLIENT.read_text(encoding="utf-8"))
    assert all(name.startswith(("node:", "./")) for name in names)


def test_the_guide_asks_for_the_scopes_that_the_app_asks_for() -> None:
    script = (ROOT / "hooks" / "dossier" / "form" / "static" / "smart.js").read_text(encoding="utf-8")
    listed = re.search(r"const READ = \[(.*?)\]", script, re.DOTALL)
    assert listed is not None
    kinds = set(re.findall(r'"(\w+)"', listed[1]))
    row = next(line for line in GUIDE.splitlines() if line.startswith("| scopes | `launch`"))
    assert kinds == {word for word in re.findall(r"\b[A-Z]\w+", row) if word not in {"TYPE", "QuestionnaireResponse"}}
    service = next(line for line in GUIDE.splitlines() if line.startswith("| all four |"))
    assert kinds == set(re.findall(r"patient/(\w+)\.read", service)), "the same kinds, whoever reads"


def test_the_guide_names_the_addresses_that_are_served() -> None:
    for door in DOORS:
        for page in ("launch", "form"):
            assert f"/{door}/{page}`" in GUIDE


def test_the_settings_that_the_guide_names_are_settings() -> None:
    vendors = (ROOT / "docs" / "vendors.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`ONCOBONE_([A-Z_]+)(?:=[^`]*)?`", GUIDE + vendors)) - {"CONFIG"}
    assert {name.lower() for name in named} <= set(Settings.model_fields)
