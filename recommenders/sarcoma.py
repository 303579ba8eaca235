"""Evidence on sarcoma therapy, and ifosfamide safety."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from recommenders.patient import remarks
from recommenders.patient.advice import Advice, Label, Phrase, Proposal, ProposedMedication, ProposedService
from recommenders.patient.remarks import less_safe, plain
from recommenders.vocabulary.facts import Finding, Reading, known, round_half_up
from recommenders.vocabulary.guidance import CHART_HOOKS, guidance
from recommenders.vocabulary.logic import YES, Condition, Criterion, any_of, documented, leaf

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from decimal import Decimal

    from recommenders.patient.advice import Case, Service, Value
    from recommenders.vocabulary.guidance import Limits
    from recommenders.vocabulary.records import Order

GUIDANCE = guidance("sarcoma")

STUDIED_WITH_SINTILIMAB = ("ups", "synovial", "myxoid-lps", "dediff-lps")
SINTILIMAB_LINE = 0
"""The place of the sintilimab result among the source lines of SARC-003."""


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    yield from _evidence(case)
    yield _child(case)
    for order in _ifosfamide_at_hand(case):
        yield from _bladder_protection(case, order)
        yield from _kidneys_and_brain(case, order)
        yield from _counts_and_interactions(case, order)


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11) for an ifosfamide order at hand."""
    found: dict[str, Value] = {}
    orders = _ifosfamide_at_hand(case)
    if not orders:
        return found
    albumin = case.facts.lab.albumin.choose("lowest")
    if albumin.is_known and albumin.rounded is not None:
        found["ifo_albumin_g_l"] = albumin.rounded
    required = [amount for order in orders if (amount := _mesna_required(case, order)) is not None]
    if required:
        found["mesna_required_mg_per_day"] = max(required)
    return found


def _ifosfamide_at_hand(case: Case) -> list[Order]:
    return [order for order in case.orders_at_hand if "ifosfamide" in order.kinds]


# --- evidence -----------------------------------------------------------------------------------------------


def _evidence(case: Case) -> Iterator[Advice]:
    dx, setting = case.facts.dx, case.facts.sarcoma.setting

    yield Advice(rule="SARC-001", because=dx.osteosarcoma & setting.is_("newly-diagnosed-metastatic"))
    yield Advice(rule="SARC-002", because=dx.osteosarcoma & setting.is_("relapsed-refractory"))
    yield _first_line_soft_tissue_sarcoma(case)
    yield Advice(rule="SARC-004", because=dx.sts & setting.is_("advanced-second-line-plus"))
    yield Advice(rule="SARC-005", because=(dx.osteosarcoma | dx.sts) & case.facts.meds.antiangiogenic)


def _first_line_soft_tissue_sarcoma(case: Case) -> Advice:
    """The sintilimab result stands for the four subtypes it was studied in, and for no other."""
    dx, setting = case.facts.dx, case.facts.sarcoma.setting
    studied = dx.sts_subtype.one_of(*STUDIED_WITH_SINTILIMAB)
    if studied.yes:
        note = Phrase("sintilimab-applies")
    elif studied.no:
        note = Phrase("sintilimab-other-subtype")
    else:
        note = Phrase("sintilimab-subtype-unknown")
    lines = range(len(GUIDANCE.rules["SARC-003"].source_lines))
    return Advice(
        rule="SARC-003",
        because=dx.sts & setting.is_("advanced-first-line"),
        lines=tuple(line for line in lines if studied.yes or line != SINTILIMAB_LINE),
        notes=(note,),
    )


def _child(case: Case) -> Advice:
    dx, limits = case.facts.dx, case.limits(GUIDANCE)
    treated_now = case.hook not in CHART_HOOKS and any(
        order.is_bma or {"antineoplastic", "ifosfamide", "melphalan"}.intersection(order.kinds)
        for order in case.orders_at_hand
    )
    return Advice(
        rule="SARC-006",
        because=(dx.osteosarcoma | dx.sts) & (case.facts.patient.age < limits.adult_age),
        indicator="warning" if treated_now else "info",
    )


# --- ifosfamide: the bladder --------------------------------------------------------------------------------


def _bladder_protection(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    mesna = _mesna(case)

    list_missing = mesna.unknown or not facts.courses.delivered
    yield Advice(
        rule="SARC-010",
        because=YES,
        unless=documented(mesna),
        notes=(Phrase("medication-list-missing"),) if list_missing else (),
        proposals=(*_mesna_beside(case, order), Proposal(action=1, items=(ProposedService(service="hydration"),))),
        order=order.reference,
    )

    required = _mesna_required(case, order)
    amount = _mesna_per_day(case)
    if required is None:
        too_little = _unknown(order.daily_mg, "order.dose_mg")
    elif not amount.is_known:
        too_little = _unknown(amount, "meds.mesna")
    else:
        too_little = amount < required * limits.mesna_margin.value
    found = {"mesna": amount, "ifosfamide": order.daily_mg}
    yield Advice(
        rule="SARC-011",
        because=mesna & too_little,
        notes=(
            Phrase(
                "mesna-found",
                {name: plain(reading.rounded) for name, reading in found.items() if reading.rounded is not None}
                | {"share": plain(_share(case, limits) * 100)},
            ),
        ),
        values={} if required is None else {"mesna_required_mg_per_day": required},
        order=order.reference,
    )

    yield Advice(
        rule="SARC-014",
        because=facts.other.urinary_obstruction | facts.allergy.ifosfamide,
        order=order.reference,
    )


def _mesna(case: Case) -> Criterion:
    """Mesna among current medication or the drafts, selected or not."""
    return any_of((*(_drafted(order) for order in case.facts.orders if "mesna" in order.kinds), case.facts.meds.mesna))


def _drafted(order: Order) -> Criterion:
    evidence = Finding(name="meds.mesna", value=True, reason=None, resources=(order.reference,))
    return evidence.criterion()


def _mesna_per_day(case: Case) -> Reading:
    """Give the mesna of a day, mg: as read with the medication, else the sum of the drafts."""
    told = case.facts.meds.mesna_daily
    if told.is_known:
        return told
    drafts = [order.daily_mg for order in case.facts.orders if "mesna" in order.kinds]
    amounts = [draft.value for draft in drafts if draft.value is not None and draft.is_known]
    if not drafts or len(amounts) < len(drafts):
        return told
    total = sum(amounts, start=amounts[0] * 0)
    return replace(told, low=total, high=total, reason=None, date=case.facts.as_of)


def _share(case: Case, limits: Limits) -> Decimal:
    by_mouth = documented(case.facts.meds.mesna_oral).yes or any(
        "mesna" in order.kinds and order.route.is_("PO").yes for order in case.facts.orders
    )
    return (limits.mesna_share_with_oral if by_mouth else limits.mesna_share_iv).value


def _mesna_required(case: Case, order: Order) -> Decimal | None:
    """Give the labelled amount of mesna for a day of this ifosfamide order, mg; None without its daily dose."""
    daily = order.daily_mg.value if order.daily_mg.is_known else None
    if daily is None:
        return None
    return plain(round_half_up(_share(case, case.limits(GUIDANCE)) * daily, 1))


def _unknown(reading: Reading, name: str) -> Criterion:
    """A comparison that an unread amount leaves open; `name` is what to ask for."""
    return leaf(Condition(name, "<", None, replace(reading, lacks=(name,)), None))


def _mesna_beside(case: Case, order: Order) -> tuple[Proposal, ...]:
    """The label's IV mesna for this ifosfamide dose; none without a dose to take the share of, or with an allergy."""
    dose = order.daily_mg if order.daily_mg.is_known else order.dose_mg
    if dose.value is None or not dose.is_known or documented(case.facts.allergy.mesna).yes:
        return ()
    mesna = ProposedMedication(
        drug="mesna",
        dose=plain(round_half_up(dose.value * case.limits(GUIDANCE).mesna_share_each.value, 0)),
        route="IV",
        hours=tuple(GUIDANCE.tables["mesna"]["hours"]),
    )
    return (Proposal(action=0, items=(mesna,), recommended=True),)


# --- ifosfamide: kidneys and brain --------------------------------------------------------------------------


def _kidneys_and_brain(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    crcl, dialysis = facts.lab.crcl, facts.other.dialysis
    albumin = case.facts.lab.albumin.choose("lowest")
    ecog = facts.status.ecog.choose("highest")
    renal_notes = (*remarks.verify(crcl), *remarks.clearance_arithmetic(facts))

    impaired = crcl < limits.impaired_clearance
    severely_impaired = (crcl < limits.severely_impaired_clearance) | dialysis
    yield Advice(
        rule="SARC-012",
        because=impaired | dialysis,
        indicator="critical" if severely_impaired.yes else "warning",
        notes=renal_notes,
        proposals=(_laboratory("creatinine", "electrolytes", "phosphate", "urinalysis"),),
        order=order.reference,
    )

    previous = less_safe(facts.ever.ifosfamide_encephalopathy)
    brain_metastases = less_safe(facts.dx.brain_metastases)
    risks: dict[str, Criterion] = {
        "low-albumin": albumin < limits.low_albumin,
        "impaired-kidneys": impaired,
        "poor-performance": ecog >= limits.poor_performance,
        "brain-metastases": brain_metastases.criterion(),
        "previous-encephalopathy": previous.criterion(),
    }
    yield Advice(
        rule="SARC-013",
        because=any_of(risks.values()),
        indicator="critical" if previous.value is True else "warning",
        fill={"factors": tuple(Phrase(key) for key, risk in risks.items() if risk.yes)},
        notes=remarks.verify(albumin, crcl, ecog, brain_metastases, previous),
        order=order.reference,
    )


# --- ifosfamide: blood, urine, other drugs ------------------------------------------------------------------


def _counts_and_interactions(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    lab, meds = facts.lab, facts.meds
    white_cells, platelets = lab.wbc.choose("lowest"), lab.platelets.choose("lowest")
    haematuria = less_safe(facts.urine.haematuria)

    needed = (white_cells, platelets, lab.creatinine, lab.albumin)
    lacking = [reading for reading in needed if not reading.is_known]
    child = (facts.patient.age < limits.adult_age).yes
    yield Advice(
        rule="SARC-015",
        because=any_of(~known(reading) for reading in needed),
        fill={"list": tuple(Label(reading.name) for reading in lacking)},
        points=(0, 1, 2, 3) if child else (0, 1, 2),
        notes=tuple(remarks.gap(reading) for reading in lacking),
        proposals=(_laboratory("blood-count", "creatinine", "electrolytes", "albumin", "urinalysis"),),
        order=order.reference,
    )

    low_counts = (white_cells < limits.low_white_cells) | (platelets < limits.low_platelets)
    interaction = meds.cyp3a4_inhibitor | meds.cyp3a4_inducer
    cautions: dict[str, Criterion] = {
        "low-counts": low_counts,
        "haematuria": haematuria.criterion(),
        "interaction": interaction,
    }
    yield Advice(
        rule="SARC-016",
        because=any_of(cautions.values()),
        indicator="critical" if low_counts.yes else "warning",
        fill={"what": tuple(Phrase(key) for key, caution in cautions.items() if caution.yes)},
        points=tuple(
            place
            for place, wanted in enumerate(
                (low_counts.yes, haematuria.value is True, meds.cyp3a4_inhibitor.value, meds.cyp3a4_inducer.value)
            )
            if wanted
        ),
        notes=remarks.verify(white_cells, platelets, haematuria),
        order=order.reference,
    )


def _laboratory(*services: Service) -> Proposal:
    return Proposal(action=0, items=tuple(ProposedService(service=service) for service in services))
