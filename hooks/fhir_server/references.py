"""Medications that orders and doses refer to and nobody delivered: which they are, and where they go once read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from fhir_mapping.chart import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fhir_mapping.terms.decode import OpenedList

MOST: Final = 20
"""Read in one call; a chart with more of them is a list that carries its names as references throughout."""

_RELATIVE = re.compile(r"Medication/(?!\.+$)[A-Za-z0-9.-]{1,64}")
_HOLDERS: Final = ("medications", "medicationAdministrations", "conditions", "observations", "procedures", "allergies")
"""Prefetch keys whose Bundle may take what was read, in this order; the mapping finds it in any of them."""


class _Reference(msgspec.Struct):
    reference: str | None = None


class _Resource(msgspec.Struct):
    type: str | None = msgspec.field(name="resourceType", default=None)
    id: str | None = None
    medication: _Reference | None = msgspec.field(name="medicationReference", default=None)


class _Entry(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw()


class _Bundle(msgspec.Struct):
    entry: list[_Entry] | None = None


_BROKEN = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
_BUNDLE = msgspec.json.Decoder(_Bundle)
_RESOURCE = msgspec.json.Decoder(_Resource)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def unresolved(draft_orders: bytes | None, prefetch: Mapping[str, bytes | OpenedList | Unavailable]) -> list[str]:
    """
    The relative references (`Medication/1`) that lead to nothing delivered, those of draft orders first.

    What cannot be decoded here is left to the mapping, which names it.
    """
    bundles = [draft_orders or b"", *(bytes(came) for came in prefetch.values() if not isinstance(came, Unavailable))]
    if not any(b"medicationReference" in raw for raw in bundles):
        return []
    asked: dict[str, None] = {}
    delivered: set[str] = set()
    for raw in bundles:
        if b"Medication" not in raw:
            continue
        for resource in _resources(raw):
            if resource.type == "Medication" and resource.id:
                delivered.add(f"Medication/{resource.id}")
            target = resource.medication.reference if resource.medication else None
            if target and _RELATIVE.fullmatch(target):
                asked[target] = None
    return [reference for reference in asked if reference not in delivered][:MOST]


def _resources(raw: bytes) -> Iterable[_Resource]:
    try:
        entries = _BUNDLE.decode(raw).entry or ()
    except _BROKEN:
        return
    for entry in entries:
        try:
            yield _RESOURCE.decode(entry.resource)
        except _BROKEN:
            continue  # one entry of another shape spoils nothing


def with_resources(
    prefetch: Mapping[str, bytes | OpenedList | Unavailable], resources: Sequence[bytes]
) -> dict[str, bytes | OpenedList | Unavailable]:
    """The prefetch with resources added to one of its Bundles; unchanged when it holds none."""
    changed = dict(prefetch)
    for key in _HOLDERS if resources else ():
        held = changed.get(key, Unavailable("not-sent"))
        together = None if isinstance(held, Unavailable) else _added(bytes(held), resources)
        if together is not None:
            changed[key] = together
            break
    return changed


def _added(raw: bytes, resources: Sequence[bytes]) -> bytes | None:
    try:
        members = {"resourceType": msgspec.Raw(b'"Bundle"')} if raw == b"null" else _MEMBERS.decode(raw)
        if members.get("resourceType") != msgspec.Raw(b'"Bundle"'):
            return None
        entries = _LIST.decode(members.get("entry", msgspec.Raw(b"[]")))
    except _BROKEN:
        return None
    entries += [msgspec.Raw(b'{"resource":' + resource + b"}") for resource in resources]
    return msgspec.json.encode(members | {"entry": entries})
