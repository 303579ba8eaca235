"""Which bone-modifying agent a product with its dose is: denosumab 120 or 60, zoledronic acid 4 or 5 mg."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from fhir_mapping.terms.drug_names import DRUGS
from fhir_mapping.terms.drugs import Identified

if TYPE_CHECKING:
    from recommenders.vocabulary.records import BmaClass


TENTH = Decimal("0.1")
HALF_A_YEAR = Decimal(150)
"""Days; a denosumab without product and dose that is given so rarely is the osteoporosis one."""
QUARTER = Decimal(60)
"""Days; an ibandronate of 3 mg that is given so rarely is the osteoporosis one."""
LONG = Decimal(300)
"""Days; an interval from which on a zoledronic acid of unknown dose is the yearly osteoporosis one."""


def _near(dose: Decimal | None, target: int) -> bool:
    return dose is not None and abs(dose - target) <= target * TENTH


@dataclass(frozen=True, slots=True)
class BmaVerdict:
    """The class of a bone-modifying agent, and whether product and dose contradict each other."""

    drug: BmaClass
    mismatch: bool = False


def bma_class(
    product: Identified,
    dose_mg: Decimal | None,
    *,
    route: str | None = None,
    interval_days: Decimal | None = None,
    indication: str | None = None,
) -> BmaVerdict | None:
    """
    Tell the class of a bone-modifying agent; None for any other drug.

    Product, else dose and interval together, tell denosumab 120 from 60, zoledronic acid 4 from 5 mg, ibandronate
    6 from 3 mg; where they contradict each other the dose decides, since it is what will go in, and that is told.
    """
    key = next((key for key in product.drugs if "bma" in DRUGS[key].classes), None)
    if key is None:
        return None
    if key == "denosumab":
        return _denosumab(product.product, dose_mg, interval_days)
    if key == "zoledronic":
        return _zoledronic(product.product, dose_mg, interval_days, indication)
    if key == "zoledronic-calcium-vitamin-d":
        return _zoledronic("5", dose_mg, interval_days, indication)
    if key == "ibandronate":
        return _ibandronate(product, dose_mg, route, interval_days, indication)
    if key == "incadronate":
        return BmaVerdict("incadronate")
    if key == "pamidronate":
        return BmaVerdict("pamidronate")
    if key == "clodronate":
        return BmaVerdict("clodronate")
    return BmaVerdict("other-bisphosphonate")


def _ibandronate(
    product: Identified, dose: Decimal | None, route: str | None, interval: Decimal | None, indication: str | None
) -> BmaVerdict:
    """50 mg a day by mouth and 6 mg by vein are oncologic; 150 mg a month, 2.5 mg a day, 3 mg a quarter are not."""
    if route == "PO" or (route is None and product.oral and not product.injected):
        daily_50 = _near(dose, 50) or (dose is None and _near(product.strength.mg_per_piece, 50))
        return BmaVerdict("ibandronate" if daily_50 else "ibandronate-oral")
    quarterly = (interval is not None and interval >= QUARTER) or indication == "osteoporosis"
    three = _near(dose, 3) or (dose is None and _near(product.strength.mg_per_piece, 3))
    if three and (quarterly or product.product == "3"):
        return BmaVerdict("ibandronate-3", mismatch=product.product == "6")
    if dose is None and product.product == "3":
        return BmaVerdict("ibandronate-3")
    return BmaVerdict("ibandronate", mismatch=product.product == "3")


def _denosumab(product: str | None, dose: Decimal | None, interval: Decimal | None) -> BmaVerdict:
    by_dose = "120" if _near(dose, 120) else "60" if _near(dose, 60) else None
    if dose is None and product is None and interval is not None and interval >= HALF_A_YEAR:
        return BmaVerdict("denosumab-60")
    told = by_dose or product
    mismatch = product is not None and by_dose is not None and product != by_dose
    if told == "120":
        return BmaVerdict("denosumab-120", mismatch)
    if told == "60":
        return BmaVerdict("denosumab-60", mismatch)
    return BmaVerdict("denosumab-unspecified")


def _zoledronic(
    product: str | None, dose: Decimal | None, interval: Decimal | None, indication: str | None
) -> BmaVerdict:
    five = _near(dose, 5)
    four = dose is not None and dose <= Decimal("4.4")
    if five or four:
        mismatch = (product == "4" and five) or (product == "5" and four)
        return BmaVerdict("zoledronic-5" if five else "zoledronic", mismatch)
    if product == "5":
        return BmaVerdict("zoledronic-5")
    yearly = interval is not None and interval >= LONG
    benign = indication in {"osteoporosis", "paget"}
    if product is None and dose is None and (yearly or benign):
        return BmaVerdict("zoledronic-5")
    return BmaVerdict("zoledronic")
