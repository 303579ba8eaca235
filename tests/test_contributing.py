"""What CONTRIBUTING promises: its example, applied to a copy of the tree, passes; what is forgotten is said by name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "CONTRIBUTING.md"
PARTS = ("recommenders", "fhir_mapping", "hooks", "fixtures", "tests", "pyproject.toml")

_BLOCK = re.compile(r"<!-- (append to|in) ([\w/.]+)(?:, after: (.*?))? -->\n```\w+\n(.*?)```", re.DOTALL)


def steps() -> list[tuple[str, str | None, str]]:
    """Give the printed steps: the file, the line that the block follows (None: at the end), the block."""
    return [(file, line, block) for _, file, line, block in _BLOCK.findall(PAGE.read_text(encoding="utf-8"))]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the example touches and of what proves it."""
    skipped = shutil.ignore_patterns("__pycache__", "*.sqlite*")
    for part in PARTS:
        source, target = ROOT / part, tmp_path / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=skipped)
        else:
            shutil.copy2(source, target)
    return tmp_path


def apply(tree: Path, *, without: str | None = None) -> None:
    """Do the printed steps, but those that touch a file whose name ends so."""
    for name, line, block in steps():
        if without and name.endswith(without):
            continue
        file = tree / name
        text = file.read_text(encoding="utf-8")
        if line is None or line == "":
            file.write_text(f"{text.rstrip()}\n\n{block}", encoding="utf-8")
            continue
        assert text.count(line) == 1, f"{name}: {line}"
        file.write_text(text.replace(f"{line}\n", f"{line}\n{block}"), encoding="utf-8")


def run(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the copy."""
    return subprocess.run(  # noqa: S603 - our own Python
        [sys.executable, *arguments],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def in_copy(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run tests in the copy."""
    return run(tree, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *arguments)


def test_the_example_works_as_printed(tree: Path) -> None:
    assert len(steps()) == 4
    apply(tree)
    done = run(tree, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "tests/test_vignettes.py", "-k", "bone")
    assert done.returncode == 0, done.stdout[-3000:]
    done = run(
        tree, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "tests/test_faces.py", "tests/test_guidance.py"
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_rule_without_its_vignettes_is_named(tree: Path) -> None:
    apply(tree, without="vignettes/bone_protection.toml")
    done = run(
        tree, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "tests/test_vignettes.py", "tests/test_guidance.py"
    )
    assert done.returncode != 0
    assert "BP-900" in done.stdout


def test_a_rule_without_its_decision_is_named(tree: Path) -> None:
    apply(tree, without=".py")
    done = in_copy(tree, "tests/test_guidance.py")
    assert done.returncode != 0
    assert "BP-900" in done.stdout


@pytest.mark.parametrize(
    ("forgotten", "said"),
    [
        ("[[rules.BP-900.source_lines]]", "BP-900: has no source line"),
        ('why = ["bma.start_date", "bma.months"]\nsummary', "the reason of nothing"),
    ],
)
def test_what_is_wrong_with_a_face_is_said_at_start_with_its_file(tree: Path, forgotten: str, said: str) -> None:
    apply(tree)
    file = tree / "recommenders/bone_protection.toml"
    text = file.read_text(encoding="utf-8")
    begin = text.index("[rules.BP-900]")
    head, own = text[:begin], text[begin:]
    if forgotten.startswith("[["):
        own = own[: own.index(forgotten)]
    else:
        own = own.replace('"bma.months"]\nsummary', '"the reason of nothing"]\nsummary')
    file.write_text(head + own, encoding="utf-8")
    done = run(tree, "-c", "import recommenders.assessing.topics")
    assert done.returncode != 0
    assert "bone_protection.toml" in done.stderr
    assert said in done.stderr
