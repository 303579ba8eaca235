"""What a report of bone imaging says of spread, though it names no bone: what was looked at tells of what."""

from __future__ import annotations

import pytest

from recommenders.vocabulary.facts import Finding
from tests.fhir import ICD10_CM, LOINC, SUBJECT, Json, chart, coded, condition, days_ago, reasons, report

LUNG = condition("lung", coded(ICD10_CM, "C34.11"))
SCAN = coded(LOINC, "25031-6", text="Bone scan")


def told(code: Json, conclusion: str) -> Finding:
    return chart(LUNG, report("r", code, conclusion=conclusion)).facts.dx.bone_met


@pytest.mark.parametrize(
    "conclusion",
    [
        "Increased uptake in the left femur, suspicious for metastasis.",
        "Multiple foci of increased uptake consistent with metastatic disease.",
        "多发骨代谢活跃灶，考虑转移。",
        "左侧第5肋放射性濃聚，轉移不除外。",
    ],
)
def test_on_a_bone_scan_a_metastasis_is_one_of_bone_and_has_to_be_confirmed(conclusion: str) -> None:
    assert told(SCAN, conclusion).reason == "suspected"


@pytest.mark.parametrize(
    ("study", "conclusion"),
    [
        ("MRI lumbar spine", "Metastatic deposits within the L2 vertebral body."),
        ("CT right femur", "Metastasis of the proximal femur."),
    ],
)
def test_beside_a_named_bone_mri_and_ct_state_it(study: str, conclusion: str) -> None:
    assert told({"text": study}, conclusion).value is True


@pytest.mark.parametrize(
    ("study", "conclusion"),
    [
        ("MRI lumbar spine", "History of metastatic lung cancer. No acute abnormality."),
        ("MRI lumbar spine", "Known liver metastases. Vertebral bodies are normal."),
        ("MRI lumbar spine", "Retroperitoneal lymph node metastases."),
        ("腰椎MRI", "腹膜后淋巴结转移。腰椎退行性变。"),
        ("MRI cervical spine", "Brain metastases stable. No lesion of the cervical spine."),
        ("CT chest abdomen", "Multiple liver metastases. No osseous lesion."),
        ("MRI lumbar spine", "L2 haemangioma. No metastasis."),
    ],
)
def test_a_metastasis_elsewhere_or_in_the_history_is_none_of_bone(study: str, conclusion: str) -> None:
    found = told({"text": study}, conclusion)
    assert (found.value, found.reason) == (None, "missing")


@pytest.mark.parametrize(
    "conclusion", ["No scintigraphic evidence of metastatic disease.", "全身骨骼显像未见转移征象。"]
)
def test_a_scan_without_spread_is_negative(conclusion: str) -> None:
    (study,) = chart(LUNG, report("r", SCAN, conclusion=conclusion)).facts.studies
    assert study.result == "negative"


@pytest.mark.parametrize(
    ("description", "of_bone"),
    [("MRI whole body", True), ("全身MRI", True), ("MRI thoracic spine", True), ("MRI brain", False), ("x", False)],
)
def test_an_imaging_study_is_known_by_its_description(description: str, of_bone: bool) -> None:
    study = {
        "resourceType": "ImagingStudy",
        "id": "s",
        "status": "available",
        "subject": SUBJECT,
        "started": days_ago(10),
        "modality": [{"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "MR"}],
        "description": description,
    }
    mapped = chart(study)
    assert bool(mapped.facts.studies) is of_bone
    assert ("imaging that is not told to be of bone" in reasons(mapped).get("ImagingStudy/s", ())) is not of_bone
