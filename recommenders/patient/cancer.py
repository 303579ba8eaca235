"""Whether the patient has a cancer at all, and a disorder of plasma cells: asked the same way by every topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.vocabulary.logic import any_of

if TYPE_CHECKING:
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.logic import Criterion


def any_cancer(facts: Facts) -> Criterion:
    """Tell whether there is an active malignancy of any kind; a bone metastasis is one by itself."""
    dx = facts.dx
    return any_of(
        (
            dx.any_cancer,
            dx.lung_cancer,
            dx.other_solid_cancer,
            dx.mm,
            dx.plasmacytoma,
            dx.pcl,
            dx.osteosarcoma,
            dx.sts,
            dx.bone_met,
        )
    )


def coded_precursor(facts: Facts) -> Criterion:
    """
    Tell whether smouldering myeloma or MGUS is on record, and no myeloma.

    A record that contradicts itself (D47.2 beside a full marrow) counts: it is asked about, not muted.
    """
    dx = facts.dx
    on_record = any_of((dx.smm, dx.mgus, dx.smm.is_contradictory(), dx.mgus.is_contradictory()))
    return on_record & ~dx.mm
