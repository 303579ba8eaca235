"""What must be known before a radionuclide is given."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from recommenders.irradiating.targets import GUIDANCE
from recommenders.patient.advice import Advice, Phrase
from recommenders.patient.lesions import imaging
from recommenders.patient.services import all_asked, ask, not_asked
from recommenders.patient.surgery import diagnoses
from recommenders.vocabulary.facts import known
from recommenders.vocabulary.logic import Criterion, all_of, documented, given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case
    from recommenders.vocabulary.records import Order


def radionuclide_rules(case: Case) -> Iterator[Advice]:
    """RT-009: counts, the tumour board and what comes after, before a radionuclide is given."""
    planned = case.facts.meds.radionuclide_planned.criterion()
    if case.may_hold(planned):
        yield _before_radionuclide(case, None, planned)
    for order in case.orders_at_hand:
        if "radionuclide" in order.kinds:
            yield _before_radionuclide(case, order, given(holds=True))


def _before_radionuclide(case: Case, order: Order | None, planned: Criterion) -> Advice:
    facts, limits = case.facts, case.limits(GUIDANCE)
    window = limits.count_at_chart if order is None else limits.count_at_order
    counts = (facts.lab.platelets, facts.lab.wbc, facts.lab.anc)
    recent = [count for count in counts if count.within(window, facts.as_of).yes]
    counted = given(any(count is facts.lab.platelets for count in recent) and len(recent) > 1)
    imaged = max((study.date for study in imaging(facts) if study.date), default=None)
    mdt = facts.mdt.last_date
    discussed = known(mdt) & given(mdt.date is not None and (imaged is None or mdt.date >= imaged))
    systemic = documented(facts.meds.antineoplastic) | given(
        any("antineoplastic" in other.kinds for other in case.facts.orders if other is not order)
    )
    test = (ask("complete-blood-count", "blood-count", diagnoses(case)),) if counted.no else ()
    ordered = all_asked(case, test)
    listed = tuple(Phrase("count", {"item": Phrase(f"count-{one.name}"), "value": one}) for one in recent)
    day = max((one.date for one in recent if one.date), default=None)
    return Advice(
        rule="RT-009",
        because=planned,
        unless=all_of((counted | ordered, discussed, ~systemic)),
        fill={
            "radionuclide": _radionuclide_of(order),
            "counts": Phrase("counts", {"list": listed, "day": day}) if day else Phrase("counts-ordered"),
            "systemic": Phrase("systemic-therapy"),
        },
        order=order.reference if order is not None else None,
        holds={
            "no-count": ~counted & ~ordered,
            "systemic": systemic,
            "not-discussed": ~discussed & ~documented(facts.dx.lung_cancer),
            "lung-cancer": ~discussed & documented(facts.dx.lung_cancer),
        },
        proposals=not_asked(case, test),
    )


def _radionuclide_of(order: Order | None) -> Phrase:
    """Name the ordered nuclide by the mass number that its order names."""
    named = re.search(r"(?<!\d)(89|223|153)(?!\d)", order.label) if order is not None else None
    return Phrase(f"radionuclide-{named[1]}" if named else "radionuclide")
