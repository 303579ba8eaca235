"""Lines that several safety rules add: the arithmetic in the open, unusable values, contradictory results."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from recommenders.patient.advice import Label, Phrase
from recommenders.vocabulary.facts import Finding, Reading, exactly, round_half_up
from recommenders.vocabulary.formulas import CREATININE_UMOL_PER_MG_DL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Fill
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.facts import Fact

LESS_SAFE = "less-safe-value"
"""The flag of a value that was chosen among contradictory ones."""


def plain(number: Decimal) -> Decimal:
    """Give a number without needless zeros and without exponent (4.00 is 4, 120 stays 120)."""
    return Decimal(format(number.normalize(), "f"))


def clearance_gaps(facts: Facts) -> list[str]:
    """Give the names of the inputs of the Cockcroft-Gault formula that cannot be used; in the order of asking."""
    patient, lab = facts.patient, facts.lab
    found = [fact.name for fact in (lab.creatinine, patient.weight) if not fact.is_known]
    if not patient.age.is_known:
        found.append(patient.birth_date.name if not patient.birth_date.is_known else patient.age.name)
    if not patient.sex.is_known or patient.sex.value not in {"male", "female"}:
        found.append(patient.sex.name)
    if not found and not lab.crcl.is_known:
        found.append(lab.creatinine.name)
    return found


def verify(*facts: Fact) -> tuple[Phrase, ...]:
    """Say, for those values that were chosen as the less safe of two, that both want verifying."""
    return tuple(_verify(fact) for fact in facts if LESS_SAFE in fact.flags)


def _verify(fact: Fact) -> Phrase:
    if isinstance(fact, Reading) and fact.rivals:
        rivals = tuple(exactly(fact, rival) for rival in sorted(fact.rivals))
        return Phrase(LESS_SAFE, {"what": Label(fact.name), "values": rivals, "value": fact})
    if isinstance(fact, Reading):
        return Phrase("less-safe-calculated", {"what": Label(fact.name), "value": fact})
    return Phrase("less-safe-finding", {"what": Label(fact.name)})


def rivals_of(fact: Reading) -> Phrase:
    """Name the contradictory results of one analyte, with their time."""
    rivals = tuple(exactly(fact, rival) for rival in sorted(fact.rivals))
    when: Fill = Phrase("not-told")
    if fact.moment is not None:
        when = fact.moment.strftime("%Y-%m-%d %H:%M")
    elif fact.date is not None:
        when = fact.date.isoformat()
    return Phrase("contradictory-results", {"what": Label(fact.name), "values": rivals, "when": when})


def clearance_arithmetic(facts: Facts) -> Iterator[Phrase]:
    """Show how the clearance was calculated, with the inputs and their dates; or that it was reported."""
    patient, lab = facts.patient, facts.lab
    if not lab.crcl.is_known or lab.crcl.low is None:
        return
    if "calculated" not in lab.crcl.flags:
        if lab.crcl.date is not None:
            yield Phrase("crcl-reported", {"crcl": lab.crcl, "day": lab.crcl.date.isoformat()})
        return
    level, weight, age, shown = lab.creatinine.value, patient.weight.value, patient.age.rounded, lab.crcl.rounded
    if level is None or weight is None or age is None or shown is None:
        return  # an interval among the inputs: there is no single sum to show
    if lab.creatinine.date is None or patient.weight.date is None:
        return
    fill: dict[str, Fill] = {
        "age": age,
        "weight": plain(weight),
        "creatinine": round_half_up(level / CREATININE_UMOL_PER_MG_DL, 2),
        "crcl": shown,
        "day": lab.creatinine.date.isoformat(),
        "weighed": patient.weight.date.isoformat(),
    }
    yield Phrase("crcl-female" if patient.sex.value == "female" else "crcl-male", fill)


def calcium_arithmetic(facts: Facts) -> Iterator[Phrase]:
    """Show how calcium was corrected for albumin, with the inputs and their dates."""
    lab = facts.lab
    total, albumin, corrected = lab.ca_total, lab.albumin, lab.ca_corr
    if "calculated" not in corrected.flags or total.date is None or albumin.date is None:
        return
    if total.rounded is None or albumin.rounded is None or corrected.rounded is None:
        return
    yield Phrase(
        "calcium-corrected",
        {
            "total": total.rounded,
            "albumin": albumin.rounded,
            "corrected": corrected.rounded,
            "day": total.date.isoformat(),
            "measured": albumin.date.isoformat(),
        },
    )


def less_safe(finding: Finding) -> Finding:
    """Read a contradictory yes/no finding as yes, for a safety rule in which yes is the danger."""
    if finding.reason != "contradictory":
        return finding
    return Finding(
        name=finding.name,
        value=True,
        reason=None,
        date=finding.date,
        resources=finding.resources,
        flags=(*finding.flags, LESS_SAFE),
    )
