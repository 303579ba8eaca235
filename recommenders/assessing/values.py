"""The computed values of the specification's §1.11, and whose cards show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recommenders.vocabulary.guidance import Recommender

VALUES_OF: Mapping[Recommender, tuple[str, ...]] = {
    "bone-protection": (
        "ca_corrected_mmol_l",
        "crcl_ml_min",
        "bma_months",
        "days_since_last_bma",
        "zoledronic_recommended_dose_mg",
        "bone_risk_tier",
        "mm_class",
    ),
    "order-safety": (
        "age_years",
        "ca_corrected_mmol_l",
        "crcl_ml_min",
        "creatinine_rise_umol_l",
        "zoledronic_recommended_dose_mg",
        "ibandronate_recommended_dose_mg",
        "incadronate_max_dose_mg",
        "days_since_last_bma",
        "melphalan_tier",
        "melphalan_ordered_mg_m2",
        "rt_row",
        "ifo_albumin_g_l",
        "mesna_required_mg_per_day",
    ),
    "radiotherapy": ("rt_row", "escc_grade", "mirels_min", "mirels_max", "mirels_total"),
    "surgical-timing": (
        "mirels_total",
        "mirels_min",
        "mirels_max",
        "mirels_fracture_risk_pct",
        "escc_grade",
        "bone_risk_tier",
    ),
    "mm-staging": (
        "mm_class",
        "ca_corrected_mmol_l",
        "crcl_ml_min",
        "flc_ratio_involved",
        "iss_stage",
        "riss_stage",
        "r2iss_points",
        "r2iss_group",
        "iss_stage_min",
        "iss_stage_max",
        "riss_stage_min",
        "riss_stage_max",
        "r2iss_points_min",
        "r2iss_points_max",
        "mayo2008_factors",
        "mayo2008_factors_min",
        "mayo2008_factors_max",
        "mayo2018_factors",
        "mayo2018_factors_min",
        "mayo2018_factors_max",
        "mayo2018_risk",
        "imwg2020_factors",
        "imwg2020_factors_min",
        "imwg2020_factors_max",
        "imwg2020_2y_risk_pct",
        "imwg_score",
        "imwg_score_min",
        "imwg_score_max",
        "imwg_score_with_del17p",
        "imwg_score_risk",
    ),
    "mm-treatment": ("melphalan_tier", "melphalan_ordered_mg_m2", "mm_class", "crcl_ml_min"),
    "sarcoma-systemic": ("age_years", "ifo_albumin_g_l", "mesna_required_mg_per_day", "crcl_ml_min"),
    "workup-support": ("ca_corrected_mmol_l", "mirels_total", "escc_grade"),
}
"""The computed values that belong to each recommender's cards."""

NAMES = frozenset(name for names in VALUES_OF.values() for name in names)
"""Every computed value."""
