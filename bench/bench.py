"""
Times a patient-view call with 10, 100, 1,000 and 5,000 prefetched resources beside a bare Flask service.

The bare service only calls `request.get_json()` and answers one card. Both run in the same minute, under the
same server (waitress) with one process each, and are asked in turn, so that the ratio stands whatever else
the machine is doing. One resource in ten carries a fact; the rest are other laboratory results.

Usage: python bench/bench.py [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

SIZES = (10, 100, 1000, 5000)
AIMS = {10: 5.0, 100: 2.0, 1000: 1.0, 5000: 0.7}
DAY = "2026-11-22"
BARE = """
from flask import Flask, request
from waitress import serve
app = Flask("bare")
CARD = {"summary": "One card", "indicator": "info", "source": {"label": "bare"}}
@app.post("/cds-services/bare")
def bare():
    request.get_json()
    return {"cards": [CARD]}
serve(app, host="127.0.0.1", port=int(__import__("sys").argv[1]), threads=8, max_request_body_size=64 * 2**20)
"""

FACTS = (
    ("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", 0.9, "mg/dL"),
    ("17861-6", "Calcium [Mass/volume] in Serum or Plasma", 9.2, "mg/dL"),
    ("1751-7", "Albumin [Mass/volume] in Serum or Plasma", 3.9, "g/dL"),
    ("718-7", "Hemoglobin [Mass/volume] in Blood", 12.1, "g/dL"),
    ("777-3", "Platelets [#/volume] in Blood by Automated count", 220, "10*3/uL"),
    ("29463-7", "Body weight", 70.4, "kg"),
    ("2777-1", "Phosphate [Mass/volume] in Serum or Plasma", 3.4, "mg/dL"),
    ("19123-9", "Magnesium [Mass/volume] in Serum or Plasma", 2.0, "mg/dL"),
)
OTHERS = (
    ("2951-2", "Sodium [Moles/volume] in Serum or Plasma", 139, "mmol/L"),
    ("2823-3", "Potassium [Moles/volume] in Serum or Plasma", 4.2, "mmol/L"),
    ("2075-0", "Chloride [Moles/volume] in Serum or Plasma", 101, "mmol/L"),
    ("1742-6", "Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma", 22, "U/L"),
    ("1920-8", "Aspartate aminotransferase [Enzymatic activity/volume] in Serum or Plasma", 25, "U/L"),
    ("2345-7", "Glucose [Mass/volume] in Serum or Plasma", 101, "mg/dL"),
    ("3094-0", "Urea nitrogen [Mass/volume] in Serum or Plasma", 14, "mg/dL"),
    ("787-2", "MCV [Entitic volume] by Automated count", 90, "fL"),
    ("789-8", "Erythrocytes [#/volume] in Blood by Automated count", 4.4, "10*6/uL"),
)


def observation(number: int, entry: tuple[str, str, float, str]) -> dict[str, Any]:
    """Make one laboratory result in the shape and size that an EHR sends."""
    code, display, value, unit = entry
    day = f"2026-{11 - number % 5:02d}-{20 - number % 19:02d}T08:{number % 60:02d}:00+00:00"
    return {
        "resourceType": "Observation",
        "id": f"lab-{number}",
        "meta": {
            "versionId": "1",
            "lastUpdated": day,
            "profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab"],
        },
        "identifier": [{"system": "urn:example:lis", "value": f"R{number:08d}"}],
        "status": "final",
        "category": [
            {
                "coding": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                        "code": "laboratory",
                        "display": "Laboratory",
                    }
                ],
                "text": "Laboratory",
            }
        ],
        "code": {
            "coding": [
                {"system": "http://loinc.org", "code": code, "display": display},
                {"system": "urn:example:local-lab", "code": f"L{code}", "display": display},
            ],
            "text": display,
        },
        "subject": {"reference": "Patient/bench-1", "display": "Synthetic patient"},
        "effectiveDateTime": day,
        "issued": day,
        "performer": [{"reference": "Organization/lab", "display": "Synthetic laboratory"}],
        "valueQuantity": {
            "value": round(value + number % 7 / 10, 2),
            "unit": unit,
            "system": "http://unitsofmeasure.org",
            "code": unit,
        },
        "referenceRange": [{"low": {"value": 1, "unit": unit}, "high": {"value": 900, "unit": unit}}],
    }


def body(size: int) -> tuple[bytes, Counter[str]]:
    """Make a patient-view request with `size` prefetched resources, and tell the mix."""
    conditions = [
        {
            "resourceType": "Condition",
            "id": name,
            "clinicalStatus": {
                "coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]
            },
            "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}], "text": text},
            "subject": {"reference": "Patient/bench-1"},
            "recordedDate": "2026-09-01",
        }
        for name, code, text in (("lung", "C34.11", "Lung cancer"), ("bone", "C79.51", "Bone metastasis"))
    ]
    patient = {"resourceType": "Patient", "id": "bench-1", "gender": "female", "birthDate": "1961-03-10"}
    labs = size - 1 - len(conditions)
    mix = Counter({"Patient": 1, "Condition": len(conditions)})
    observations = []
    for number in range(labs):
        carries = number % 10 == 0
        table = FACTS if carries else OTHERS
        observations.append(observation(number, table[number // 10 % len(table)] if carries else table[number % 9]))
        mix["Observation with a fact" if carries else "other laboratory result"] += 1

    def bundle(resources: list[dict[str, Any]]) -> dict[str, Any]:
        entries = [
            {"fullUrl": f"https://ehr.example/fhir/{r['resourceType']}/{r['id']}", "resource": r} for r in resources
        ]
        return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}

    request = {
        "hook": "patient-view",
        "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/example", "patientId": "bench-1"},
        "prefetch": {
            "patient": patient,
            "conditions": bundle(conditions),
            "observations": bundle(observations),
            "medications": bundle([]),
            "procedures": bundle([]),
            "allergies": bundle([]),
            "medicationAdministrations": bundle([]),
            "serviceRequests": bundle([]),
        },
    }
    return json.dumps(request).encode(), mix


def free_port() -> int:
    """Find a free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int) -> None:
    """Wait until something listens there; 30 seconds at most."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")


def ask(connection: HTTPConnection, path: str, payload: bytes) -> tuple[float, bytes]:
    """Post once and give seconds and answer; anything but 200 is an error."""
    start = time.perf_counter()
    connection.request("POST", path, payload, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    took = time.perf_counter() - start
    if response.status != 200:
        raise RuntimeError(f"{path} answered {response.status}: {answer[:200]!r}")
    return took, answer


def main() -> None:
    """Run both services, ask them in turn, print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40, help="calls per size and service (large sizes: fewer)")
    rounds = parser.parse_args().rounds
    ports = free_port(), free_port()
    environment = os.environ | {
        "ONCOBONE_NOW": DAY,
        "ONCOBONE_DATABASE_URL": "sqlite:////dev/shm/oncobone-bench.sqlite"
        if Path("/dev/shm").is_dir()
        else "sqlite:///bench.sqlite",
        "ONCOBONE_WORKERS": "1",
    }
    oncobone = Path(sys.executable).with_name("oncobone")
    servers = [
        subprocess.Popen([sys.executable, "-c", BARE, str(ports[0])]),
        subprocess.Popen(
            [str(oncobone), "serve", "--port", str(ports[1])],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ),
    ]
    try:
        for port in ports:
            wait_for(port)
        bare, ours = (HTTPConnection("127.0.0.1", port, timeout=60) for port in ports)
        print(f"{'resources':>9} {'body kB':>8} {'bare ms':>8} {'ours ms':>8} {'ratio':>6} {'aim':>5}  mix")
        for size in SIZES:
            payload, mix = body(size)
            times: tuple[list[float], list[float]] = ([], [])
            for number in range(max(10, rounds if size <= 100 else rounds // 2) + 3):
                slow, _ = ask(bare, "/cds-services/bare", payload)
                fast, answer = ask(ours, "/cds-services/oncobone-patient-view", payload)
                if number >= 3:  # the first ones warm up
                    times[0].append(slow)
                    times[1].append(fast)
            if not json.loads(answer)["cards"]:
                raise RuntimeError("the bench patient should have cards")
            floor, took = (statistics.median(series) * 1000 for series in times)
            parts = ", ".join(f"{count} {kind}" for kind, count in sorted(mix.items()))
            print(
                f"{size:>9} {len(payload) / 1000:>8.0f} {floor:>8.2f} {took:>8.2f} {took / floor:>6.2f}"
                f" {AIMS[size]:>5.1f}  {parts}"
            )
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait(10)


if __name__ == "__main__":
    main()
