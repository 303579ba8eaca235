"""The handbook of the replay is held to the product: its steps are done, its tables are those that are written."""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from hooks.replay import population, results
from hooks.replay.commands import commands
from hooks.replay.figures import Figures
from hooks.tools.cli import main
from tests.conftest import ROOT
from tests.replay import replay

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TEXT = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")


def between(name: str) -> str:
    found = re.search(rf"<!-- {name}: begin -->\n(.*?)<!-- {name}: end -->", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_steps_of_the_handbook_work_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, day_of_the_tests: None
) -> None:
    """With fewer patients: they are the same commands."""
    monkeypatch.chdir(tmp_path)
    steps = [shlex.split(line)[1:] for line in between("steps").splitlines() if line.startswith("oncobone ")]
    assert len(steps) >= 5
    for step in steps:
        smaller = ["60" if word == "2000" else word for word in step]
        result = CliRunner().invoke(main, smaller)
        assert result.exit_code == 0, (step, result.output)
    assert (tmp_path / "report.html").exists()


def test_every_command_and_option_that_it_names_is_there() -> None:
    told = {
        name: {opt for parameter in one.params for opt in parameter.opts} for name, one in commands.commands.items()
    }
    for line in re.findall(r"^oncobone replay .*$", TEXT, re.MULTILINE):
        name, *words = shlex.split(line)[2:]
        assert {word for word in words if word.startswith("--")} <= told[name], line
    everything = {option for options in told.values() for option in options}
    named = set(re.findall(r"`(--[a-z-]+)", TEXT))
    assert named <= everything, named - everything


BURDEN = re.compile(r"(?<=<!-- burden: begin -->\n)(.*?)(?=\n<!-- burden: end -->)", re.DOTALL)
RENEW = "ONCOBONE_RENEW_README"
MOST_INTERRUPTIVE = 0.05


def figures(folder: Path, patients: int, **more: Any) -> Figures:
    population.write(folder / "in", patients, seed=7, **more)
    replay([folder / "in"], folder / "run")
    return Figures(folder / "run")


def test_the_burden_in_the_readme_is_the_measured_one(tmp_path: Path) -> None:
    """Set ONCOBONE_RENEW_README=1 to write the figure instead of holding it against the README."""
    routine = figures(tmp_path / "routine", 1000)
    stories = figures(tmp_path / "stories", 300, ours=1.0, mix="stories")

    def told(found: Figures) -> tuple[str, str]:
        share = found.interruptive
        return f"{share.per_100:.1f} of 100", f"{100 * share.low:.1f}–{100 * share.high:.1f}"

    (often, span), (at_most, stories_span) = told(routine), told(stories)
    said = (
        f"On a synthetic population of {routine.patients:,} patients, {routine.our_patients} of them with a disease of"
        f" ours, our defaults interrupt {often} chart openings of those (95 % interval {span});"
        f" told only the stories of our sample patients, {at_most} ({stories_span})."
    )
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    if os.environ.get(RENEW):
        readme.write_text(BURDEN.sub(lambda _: said, text), encoding="utf-8")
        return
    assert BURDEN.findall(text) == [said]
    assert routine.interruptive.share <= MOST_INTERRUPTIVE


def test_its_tables_are_those_that_are_written() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .*? \| (.*) \|$", between("tables"), re.MULTILINE)
    told = {name: re.findall(r"`(\w+)`", columns) for name, columns in rows}
    assert told == {name: list(columns) for name, columns in results.TABLES.items()}


def test_its_pictures_are_there() -> None:
    for picture in re.findall(r"\]\((pictures/[^)]+)\)", TEXT):
        assert (ROOT / "docs" / picture).read_text(encoding="utf-8").startswith("<svg")
