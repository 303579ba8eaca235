"""Allergies to an ordered drug: to the drug itself, or to another of its class, with the words of the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recommenders.patient.advice import Phrase
from recommenders.vocabulary.facts import Finding
from recommenders.vocabulary.logic import NO, Criterion, any_of, given
from recommenders.vocabulary.records import BISPHOSPHONATES, DENOSUMAB

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recommenders.patient.advice import Case, Fill
    from recommenders.vocabulary.records import Allergy, Order

_BISPHOSPHONATES = ("zoledronic", "ibandronate", "incadronate", "pamidronate", "clodronate")


@dataclass(frozen=True, slots=True)
class Found:
    """
    What the record says of allergies to one ordered drug.

    `recorded` whether there is one (unknown where it is unconfirmed), `other_of_class` that it names only another
    bisphosphonate, `intolerance` that it is called one or tells of an acute-phase reaction only; `shown` its words.
    """

    recorded: Criterion
    other_of_class: Criterion
    intolerance: Criterion
    shown: Mapping[str, Fill]


def allergies_against(case: Case, order: Order) -> Found | None:
    """Give the allergies on record that speak against an order; None for a drug whose allergies are not kept."""
    own = _own_ingredient(order)
    if own is None:
        return None
    of_class = order.drug in BISPHOSPHONATES
    found = [
        allergy
        for allergy in case.facts.allergies
        if own in allergy.drugs
        or (
            of_class
            and any(
                drug.startswith((*_BISPHOSPHONATES, "other-bisphosphonate", "alendronate")) for drug in allergy.drugs
            )
        )
    ]
    if not found:
        return Found(_by_class(case, own, of_class=of_class), NO, NO, shown_allergy(None))
    leading = min(found, key=lambda one: (one.doubtful, one.intolerance, own not in one.drugs))
    return Found(
        any_of(_criterion(allergy) for allergy in found),
        given(own not in leading.drugs),
        given(leading.intolerance),
        shown_allergy(leading),
    )


def ifosfamide_allergy(allergies: Iterable[Allergy]) -> Allergy | None:
    """Give the record of an allergy to ifosfamide; None when there is none."""
    return next((one for one in allergies if {"ifosfamide", "ifosfamide-mesna"}.intersection(one.drugs)), None)


def _own_ingredient(order: Order) -> str | None:
    if order.drug in DENOSUMAB:
        return "denosumab"
    if order.drug == "other-bisphosphonate":
        return order.drug
    if order.drug in BISPHOSPHONATES:
        return next((name for name in _BISPHOSPHONATES if (order.drug or "").startswith(name)), None)
    return next(
        (name for name in ("mesna", "melphalan") if name in order.kinds and "ifosfamide" not in order.kinds), None
    )


def _criterion(allergy: Allergy) -> Criterion:
    holds = None if allergy.doubtful else True
    return Finding(
        name="allergy.ordered_drug",
        value=holds,
        reason="suspected" if allergy.doubtful else None,
        date=allergy.day,
        resources=allergy.resources,
    ).criterion()


def _by_class(case: Case, own: str, *, of_class: bool) -> Criterion:
    """Tell by the bare finding, where the record's own words were not kept."""
    allergy = case.facts.allergy
    if of_class:
        return allergy.bisphosphonate.criterion()
    return {"denosumab": allergy.denosumab, "mesna": allergy.mesna}[own].criterion() if own != "melphalan" else NO


def shown_allergy(allergy: Allergy | None) -> dict[str, Fill]:
    """Give substance, reaction and day of an allergy as they were recorded."""
    if allergy is None:
        return {"allergen": Phrase("this-drug"), "reaction": Phrase("no-reaction"), "allergy_day": Phrase("undated")}
    return {
        "allergen": allergy.substance or Phrase("this-drug"),
        "reaction": allergy.reaction or Phrase("no-reaction"),
        "allergy_day": allergy.day or Phrase("undated"),
    }
