"""What a result shows at a glance: enough to pass it over, or to put it in its place, without looking at the rest."""

from __future__ import annotations

from typing import Literal

import msgspec

from fhir_mapping.terms.exact import BROKEN, ResourceFaultError
from fhir_mapping.terms.heads import Codeable


class _Subject(msgspec.Struct, gc=False):
    reference: str


class _Meta(msgspec.Struct, gc=False):
    security: None = None


class Plain(msgspec.Struct, gc=False, tag_field="resourceType", tag="Observation"):
    """
    A result by itself that counts: no panel, nothing that changes its meaning, no label; dated, and of somebody.

    Its code stays as it was written: a laboratory writes the same analyte the same way each time.
    """

    id: str
    status: Literal["final", "amended", "corrected"]
    code: msgspec.Raw
    subject: _Subject
    effectiveDateTime: str  # noqa: N815 - FHIR's own names
    issued: str | None = None
    meta: _Meta | None = None
    component: None = None
    hasMember: None = None  # noqa: N815 - FHIR's own names
    modifierExtension: None = None  # noqa: N815 - FHIR's own names


glance_at = msgspec.json.Decoder(Plain).decode
"""Decode a plain result; raises one of `exact.BROKEN` for whatever must be looked at more closely."""
_decode_code = msgspec.json.Decoder(Codeable | list[Codeable] | None).decode


def code_of(written: bytes) -> Codeable | list[Codeable] | None:
    """Decode a code as it was written; raises `ResourceFaultError` when it is none."""
    try:
        found: Codeable | list[Codeable] | None = _decode_code(written)
    except BROKEN:
        raise ResourceFaultError("no code") from None
    return found
