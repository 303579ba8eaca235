"""What an EHR does when a reader presses a button: the next request, in which the suggestion was carried out."""

from __future__ import annotations

import copy
from typing import Any

Json = dict[str, Any]
_KEY = {"MedicationRequest": "medications", "ServiceRequest": "serviceRequests"}


def accepted(request: Json, suggestion: Json) -> Json:
    """Give the request of the same hook after a suggestion was accepted; at the chart new orders are active."""
    after = copy.deepcopy(request)
    for place, action in enumerate(suggestion["actions"]):
        if "draftOrders" in after["context"]:
            _to_drafts(after["context"], action, place)
        elif action["type"] == "create":
            _to_chart(after["prefetch"], action["resource"], place)
    return after


def _to_drafts(context: Json, action: Json, place: int) -> None:
    entries = context["draftOrders"].setdefault("entry", [])
    if action["type"] == "delete":
        entries[:] = [entry for entry in entries if _name(entry["resource"]) != action["resourceId"]]
        return
    resource = copy.deepcopy(action["resource"])
    if action["type"] == "update":
        entries[:] = [entry for entry in entries if _name(entry["resource"]) != _name(resource)]
    else:
        resource["id"] = f"accepted-{place}"
    entries.append({"resource": resource})
    if "selections" in context:
        context["selections"] = [_name(entry["resource"]) for entry in entries]


def _to_chart(prefetch: Json, resource: Json, place: int) -> None:
    made = copy.deepcopy(resource) | {"id": f"accepted-{place}", "status": "active", "intent": "order"}
    key = _KEY[made["resourceType"]]
    bundle = prefetch.get(key) or {"resourceType": "Bundle", "type": "searchset", "total": 0, "entry": []}
    bundle.setdefault("entry", []).append({"resource": made, "search": {"mode": "match"}})
    if "total" in bundle:
        bundle["total"] = len(bundle["entry"])
    prefetch[key] = bundle


def _name(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource.get('id', '')}"
