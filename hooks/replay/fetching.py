"""A small population straight from a FHIR server, fetched as the service fetches; SMART Fetch is for larger ones."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from fhir_mapping.chart import Unavailable
from fhir_mapping.terms import exact
from fhir_mapping.terms.queries import templates
from hooks.fhir_server.addresses import base_of, next_query
from hooks.fhir_server.breaker import Breakers
from hooks.fhir_server.download import download
from hooks.fhir_server.fetch import fetch_missing
from hooks.fhir_server.reasons import sentence
from hooks.fhir_server.watches import FetchError
from hooks.replay.errors import ReplayError
from hooks.replay.patients import FIRST_OF

if TYPE_CHECKING:
    from hooks.replay.engines import Progress

ANONYMOUS = "none"
"""Sent as the token where none is given: an open test server takes any, and nothing is asked without one."""
PATIENCE_S = 60.0
MOST_PATIENTS = 20_000
PAGE = 200
_TYPE_OF = {key: next(iter(sorted(kinds))) for key, kinds in FIRST_OF.items()} | {"encounters": "Encounter"}


@contextmanager
def fetched(base: str, token: str | None, progress: Progress, ca_file: str | None = None) -> Iterator[Path]:
    """
    Fetch every patient that a server lists into a folder that only its owner can read; it is removed at the end.

    Of a patient of whom something does not come, what came counts as a part. Raises ReplayError when the address is
    none, when the server does not list its patients, and above 20,000 of them.
    """
    if base_of(base) is None:
        raise ReplayError("--fhir: must be a FHIR base, such as https://ehr.example.org/fhir")
    base, token = base.rstrip("/"), token or ANONYMOUS
    started = dt.datetime.now(dt.UTC)
    patients = list(_patients(base, token, ca_file))
    progress("fetch", 0, len(patients))
    came: set[str] = set()
    lacking: dict[str, set[str]] = {}
    with TemporaryDirectory(prefix="oncobone-replay-") as name:  # made for its owner only
        folder = Path(name)
        for number, patient in enumerate(patients, 1):
            found = fetch_missing(
                _wanted(patient), base=base, token=token, seconds=PATIENCE_S, breakers=Breakers(), ca_file=ca_file
            )
            bodies = {key: body for key, body in found.data.items() if not isinstance(body, Unavailable)}
            came |= bodies.keys()
            lacking[patient] = {key for key, word in found.outcomes.items() if word != "ok"}
            for key, body in bodies.items():
                _write(folder / f"{number:06d}-{key}.json", _as_part(body))
            progress("fetch", number, len(patients))
        for patient in sorted(one for one, keys in lacking.items() if keys & came):
            _write(folder / f"part-{patient}.json", _goes_on(patient))
        told = {
            "transactionTime": started.isoformat(timespec="seconds"),
            "output": [{"type": _TYPE_OF[key]} for key in sorted(came)],
        }
        _write(folder / "manifest.json", json.dumps(told).encode())
        yield folder


def _wanted(patient: str) -> dict[str, str | bytes]:
    wanted: dict[str, str | bytes] = {
        key: template.replace("{{context.patientId}}", patient) for key, template in templates("patient-view").items()
    }
    return wanted | {"encounters": f"Encounter?patient={patient}"}


def _as_part(body: bytes) -> bytes:
    """
    Give a searchset's resources with their addresses, and nothing that another search would say otherwise.

    Its id and time are other ones each time: what is the same gives the same bytes, so that a stopped run goes on. That
    more of it exists is said of the patient, who stands elsewhere.
    """
    try:
        found = _searchset(body)
    except exact.BROKEN:
        return body
    if found.resourceType != "Bundle":
        return body  # the Patient itself
    return msgspec.json.encode({"resourceType": "Bundle", "type": "searchset", "entry": found.entry})


class _Entry(msgspec.Struct, omit_defaults=True):
    fullUrl: msgspec.Raw = msgspec.Raw()  # noqa: N815 - FHIR's own name
    resource: msgspec.Raw = msgspec.Raw()


class _Searchset(msgspec.Struct):
    resourceType: str = ""  # noqa: N815 - FHIR's own name
    entry: list[_Entry] = []


_searchset = msgspec.json.Decoder(_Searchset).decode


def _goes_on(patient: str) -> bytes:
    entry = {"resource": {"resourceType": "Patient", "id": patient, "meta": {"lastUpdated": "0001-01-01T00:00:00Z"}}}
    return json.dumps({"resourceType": "Bundle", "link": [{"relation": "next"}], "entry": [entry]}).encode()


def _write(path: Path, body: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(body)


def _patients(base: str, token: str, ca_file: str | None) -> Iterator[str]:
    """Yield the ids of all patients that a server lists, page by page."""
    query: str | None = f"Patient?_count={PAGE}"
    seen: set[str] = set()
    while query is not None:
        page = _page(f"{base}/{query.lstrip('/')}", token, ca_file)
        for entry in exact.listed(page.get("entry")):
            resource = entry.get("resource")
            if isinstance(resource, dict) and resource.get("resourceType") == "Patient":
                identifier = str(resource.get("id"))
                if identifier not in seen:
                    seen.add(identifier)
                    yield identifier
        if len(seen) > MOST_PATIENTS:
            raise ReplayError(f"--fhir: more than {MOST_PATIENTS} patients; export them with SMART Fetch instead.")
        links = [one for one in exact.listed(page.get("link")) if one.get("relation") == "next"]
        query = next_query(str(links[0].get("url")), base) if links else None


def _page(url: str, token: str, ca_file: str | None) -> dict[str, Any]:
    headers = {"Accept": "application/fhir+json", "Authorization": f"Bearer {token}"}
    try:
        found = msgspec.json.decode(download(url, headers, time.monotonic() + PATIENCE_S, ca_file=ca_file))
    except FetchError as error:
        said = f"--fhir: the server does not list its patients ({error.reason}): {sentence(error.reason)}"
        raise ReplayError(said) from None
    except exact.BROKEN:
        raise ReplayError("--fhir: the server does not answer in JSON.") from None
    return found if isinstance(found, dict) else {}
