"""The small tools of the mapping: codes, units, dates, words, bytes, and a site's own table."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_mapping.chart import PREFETCH_KEYS
from fhir_mapping.terms import codes, dates, dictionary, exact, units
from fhir_mapping.terms.exact import too_deep
from fhir_mapping.terms.site import SiteMappingError, site_mapping
from fhir_mapping.words import assertions, durations, results
from recommenders.vocabulary.dictionary import DICTIONARY
from tests.fhir import ICD10, ICD10_CM, NOW, SNOMED, chart, coded, condition, observation, prefetch, quantity, read

SHANGHAI = ZoneInfo("Asia/Shanghai")


# --- codes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "system",
    [
        "http://snomed.info/sct",
        " https://SNOMED.info/sct/ ",
        "http://snomed.info/sct|http://snomed.info/sct/731000124108",
        "http://snomed.info/sct/900000000000207008/version/20240101",
        "urn:oid:2.16.840.1.113883.6.96",
        "URN:OID:2.16.840.1.113883.6.96",
    ],
)
def test_one_code_system_has_many_spellings(system: str) -> None:
    assert codes.concepts(coded(system, "94222008"), "Condition")[0].concept == "bone_metastasis"


@pytest.mark.parametrize(
    ("system", "code", "concept"),
    [
        (ICD10_CM, "C34.01", "lung_cancer"),
        (ICD10_CM, "c3490", "lung_cancer"),
        (ICD10_CM, "C79.51", "bone_metastasis"),
        (ICD10_CM, "C79.52", "bone_marrow_metastasis"),
        (ICD10, "C79.5", "bone_metastasis"),
        (ICD10, "C79.500x007", "bone_metastasis"),
        (ICD10, "M84.400", "pathological_fracture"),
        (ICD10, "C90.000", "multiple_myeloma"),
        (ICD10_CM, "C80.0", "metastatic_malignancy_nos"),
        (ICD10, "C80.0", "other_solid_cancer"),
        (ICD10_CM, "C49.A2", "gist_TRAP"),
        (ICD10_CM, "M84.551K", "pathological_fracture_neoplastic"),
        (ICD10, "M84.551K", "pathological_fracture_neoplastic"),
    ],
)
def test_icd_codes_are_read_by_their_longest_listed_beginning(system: str, code: str, concept: str) -> None:
    assert [match.concept for match in codes.concepts(coded(system, code), "Condition")] == [concept]


@pytest.mark.parametrize("code", ["D12.6", "I10", "Z80.1", "C34"[:2], ""])
def test_icd_codes_outside_the_list_are_no_concept(code: str) -> None:
    assert codes.concepts(coded(ICD10_CM, code), "Condition") == ()


@pytest.mark.parametrize("code", ["C44.3", "D02.2", "D48.9"])
@pytest.mark.parametrize("system", [ICD10, ICD10_CM])
def test_what_looks_like_cancer_and_is_none_of_ours_is_a_trap(system: str, code: str) -> None:
    found = codes.concepts(coded(system, code), "Condition")
    assert all(match.is_trap for match in found)


def test_the_us_edition_under_the_who_address_is_read_and_noted() -> None:
    (match,) = codes.concepts(coded(ICD10, "C79.51"), "Condition")
    assert match.note == "ICD-10-CM code under the WHO address"


def test_a_number_for_a_code_and_one_coding_for_a_list_are_understood() -> None:
    assert codes.concepts({"coding": {"system": SNOMED, "code": 94222008}})[0].note == "number for a code"
    assert codes.concepts({"system": SNOMED, "code": "94222008"})[0].concept == "bone_metastasis"


@pytest.mark.parametrize("odd", [None, 3, "words", [], {}, {"coding": None}, {"coding": [None, 3, {"code": None}]}])
def test_odd_codeable_concepts_are_no_concept(odd: object) -> None:
    assert codes.concepts(odd) == ()


# --- units --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("MG/DL", "mg/dL"),
        ("gm/dL", "g/dL"),
        ("µmol/L", "umol/L"),
        ("μmol/L", "umol/L"),
        ("umol/l", "umol/L"),
        ("ｍｍｏｌ／Ｌ", "mmol/L"),
        ("K/uL", "10*3/uL"),
        ("x10^9/L", "10*9/L"),
        ("×10⁹/L", "10*9/L"),
        ("G/L", "10*9/L"),
        ("g/l", "g/L"),
        ("IU/L", "U/L"),
        ("[iU]/L", "U/L"),
        ("mL/min/1.73m2", "mL/min/{1.73_m2}"),
        ("mL/min/1.73.m2", "mL/min/{1.73_m2}"),
        ("ml/min", "mL/min"),
        ("mEq/L", "meq/L"),
        ("lbs", "[lb_av]"),
        ("mg/24 hr", "mg/(24.h)"),
        ("分", "{score}"),
        ("月", "mo"),
    ],
)
def test_units_are_known_by_their_everyday_spellings(written: str, unit: str) -> None:
    assert units.spelled(written) == unit


@pytest.mark.parametrize(
    ("fact", "value", "unit", "expected"),
    [
        ("lab.ca_total", "9.2", "mg/dL", "2.29540"),
        ("lab.ca_total", "4.6", "meq/L", "2.3"),
        ("lab.ca_total", "92", "mg/L", "2.2954"),
        ("lab.creatinine", "1.4", "mg/dL", "123.788"),
        ("lab.creatinine", "0.124", "mmol/L", "124"),
        ("lab.albumin", "3.6", "g/dL", "36"),
        ("lab.hb", "10", "g/dL", "100"),
        ("mm.m_protein", "3000", "mg/dL", "30"),
        ("mm.kappa", "12.5", "mg/dL", "125"),
        ("mm.b2m", "3.5", "ug/mL", "3.5"),
        ("lab.platelets", "150000", "/uL", "150"),
        ("mm.bmpc", "0.6", "1", "60"),
        ("patient.weight", "154", "[lb_av]", "69.85322498"),
        ("patient.height", "1.72", "m", "172"),
        ("lab.crcl", "1", "mL/s", "60"),
    ],
)
def test_values_are_converted_into_the_unit_of_their_fact(fact: str, value: str, unit: str, expected: str) -> None:
    rule = dictionary.READINGS[fact]
    converted = units.convert(Decimal(value), unit, rule.unit, rule.analyte)
    assert converted is not None
    assert converted.value == Decimal(expected)


@pytest.mark.parametrize(
    ("fact", "unit"),
    [
        ("lab.hb", "mmol/L"),
        ("mm.m_protein", "%"),
        ("lab.crcl", "mL/min/{1.73_m2}"),
        ("lab.ca_total", ""),
        ("mm.kappa", "1"),
    ],
)
def test_units_that_are_another_quantity_are_never_converted(fact: str, unit: str) -> None:
    rule = dictionary.READINGS[fact]
    assert units.convert(Decimal(1), unit, rule.unit, rule.analyte) is None


def test_a_creatinine_travels_there_and_back_exactly() -> None:
    (unit, factor) = units.factors()["creatinine", "mg/dL"]
    assert unit == "umol/L"
    assert Decimal("2.0") * factor / factor == Decimal("2.0")


def test_every_conversion_leads_into_the_unit_of_a_fact() -> None:
    wanted = {(rule.analyte, rule.unit) for rule in dictionary.READINGS.values() if rule.analyte}
    wanted |= {("tumor_dimension", "mm"), ("radiotherapy_dose", "Gy")}
    assert {(analyte, into) for (analyte, _), (into, _) in units.factors().items()} == wanted


def test_every_closed_world_fact_says_which_lists_its_no_comes_from() -> None:
    for path, spec in DICTIONARY.items():
        if spec.closed:
            assert dictionary.silence_keys(path), path
            assert set(dictionary.silence_keys(path)) <= set(PREFETCH_KEYS), path


# --- dates --------------------------------------------------------------------------------------------------


def test_the_day_of_a_time_is_the_day_in_the_services_time_zone() -> None:
    stamp = dates.parse("2026-11-20T23:30:00Z", SHANGHAI)
    assert stamp is not None
    assert stamp.day == dt.date(2026, 11, 21)


def test_a_time_without_zone_is_local() -> None:
    stamp = dates.parse("2026-11-20T23:30:00", SHANGHAI)
    assert stamp is not None
    assert stamp.day == dt.date(2026, 11, 20)


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "yesterday",
        "2026-13-01",
        "2026-02-30",
        "20261120",
        5,
        None,
        "2026-11-20T25:00:00Z",
        "2026-W47-5T08:00:00Z",
        "2026-11-20T08:00:00+01.00",
        "2026-11-20T08:00:00+24:00",
        "9999-12-31T23:59:59-14:00",
        "2026-11-20T08:00:00٠Z",
    ],
)
def test_what_is_no_date_is_none(odd: object) -> None:
    assert dates.parse(odd, dt.UTC) is None


@pytest.mark.parametrize(
    "written", ["2026-11-20T23:59:60Z", "2026-11-20 23:59:59Z", " 2026-11-20T23:59:59.5z ", "2026-11-21T00:59:59+0100"]
)
def test_a_time_is_the_same_however_it_is_written(written: str) -> None:
    assert dates.parse(written, SHANGHAI) == dates.parse("2026-11-20T23:59:59Z", SHANGHAI)


@pytest.mark.parametrize(
    ("sent", "future"),
    [
        ("2026-11", False),
        ("2026", False),
        ("2026-12", True),
        ("2026-11-23", False),
        ("2026-11-24", True),
        ("2026-11-23T11:59:00Z", False),
        ("2026-11-23T12:01:00Z", True),
    ],
)
def test_the_future_begins_after_twenty_four_hours_and_not_within_a_month_that_has_begun(
    sent: str, future: bool
) -> None:
    stamp = dates.parse(sent, dt.UTC)
    assert stamp is not None
    assert stamp.is_future(NOW) is future


def test_status_decides_between_results_of_one_time() -> None:
    stamp = dates.parse("2026-11-20", dt.UTC)
    keys = [dates.order(stamp, status) for status in ("final", "amended", "corrected")]
    assert keys == sorted(keys)


# --- words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "term", "verdict"),
    [
        ("骨转移", "bone_metastasis", "present"),
        ("不能排除骨转移", "bone_metastasis", "suspected"),
        ("不考虑骨转移", "bone_metastasis", "absent"),
        ("排除骨转移", "bone_metastasis", "absent"),
        ("未见新发骨转移", "bone_metastasis", "unread"),
        ("骨转移高危", "bone_metastasis", "hypothetical"),
        ("无症状骨转移", "bone_metastasis", "present"),
        ("肺癌，未见骨转移", "lung_cancer", "present"),
        ("肺癌术后", "lung_cancer", "present"),
        ("既往肺癌", "lung_cancer", "historical"),
        ("history of lung cancer", "lung_cancer", "historical"),
        ("s/p lung cancer resection", "lung_cancer", "present"),
        ("r/o pathologic fracture", "pathological_fracture", "suspected"),
        ("impending pathological fracture", "pathological_fracture", "hypothetical"),
        ("no spinal cord compression", "cord_compression", "absent"),
        ("Bone metastases: negative", "bone_metastasis", "absent"),
        ("高危冒烟型骨髓瘤", "smouldering_myeloma", "present"),
        ("asymptomatic multiple myeloma", "multiple_myeloma", None),
    ],
)
def test_each_sentence_has_its_verdict(said: str, term: str, verdict: str | None) -> None:
    assert assertions.verdict(said, term) == verdict


@pytest.mark.parametrize(
    ("said", "low", "comparator"),
    [(">90", "90", ">"), ("GT 45", "45", ">"), ("<0.2 mg/dL", "0.2", "<"), ("１.２", "1.2", ""), ("≥ 4", "4", ">=")],
)
def test_numbers_written_as_text_are_read_with_their_comparator(said: str, low: str, comparator: str) -> None:
    spoken = results.quantity(said)
    assert spoken is not None
    assert (spoken.low, spoken.comparator) == (low, comparator)


@pytest.mark.parametrize("said", ["see comment", "TNP", "未做", "hemolyzed", "QNS"])
def test_a_result_without_a_value_says_so(said: str) -> None:
    assert results.is_no_value(said)


@pytest.mark.parametrize(
    ("said", "low", "high", "unit", "comparator"),
    [
        ("life expectancy 3-6 months", "3", "6", "mo", ""),
        ("预计生存期约3个月", "3", "3", "mo", ""),
        ("预计生存期大于6个月", "6", "6", "mo", ">"),
        ("life expectancy less than 3 months", "3", "3", "mo", "<"),
        ("90 days", "90", "90", "d", ""),
    ],
)
def test_a_life_expectancy_in_words_is_read_as_numbers(
    said: str, low: str, high: str, unit: str, comparator: str
) -> None:
    span = durations.time_span(said)
    assert span is not None
    assert (span.low, span.high, span.unit, span.comparator) == (low, high, unit, comparator)


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(said: str) -> None:
    assertions.verdicts(said)
    results.quantity(said)
    durations.time_span(said)
    results.polarity(said)


# --- bytes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [True, False])
def test_depth_is_told_without_walking(exact: bool) -> None:
    assert not too_deep(b"[" * 64 + b"]" * 64, exact=exact)
    assert too_deep(b"[" * 65 + b"]" * 65, exact=exact)
    assert too_deep(b'{"a":' * 70 + b"1" + b"}" * 70, exact=exact)
    assert not too_deep(b'{"a": "' + b"[{" * 500 + b'"}', exact=exact)


def test_brackets_inside_strings_do_not_hide_depth() -> None:
    hidden = b'["]",' * 100 + b"1" + b',"["]' * 100
    assert too_deep(hidden)


@pytest.mark.parametrize(
    "body",
    [
        b'{"value": 1, "value": 2}',
        b'{"value": 1e400}',
        b'{"value": NaN}',
        b'{"value": 12345678901234567890123456789012345678901}',
        b'{"value": 1000000001}',
        b'{"value": 1e-999999999}',
        b"[1]",
        b"{",
        b'{"a":' * 70 + b"1" + b"}" * 70,
    ],
)
def test_a_hostile_resource_is_refused(body: bytes) -> None:
    with pytest.raises(exact.ResourceFaultError):
        exact.whole(body)


@pytest.mark.parametrize("number", ["1e99999999999999999999", "-1e99999999999999999999", "1e-99999999999999999999"])
def test_a_number_whose_exponent_is_longer_than_any_is_out_of_bounds(number: str) -> None:
    with pytest.raises(exact.ResourceFaultError, match="a number larger than 1e9"):
        exact.whole(b'{"value": %s}' % number.encode())


def test_decimals_stay_exact_and_lone_surrogates_are_replaced() -> None:
    found = exact.whole(rb'{"value": 0.10, "text": "a\ud800b"}')
    assert found["value"] == Decimal("0.10")
    assert found["text"] == "a\ufffdb"


# --- a site's own table -------------------------------------------------------------------------------------

SITE = {
    "cn_icd_systems": ["http://hospital.example/icd-10"],
    "codes": [{"system": "http://hospital.example/lab", "code": "CA", "concept": "calcium_total"}],
    "names": [{"text": "血清钙(总)", "concept": "lab.ca_total"}],
    "units": {"毫摩尔/升": "mmol/L"},
}


def test_a_sites_codes_names_and_units_are_read() -> None:
    site = site_mapping(SITE)
    value = quantity(2.31, "毫摩尔/升")
    for code in (coded("http://hospital.example/lab", "CA"), {"text": "血清钙(总)"}):
        facts = read(prefetch(observation("ca", code, value)), site=site).facts
        assert facts.lab.ca_total.rounded == Decimal("2.31")
        assert chart(observation("ca", code, value)).facts.lab.ca_total.is_known is False


def test_a_sites_national_icd_edition_is_cut_to_the_who_code() -> None:
    sent = prefetch(condition("c", coded("http://hospital.example/icd-10", "C79.500x007")))
    assert read(sent, site=site_mapping(SITE)).facts.dx.bone_met.value is True


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"codes": [{"system": "http://x.example", "code": "CA", "concept": "calcium"}]}, "codes, entry 1"),
        ({"codes": [{"system": "http://loinc.org", "code": "2160-0", "concept": "albumin"}]}, "creatinine already"),
        ({"codes": [{"system": "http://x.example", "concept": "albumin"}]}, "code is missing"),
        ({"names": [{"text": "x", "concept": "albumin", "unit": "g"}]}, "'unit' is not known"),
        ({"units": {"blub": "blubber"}}, "not a unit we know"),
        ({"cn_icd_systems": "http://x"}, "list of addresses"),
        ({"kodes": []}, "'kodes' is not a setting"),
    ],
)
def test_a_faulty_site_table_names_entry_and_remedy(settings: dict[str, object], words: str) -> None:
    with pytest.raises(SiteMappingError, match=words):
        site_mapping(settings)
