"""The tables that we ship: the breadth of codes under an alert, what must stay a trap, names, addresses and units."""

from __future__ import annotations

import csv
import tomllib
from collections import defaultdict
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fhir_mapping.terms import codes, dictionary, units
from recommenders.assessing.assessment import guidance_of
from recommenders.vocabulary.dictionary import DICTIONARY
from recommenders.vocabulary.facts import Finding, Reading, replace
from tests.fhir import (
    ICD10_CM,
    LOINC,
    chart,
    coded,
    condition,
    observation,
    procedure,
    quantity,
)

if TYPE_CHECKING:
    from recommenders.vocabulary.dictionary import Facts

BREADTH: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "breadth.toml").read_text("utf-8"))["breadth"]
NOT_CODES = frozenset({"alert", "fact", "kind", "answer", "value", "unit"})
HISTOLOGY = "http://hl7.org/fhir/us/mcode/StructureDefinition/mcode-histology-morphology-behavior"


def told(row: dict[str, Any], system: str, code: str) -> Facts:
    """Read a chart that holds one resource with the code."""
    code_of = coded(codes.READ_AS[system], code)
    if row["kind"] == "Condition":
        return chart(condition("c", code_of, recorded=2, onsetDateTime="2026-11-20")).facts
    if row["kind"] == "Histology":
        extension = {"url": HISTOLOGY, "valueCodeableConcept": code_of}
        return chart(condition("c", coded(ICD10_CM, "C41.9"), recorded=2, extension=[extension])).facts
    if isinstance(row["value"], str):
        return chart(observation("o", code_of, valueCodeableConcept={"text": row["value"]})).facts
    return chart(observation("o", code_of, quantity(row["value"], code=row["unit"]))).facts


@pytest.mark.parametrize(
    ("row", "system", "code"),
    [
        pytest.param(row, system, code, id=f"{row['fact']} {row['kind']} {system} {code}")
        for row in BREADTH
        for system in sorted(set(row) - NOT_CODES)
        for code in row[system]
    ],
)
def test_every_code_listed_under_an_alert_carries_through_to_its_fact(
    row: dict[str, Any], system: str, code: str
) -> None:
    fact = told(row, system, code).fact(row["fact"])
    answer = row["answer"]
    if isinstance(fact, Reading):
        assert fact.value == Decimal(str(answer))
    elif answer == "suspected":
        assert isinstance(fact, Finding)
        assert (fact.value, fact.reason) == (None, "suspected")
    else:
        assert isinstance(fact, Finding)
        assert fact.value == (answer.removeprefix("word:") if answer.startswith("word:") else True)


@pytest.mark.parametrize("row", BREADTH, ids=lambda row: f"{row['alert']} {row['fact']}")
def test_breadth_speaks_of_rules_and_facts_that_exist(row: dict[str, Any]) -> None:
    assert row["alert"] in guidance_of(row["alert"]).rules
    assert row["fact"] in DICTIONARY
    assert set(row) - NOT_CODES <= set(codes.READ_AS)


# --- traps ---------------------------------------------------------------------------------------------------

OF_THE_PAST = frozenset({"ever.malignancy"})
"""Some traps are a cancer, though none of those that rules are for."""


def trap_rows(kind: str) -> dict[str, list[tuple[str, str, str]]]:
    found: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for concept, kinds, system, code, display in codes.shipped_rows():
        if concept.endswith("_TRAP") and kind in kinds.split("|"):
            found[concept].append((system, code, display))
    return found


def claims(facts: Facts) -> set[str]:
    """Give the facts that are said to be so."""
    return {path for path in DICTIONARY if getattr(facts.fact(path), "value", None) not in {None, False}} - OF_THE_PAST


NOTHING = claims(chart().facts)


@pytest.mark.parametrize("concept", sorted(trap_rows("Condition")))
def test_a_condition_that_only_looks_like_one_of_ours_claims_nothing(concept: str) -> None:
    for system, code, display in trap_rows("Condition")[concept]:
        for text in (None, display):
            facts = chart(condition("c", coded(system, code, text or None), recorded=2)).facts
            # a stromal tumour is no sarcoma of ours, and a cancer all the same
            allowed = NOTHING | {"dx.any_cancer"} if concept == "gist_TRAP" else NOTHING
            assert claims(facts) <= allowed, (code, display)
            assert facts.sre == ()


@pytest.mark.parametrize("concept", sorted(trap_rows("Observation")))
def test_a_result_that_only_looks_like_one_of_ours_is_not_read(concept: str) -> None:
    for system, code, display in trap_rows("Observation")[concept]:
        for unit in ("mmol/L", "g/L", "10*9/L", "%"):
            facts = chart(observation("o", coded(system, code, display), quantity(2, code=unit))).facts
            assert claims(facts) <= NOTHING, (code, display)


@pytest.mark.parametrize("concept", sorted(trap_rows("Procedure")))
def test_an_operation_for_another_reason_is_no_event(concept: str) -> None:
    spine = condition("m", coded(ICD10_CM, "C79.51"))
    for system, code, display in trap_rows("Procedure")[concept]:
        reason = [coded(ICD10_CM, "C79.51")]
        mapped = chart(spine, procedure("p", coded(system, code, display), reasonCode=reason))
        assert not [event for event in mapped.facts.sre if event.type == "bone-surgery"], (code, display)


OTHER_TESTS = (
    "肌酐、尿",
    "尿肌酐",
    "肌酐(尿)",
    "肌酐清除率",
    "铬(Cr)",
    "UACR",
    "EGFR基因突变",
    "血清前白蛋白定量",
    "K轻链（mg/dl）",
    "血K轻链",
    "醣化白蛋白(GA)",
    "平均红细胞血红蛋白浓度",
    "25-羟基维生素D3",
    "ALB白蛋白（55.8-66.1%）",
)


@pytest.mark.parametrize("name", OTHER_TESTS)
@pytest.mark.parametrize("unit", ["umol/L", "g/L", "mg/L", "nmol/L", "mL/min", "%"])
def test_a_name_that_holds_one_of_ours_and_means_another_is_not_read(name: str, unit: str) -> None:
    facts = chart(observation("o", {"text": name}, quantity(40, code=unit))).facts
    if (name, unit) == ("肌酐清除率", "mL/min"):
        assert facts.lab.crcl.value == 40
    else:
        assert claims(facts) <= NOTHING


# --- the tables themselves -------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["codes.csv", "cancers.csv"])
def test_every_row_tells_where_it_was_seen_and_names_no_place_of_ours(table: str) -> None:
    rows = csv.DictReader(files("fhir_mapping.terms").joinpath(table).read_text("utf-8").splitlines())
    for row in rows:
        assert row["seen"].strip(), row
        assert "/" not in row["seen"].replace("SNOMED CT", ""), row


def test_no_code_stands_for_two_concepts_of_one_kind_of_resource() -> None:
    found: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for concept, kinds, system, code, _ in codes.shipped_rows():
        for kind in kinds.split("|"):
            found[codes.normal_system(system), code, kind].add(concept)
    assert {key: concepts for key, concepts in found.items() if len(concepts) > 1} == {}


def test_cpt_codes_that_were_added_bear_no_words_of_others() -> None:
    for _, _, system, code, display in codes.shipped_rows():
        if system == codes.CPT and not code.startswith("788"):
            assert display == "", code


def test_every_laboratory_fact_can_be_sent_in_a_code_or_by_name() -> None:
    for path, rule in dictionary.READINGS.items():
        assert rule.concepts or rule.local or rule.names, path


# --- what is forgotten is refused by name ------------------------------------------------------------------------


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A copy of the tables that a test may spoil; the loaders read it."""
    room = Path(str(files("fhir_mapping.terms")))
    for table in room.glob("*.csv"):
        (tmp_path / table.name).write_text(table.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(codes, "files", lambda _: tmp_path)
    monkeypatch.setattr(units, "files", lambda _: tmp_path)
    return tmp_path


def add(table: Path, line: str) -> None:
    table.write_text(table.read_text("utf-8") + line + "\n", "utf-8")


def test_a_code_given_twice_is_refused_by_name(tables: Path) -> None:
    add(tables / "codes.csv", "albumin,,Observation,http://loinc.org,777-3,Platelets,,")
    with pytest.raises(ValueError, match=r"loinc\.org\|777-3 is given twice, as platelets and as albumin"):
        codes.shipped_rows.__wrapped__()


def test_a_new_laboratory_code_is_one_line(tables: Path) -> None:
    add(tables / "codes.csv", "platelets,,Observation,http://loinc.org,99999-9,Platelets by a new method,,somewhere")
    table = codes.CodeTable(codes.shipped_rows.__wrapped__())
    assert [match.concept for match in table.concepts(coded(LOINC, "99999-9"))] == ["platelets"]


def test_an_address_that_is_read_as_nothing_is_refused_by_name(tables: Path) -> None:
    add(tables / "code_systems.csv", "http://somewhere.example,Somewhere,icd-12,somewhere,")
    with pytest.raises(ValueError, match=r"http://somewhere\.example: 'icd-12'"):
        codes._addresses.__wrapped__()


def test_a_spelling_given_two_meanings_is_refused_by_name(tables: Path) -> None:
    add(tables / "units.csv", "g/L,MG/dL,somewhere")
    with pytest.raises(ValueError, match=r"'MG/dL' is given twice"):
        units._aliases.__wrapped__()


def test_what_a_module_reads_without_a_row_is_a_fact_and_the_module_is_there() -> None:
    groups = {path.partition(".")[0] for path in DICTIONARY}
    root = Path(str(files("fhir_mapping"))).parent
    for path, module in dictionary.READ_IN.items():
        assert path in DICTIONARY or path in groups, path
        assert (root / module).exists(), module
        assert path not in {*dictionary.READINGS, *dictionary.FINDINGS}, path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"concepts": (), "local": (), "names": ()}, "lab.platelets has nothing to be read from"),
        ({"analyte": "blood_counts"}, "'blood_counts' is no analyte of conversions.csv"),
        ({"concepts": ("platelet",)}, "'platelet' is not a concept of codes.csv"),
    ],
)
def test_a_fact_without_a_source_or_with_one_that_does_not_exist_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], said: str
) -> None:
    rule = replace(dictionary.READINGS["lab.platelets"], **change)
    monkeypatch.setattr(dictionary, "READINGS", {**dictionary.READINGS, "lab.platelets": rule})
    with pytest.raises(ValueError, match=said):
        dictionary._check()
