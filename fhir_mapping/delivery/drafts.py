"""The draft orders of the call as they came: one JSON text, a Bundle in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir_mapping.terms import exact

if TYPE_CHECKING:
    from collections.abc import Mapping


def opened(raw: bytes | None) -> Mapping[str, Any] | None:
    """Give the Bundle; None where there is none. Raises `ResourceFaultError` where it cannot be read."""
    return None if raw is None or raw.strip() == b"null" else exact.whole(raw)


def resources_of(bundle: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Give what stands in its entries."""
    listed = (bundle or {}).get("entry", ())
    entries = listed if isinstance(listed, list) else [listed]
    return [
        entry["resource"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("resource"), dict)
    ]
