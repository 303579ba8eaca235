"""Services as rules propose them, and whether somebody has already asked for them."""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import TYPE_CHECKING

from recommenders.patient.advice import Proposal, ProposedService
from recommenders.patient.derived import GUIDANCE as COMMON
from recommenders.vocabulary.bones import Bone, bone_of
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import NO, Criterion, all_of, documented

if TYPE_CHECKING:
    from collections.abc import Iterable

    from recommenders.patient.advice import Case, Service


LABORATORY: frozenset[str] = frozenset(guidance("monitoring").tables["laboratory"]["services"])
"""Services of which a result comes within days."""


@cache  # made of closed lists and bones: a few, for all patients
def ask(
    button: str, service: Service, reasons: tuple[str, ...] = (), *, urgent: bool = False, about: str | None = None
) -> Proposal:
    """Propose one service, of the bone of this key; `reasons` are the facts whose resources it gives as its reason."""
    bone = bone_of(about) if about else bone_of("bone")
    item = ProposedService(
        service=service,
        priority="urgent" if urgent else "routine",
        site=None if bone.site == "bone" else bone.site,
        side=bone.side,
        level=bone.level,
    )
    return Proposal(button=button, items=(item,), reasons=reasons)


def asked(case: Case, *services: Service, about: str | None = None, since: dt.date | None = None) -> Criterion:
    """
    Tell whether one of these services is already asked for, of this bone, since that day.

    Never unknown: what is not certainly asked for is proposed.
    """
    return documented(case.facts.requested.criterion(*services, about=about, since=since))


def all_asked(case: Case, proposals: tuple[Proposal, ...], since: dt.date | None = None) -> Criterion:
    """Tell whether all that an advice proposes is already asked for; over nothing it is no."""
    services = [item for proposal in proposals for item in proposal.items if isinstance(item, ProposedService)]
    if not services:
        return NO
    return all_of(asked(case, item.service, about=_about(item), since=since) for item in services)


def _about(item: ProposedService) -> str | None:
    return Bone(item.site, item.side, item.level).key if item.site is not None else None


def not_asked(case: Case, proposals: tuple[Proposal, ...], since: dt.date | None = None) -> tuple[Proposal, ...]:
    """Give the proposals that nobody has asked for yet."""
    if not case.facts.requested.items:
        return proposals
    return tuple(one for one in proposals if not all_asked(case, (one,), since).yes)


def asked_lately(case: Case, *services: Service, about: str | None = None) -> Criterion:
    """
    Tell whether all of these services are ordered, drafted or done lately; never unknown.

    An order counts for as long as one may wait for it: a laboratory test for 14 days, anything else for 90.
    """
    limits, facts = case.limits(COMMON), case.facts

    def since(service: Service) -> dt.date:
        span = limits.laboratory_request_stands if service in LABORATORY else limits.request_stands
        return facts.as_of - dt.timedelta(int(span.value))

    return documented(
        all_of(facts.requested.criterion(service, about=about, since=since(service)) for service in services)
    )


def not_asked_lately(case: Case, services: Iterable[Service]) -> tuple[Service, ...]:
    """Give those of the services that are not ordered yet."""
    if not case.facts.requested.items:
        return tuple(services)
    return tuple(service for service in services if not asked_lately(case, service).yes)


def ask_together(button: str, *names: Service, reasons: tuple[str, ...] = ()) -> Proposal:
    """Give tests or a consultation as one suggestion, under the label of that button."""
    return Proposal(button=button, items=tuple(ProposedService(service=name) for name in names), reasons=reasons)
