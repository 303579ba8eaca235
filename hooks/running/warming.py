"""Makes the application of a process ready: built, judged once, and its tables out of the garbage collector's sight."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import msgspec

from hooks.application import create_app
from hooks.cards.wording import LANGUAGES
from hooks.fhir_server.download import make_ready
from hooks.running.collecting import COLLECT_AFTER, at_rest, give_long_blocks_back
from hooks.settings import SettingsError
from hooks.store.chain import AuditKeyError
from hooks.store.database import StoreError
from hooks.store.store import store_for
from hooks.views import DESK
from hooks.watching import observability

if TYPE_CHECKING:
    from flask import Flask

    from hooks.settings import Settings
    from hooks.views import Desk


def make_app(settings: Settings) -> Flask:
    """
    Make the application with its store, and warm it up. The store's thread and connections are at rest afterwards.

    Raises SettingsError when the store or the clients cannot be used as they are set.
    """
    with at_rest():
        app = _warm_app(settings)
        gc.freeze()  # as it is: to collect first takes a tenth of a second and finds next to nothing
    gc.set_threshold(COLLECT_AFTER, 20, 20)
    give_long_blocks_back()
    return app


def _warm_app(settings: Settings) -> Flask:
    try:
        store = store_for(settings)
        app = create_app(settings, store=store)
    except (StoreError, AuditKeyError) as error:
        raise SettingsError(str(error)) from None
    try:
        warm_up(app)
        if settings.auth == "signed" or settings.fhir_servers:
            make_ready()
    except Exception as error:  # noqa: BLE001 - a fault in one topic must not keep the others from being served
        observability.log_failure(error, "the warm-up call failed")
    store.close()  # it opens again at its first use, in the process that uses it
    return app


def warm_up(app: Flask) -> None:
    """Judge one made-up call on each hook, so that the first real one finds everything read and built."""
    desk: Desk = app.extensions[DESK]
    for service in desk.services:
        context: dict[str, object] = {
            "userId": "Practitioner/warm-up",
            "patientId": "warm-up",
            "encounterId": "warm-up",
        }
        if service.hook.startswith("order"):
            context |= {"draftOrders": {"resourceType": "Bundle", "entry": [{"resource": _ORDER}]}, "selections": []}
        body = {
            "hook": service.hook,
            "hookInstance": "warm-up",
            "context": context,
            "prefetch": {
                "patient": {"resourceType": "Patient", "id": "warm-up", "birthDate": "1960-01-01", "gender": "female"},
                "conditions": {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": _CONDITION}]},
            },
        }
        chosen, judged = desk.judge(msgspec.json.encode(body), [service])
        for language in LANGUAGES:
            desk.words(chosen, judged, language)


_CONDITION = {
    "resourceType": "Condition",
    "id": "warm-up",
    "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "C90.00"}]},
    "subject": {"reference": "Patient/warm-up"},
}
_ORDER = {
    "resourceType": "MedicationRequest",
    "id": "warm-up",
    "status": "draft",
    "intent": "order",
    "medicationCodeableConcept": {"text": "zoledronic acid 4 mg"},
    "subject": {"reference": "Patient/warm-up"},
}
