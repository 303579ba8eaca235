"""The one judge of assertions: whole collections of phrases, and laws that hold whatever the words."""

from __future__ import annotations

import ast
import csv
import time
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_mapping.terms.codes import shipped_rows
from fhir_mapping.words import assertions, cytogenetics, grades, iscn, plain, targets
from fhir_mapping.words.fold import fold
from tests.fhir import SNOMED, chart, coded, condition, observation, reasons, report

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXTS = Path(__file__).parent.parent / "fixtures" / "texts"
MYELOMA = condition("mm", coded(SNOMED, "109989006"))
LUNG = condition("lung", coded(SNOMED, "254637007"))


def rows(name: str) -> Sequence[dict[str, str]]:
    with (TEXTS / f"{name}.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("row", rows("assertions"), ids=lambda row: f"{row['target']}: {row['said']}")
def test_each_sentence_is_judged(row: dict[str, str]) -> None:
    assert (assertions.verdict(row["said"], row["target"]) or "") == row["verdict"]


@pytest.mark.parametrize("row", rows("cytogenetics"), ids=lambda row: row["said"])
def test_each_report_of_cytogenetics_is_read(row: dict[str, str]) -> None:
    told = {path.removeprefix("cyto."): one.verdict for path, one in cytogenetics.read(row["said"]).items()}
    assert {name for name, verdict in told.items() if verdict == "present"} == set(row["present"].split())
    assert {name for name, verdict in told.items() if verdict == "absent"} == set(row["absent"].split())


# --- laws -----------------------------------------------------------------------------------------------------

NAMES = {
    "bone_metastasis": ("bone metastasis", "osseous metastases", "骨转移", "骨转移瘤"),
    "cord_compression": ("spinal cord compression", "cord compression", "脊髓压迫"),
    "pathological_fracture": ("pathological fracture", "病理性骨折"),
    "lung_cancer": ("lung cancer", "肺癌"),
    "osteonecrosis_jaw": ("osteonecrosis of the jaw", "颌骨坏死"),
    "urinary_obstruction": ("urinary obstruction", "尿路梗阻"),
    "multiple_myeloma": ("multiple myeloma", "多发性骨髓瘤"),
}
PLACED = [(target, name) for target, names in NAMES.items() for name in names]
BEFORE = {
    "no ": "absent", "no evidence of ": "absent", "without ": "absent", "denies ": "absent", "negative for ": "absent",
    "absence of ": "absent", "does not show ": "absent", "ruled out ": "absent", "?": "suspected",
    "possible ": "suspected",
    "suspicious for ": "suspected", "concern for ": "suspected", "rule out ": "suspected", "query ": "suspected",
    "cannot exclude ": "suspected", "differential includes ": "suspected", "may represent ": "suspected",
    "family history of ": "other", "mother with ": "other", "prevention of ": "hypothetical",
    "history of ": "historical",
    "无": "absent", "未见": "absent", "否认": "absent", "排除": "absent", "不考虑": "absent", "疑似": "suspected",
    "不能排除": "suspected", "考虑": "suspected", "家族史：": "other", "预防": "hypothetical", "既往": "historical",
}  # fmt: skip
BEHIND = {
    ": none": "absent", ": negative": "absent", " is not seen": "absent", " not identified": "absent",
    " has been ruled out": "absent", "：无": "absent", "（-）": "absent", "：阴性": "absent", "已排除": "absent",
    "?": "suspected", " cannot be excluded": "suspected", " is possible": "suspected", " less likely": "suspected",
    " not excluded": "suspected", "？": "suspected", "待排": "suspected", "可能": "suspected", "证据不足": "suspected",
    "依据不足": "suspected", "可能性小": "suspected", ", resolved": "historical",
}  # fmt: skip
UNRELATED = (
    "Creatinine 80 umol/L.", "The patient feels well.", "Blood pressure normal today.", "No fever.", "无发热。",
    "患者一般情况可。", "血压正常。", "Denies chest pain.", "Next visit in four weeks.",
)  # fmt: skip


@given(st.sampled_from(PLACED), st.sampled_from(sorted(BEFORE)))
def test_words_of_denial_and_doubt_before_a_target_never_make_it_present(place: tuple[str, str], trigger: str) -> None:
    assert assertions.verdict(f"{trigger}{place[1]}", place[0]) == BEFORE[trigger]


@given(st.sampled_from(PLACED), st.sampled_from(sorted(BEHIND)))
def test_words_of_denial_and_doubt_behind_a_target_never_make_it_present(place: tuple[str, str], trigger: str) -> None:
    assert assertions.verdict(f"{place[1]}{trigger}", place[0]) == BEHIND[trigger]


@given(
    st.sampled_from(PLACED),
    st.sampled_from([*BEFORE, ""]),
    st.sampled_from([*BEHIND, ""]),
    st.sampled_from(UNRELATED),
    st.booleans(),
)
def test_an_unrelated_sentence_changes_nothing(
    place: tuple[str, str], before: str, behind: str, other: str, first: bool
) -> None:
    said = f"{before}{place[1]}{behind}."
    joined = f"{other} {said}" if first else f"{said} {other}"
    assert assertions.verdict(joined, place[0]) == assertions.verdict(said, place[0])


TRADITIONAL = str.maketrans("转压见无迁证据筛预虑断", "轉壓見無遷證據篩預慮斷")


@given(st.sampled_from(rows("assertions")), st.sampled_from(["upper", "wide", "traditional", "blanks"]))
def test_case_width_and_traditional_signs_change_nothing(row: dict[str, str], change: str) -> None:
    said = row["said"]
    changed = {
        "upper": said.upper(),
        "wide": "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in said),
        "traditional": said.translate(TRADITIONAL),
        "blanks": said.replace(" ", "  "),
    }[change]
    assert assertions.verdict(changed, row["target"]) == assertions.verdict(said, row["target"])


@given(st.sampled_from(list(cytogenetics.ABNORMALITIES)))
def test_an_abnormality_that_is_only_named_is_never_there(path: str) -> None:
    names = {"del17p": "del(17p)", "t4_14": "t(4;14)", "t14_16": "t(14;16)", "t14_20": "t(14;20)"}
    names |= {"gain1q": "1q21 gain", "del13q": "del(13q)"}
    assert cytogenetics.read(names[path.removeprefix("cyto.")])[path].verdict == "unread"


@given(st.text(max_size=400))
def test_no_text_breaks_the_readers(said: str) -> None:
    assertions.verdicts(said)
    cytogenetics.read(said)
    iscn.find(fold(said))
    grades.escc(said, of_its_own=True)
    grades.sins(said)
    grades.marrow(said)
    grades.suv_max(said)


PIECES = [
    "no ",
    "bone metastasis",
    ", ",
    "; ",
    "or ",
    "无",
    "骨转移",
    "、",
    "(",
    ")",
    "[",
    "]",
    "t(4;14)",
    "nuc ish(",
    "x2",
]
PIECES += [
    " 12%",
    "/",
    "?",
    "1q21 gain",
    "escc 1",
    ":\n- ",
    "plasma cells ",
    "可能",
    "vs ",
    "del(17p)",
    "浆细胞占",
    "TP53 ",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8))
def test_the_work_on_a_text_is_bounded_whatever_it_repeats(pieces: list[str]) -> None:
    said = ("".join(pieces) * 20_000)[: 2 * targets.LONGEST]
    began = time.perf_counter()
    assertions.said(said)
    cytogenetics.read(said)
    grades.escc(said)
    grades.marrow(said)
    assert time.perf_counter() - began < 2


def test_folding_is_done_once_for_all() -> None:
    for row in rows("assertions"):
        assert fold(fold(row["said"])) == fold(row["said"])
    assert fold("Métastase") == "metastase"
    assert fold(unicodedata.normalize("NFD", "Métastase")) == "metastase"
    assert fold("骨轉移") == fold("骨転移") == "骨转移"


def test_every_hit_of_a_target_has_one_of_its_stems() -> None:
    corpus = [fold(row["said"]) for name in ("assertions", "cytogenetics") for row in rows(name)]
    corpus += [fold(display) for *_, display in shipped_rows()]
    for target in targets.TARGETS.values():
        for said in corpus:
            for hit in target.pattern.finditer(said):
                assert any(stem in hit.group() for stem in target.stems), (target.name, hit.group())


def test_words_are_the_lowest_room_and_know_nothing_of_the_others() -> None:
    for path in (Path(targets.__file__).parent).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fhir_mapping"):
                assert (node.module or "").startswith("fhir_mapping.words"), path.name
            assert not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("recommenders")), path.name


# --- ISCN -----------------------------------------------------------------------------------------------------


def test_an_interphase_string_is_read_as_it_is_written() -> None:
    (found,) = iscn.find("fish: nuc ish(fgfr3,igh)x3(fgfr3 con ighx2)[150/200].")
    (clone,) = found.clones
    assert clone.copies == {"fgfr3": (3, 3), "igh": (3, 3)}
    assert clone.together == {frozenset({"fgfr3", "igh"})}
    assert clone.share == 75


def test_a_range_of_copies_and_several_clones_are_read() -> None:
    (found,) = iscn.find("nuc ish(cks1bx4~6,cdkn2cx2)[80/100]/(cks1bx2)[20/100]")
    assert [clone.copies["cks1b"] for clone in found.clones] == [(4, 6), (2, 2)]


def test_a_rearranged_gene_is_apart() -> None:
    (found,) = iscn.find("nuc ish(5'igh,3'igh)x2(5'igh sep 3'ighx1)[40/100]")
    assert found.clones[0].apart


# --- grades ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "grade"),
    [
        ("Previously ESCC 3; after SBRT now ESCC 1b", ("1b",)),
        ("previously 3; now 1b", ("1b",)),
        ("原ESCC 3级，现1b级", ("1b",)),
        ("ESCC improved from 3 to 1b", ("1b",)),
        ("Bilsky 2b", ("2",)),
        ("ESCC 1C", ("1c",)),
        ("1", ("1a", "1b", "1c")),
        ("Bilsky grade 1", ("1a", "1b", "1c")),
        ("ESCC 1c-2", ("1c", "2")),
        ("T5 ESCC 1b, T10 ESCC 3", ("3",)),
        ("脊髓受压，ESCC 2级。", ("2",)),
        ("no ESCC grade 2 or higher", ()),
        ("possible ESCC 2", ()),
        ("not assessed", ()),
    ],
)
def test_the_newest_statement_of_a_grade_about_now_counts(said: str, grade: tuple[str, ...]) -> None:
    assert grades.escc(said, of_its_own=True) == grade


@pytest.mark.parametrize(
    ("said", "low", "high"),
    [
        ("骨髓增生活跃，浆细胞占35%。", 35, 35),
        ("浆细胞占10%-15%", 10, 15),
        ("Bone marrow biopsy: 60% clonal plasma cells", 60, 60),
        ("Aspirate: plasma cells 12%. Biopsy: plasma cells 30%", 30, 30),
        ("Plasma cells <5%", 0, 5),
    ],
)
def test_the_plasma_cells_of_the_marrow_are_read(said: str, low: int, high: int) -> None:
    found = grades.marrow(said)
    assert found is not None
    assert (int(found.low), int(found.high)) == (low, high)


@pytest.mark.parametrize("said", ["t(4;14) in 78% of plasma cells", "no plasma cells counted", "外周血浆细胞占3%"])
def test_a_share_of_something_else_is_no_share_of_the_marrow(said: str) -> None:
    assert grades.marrow(said) is None


# --- the chart ------------------------------------------------------------------------------------------------


def test_a_report_tells_grades_marrow_and_lesions_in_its_words() -> None:
    smouldering = condition("s", coded(SNOMED, "413587002"))
    told = report("r", {"text": "Bone marrow biopsy"}, conclusion="Plasma cells 24%.")
    survey = report("x", {"text": "Skeletal survey"}, conclusion="A lytic lesion in the skull.")
    facts = chart(smouldering, told, survey).facts
    assert facts.mm.bmpc.value == 24
    assert facts.mm.lytic_lesions.low == 1
    assert chart(LUNG, survey).facts.mm.lytic_lesions.low is None
    spine = report("m", {"text": "MRI of the spine"}, conclusion="ESCC 2 at T8, SINS 14.")
    facts = chart(LUNG, spine).facts
    assert (facts.spine.escc.value, facts.spine.instability.value) == ("2", "unstable")


def test_a_result_that_only_its_name_tells_is_a_row_of_a_table() -> None:
    panel = observation(
        "p",
        {"text": "Myeloma FISH panel"},
        component=[
            {"code": {"text": "t(4;14) FGFR3::IGH"}, "valueString": "Not detected"},
            {"code": {"text": "TP53/17p13"}, "valueString": "Deleted in 45% of cells: positive"},
            {"code": {"text": "1q21 (CKS1B)"}, "valueString": "3 copies"},
            {"code": {"text": "13q14"}, "valueString": "see report"},
        ],
    )
    cyto = chart(MYELOMA, panel).facts.cyto
    assert (cyto.t4_14.value, cyto.del17p.value, cyto.gain1q.value) == (False, True, True)
    assert cyto.del13q.value is None


def test_two_translocations_of_one_locus_are_doubted() -> None:
    both = report("r", {"text": "FISH"}, conclusion="t(4;14) positive. t(14;16) positive.")
    cyto = chart(MYELOMA, both).facts.cyto
    assert (cyto.t4_14.reason, cyto.t14_16.reason) == ("contradictory", "contradictory")


def test_a_text_beyond_the_limit_is_read_in_part_and_says_so() -> None:
    long = report("r", {"text": "FISH"}, conclusion="t(4;14) negative. " + "x " * targets.LONGEST)
    mapped = chart(MYELOMA, long)
    assert mapped.facts.cyto.t4_14.value is False
    assert any("too-long" in reason for reason in reasons(mapped)["DiagnosticReport/r"])


@pytest.mark.parametrize(
    ("kind", "element", "limit"),
    [("Condition", "code", targets.LONGEST), ("MedicationRequest", "medicationCodeableConcept", plain.LONGEST_NAME)],
)
def test_a_name_longer_than_is_looked_at_is_said_to_be_cut_although_nothing_was_found_in_it(
    kind: str, element: str, limit: int
) -> None:
    hidden = {"text": "seen in clinic " * limit + "multiple myeloma, zoledronic acid"}
    mapped = chart(MYELOMA, {"resourceType": kind, "id": "r", "status": "active", element: hidden})
    assert any("too-long" in reason for reason in reasons(mapped)[f"{kind}/r"])
