"""The sample patients in the box, and a CDS Hooks request made of one of them."""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
import uuid
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from fhir_mapping.delivery.context import KEY_OF
from hooks.cards.wording import LANGUAGES
from hooks.reference.catalogue import FIXTURES
from recommenders.vocabulary.guidance import ORDER_HOOKS

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENTS = FIXTURES / "patients"

STORY_DAY = dt.date(2026, 11, 22)
"""The day on which the stories are told; their data can be moved to another one."""

_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(T.*)?")
_MONTH = re.compile(r"\d{4}-\d{2}")


@dataclass(frozen=True, slots=True)
class Sample:
    """One synthetic patient: its name, the hook its story is about, and the story in both languages."""

    name: str
    hook: str
    story: Mapping[str, str]
    only: tuple[str, ...] = ()

    @property
    def resources(self) -> list[dict[str, Any]]:
        """The patient's resources."""
        return [entry["resource"] for entry in _bundle(self.name)["entry"]]

    @property
    def patient_id(self) -> str:
        """The logical id of the patient."""
        return next(str(r["id"]) for r in self.resources if r["resourceType"] == "Patient")

    @property
    def draft_orders(self) -> dict[str, Any]:
        """The draft orders of the story; an empty Bundle where it has none."""
        path = PATIENTS / f"{self.name}.drafts.json"
        if not path.exists():
            return {"resourceType": "Bundle", "type": "collection", "entry": []}
        drafts: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return drafts


@cache
def samples() -> tuple[Sample, ...]:
    """Give all sample patients, in the order of the index."""
    path = PATIENTS / "index.toml"
    if not path.exists():
        return ()
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["sample"]
    return tuple(
        Sample(row["name"], row["hook"], {name: row[name] for name in LANGUAGES}, tuple(row.get("only", ())))
        for row in rows
    )


def sample(name: str) -> Sample:
    """
    Give one sample patient.

    Raises KeyError when there is none of that name.
    """
    for found in samples():
        if found.name == name:
            return found
    raise KeyError(f"no sample patient {name!r}; there are: {', '.join(s.name for s in samples())}")


def _bundle(name: str) -> dict[str, Any]:
    bundle: dict[str, Any] = json.loads((PATIENTS / f"{name}.json").read_text(encoding="utf-8"))
    return bundle


def moved(value: Any, days: int) -> Any:  # noqa: ANN401 - JSON
    """Give FHIR JSON with every date and month moved by some days; ages and intervals stay as they are."""
    if isinstance(value, dict):
        return {key: moved(inner, days) for key, inner in value.items()}
    if isinstance(value, list):
        return [moved(inner, days) for inner in value]
    if days and isinstance(value, str):
        if found := _DATE.fullmatch(value):
            day = dt.date.fromisoformat(found[1]) + dt.timedelta(days)
            return f"{day.isoformat()}{found[2] or ''}"
        if _MONTH.fullmatch(value):
            return (dt.date.fromisoformat(f"{value}-15") + dt.timedelta(days)).isoformat()[:7]
    return value


def request_for(
    name: str, hook: str | None = None, *, hook_instance: str | None = None, day: dt.date = STORY_DAY
) -> dict[str, Any]:
    """
    Make the request that an EHR would send for a sample patient at a hook (default: the one of its story).

    The same arguments give the same request; pass another `hook_instance` for another invocation, and a `day` to
    have the story told as of that day.
    """
    chosen = sample(name)
    hook = hook or chosen.hook
    prefetch: dict[str, Any] = {}
    for resource in chosen.resources:
        if resource["resourceType"] == "Patient":
            prefetch["patient"] = resource
    for kind, key in KEY_OF.items():
        found = [{"resource": r} for r in chosen.resources if r["resourceType"] == kind]
        prefetch[key] = {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": found}
    if chosen.only:
        prefetch = {key: value for key, value in prefetch.items() if key in chosen.only}
    context: dict[str, Any] = {"userId": "Practitioner/demo", "patientId": chosen.patient_id}
    if hook == "encounter-start":
        context["encounterId"] = "demo-encounter"
    if hook in ORDER_HOOKS:
        context["draftOrders"] = chosen.draft_orders
    if hook == "order-select":
        context["selections"] = [
            f"{entry['resource']['resourceType']}/{entry['resource']['id']}" for entry in chosen.draft_orders["entry"]
        ]
    made = {
        "hook": hook,
        "hookInstance": hook_instance or str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:oncobone:sample:{name}:{hook}")),
        "context": context,
        "prefetch": prefetch,
    }
    told: dict[str, Any] = moved(made, (day - STORY_DAY).days)
    return told
