"""The dossier of one call as data: everything that the page shows, in the reader's language, nothing drawn yet."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from hooks.cards.wording import Speaker
from hooks.dossier import bones, models, reading, timeline, verdicts
from hooks.dossier.asks import AskRow, asks_of
from hooks.errors import Refused
from hooks.reference.explaining import not_looked_at
from hooks.reference.safe import plain
from hooks.reference.validating import described, is_loss, look_at_text, mapping_line
from hooks.services import SERVICES, find_services

HOOK = "patient-view"
"""The hook at which a chart is looked at as a whole."""

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from hooks.cards.wording import Language
    from hooks.services import Service
    from hooks.views import Desk, Judged


@dataclass(frozen=True, slots=True)
class Dossier:
    """
    One assessment as a whole.

    `who` says age and sex, and nothing that names the patient; `cards` are those of the answer. `rules` are all that
    were looked at at this hook, `elsewhere` the ids of those that were not.
    """

    language: Language
    as_of: dt.date
    guidance: str
    hook: str
    in_scope: bool
    who: str
    cards: tuple[dict[str, Any], ...]
    timeline: timeline.Timeline
    skeleton: bones.Skeleton
    models: models.Models
    opinions: tuple[verdicts.Opinion, ...]
    rules: tuple[verdicts.RuleRow, ...]
    elsewhere: tuple[str, ...]
    failed: tuple[str, ...]
    data: reading.Data
    asks: tuple[AskRow, ...]
    speaker: Speaker


def service_for(body: bytes, services: Sequence[Service]) -> Sequence[Service]:
    """Give the service for the hook that a body names, else the first; the real reading is the protocol's."""
    try:
        hook = json.loads(body).get("hook")
    except (ValueError, AttributeError, RecursionError):
        hook = None
    chosen = next((one for one in services if one.hook == hook), services[0])
    return find_services(services, chosen.id)


def dossier_of(desk: Desk, body: bytes, language: Language, services: Sequence[Service] | None = None) -> Dossier:
    """Judge a request as its service does, and give all there is to see. Raises Refused as the service would."""
    service, judged = desk.judge(body, services or service_for(body, desk.services))
    return told(desk, service, judged, language, _losses(desk, body, judged))


def _losses(desk: Desk, body: bytes, judged: Judged) -> Iterator[tuple[str, str]]:
    """Codes that were lost and may matter, each with the line that maps it."""
    with suppress(Refused):
        look = look_at_text(body, desk.settings, desk.mapping, judged.mapped)
        yield from ((plain(described(each)), plain(mapping_line(each))) for each in look.unmapped if is_loss(each))


def dossier_of_chart(desk: Desk, patient: str, prefetch: Mapping[str, msgspec.Raw], language: Language) -> Dossier:
    """Give the dossier of a chart as an EHR's own server told it, as at the opening of the chart. Raises Refused."""
    call = {
        "hook": HOOK,
        "hookInstance": str(uuid.uuid4()),
        "context": {"userId": "Practitioner/unknown", "patientId": patient},
        "prefetch": prefetch,
    }
    services = [one for one in (*desk.services, *SERVICES) if one.hook == HOOK][:1]
    service, judged = desk.judge(msgspec.json.encode(call), services)
    return told(desk, service, judged, language)  # what a mapping loses is the integrator's matter, not the reader's


def told(
    desk: Desk, service: Service, judged: Judged, language: Language, losses: Iterable[tuple[str, str]] = ()
) -> Dossier:
    """Tell everything about one judged call; every rule of the hook is looked at, also what is certainly not met."""
    hook, site = judged.call.hook, desk.settings.site or None
    whole = desk.in_full(service, judged).assessment
    speaker = Speaker(whole, language)
    return Dossier(
        language=language,
        as_of=whole.as_of,
        guidance=whole.guidance,
        hook=hook,
        in_scope=whole.in_scope,
        who=_who(speaker),
        cards=tuple(desk.words(service, judged, language)["cards"]),
        timeline=timeline.timeline_of(whole, speaker, desk.whole_series(judged).facts.series),
        skeleton=bones.skeleton_of(whole, speaker),
        models=models.models_of(whole, speaker),
        opinions=verdicts.opinions_of(whole, speaker),
        rules=verdicts.rules_of(whole, speaker),
        elsewhere=tuple(rule for rule in not_looked_at(judged) if rule not in whole.verdicts),
        failed=whole.failed,
        data=reading.data_of(judged.mapped, whole, speaker, losses),
        asks=asks_of(judged.assessment, judged.mapped.facts, speaker, site),
        speaker=speaker,
    )


def _who(speaker: Speaker) -> str:
    patient = speaker.facts.patient
    told_of = [plain(speaker.value(fact)) for fact in (patient.sex, patient.age) if fact.is_known]
    return speaker.listed(told_of)
