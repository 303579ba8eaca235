"""What tests put into a store."""

from __future__ import annotations

import datetime as dt
import uuid

from hooks.store.audit import Auditor, CallRecord
from hooks.store.issued import IssuedCard
from hooks.store.store import Store, open_store


def issued(store: Store, tenant: str = "open", service: str = "oncobone-order-sign", **card: object) -> IssuedCard:
    """A card that was issued, with one suggestion unless told otherwise."""
    fields: dict[str, object] = {
        "uuid": str(uuid.uuid4()),
        "rules": ["DOSE-003"],
        "suggestions": [str(uuid.uuid4())],
        "guidance": "2026.11",
    }
    made = IssuedCard(**(fields | card))  # type: ignore[arg-type] # the names are those of the tuple
    store.remember_cards(tenant, service, [made])
    return made


def recorded(url: str, *tenants: str) -> str:
    """A store in which a call about the patient p1 is recorded for each tenant; gives its URL again."""
    store = open_store(url)
    for tenant in tenants:
        Auditor(store).record(
            CallRecord(
                at=dt.datetime(2026, 11, 22, tzinfo=dt.UTC),
                tenant=tenant,
                client="",
                service_id="s",
                hook="patient-view",
                hook_instance="h",
                status=200,
                milliseconds=1.0,
                patient="p1",
            )
        )
    store.close()
    return url
