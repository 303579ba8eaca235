"""What makes one call this call; card ids are made from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallIdentity:
    """What makes one call this call: service, hook, invocation and patient."""

    service_id: str
    hook: str
    hook_instance: str
    patient_id: str
