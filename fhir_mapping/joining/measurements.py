"""What measurements tell only beside each other: two calciums, a ratio and its chains, weight and height."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from fhir_mapping.terms import dictionary
from recommenders.vocabulary.facts import Reading, replace
from recommenders.vocabulary.formulas import mosteller

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_mapping.observations import ObservationReader
    from recommenders.vocabulary.facts import Fact


def check(reader: ObservationReader) -> None:
    """What only the readings together tell."""
    changes = reader.changes
    total, corrected = changes.get("lab.ca_total"), changes.get("lab.ca_corr")
    if isinstance(corrected, Reading) and total is not None and total.date is not None:
        same_day = total.date == corrected.date and total.is_known
        if same_day or corrected.date is None or corrected.date < total.date:
            for name in corrected.resources:
                reader.notes.add(name, "calcium corrected by the laboratory: a total calcium is used instead")
            del changes["lab.ca_corr"]
    _check_ratio(reader)
    _check_build(reader)


def _check_ratio(reader: ObservationReader) -> None:
    """A reported light-chain ratio that disagrees with its chains by more than 10 % is named; the chains win."""
    kappa, lambda_, ratio = (reader.reading_of(path) for path in ("mm.kappa", "mm.lambda_", "mm.flc_ratio_kl"))
    if kappa.value is None or not lambda_.value or not ratio.value:
        return
    if kappa.date == lambda_.date == ratio.date and abs(kappa.value / lambda_.value / ratio.value - 1) > Decimal("0.1"):
        for name in ratio.resources:
            reader.notes.add(
                name, "reported ratio and its light chains disagree by more than 10 %: the chains are used"
            )


def _check_build(reader: ObservationReader) -> None:
    """A weight in pounds sent as kilograms shows as an impossible build."""
    weight, height = reader.reading_of("patient.weight").value, reader.reading_of("patient.height").value
    if weight is None or not height:
        return
    index = weight / (height / 100) ** 2
    if index < 10 or index > 70:
        for name in reader.reading_of("patient.weight").resources:
            reader.notes.add(name, "check weight: body-mass index outside 10 to 70")


def body_surface(changes: Mapping[str, Fact], told: Reading) -> Reading:
    """Mosteller from weight and height; the told area where one of them is missing."""
    weight, height = changes.get("patient.weight"), changes.get("patient.height")
    if (
        isinstance(weight, Reading)
        and isinstance(height, Reading)
        and weight.value is not None
        and height.value is not None
    ):
        area = mosteller(height.value, weight.value)
        return replace(dictionary.blank_reading("patient.bsa"), low=area, high=area, reason=None, date=weight.date)
    return told
