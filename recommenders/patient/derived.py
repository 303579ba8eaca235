"""What follows from the recorded facts as they count today: calculated facts are filled in."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from recommenders.patient.cancer import any_cancer
from recommenders.patient.inputs import bounds_of, flags_of, newest_day, resources_of, unknown_for
from recommenders.patient.light_chains import light_chain_facts
from recommenders.vocabulary import formulas
from recommenders.vocabulary.dictionary import BLANK
from recommenders.vocabulary.facts import Fact, Finding, Reading, exactly, replace, round_half_up, stated
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import Truth, any_of, documented

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.fact_groups import CytogeneticFacts
    from recommenders.vocabulary.guidance import Limits
    from recommenders.vocabulary.records import Lesion

GUIDANCE = guidance("common")
MANY = Decimal(1000)
"""The upper end of a number of lesions of which only a part is known."""
AT_LEAST = ("at-least",)


def derive(facts: Facts, site: Mapping[str, Decimal] | None = None, guidance_day: dt.date | None = None) -> Facts:
    """
    Fill in the facts that follow from others, where they are not known already.

    To be called on facts `as_seen` (`recency.py`): an input that is stale leaves the derived fact unknown, with the
    inputs it `lacks`. The limits are those of `guidance_day` (None: of the day of the facts).
    """
    limits = GUIDANCE.limits(guidance_day or facts.as_of, site)
    facts = facts.with_facts({"patient.age": age_of(facts)})
    # none of these is made of another, only of the age; what is judged below is
    facts = facts.with_facts(
        _measures(facts)
        | _calcium(facts)
        | {"lab.creatinine_rise": _rise(facts)}
        | light_chain_facts(facts)
        | _disease(facts, limits)
    )
    return facts.with_facts(_judgements(facts, limits))


def safest(
    facts: Facts,
    calcium: Literal["lowest", "highest"],
    site: Mapping[str, Decimal] | None = None,
    guidance_day: dt.date | None = None,
) -> Facts:
    """
    Give the facts with the less safe of two contradictory results, for the safety rules.

    Creatinine the higher, its baseline the lower, albumin the higher, calcium as asked for.
    """
    changes: dict[str, Fact] = {
        "lab.creatinine": facts.lab.creatinine.choose("highest"),
        "lab.creatinine_baseline": facts.lab.creatinine_baseline.choose("lowest"),
        "lab.albumin": facts.lab.albumin.choose("highest"),
        "lab.ca_total": facts.lab.ca_total.choose(calcium),
    }
    if all(changes[path] is facts.fact(path) for path in changes):
        return facts
    renewed: dict[str, Fact] = {path: BLANK.fact(path) for path in ("lab.ca_corr_mg_dl", "lab.creatinine_rise")}
    if not any("corrected-by-laboratory" in flag for flag in facts.lab.ca_corr.flags):
        renewed["lab.ca_corr"] = BLANK.lab.ca_corr
    if "reported" not in facts.lab.crcl.flags:
        renewed["lab.crcl"] = BLANK.lab.crcl
    return derive(facts.with_facts(changes | renewed), site, guidance_day)


def age_of(facts: Facts) -> Reading:
    """Give the age in years, as told or from the birth date; unknown where it cannot be."""
    age, birth = facts.patient.age, facts.patient.birth_date
    if age.is_known:
        return replace(age, date=age.date or facts.as_of)
    if not birth.is_known or birth.date is None:
        return unknown_for(age, birth)
    born, today = birth.date, facts.as_of
    years = today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    if years < 0 or years > GUIDANCE.tables["plausible"]["age_max"]:
        return replace(age, reason="implausible", lacks=(birth.name,))
    return exactly(age, years, date=today, resources=birth.resources)


def _measures(facts: Facts) -> dict[str, Fact]:
    patient, lab = facts.patient, facts.lab
    found: dict[str, Fact] = {}
    if not patient.bsa.is_known or (patient.weight.is_known and patient.height.is_known):
        if patient.weight.value and patient.height.value and patient.weight.is_known and patient.height.is_known:
            area = formulas.mosteller(patient.height.value, patient.weight.value)
            found["patient.bsa"] = exactly(
                patient.bsa,
                area,
                date=newest_day(patient.weight),
                resources=resources_of(patient.weight, patient.height),
                flags=("calculated",),
            )
        else:
            found["patient.bsa"] = unknown_for(patient.bsa, patient.weight, patient.height)
    found["lab.crcl"] = _clearance(facts)
    if lab.ca_total.is_known:
        for path, edge in (("lab.ca_lln", lab.ca_total.reference_low), ("lab.ca_uln", lab.ca_total.reference_high)):
            limit = facts.fact(path)
            if isinstance(limit, Reading) and not limit.is_known and edge is not None:
                found[path] = exactly(limit, edge, date=lab.ca_total.date, resources=lab.ca_total.resources)
    return found


def _clearance(facts: Facts) -> Reading:
    """Cockcroft-Gault, or a reported clearance that is newer than the creatinine."""
    reported, creatinine = facts.lab.crcl, facts.lab.creatinine
    age, weight, sex = facts.patient.age, facts.patient.weight, facts.patient.sex
    if reported.is_known and "calculated" in reported.flags:
        return reported
    if reported.is_known and (
        not creatinine.is_known
        or creatinine.date is None
        or (reported.date is not None and reported.date > creatinine.date)
    ):
        return reported
    blank = BLANK.lab.crcl
    if age.is_known and age.low is not None and age.low < 18:
        return replace(blank, reason="not-applicable")
    if sex.is_known and sex.value not in {"male", "female"}:
        return replace(unknown_for(blank, age, weight, creatinine), lacks=(sex.name,))
    years, kilograms, level = bounds_of(age), bounds_of(weight), bounds_of(creatinine)
    if not (sex.is_known and years and kilograms and level and level.low > 0):
        return unknown_for(blank, creatinine, weight, age, sex)
    female = sex.value == "female"
    least = formulas.cockcroft_gault(years.high, kilograms.low, level.high, female=female)
    most = formulas.cockcroft_gault(years.low, kilograms.high, level.low, female=female)
    return replace(
        blank,
        low=least,
        high=most,
        reason=None,
        date=creatinine.date,
        resources=resources_of(creatinine, weight),
        flags=("calculated", *flags_of(creatinine, weight)),
    )


def _calcium(facts: Facts) -> dict[str, Fact]:
    lab = facts.lab
    total, albumin, corrected = bounds_of(lab.ca_total), bounds_of(lab.albumin), lab.ca_corr
    if total is None:
        if corrected.is_known:
            return {}
        return {
            "lab.ca_corr": unknown_for(corrected, lab.ca_total),
            "lab.ca_corr_mg_dl": unknown_for(lab.ca_corr_mg_dl, lab.ca_total),
        }
    if corrected.is_known:  # as told by a clinician's case or by the laboratory
        return {}
    found: dict[str, Fact] = {}
    common: dict[str, Any] = {
        "reason": None,
        "lacks": (),
        "date": lab.ca_total.date,
        "moment": lab.ca_total.moment,
        "sent": lab.ca_total.sent,
        "low_open": lab.ca_total.low_open,
        "high_open": lab.ca_total.high_open,
    }
    if albumin is None:
        flags = (*lab.ca_total.flags, "uncorrected")
        found["lab.ca_corr"] = replace(
            corrected, low=total.low, high=total.high, resources=lab.ca_total.resources, flags=flags, **common
        )
    else:
        # measured calcium is rounded first, then the corrected one (when compared)
        decimals = lab.ca_total.decimals or 0
        low = formulas.corrected_calcium(round_half_up(total.low, decimals), albumin.high)
        high = formulas.corrected_calcium(round_half_up(total.high, decimals), albumin.low)
        found["lab.ca_corr"] = replace(
            corrected,
            low=low,
            high=high,
            resources=resources_of(lab.ca_total, lab.albumin),
            flags=("calculated", *flags_of(lab.ca_total, lab.albumin)),
            **common,
        )
    in_mg = lab.ca_total.sent_value if lab.ca_total.sent_unit == "mg/dL" else None
    if in_mg is not None and "less-safe-value" not in lab.ca_total.flags:
        value = in_mg if albumin is None else formulas.corrected_calcium_mg_dl(in_mg, albumin.low)
        found["lab.ca_corr_mg_dl"] = exactly(
            lab.ca_corr_mg_dl, value, date=lab.ca_total.date, resources=lab.ca_total.resources
        )
    return found


def _rise(facts: Facts) -> Reading:
    lab = facts.lab
    if lab.creatinine_rise.is_known:
        return lab.creatinine_rise
    now, before = lab.creatinine.rounded, lab.creatinine_baseline.rounded
    if now is None or before is None or not lab.creatinine.is_known or not lab.creatinine_baseline.is_known:
        return unknown_for(lab.creatinine_rise, lab.creatinine, lab.creatinine_baseline)
    return exactly(
        lab.creatinine_rise,
        now - before,
        date=lab.creatinine.date,
        resources=resources_of(lab.creatinine, lab.creatinine_baseline),
        flags=flags_of(lab.creatinine),
    )


def _disease(facts: Facts, limits: Limits) -> dict[str, Fact]:
    dx, mm, cyto = facts.dx, facts.mm, facts.cyto
    found: dict[str, Fact] = {}
    confirmed = [x for x in facts.lesions if x.imaging_confirmed and x.nature.value == "metastasis"]
    if confirmed and not dx.bone_met.is_known and dx.bone_met.reason in {"missing", "suspected"}:
        found["dx.bone_met"] = stated(dx.bone_met, value=True, date=confirmed[0].date, resources=confirmed[0].resources)
    found |= _lesions_counted(facts, limits)
    if not dx.bone_met_isolated.is_known:
        found["dx.bone_met_isolated"] = _isolated(facts, found)
    if not dx.isolated_stated.is_known:
        span = int(limits.whole_skeleton_imaged.value)
        recent = [
            s
            for s in facts.studies
            if s.modality in {"spect", "pet"} and s.date and facts.as_of - s.date <= dt.timedelta(span)
        ]
        said = dx.bone_met_count.is_known and "stated" in dx.bone_met_count.flags
        known_extent = bool(recent) or said
        found["dx.isolated_stated"] = stated(dx.isolated_stated, value=known_extent)
        if not known_extent and facts.is_cut("observations", "procedures"):
            found["dx.isolated_stated"] = dx.isolated_stated.forget("list-cut")
    if not cyto.high_risk_riss.is_known:
        found["cyto.high_risk_riss"] = _HIGH_RISK_UNKNOWN if cyto is BLANK.cyto else _high_risk(cyto)
    if not mm.phase.is_known and mm.phase.reason == "missing":
        recent_onset = mm.onset_date.within(limits.newly_diagnosed, facts.as_of)
        if (recent_onset & dx.mm & ~mm.ever_antimyeloma).yes:
            found["mm.phase"] = stated(
                mm.phase,
                "newly-diagnosed",
                date=mm.onset_date.date,
                resources=mm.onset_date.resources,
                flags=("derived",),
            )
    if not facts.sarcoma.setting.is_known and facts.sarcoma.setting.reason == "missing":
        setting = _sarcoma_setting(facts)
        if setting:
            found["sarcoma.setting"] = stated(
                facts.sarcoma.setting,
                setting,
                resources=resources_of(dx.metastatic, facts.therapy.prior_lines),
                date=newest_day(facts.therapy.prior_lines),
                flags=("derived",),
            )
    return found


def _lesions_counted(facts: Facts, limits: Limits) -> dict[str, Fact]:
    count, lytic_lesions = facts.dx.bone_met_count, facts.mm.lytic_lesions
    found: dict[str, Fact] = {}
    # a Condition that names a metastatic site may stand for many lesions: it is no count
    entered = [x for x in facts.lesions if "from-condition" not in x.nature.flags]
    if not entered:
        return found
    metastases = [x for x in entered if x.nature.value in {"metastasis", "undetermined"}]
    told = count.value if count.is_known else None
    number = _counted(count, metastases, at_least=told or Decimal(0))
    if not facts.lesions.whole:
        number = replace(number, high=MANY, flags=AT_LEAST)
    if told is None or (number > told).yes:
        found["dx.bone_met_count"] = number
    lytic = [x for x in facts.lesions if _is_myeloma_osteolysis(x, limits)]
    if lytic and not lytic_lesions.is_known:
        found["mm.lytic_lesions"] = _counted(lytic_lesions, lytic)
    return found


def _counted(blank: Reading, lesions: Sequence[Lesion], at_least: Decimal = Decimal(0)) -> Reading:
    """Count lesions; one seen long ago and never again may or may not be there still, so it widens the count."""
    return replace(
        blank,
        low=max(Decimal(sum(not lesion.old for lesion in lesions)), at_least),
        high=max(Decimal(len(lesions)), at_least),
        reason=None,
        date=max((lesion.date for lesion in lesions if lesion.date), default=None),
        resources=tuple(name for lesion in lesions for name in lesion.resources),
    )


def _is_myeloma_osteolysis(lesion: Lesion, limits: Limits) -> bool:
    """Tell whether a lesion counts as an osteolytic one of myeloma: not where it is measured and smaller than 5 mm."""
    too_small = (lesion.size < limits.osteolytic_lesion_size).yes
    return lesion.nature.value == "myeloma" and lesion.type.value == "osteolytic" and not too_small


def _isolated(facts: Facts, found: Mapping[str, Fact]) -> Finding:
    dx = facts.dx
    count = found.get("dx.bone_met_count", dx.bone_met_count)
    if not isinstance(count, Reading) or not count.is_known:
        return replace(dx.bone_met_isolated, lacks=(dx.bone_met_count.name,))
    one = (count >= 1) & (count <= 1) & ~documented(dx.multiple_stated) & ~documented(dx.diffuse_metastases)
    if one.unknown and not facts.lesions.whole:
        return dx.bone_met_isolated.forget("list-cut")
    return _finding(dx.bone_met_isolated, one.holds, count)


def _finding(blank: Finding, holds: Truth, *inputs: Fact) -> Finding:
    if holds is None:
        return unknown_for(blank, *inputs)
    return replace(
        blank,
        value=holds,
        reason=None,
        date=newest_day(*inputs),
        resources=resources_of(*inputs),
        flags=("derived",),
        lacks=(),
    )


def _high_risk(cyto: CytogeneticFacts) -> Finding:
    return _or_finding(cyto.high_risk_riss, cyto.del17p, cyto.t4_14, cyto.t14_16)


def _or_finding(blank: Finding, *parts: Finding) -> Finding:
    holds = any_of(parts).holds
    deciding = [part for part in parts if part.value is True] or list(parts)
    return _finding(blank, holds, *deciding)


_HIGH_RISK_UNKNOWN = _high_risk(BLANK.cyto)
"""What follows where nothing is told of cytogenetics."""


def _sarcoma_setting(facts: Facts) -> str | None:
    dx, lines = facts.dx, facts.therapy.prior_lines
    if not (dx.metastatic.value is True and lines.is_known):
        return None
    first = (lines <= 0).yes
    later = (lines >= 1).yes
    if dx.osteosarcoma.value is True and not dx.sts.value:
        return "newly-diagnosed-metastatic" if first else "relapsed-refractory" if later else None
    if dx.sts.value is True:
        return "advanced-first-line" if first else "advanced-second-line-plus" if later else None
    return None


def _judgements(facts: Facts, limits: Limits) -> dict[str, Fact]:
    """Findings that follow from laboratory values, and pain from the worst lesion."""
    dx, lab, clin, bone = facts.dx, facts.lab, facts.clin, facts.bone
    found: dict[str, Fact] = {}
    high = (lab.ca_corr > limits.hypercalcaemia).yes
    for path, own, holds in (
        ("dx.hypercalcaemia_malignancy", dx.hypercalcaemia_malignancy, high and any_cancer(facts).yes),
        ("clin.hypercalcaemia", clin.hypercalcaemia, high),
    ):
        if holds and own.value is not True:
            how = {"date": lab.ca_corr.date, "resources": lab.ca_corr.resources, "flags": ("calculated",)}
            found[path] = stated(own, value=True, **how)
    if not clin.alp_high.is_known:
        uln = lab.alp.reference_high
        raised: Truth = None if uln is None else (lab.alp > uln).holds
        found["clin.alp_high"] = _finding(clin.alp_high, raised, lab.alp)
    if not facts.pain.nrs.is_known and facts.pain.nrs.reason != "contradictory":
        found |= _lesion_pain(facts)
    if not bone.markers_persistently_normal.is_known:
        ctx = _persistently_normal(facts, "bone.ctx", int(limits.markers_apart.value))
        pinp = _persistently_normal(facts, "bone.pinp", int(limits.markers_apart.value))
        both: Truth = False if ctx is False or pinp is False else None if ctx is None or pinp is None else True
        found["bone.markers_persistently_normal"] = (
            _finding(bone.markers_persistently_normal, both, bone.ctx, bone.pinp)
            if both is not None
            else replace(bone.markers_persistently_normal, lacks=("bone.ctx", "bone.pinp"))
        )
    return found


def _lesion_pain(facts: Facts) -> dict[str, Fact]:
    scale: Mapping[str, int] = GUIDANCE.tables["lesion_pain_as_score"]
    rated = [lesion for lesion in facts.lesions if isinstance(lesion.pain.value, str)]
    if not rated:
        return {}
    worst = max(rated, key=lambda one: (scale[str(one.pain.value)], one.date or facts.as_of.min, one.resources))
    score = scale[str(worst.pain.value)]
    return {
        "pain.nrs": exactly(
            facts.pain.nrs, score, date=worst.date, resources=worst.resources, flags=("from-lesion-pain",)
        )
    }


def _persistently_normal(facts: Facts, name: str, apart: int) -> Truth:
    """Whether the last two results at least so many days apart are both inside the laboratory's range."""
    results = sorted(
        (r for r in facts.series.get(name, ()) if r.is_known and r.date), key=lambda r: r.date or dt.date.min
    )
    newest = facts.fact(name)
    if not results or not newest.is_known:
        return None
    last = results[-1]
    earlier = [r for r in results[:-1] if last.date and r.date and (last.date - r.date).days >= apart]
    inside = [_inside(r) for r in (last, *earlier[-1:])]
    if False in inside:
        return False
    return True if len(inside) == 2 and all(inside) else None


def _inside(result: Reading) -> Truth:
    if result.value is None or (result.reference_high is None and result.reference_low is None):
        return None
    above = result.reference_high is not None and result.value > result.reference_high
    below = result.reference_low is not None and result.value < result.reference_low
    return not (above or below)


def is_normal(result: Reading) -> Truth:
    """Tell whether a result lies inside the laboratory's own range; unknown without a range."""
    return _inside(result) if result.is_known else None
