"""What makes one call this call; card ids are made from it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PRACTITIONER = re.compile(r"(Practitioner|PractitionerRole)/[A-Za-z0-9.-]{1,64}")


@dataclass(frozen=True, slots=True)
class CallIdentity:
    """What makes one call this call: service, hook, invocation, patient, and who is asking."""

    service_id: str
    hook: str
    hook_instance: str
    patient_id: str
    user_id: str = ""

    @property
    def practitioner(self) -> str | None:
        """The user as a reference that an order may name as its requester; None for anybody else."""
        return self.user_id if _PRACTITIONER.fullmatch(self.user_id) else None
