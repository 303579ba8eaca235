"""What is withheld on purpose: which resource is labelled so, and what of it may still be read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec

from fhir_mapping.delivery.items import name_of
from fhir_mapping.terms import codes, exact
from fhir_mapping.terms.exact import ResourceFaultError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_mapping.delivery.notes import Notes
    from fhir_mapping.delivery.selected import Selected
    from fhir_mapping.terms.heads import Head


def may_be_withheld(head: Head, raw: msgspec.Raw | bytes) -> bool:
    """Tell whether a resource is labelled, or is no result and says "masked" somewhere."""
    if head.meta is not None and head.meta.security is not None:
        return True
    return head.resourceType != "Observation" and b"masked" in bytes(raw)


def shown_part(
    raw: msgspec.Raw | bytes, head: Head, key: str, notes: Notes, found: Selected
) -> msgspec.Raw | bytes | None:
    """
    Give what may be read of a resource among which something is masked; None for what is withheld.

    What is withheld may be anything: then silence says nothing (the key counts as delivered in part). A masked
    Observation stays, without its values: it is newer than what came before it, and it is unknown.
    """
    try:
        resource = exact.whole(raw)
    except ResourceFaultError:
        return raw
    name = name_of(head.resourceType, head)
    if head.meta is None or not head.meta.is_withheld:
        if head.resourceType != "Observation" and _has_masked_code(resource):
            notes.add(name, "masked: its code is withheld on purpose")
            found.truncated.add(key)
        return raw
    if head.resourceType == "Patient":
        return raw
    if head.resourceType != "Observation":
        notes.add(name, "masked: withheld on purpose")
        found.truncated.add(key)
        return None
    parts = resource.get("component")
    for element in (
        resource,
        *(part for part in (parts if isinstance(parts, list) else ()) if isinstance(part, dict)),
    ):
        for told in [name for name in element if name.startswith(("value", "_value", "interpretation"))]:
            del element[told]
        element["dataAbsentReason"] = {"coding": [{"code": "masked"}]}
    return msgspec.Raw(json.dumps(resource, default=str).encode())


def _has_masked_code(resource: Mapping[str, Any]) -> bool:
    """Tell whether the code of a resource is withheld by a data-absent-reason in its place."""
    for element in ("code", "_code", "medicationCodeableConcept", "_medicationCodeableConcept"):
        told = resource.get(element)
        if isinstance(told, dict) and not any(codes.code_text(one.get("code")) for one in codes.codings(told)):
            return '"masked"' in json.dumps(told, default=str)
    return False
