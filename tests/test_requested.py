"""What is already asked for: services on record and drafted, by code or name, of which bone, and what that answers."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, get_args

import pytest

from fhir_mapping.chart import read_chart
from fhir_mapping.proposals import resource_for
from recommenders.patient.advice import ProposedService, Service
from recommenders.vocabulary.bones import Bone, bone_of, same_bone
from recommenders.vocabulary.records import Request, Requests
from tests.fhir import LOINC, NOW, PATIENT_ID, SNOMED, TODAY, bundle, chart, coded, days_ago, prefetch, service_request

LEFT_FEMUR, RIGHT_FEMUR = "femur/left", "femur/right"


def asked(*resources: Any, **more: Any) -> Requests:
    return chart(*resources, **more).facts.requested


def services(requests: Requests) -> set[str]:
    return {one.service for one in requests}


@pytest.mark.parametrize("service", get_args(Service))
@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_what_a_button_orders_is_found_as_ordered(service: Any, language: str) -> None:
    order = resource_for(
        ProposedService(service=service),
        patient_id=PATIENT_ID,
        reasons=(),
        drafts={},
        intent="order",
        language=language,
        authored=TODAY,
    )
    assert asked(order | {"id": "one", "status": "active"}).criterion(service).yes


@pytest.mark.parametrize(
    ("said", "service"),
    [
        ("Referral to orthopedic surgery", "orthopaedic-consultation"),
        ("骨科门诊转诊", "orthopaedic-consultation"),
        ("Consult: Radiation Oncology", "radiation-oncology-consultation"),
        ("放疗科会诊", "radiation-oncology-consultation"),
        ("Neurosurgery consultation", "spine-surgery-consultation"),
        ("Dental clearance before denosumab, dental evaluation", "dental-examination"),
        ("MRI total spine with and without contrast", "mri-whole-spine"),
        ("MRI total spine with and without contrast", "mri-spine"),
        ("全脊柱磁共振平扫", "mri-whole-spine"),
        ("全身骨显像", "bone-scan"),
        ("PET/CT 全身", "pet-ct"),
        ("Basic metabolic panel", "creatinine"),
        ("Tumor board review", "mdt-conference"),
    ],
)
def test_an_order_in_words_is_recognised(said: str, service: str) -> None:
    assert service in services(asked(service_request("one", {"text": said})))


@pytest.mark.parametrize(
    ("said", "service"),
    [
        ("Chest X-ray", "xray"),
        ("MRI brain with contrast", "mri"),
        ("Low-dose CT chest, lung cancer screening", "low-dose-ct"),
        ("PET/CT", "ct"),
        ("Bone marrow biopsy", "bone-biopsy"),
        ("Orthopaedic shoe insert", "orthopaedic-consultation"),
        ("Palliative radiotherapy 8 Gy", "radiation-oncology-consultation"),
        ("Alkaline phosphatase", "phosphate"),
        ("Urine calcium", "ionised-calcium"),
    ],
)
def test_what_only_looks_like_it_is_another_order(said: str, service: str) -> None:
    assert service not in services(asked(service_request("one", {"text": said})))


def test_codes_are_enough_and_one_panel_is_several_services() -> None:
    assert "creatinine" in services(asked(service_request("one", coded(LOINC, "2160-0"))))
    assert services(asked(service_request("one", coded(SNOMED, "443271005")))) == {"pet-ct"}


@pytest.mark.parametrize("status", ["revoked", "entered-in-error", "unknown"])
def test_what_was_withdrawn_asks_for_nothing(status: str) -> None:
    assert not asked(service_request("one", {"text": "MDT discussion"}, status=status)).items


def test_what_must_not_be_done_asks_for_nothing() -> None:
    assert not asked(service_request("one", {"text": "MDT discussion"}, doNotPerform=True)).items


def test_a_draft_of_the_call_counts() -> None:
    draft = service_request("draft", {"text": "骨科会诊"}, status="draft", bodySite=[{"text": "左股骨"}])
    facts = read_chart(
        prefetch(),
        patient_id=PATIENT_ID,
        now=NOW,
        timezone=dt.UTC,
        draft_orders=json.dumps(bundle([draft])).encode(),
    ).facts
    assert [(one.service, one.status, one.bone.key) for one in facts.requested] == [
        ("orthopaedic-consultation", "draft", LEFT_FEMUR)
    ]


def test_the_bone_of_an_order_is_read_with_its_side() -> None:
    found = asked(service_request("one", {"text": "Orthopaedic consultation"}, bodySite=[{"text": "Left femur"}]))
    assert found.criterion("orthopaedic-consultation", about=LEFT_FEMUR).yes
    assert found.criterion("orthopaedic-consultation", about=RIGHT_FEMUR).no
    assert found.criterion("orthopaedic-consultation", about="femur").unknown
    unsided = asked(service_request("one", {"text": "Orthopaedic consultation"}, bodySite=[{"text": "femur"}]))
    assert unsided.criterion("orthopaedic-consultation", about="femur").yes
    assert unsided.criterion("orthopaedic-consultation", about=LEFT_FEMUR).unknown
    assert found.criterion("orthopaedic-consultation").yes


def test_an_order_without_a_bone_is_for_whichever_is_meant() -> None:
    assert Requests((Request(service="mri"),)).criterion("mri", about=LEFT_FEMUR).yes


@pytest.mark.parametrize("left_out", [{"without": ["serviceRequests"]}])
def test_without_the_list_nothing_found_is_unknown(left_out: dict[str, Any]) -> None:
    assert asked(**left_out).criterion("mri").unknown
    assert asked().criterion("mri").no


def test_a_cut_list_is_not_the_whole_list() -> None:
    cut = bundle([], link=[{"relation": "next", "url": "https://fhir.example/next"}])
    assert asked(serviceRequests=cut).criterion("mri").unknown


def test_what_is_done_counts_only_since_the_day_that_asks_for_it() -> None:
    done = asked(
        service_request("one", {"text": "Orthopaedic consultation"}, status="completed", authoredOn=days_ago(10))
    )
    asks = done.criterion
    assert asks("orthopaedic-consultation").no
    assert asks("orthopaedic-consultation", since=TODAY - dt.timedelta(10)).yes
    assert asks("orthopaedic-consultation", since=TODAY - dt.timedelta(9)).no


def test_an_old_order_is_no_answer_to_a_new_finding() -> None:
    old = asked(service_request("one", {"text": "Orthopaedic consultation"}, authoredOn=days_ago(400)))
    assert old.criterion("orthopaedic-consultation", since=TODAY - dt.timedelta(5)).no
    assert old.criterion("orthopaedic-consultation").yes


# --- the same bone ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("femur/left", "femur-other/left", True),
        ("femur/left", "femur/right", False),
        ("femur/left", "femur", None),
        ("femur", "femur", None),
        ("humerus/left", "femur/left", False),
        ("spine-thoracic/T10", "spine-thoracic/T10", True),
        ("spine-thoracic/T10", "spine-thoracic/T11", False),
        ("spine-thoracic/T10", "spine-thoracic", None),
        ("spine-thoracic/T10", "spine", None),
        ("spine-thoracic/T10", "spine-lumbar", False),
        ("spine-lumbar", "spine-lumbar", None),
        ("sacrum", "sacrum", True),
        ("pelvis/left", "acetabulum/left", True),
        ("lower-limb/left", "femur/left", None),
        ("lower-limb/left", "femur/right", False),
        ("bone", "femur/left", None),
    ],
)
def test_the_same_bone_is_the_same_side_and_level(one: str, other: str, same: bool | None) -> None:
    assert same_bone(bone_of(one), bone_of(other)) is same
    assert same_bone(bone_of(other), bone_of(one)) is same


def test_a_key_is_read_back_as_the_bone_that_wrote_it() -> None:
    for bone in (Bone("femur", "left"), Bone("spine-thoracic", None, "T10"), Bone("sacrum"), Bone("rib", "right")):
        assert bone_of(bone.key) == bone
    assert Bone().key == "bone"
