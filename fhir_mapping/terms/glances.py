"""What a result shows at a glance: enough to pass it over, or to put it in its place, without looking at the rest."""

from __future__ import annotations

import msgspec

from fhir_mapping.terms.exact import BROKEN, SURELY_LITTLE, ResourceFaultError
from fhir_mapping.terms.heads import Codeable, Meta, Ref

_ABSENT = msgspec.Raw()


class Glance(msgspec.Struct, gc=False):
    """
    What tells at a glance whether a result is read, and of when it is.

    Code and subject stay as they were written: a laboratory writes the same analyte the same way each time.
    """

    resourceType: str = ""  # noqa: N815 - FHIR's own names
    id: str | int | None = None
    meta: Meta | None = None
    status: str | None = None
    code: msgspec.Raw = _ABSENT
    subject: msgspec.Raw = _ABSENT
    effectiveDateTime: str | None = None  # noqa: N815 - FHIR's own names
    issued: str | None = None
    component: msgspec.Raw = _ABSENT
    hasMember: msgspec.Raw = _ABSENT  # noqa: N815 - FHIR's own names
    modifierExtension: msgspec.Raw = _ABSENT  # noqa: N815 - FHIR's own names

    @property
    def is_plain(self) -> bool:
        """Whether it is a result by itself: no panel, nothing that changes its meaning, no label."""
        return (
            self.resourceType == "Observation"
            and self.component is _ABSENT
            and self.hasMember is _ABSENT
            and self.modifierExtension is _ABSENT
            and (self.meta is None or self.meta.security is None)
        )


_decode_glance = msgspec.json.Decoder(Glance).decode
_decode_code = msgspec.json.Decoder(Codeable | list[Codeable] | None).decode
_decode_ref = msgspec.json.Decoder(Ref).decode


def glance_at(raw: msgspec.Raw) -> Glance | None:
    """Decode what a result shows at a glance; None for what must be looked at more closely."""
    if memoryview(raw).nbytes > SURELY_LITTLE:
        return None
    try:
        return _decode_glance(raw)
    except BROKEN:
        return None


def code_of(written: bytes) -> Codeable | list[Codeable] | None:
    """Decode a code as it was written; raises `ResourceFaultError` when it is none."""
    try:
        found: Codeable | list[Codeable] | None = _decode_code(written)
    except BROKEN:
        raise ResourceFaultError("no code") from None
    return found


def reference_of(written: bytes) -> str | None:
    """Decode a Reference as it was written; None when there is none in it."""
    try:
        return _decode_ref(written).reference
    except BROKEN:
        return None
