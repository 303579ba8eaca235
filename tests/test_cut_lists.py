"""A cut list is not the whole list: what hung on the missing part is unknown, whatever the size of the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooks.errors import Refused
from hooks.services import find_services
from hooks.settings import Settings
from hooks.views import Desk
from recommenders.assessing.assessment import seen_at
from recommenders.assessing.decisive import with_answers
from recommenders.vocabulary.facts import Reading
from recommenders.vocabulary.guidance import Hook
from tests.fhir import LOINC, bundle, chart, coded, condition, observation, quantity, reasons

if TYPE_CHECKING:
    from fhir_mapping.chart import Mapped

NEXT = {"relation": "next", "url": "https://ehr.example/fhir?page=2"}
SORTED = {"relation": "self", "url": "https://ehr.example/fhir/Observation?patient=p1&_sort=-date"}
Json = dict[str, Any]
REQUESTS_FOLDER = Path(__file__).parent.parent / "fixtures" / "requests"


def creatinine(name: str, value: float, day: str, *, in_words: bool = False) -> Json:
    code = {"text": "Creatinine"} if in_words else coded(LOINC, "2160-0")
    return observation(name, code, quantity(value, "umol/L"), when=day)


def pulse(name: str, day: str) -> Json:
    return observation(name, coded(LOINC, "8867-4"), quantity(80, "/min"), when=day)


def of_results(listed: list[Json], *links: Json) -> Mapped:
    return chart(observations=bundle(listed, link=list(links)) if links else bundle(listed))


def creatinine_of(mapped: Mapped) -> Reading:
    return mapped.facts.lab.creatinine


WORKED_EXAMPLE = [
    creatinine("before", 70, "2026-11-13"),
    *(pulse(f"p{n}", f"2026-11-{13 + n // 50}") for n in range(400)),
    creatinine("after", 300, "2026-11-21"),
]


@pytest.mark.parametrize("size", [2, 20, 100, 200, 399, 401, 402])
@pytest.mark.parametrize("newest_first", [False, True])
def test_seventy_then_four_hundred_pulses_then_three_hundred(size: int, newest_first: bool) -> None:
    listed = sorted(WORKED_EXAMPLE, key=lambda one: one["effectiveDateTime"], reverse=newest_first)
    whole = creatinine_of(of_results(listed))
    assert whole.value == 300
    links = [NEXT] if size < len(listed) else []
    found = of_results(listed[:size], *([SORTED] if newest_first else []), *links)
    if newest_first or size >= len(listed):
        assert creatinine_of(found) == whole
    else:
        assert creatinine_of(found).reason == "list-cut"
        assert any("list-cut" in reason for reason in reasons(found)["prefetch/observations"])


def test_of_the_oldest_day_that_came_there_may_be_more() -> None:
    found = of_results([creatinine("after", 300, "2026-11-21")], SORTED, NEXT)
    assert creatinine_of(found).reason == "list-cut"


days = st.integers(1, 21).map(lambda day: f"2026-11-{day:02}")


@st.composite
def charts(draw: st.DrawFn) -> list[Json]:
    kinds = draw(st.lists(st.tuples(days, st.sampled_from(["code", "words", "pulse"])), min_size=1, max_size=24))
    return [
        pulse(f"o{n}", day) if kind == "pulse" else creatinine(f"o{n}", 60 + 10 * n, day, in_words=kind == "words")
        for n, (day, kind) in enumerate(kinds)
    ]


@given(listed=charts(), size=st.integers(1, 24), order=st.sampled_from(["as-it-is", "newest-first", "said-to-be"]))
def test_whatever_the_page_the_answer_is_that_of_the_whole_list_or_not_known(
    listed: list[Json], size: int, order: str
) -> None:
    if order == "newest-first":
        listed = sorted(listed, key=lambda one: one["effectiveDateTime"], reverse=True)
    whole = creatinine_of(of_results(listed))
    cut = size < len(listed)
    days = [one["effectiveDateTime"] for one in listed]
    if (
        order == "said-to-be"
        and days != sorted(days, reverse=True)
        and days[:size] == sorted(days[:size], reverse=True)
    ):
        return  # a server that says so and sends a page that bears it out is believed
    links = [*([SORTED] if order != "as-it-is" else []), *([NEXT] if cut else [])]
    part = creatinine_of(of_results(listed[:size], *links))
    assert part.reason == "list-cut" or (part.low, part.high, part.date, part.reason) == (
        whole.low,
        whole.high,
        whole.date,
        whole.reason,
    )
    if not cut:
        assert part.reason != "list-cut"


def test_what_nobody_recorded_in_a_cut_list_is_not_known_rather_than_not_on_record() -> None:
    facts = of_results([pulse("p", "2026-11-20")], NEXT).facts
    assert facts.cyto.t4_14.reason == "list-cut"
    assert facts.status.ecog.reason == "list-cut"
    assert facts.dental.last_exam.reason == "list-cut"


def test_a_cut_list_of_lesions_has_no_count_and_no_isolated_metastasis() -> None:
    lesion = observation("l1", {"coding": [{"system": "urn:oncobone:facts", "code": "bone-lesion"}]}, when=5)
    lesion["component"] = [
        {"code": coded("urn:oncobone:facts", "lesion-site"), "valueString": "femur-shaft"},
        {"code": coded("urn:oncobone:facts", "lesion-nature"), "valueString": "metastasis"},
    ]
    whole, part = of_results([lesion]).facts, of_results([lesion], NEXT).facts
    assert whole.lesions.whole
    assert not part.lesions.whole
    assert part.lesions.any(lambda x: x.nature.is_("myeloma")).unknown
    assert part.lesions.all(lambda x: x.nature.is_("metastasis")).unknown
    assert part.lesions.any(lambda x: x.nature.is_("metastasis")).yes
    for hook in get_args(Hook):  # ageing makes no whole list of a part
        assert not seen_at(part, hook).lesions.whole
        assert seen_at(whole, hook).lesions.whole
    assert not with_answers(part, {}).lesions.whole


def test_the_onset_is_not_known_from_a_part_of_the_problem_list() -> None:
    myeloma = condition("mm", coded("http://hl7.org/fhir/sid/icd-10", "C90.0"), onsetDateTime="2026-10-01")
    assert chart(conditions=bundle([myeloma])).facts.mm.onset_date.is_known
    assert chart(conditions=bundle([myeloma], link=[NEXT])).facts.mm.onset_date.reason == "list-cut"


def test_a_broken_entry_does_not_make_all_other_results_unknown() -> None:
    listed = bundle([creatinine("c", 70, "2026-11-20")])
    listed["entry"].append({"resource": 7})
    assert creatinine_of(chart(observations=json.loads(json.dumps(listed)))).value == 70


# What a server says beside its answer


def outcome(severity: str, code: str = "processing", detail: str | None = None) -> Json:
    issue: Json = {"severity": severity, "code": code}
    if detail:
        issue["details"] = {"coding": [{"system": "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369", "code": detail}]}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def answered(one: Json, mode: str | None = "outcome", *others: Json) -> Mapped:
    entry: Json = {"resource": one} | ({"search": {"mode": mode}} if mode else {})
    rest = [{"resource": each, "search": {"mode": "match"}} for each in others]
    listed = {"resourceType": "Bundle", "type": "searchset", "total": len(rest), "entry": [entry, *rest]}
    return chart(conditions=listed)


@pytest.mark.parametrize(
    ("one", "mode"),
    [
        (outcome("warning", "processing", "4101"), "outcome"),
        (outcome("warning", "not-found", "4101"), None),
        (outcome("information", "informational"), "outcome"),
        (outcome("warning", "processing", "4119"), "outcome"),
    ],
)
def test_an_empty_answer_in_an_ehrs_own_dress_is_empty(one: Json, mode: str | None) -> None:
    found = answered(one, mode)
    assert found.facts.dx.mm.value is False
    assert "conditions" not in found.facts.unavailable | found.facts.cut


@pytest.mark.parametrize(
    ("one", "mode"),
    [
        (outcome("error"), "outcome"),
        (outcome("fatal"), "outcome"),
        (outcome("error", "processing", "4101"), "outcome"),
        (outcome("warning", "suppressed"), "outcome"),
        (outcome("warning", "incomplete"), "outcome"),
        (outcome("warning"), None),
        ({"resourceType": "OperationOutcome", "issue": []}, "outcome"),
    ],
)
def test_an_error_in_the_place_of_the_list_is_not_an_empty_list(one: Json, mode: str | None) -> None:
    found = answered(one, mode)
    assert found.facts.dx.mm.reason in {"not-delivered", "list-cut"}
    assert "conditions" in found.facts.unavailable


def test_a_remark_beside_results_leaves_them_whole() -> None:
    lung = condition("c", coded("http://hl7.org/fhir/sid/icd-10", "C34.1"))
    found = answered(outcome("warning", "processing", "4119"), "outcome", lung)
    assert found.facts.dx.lung_cancer.value is True
    assert found.facts.dx.mm.value is False


# Whole requests

ASKS_FOR_WHAT_IS_NOT_KNOWN = {"DOSE-010", "MM-006", "SMM-007", "MIRELS-005", "MON-001"}
"""Rules whose business it is to say that something is not known or documented: a cut list is a reason for that."""
REST_ON_ANOTHER = {"RT-004", "DX-001"}
"""They speak where another rule, or a sign with a place of its own, does not."""
REQUESTS = sorted(file for file in REQUESTS_FOLDER.glob("*.json") if not file.name.endswith(".expected.json"))


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk.of(Settings.model_validate({"now": "2026-11-22"}))


def fired(desk: Desk, request: Json) -> set[str] | None:
    services = find_services(desk.services, f"oncobone-{request['hook']}")
    try:
        _, judged = desk.judge(json.dumps(request).encode(), services)
    except Refused:
        return None
    return set(judged.assessment.of("fired"))


@pytest.mark.parametrize("file", REQUESTS, ids=lambda file: file.stem)
def test_no_rule_fires_because_a_list_was_cut(desk: Desk, file: Path) -> None:
    request = json.loads(file.read_text(encoding="utf-8"))
    whole = fired(desk, request)
    for key, listed in request.get("prefetch", {}).items():
        if whole is None or key == "patient" or not isinstance(listed, dict) or not listed.get("entry"):
            continue
        for kept in (0, len(listed["entry"]) // 2, len(listed["entry"])):
            cut = {name: value for name, value in listed.items() if name != "total"}
            cut |= {"entry": listed["entry"][:kept], "link": [NEXT]}
            found = fired(desk, request | {"prefetch": request["prefetch"] | {key: cut}})
            more = (found or set()) - whole - ASKS_FOR_WHAT_IS_NOT_KNOWN - REST_ON_ANOTHER
            assert not more, f"{key}, {kept} of {len(listed['entry'])}"
