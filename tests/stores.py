"""What tests put into a store."""

from __future__ import annotations

import uuid

from hooks.store.issued import IssuedCard
from hooks.store.store import Store


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
