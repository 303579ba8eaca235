"""A real $export: a FHIR server with the sample patients is asked for one, and what it writes is replayed."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import os
import time
from pathlib import Path

import pytest
import requests

from hooks.reference import samples
from hooks.tools import loading, sandbox
from tests.replay import replay, rows
from tests.wire import DAY

TYPES = "Patient,Condition,Observation,MedicationRequest,MedicationAdministration,Procedure,AllergyIntolerance"


def exported(base: str, to: Path) -> Path:
    """Ask a server for a bulk export and download it, as any client does."""
    with requests.Session() as session:
        session.trust_env = False
        asked = {"Prefer": "respond-async", "Accept": "application/fhir+json"}
        begun = session.get(f"{base}/Patient/$export", params={"_type": TYPES}, headers=asked, timeout=30)
        assert begun.status_code == 202, begun.text
        until = time.monotonic() + 60
        while (told := session.get(begun.headers["Content-Location"], timeout=30)).status_code == 202:
            assert time.monotonic() < until
            time.sleep(0.2)
        manifest = told.json()
        to.mkdir()
        (to / "manifest.json").write_text(json.dumps(manifest))
        for number, output in enumerate(manifest["output"]):
            lines = session.get(output["url"], headers={"Accept": "application/fhir+ndjson"}, timeout=30)
            assert lines.status_code == 200
            (to / f"{number}.ndjson").write_bytes(lines.content)
    return to


def test_what_a_server_exports_is_what_the_files_hold(tmp_path: Path) -> None:
    if importlib.util.find_spec(sandbox.SERVER) is None:
        if os.environ.get("CI"):
            pytest.fail("the sandbox's FHIR server must be installed when CI is set (the extra `sandbox`)")
        pytest.skip("the sandbox's FHIR server is not installed (pip install 'oncobone[sandbox]')")
    day = dt.date.fromisoformat(DAY)
    (tmp_path / "fhir").mkdir()
    with sandbox.fhir_server(tmp_path / "fhir") as server:
        loading.load(server.base, day)
        given = exported(server.base, tmp_path / "export")
    outcome = replay([given], tmp_path / "run", days=(day,))
    assert outcome.code == 0, outcome.left_out
    assert outcome.told["transaction"] is not None
    assert outcome.told["counts"]["patients"] == len({one.patient_id for one in samples.samples()})
    bundles = tmp_path / "bundles"
    bundles.mkdir()
    for sample in samples.samples():
        (bundles / f"{sample.name}.json").write_text(json.dumps(loading.as_transaction(sample, day)))
    manifest = {"transactionTime": outcome.told["transaction"], "output": [{"type": kind} for kind in TYPES.split(",")]}
    (bundles / "manifest.json").write_text(json.dumps(manifest))
    replay([bundles], tmp_path / "run-bundles", days=(day,))
    query = "SELECT rule, state, indicator, missing, limits FROM verdicts ORDER BY ALL"
    assert rows(tmp_path / "run", query) == rows(tmp_path / "run-bundles", query)
    assert rows(tmp_path / "run", "SELECT count(*) FROM cards")[0][0] > 20
