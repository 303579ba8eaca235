"""What the rules of surgical timing share: the guidance, the score in writing, and what speaks against an operation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.patient.advice import Phrase, Proposal
from recommenders.patient.bone_words import against
from recommenders.patient.lesions import whole_skeleton
from recommenders.patient.services import ask
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import Criterion, given

if TYPE_CHECKING:
    from recommenders.patient.advice import Case, Fill, Proposal, Service

GUIDANCE = guidance("surgical_timing")
TABLES = GUIDANCE.tables


def anything_against(case: Case) -> Criterion:
    """Tell whether anything on record speaks against an operation; it stands beside the advice, never in its place."""
    return given(bool(against(case)))


def skeleton_study(case: Case) -> Fill:
    """Name the newest study of the whole skeleton with its day; "" without a recent one."""
    study = whole_skeleton(case.facts, case.limits(GUIDANCE).whole_skeleton)
    return Phrase(f"study-{study.modality}", {"day": study.date}) if study is not None and study.date else ""


def urgently(service: Service, reasons: tuple[str, ...], about: str | None) -> Proposal:
    """Suggest an urgent consultation of that service."""
    return ask(f"urgent-{service}", service, reasons, urgent=True, about=about)
