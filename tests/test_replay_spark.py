"""The engine on Spark gives the bytes of the local one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hooks.replay import engines
from tests.fhir import coded, condition, patient
from tests.replay import export, people, replay, tables, write_lines

pytestmark = pytest.mark.timeout(400)
HAS_JAVA = shutil.which("java") is not None


def medication_orders() -> list[dict[str, Any]]:
    """A patient whose orders name a Medication that is made of another one."""
    subject = {"reference": "Patient/drug-1"}
    whole = {
        "resourceType": "Medication",
        "id": "m1",
        "ingredient": [{"itemReference": {"reference": "Medication/m2"}}],
    }
    return [
        patient(id="drug-1"),
        condition("drug-c", coded("http://hl7.org/fhir/sid/icd-10-cm", "C79.51"), subject=subject),
        {
            "resourceType": "MedicationRequest",
            "id": "drug-o",
            "status": "active",
            "intent": "order",
            "medicationReference": {"reference": "Medication/m1"},
            "subject": subject,
            "authoredOn": "2026-10-01",
        },
        whole,
        {"resourceType": "Medication", "id": "m2", "code": {"text": "denosumab"}},
    ]


@pytest.mark.skipif(not HAS_JAVA, reason="Spark needs Java")
@pytest.mark.filterwarnings("ignore")  # of Spark's own Python
def test_spark_gives_the_bytes_of_this_machine(tmp_path: Path) -> None:
    given = export(tmp_path / "in", 16)
    path = write_lines(tmp_path / "in", [*medication_orders(), *people(2, seed=9)[0]], "more.ndjson")
    path.write_text(
        path.read_text(encoding="utf-8") + '{"resourceType":"Condition","subject":{"reference":"Patient/drug-1"}\n'
    )
    replay([given], tmp_path / "local")
    replay([given], tmp_path / "spark", engine=engines.engine_of("spark", workers=2, master=None))
    assert tables(tmp_path / "spark") == tables(tmp_path / "local")
    assert not (tmp_path / "spark" / "spool").exists()


def test_java_is_here_where_spark_is_tested() -> None:
    if HAS_JAVA:
        told = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True)  # noqa: S607 - as Spark finds it
        assert "version" in told.stderr
