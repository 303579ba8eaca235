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


def highest_creatinine_umol_l(
    age_years: Decimal, weight_kg: Decimal, clearance_ml_min: Decimal, *, female: bool
) -> Decimal:
    """The creatinine in µmol/L at which `cockcroft_gault` gives just this clearance; a higher one gives less."""
    at_one_umol_l = cockcroft_gault(age_years, weight_kg, Decimal(1), female=female)
    return at_one_umol_l / clearance_ml_min


def lowest_weight_kg(
    age_years: Decimal, creatinine_umol_l: Decimal, clearance_ml_min: Decimal, *, female: bool
) -> Decimal | None:
    """The weight in kg at which `cockcroft_gault` gives just this clearance; None from 140 years on: none does."""
    at_one_kg = cockcroft_gault(age_years, Decimal(1), creatinine_umol_l, female=female)
    return clearance_ml_min / at_one_kg if at_one_kg > 0 else None


def ideal_weight_kg(height_cm: Decimal, *, female: bool) -> Decimal:
    """
    Ideal body weight in kg: 50 (women 45.5) + 2.3 for each inch of height above 60.

    Source: Devine BJ, Drug Intell Clin Pharm 1974;8:650.
    """
    inches = height_cm / Decimal("2.54")
    return Decimal("45.5" if female else "50") + Decimal("2.3") * (inches - Decimal(60))


def adjusted_weight_kg(actual_kg: Decimal, ideal_kg: Decimal) -> Decimal:
    """Adjusted body weight in kg: ideal + 0.4 × (actual − ideal). A clinical convention; see X:ADJBW."""
    return ideal_kg + Decimal("0.4") * (actual_kg - ideal_kg)
