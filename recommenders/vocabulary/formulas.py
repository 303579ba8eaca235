"""Published formulas, each with its source; exact decimals in, exact decimals out, no rounding."""

from __future__ import annotations

from decimal import Decimal

CREATININE_UMOL_PER_MG_DL = Decimal("88.42")
"""µmol/L per mg/dL of creatinine; the way back divides by the same number, so that a round trip is exact."""

CALCIUM_MMOL_PER_MG_DL = Decimal("0.2495")
"""mmol/L per mg/dL of calcium."""

DAYS_PER_MONTH = Decimal("30.44")
"""Days in a mean month, as used for treatment lengths."""


def corrected_calcium(total_mmol_l: Decimal, albumin_g_l: Decimal) -> Decimal:
    """
    Calcium corrected for albumin, in mmol/L: total + 0.02 × (40 − albumin).

    Source: zoledronic acid prescribing information, there as Ca + 0.8 × (4.0 − albumin) in mg/dL and g/dL.
    """
    return total_mmol_l + Decimal("0.02") * (Decimal(40) - albumin_g_l)


def corrected_calcium_mg_dl(total_mg_dl: Decimal, albumin_g_l: Decimal) -> Decimal:
    """Calcium corrected for albumin, in mg/dL: total + 0.8 × (4.0 − albumin in g/dL); same source."""
    return total_mg_dl + Decimal("0.8") * (Decimal(4) - albumin_g_l / 10)


def cockcroft_gault(age_years: Decimal, weight_kg: Decimal, creatinine_umol_l: Decimal, *, female: bool) -> Decimal:
    """
    Creatinine clearance in mL/min for an adult: (140 − age) × weight / (72 × creatinine in mg/dL), × 0.85 if female.

    Actual body weight. Source: Cockcroft & Gault, Nephron 1976;16:31. Never below zero.
    """
    creatinine_mg_dl = creatinine_umol_l / CREATININE_UMOL_PER_MG_DL
    clearance = (Decimal(140) - age_years) * weight_kg / (Decimal(72) * creatinine_mg_dl)
    return max(clearance * (Decimal("0.85") if female else Decimal(1)), Decimal(0))


def mosteller(height_cm: Decimal, weight_kg: Decimal) -> Decimal:
    """Body surface area in m²: √(height × weight / 3600). Source: Mosteller, N Engl J Med 1987;317:1098."""
    return (height_cm * weight_kg / Decimal(3600)).sqrt()
