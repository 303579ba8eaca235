"""Writes down each call before its answer goes out: the cards that were issued, and the audit record."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, g

from hooks.store.audit import Auditor, CallRecord
from hooks.store.issued import IssuedCard
from hooks.store.store import Store
from hooks.views import OPEN_TENANT, RECORDER
from hooks.watching import observability

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flask.ctx import _AppCtxGlobals

    from hooks.store.issued import Answered
    from hooks.views import Judged


def tenant() -> str:
    """Give the organisation that calls."""
    client = g.get("client")
    return str(client.tenant) if client is not None else OPEN_TENANT


def record_calls(app: Flask, store: Store) -> Auditor:
    """
    Keep a record of every call of an app; an answer goes out even while the store is down.

    The usual call, of whose cards none was answered, is recorded as it asks for their answers.
    """
    auditor = Auditor(store, told=observability.of(app).metrics.audit_waiting.set)

    def recorded(response: Response) -> Response:
        # Strangers and calls that were turned away at the door are counted and logged; they must not fill the record.
        asked, known = observability.at_hand()
        if asked.endpoint == "cds.call" and asked.method == "POST" and "client" in known:
            status = response.status_code
            if known.get("recorded_as") != status:
                auditor.record(_record(status, known), _issued_in(known))
        return response

    def recorded_unless_answered(_: str, keys: Sequence[str]) -> Mapping[str, Answered]:
        known = observability.at_hand()[1]
        answers = auditor.record_unless_answered(_record(200, known), _issued_in(known), keys)
        if not answers:
            known.recorded_as = 200
        return answers

    app.after_request(recorded)
    app.extensions[RECORDER] = recorded_unless_answered
    return auditor


def _record(status: int, known: _AppCtxGlobals) -> CallRecord:
    client = known.get("client")
    judged: Judged | None = known.get("judged")
    found: dict[str, Any] = {"hook": "", "hook_instance": ""}
    if judged is not None:
        assessment = judged.assessment
        found = {
            "hook": judged.call.hook,
            "hook_instance": judged.call.hook_instance,
            "as_of": assessment.as_of.isoformat(),
            "user": judged.call.user_id,
            "patient": judged.call.patient_id,
            "resources": _resources(judged),
            "guidance": assessment.guidance,
            "fired": assessment.of("fired"),
            "suppressed": assessment.of("suppressed"),
            "undecided": assessment.of("undecided"),
            "cards": [card["uuid"] for card in known.answered["cards"]],
            "fetched": judged.gathered.fetched,
        }
    return CallRecord(
        **found,
        at=dt.datetime.now(dt.UTC),
        tenant=tenant(),
        client=client.issuer if client is not None else OPEN_TENANT,
        service_id=known.get("service_label", "unknown"),
        status=status,
        milliseconds=(time.perf_counter() - known.started) * 1000,
    )


def _resources(judged: Judged) -> set[str]:
    facts = judged.assessment.facts
    found = {reference for _, fact in facts.touched() if fact.is_known for reference in fact.resources}
    for listed in (facts.lesions, facts.sre, facts.studies, facts.courses):
        found.update(reference for item in listed for reference in item.resources)
    return found


def _issued_in(known: _AppCtxGlobals) -> Iterator[IssuedCard]:
    return issued(known.get("answered") or {}, known.get("quiet_keys") or {})


def issued(answered: Mapping[str, Any], quiet_keys: Mapping[str, str]) -> Iterator[IssuedCard]:
    """Give each card of an answer as the store keeps it."""
    for card in answered.get("cards", ()):
        trace = card["extension"]["org.oncobone.trace"]
        suggestions = [suggestion["uuid"] for suggestion in card.get("suggestions", ())]
        key = quiet_keys.get(card["uuid"])
        yield IssuedCard(card["uuid"], trace.get("fired", []), suggestions, trace["guidance"], key)
