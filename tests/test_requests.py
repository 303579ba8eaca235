"""Whole requests with the expected answer beside each, sent to a running server."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hooks.reference.samples import request_for, samples

if TYPE_CHECKING:
    from tests.conftest import Server

FOLDER = Path(__file__).parent.parent / "fixtures" / "requests"
IN_CHINESE = {"chinese-chart", "hypercalcaemia", "melphalan-140-mrd-positive"}
RENEW = os.environ.get("ONCOBONE_RENEW") == "1"
"""With it, the files are written anew instead of compared; read the difference before it is committed."""

NAMES = (
    [sample.name for sample in samples()]
    if RENEW
    else sorted(path.stem for path in FOLDER.glob("*.json") if not path.stem.endswith(".expected"))
)


def written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def test_there_are_at_least_ten_and_each_has_its_answer() -> None:
    assert len(NAMES) >= 10
    assert RENEW or all((FOLDER / f"{name}.expected.json").exists() for name in NAMES)


def test_every_sample_patient_is_among_them() -> None:
    assert {sample.name for sample in samples()} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_is_the_expected_one_to_the_letter(server: Server, name: str) -> None:
    path, expected = FOLDER / f"{name}.json", FOLDER / f"{name}.expected.json"
    if RENEW:
        FOLDER.mkdir(exist_ok=True)
        path.write_text(written(request_for(name)), encoding="utf-8")
    body = path.read_bytes()
    assert json.loads(body) == request_for(name), "the request is that of the sample patient of the same name"
    language = "zh-CN" if name in IN_CHINESE else "en"
    answered = server.call(json.loads(body), headers={"Accept-Language": language})
    assert answered.status_code == 200
    if RENEW:
        expected.write_text(written(answered.json()), encoding="utf-8")
    assert answered.json() == json.loads(expected.read_text(encoding="utf-8"))
