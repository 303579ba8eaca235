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

_BLOCK = re.compile(
    r"<!-- (append to|in|new) ([\w/.]+)(?:, (after|instead of): (.*?))? -->\n```\w+\n(.*?)```", re.DOTALL
)
RULE, RECOMMENDER, CODE, FACT = "How a rule is made", "A new recommender", "A laboratory code", "A fact"


def steps(part: str) -> list[tuple[str, str | None, str]]:
    """Give the printed steps of a section: the file, the line that is replaced (None: none, at the end), by what."""
    page = PAGE.read_text(encoding="utf-8")
    section = page[page.index(f"## {part}") :].split("\n## ", maxsplit=1)[0]
    found = _BLOCK.findall(section)
    return [(file, line, f"{line}\n{block}" if how == "after" else block) for _, file, how, line, block in found]


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


def apply(tree: Path, part: str = RULE, *, without: str | None = None) -> None:
    """Do the printed steps of a section, but those that touch a file whose name ends so."""
    for name, line, block in steps(part):
        if without and name.endswith(without):
            continue
        file = tree / name
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        if not line:
            between = "\n" if name.endswith(".csv") else "\n\n"
            file.write_text(f"{text.rstrip()}{between}{block}" if text else block, encoding="utf-8")
            continue
        assert text.count(f"{line}\n") == 1, f"{name}: {line}"
        file.write_text(text.replace(f"{line}\n", block), encoding="utf-8")


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
    assert len(steps(RULE)) == 5
    apply(tree)
    done = run(tree, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "tests/test_vignettes.py", "-k", "bone")
    assert done.returncode == 0, done.stdout[-3000:]
    done = run(
        tree, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "tests/test_faces.py", "tests/test_guidance.py"
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_a_rule_without_its_vignettes_is_named(tree: Path) -> None:
    apply(tree, without="vignettes/bone_protection.toml")
    done = in_copy(tree, "tests/test_guidance.py")
    assert done.returncode != 0
    assert "BP-900" in done.stdout


def test_a_rule_without_its_decision_is_named(tree: Path) -> None:
    apply(tree, without=".py")
    done = in_copy(tree, "tests/test_guidance.py")
    assert done.returncode != 0
    assert "BP-900" in done.stdout


def test_a_rule_that_its_section_is_not_asked_for_by_is_named_with_the_line_to_write(tree: Path) -> None:
    apply(tree)
    module = tree / "recommenders/bone_protection.py"
    module.write_text(module.read_text(encoding="utf-8").replace(', "BP-900"', ""), encoding="utf-8")
    done = in_copy(tree, "tests/test_assessment.py", "-k", "section")
    assert done.returncode != 0
    said = 'recommenders/bone_protection.py: write "BP-900" into case.asked(treated_bone_metastases, …)'
    assert said in done.stdout


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


def loaded(tree: Path, module: str = "recommenders.assessing.topics") -> str:
    """Load the copy as a start does, or as much of it as a module, and give what it complains of."""
    done = run(tree, "-c", f"import {module}")
    return done.stderr if done.returncode else ""


def test_a_new_recommender_is_its_own_files_and_one_line(tree: Path) -> None:
    assert [name for name, _, _ in steps(RECOMMENDER)] == [
        "recommenders/bone_density.toml",
        "recommenders/bone_density.py",
        "recommenders/assessing/topics.py",
        "fixtures/vignettes/bone_density.toml",
    ]
    apply(tree, RECOMMENDER)
    done = in_copy(
        tree,
        *("tests/test_vignettes.py", "tests/test_faces.py", "tests/test_guidance.py", "tests/test_architecture.py"),
        *("-k", "density or BD or every or imports or import_goes"),
    )
    assert done.returncode == 0, done.stdout[-3000:]
    done = run(tree, "-c", SERVED)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Bone density 骨密度" in done.stdout


SERVED = """
from hooks.application import create_app
from hooks.settings import Settings
from hooks.cards.wording import recommender_title
calls = create_app(Settings()).test_client()
assert calls.get("/attributes/bone-density").json["purpose"] == "Bone density in plasma-cell disease"
assert calls.get("/rules").status_code == calls.get("/rules/BD-001").status_code == 200
print(recommender_title("bone-density", "en"), recommender_title("bone-density", "zh-CN"))
"""


@pytest.mark.parametrize(
    ("without", "said"),
    [
        ("topics.py", 'recommenders/bone_density.toml is in no list; write "bone_density" into NAMES'),
        ("bone_density.py", "there is no recommenders/bone_density.py; write it"),
        ("recommenders/bone_density.toml", "there is no bone_density.toml"),
    ],
)
def test_a_forgotten_part_of_a_recommender_is_said_at_start(tree: Path, without: str, said: str) -> None:
    apply(tree, RECOMMENDER, without=without)
    assert said in loaded(tree)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (
            "recommenders/bone_density.toml",
            'recommender = "bone-density"',
            'recommender = "bone-densitiy"',
            "bone_density.toml: BD-001: speaks for 'bone-densitiy', which no file declares; write",
        ),
        (
            "recommenders/bone_density.toml",
            "[recommenders.bone-density.attributes]",
            "[recommenders.bone-density.forgotten]",
            "bone_density.toml: recommenders.bone-density.attributes: Field required",
        ),
        (
            "recommenders/bone_density.toml",
            'title = { en = "Bone density", zh-CN = "骨密度" }',
            'title = { en = "Bone density" }',
            "bone_density.toml: recommenders.bone-density.title.zh-CN: Field required",
        ),
        (
            "recommenders/bone_density.toml",
            "bone-density",
            "radiotherapy",
            "the recommender radiotherapy is in radiotherapy.toml already",
        ),
        ("recommenders/bone_density.toml", "BD-001", "BP-001", "the rule BP-001 is in bone_protection.toml already"),
        ("recommenders/bone_density.py", "def rules", "def rule", "recommenders/bone_density.py has no rules; write"),
    ],
)
def test_a_recommender_with_a_mistake_is_refused_by_name(tree: Path, file: str, old: str, new: str, said: str) -> None:
    apply(tree, RECOMMENDER)
    place = tree / file
    place.write_text(place.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert said in loaded(tree)


def read(code: str, value: float, unit: str, path: str) -> str:
    """A program that reads one result and says what it makes of it."""
    return f"""
import datetime as dt, json
from fhir_mapping.chart import read_chart
result = {{
    "resourceType": "Observation", "id": "one", "status": "final", "subject": {{"reference": "Patient/p"}},
    "code": {code}, "effectiveDateTime": "2026-11-20", "valueQuantity": {{"value": {value}, "unit": "{unit}"}},
}}
sent = {{"patient": {{"resourceType": "Patient", "id": "p"}}, "observations": [result]}}
bodies = {{key: json.dumps(value).encode() for key, value in sent.items()}}
now = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
print(read_chart(bodies, patient_id="p", now=now, timezone=dt.UTC).facts.fact("{path}").rounded)
"""


def test_a_laboratory_code_and_its_unit_are_a_line_each(tree: Path) -> None:
    assert len(steps(CODE)) == 2
    apply(tree, CODE)
    done = in_copy(tree, "tests/test_tables.py")
    assert done.returncode == 0, done.stdout[-3000:]
    new = '{"coding": [{"system": "http://loinc.org", "code": "99998-9"}]}'
    done = run(tree, "-c", read(new, 95, "grams in a litre", "lab.hb"))
    assert done.stdout.strip() == "95.0", done.stderr[-3000:]


def test_a_code_given_twice_is_refused_at_start(tree: Path) -> None:
    apply(tree, CODE)
    table = tree / "fhir_mapping/terms/codes.csv"
    row = "platelets,Platelets,Observation,http://loinc.org,99998-9,Platelets,,our example"
    table.write_text(f"{table.read_text(encoding='utf-8').rstrip()}\n{row}\n", encoding="utf-8")
    assert "99998-9 is given twice, as haemoglobin and as platelets" in loaded(tree, "fhir_mapping.chart")


def test_a_fact_is_written_in_two_files_and_each_is_asked_for(tree: Path) -> None:
    assert len(steps(FACT)) == 2
    apply(tree, FACT)
    declared = tree / "recommenders/vocabulary/fact_groups.py"
    whole = declared.read_text(encoding="utf-8")
    declared.write_text(whole.replace(', "转铁蛋白", counts=90)', ', "转铁蛋白")'), encoding="utf-8")
    said = loaded(tree, "recommenders.assessing.assessment")
    assert "fact_groups.py: say at each fact how long it counts: `counts=90` (days)" in said
    assert said.rstrip().endswith(": lab.transferrin")
    declared.write_text(whole, encoding="utf-8")
    readings = tree / "fhir_mapping/terms/facts.toml"
    read_it = readings.read_text(encoding="utf-8")
    readings.write_text(read_it[: read_it.rindex("[[readings]]")], encoding="utf-8")
    assert "facts.toml: nothing is read into lab.transferrin; give it a row" in loaded(tree, "fhir_mapping.chart")
    readings.write_text(read_it, encoding="utf-8")
    done = in_copy(tree, "tests/test_tables.py", "tests/test_recency.py", "tests/test_facts.py")
    assert done.returncode == 0, done.stdout[-3000:]
    done = run(tree, "-c", read('{"text": "Transferrin"}', 2.5, "g/L", "lab.transferrin"))
    assert done.stdout.strip() == "2.5", done.stderr[-3000:]
