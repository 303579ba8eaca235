"""Services as rules propose them, and whether somebody has already asked for them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from recommenders.patient.advice import Proposal, ProposedService
from recommenders.vocabulary.bones import Bone, bone_of
from recommenders.vocabulary.logic import NO, Criterion, all_of, documented

if TYPE_CHECKING:
    import datetime as dt

    from recommenders.patient.advice import Case, Service


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
    return tuple(one for one in proposals if not all_asked(case, (one,), since).yes)
