"""Evidence on sarcoma therapy, and ifosfamide safety."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from recommenders.patient.advice import Advice, Label, Phrase, Proposal, ProposedMedication, ProposedService, Why
from recommenders.patient.allergies import ifosfamide_allergy, shown_allergy
from recommenders.patient.mesna import mesna_beside, mesna_per_day, mesna_required, mesna_share, protects_bladder
from recommenders.patient.remarks import less_safe, plain
from recommenders.vocabulary.facts import Reading, exactly, known, round_half_up
from recommenders.vocabulary.guidance import guidance
from recommenders.vocabulary.logic import (
    NO,
    YES,
    Condition,
    Criterion,
    all_of,
    any_of,
    at_least,
    documented,
    given,
    leaf,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from recommenders.patient.advice import Case, Fill, Service, Value
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.guidance import Limit
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
        yield _contraindicated(case, order)
        yield _kidneys(case, order)
        yield _brain(case, order)
        yield _tests_needed(case, order)
        yield _counts_and_interactions(case, order)
        yield _too_much_in_a_day(case, order)


def concerns(case: Case) -> bool:
    """Leave out charts without osteosarcoma and soft-tissue sarcoma."""
    return not (case.facts.dx.osteosarcoma | case.facts.dx.sts).no


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11) for an ifosfamide order at hand."""
    found: dict[str, Value] = {}
    orders = _ifosfamide_at_hand(case)
    if not orders:
        return found
    albumin = case.facts.lab.albumin.choose("lowest")
    if albumin.is_known and albumin.rounded is not None:
        found["ifo_albumin_g_l"] = albumin.rounded
    required = [amount for order in orders if (amount := mesna_required(case, order)) is not None]
    if required:
        found["mesna_required_mg_per_day"] = max(required)
    return found


def _ifosfamide_at_hand(case: Case) -> list[Order]:
    return [order for order in case.orders_at_hand if "ifosfamide" in order.kinds]


# --- evidence -----------------------------------------------------------------------------------------------


def _evidence(case: Case) -> Iterator[Advice]:
    dx, setting = case.facts.dx, case.facts.sarcoma.setting
    sarcoma = _named(case)
    antiangiogenic = _names_of(case, "antiangiogenic") or Label("meds.antiangiogenic")

    yield Advice(rule="SARC-001", because=dx.osteosarcoma & setting.is_("newly-diagnosed-metastatic"))
    yield Advice(rule="SARC-002", because=dx.osteosarcoma & setting.is_("relapsed-refractory"))
    yield _first_line_soft_tissue_sarcoma(case)
    yield Advice(rule="SARC-004", because=dx.sts & setting.is_("advanced-second-line-plus"), fill={"sarcoma": sarcoma})
    yield Advice(
        rule="SARC-005",
        because=(dx.osteosarcoma | dx.sts) & case.facts.meds.antiangiogenic,
        fill={"antiangiogenic": antiangiogenic},
    )


def _named(case: Case) -> Fill:
    """Name the sarcoma: osteosarcoma, or the soft-tissue sarcoma by its subtype where one is told."""
    dx = case.facts.dx
    if documented(dx.osteosarcoma).yes:
        return Phrase("osteosarcoma")
    told = dx.sts_subtype.is_known and dx.sts_subtype.value not in {None, "other"}
    return Phrase(f"sts-{dx.sts_subtype.value}") if told else Phrase("soft-tissue-sarcoma")


def _first_line_soft_tissue_sarcoma(case: Case) -> Advice:
    """The sintilimab result stands for the four subtypes it was studied in, and for no other."""
    dx, setting = case.facts.dx, case.facts.sarcoma.setting
    studied = dx.sts_subtype.one_of(*STUDIED_WITH_SINTILIMAB)
    lines = range(len(GUIDANCE.rules["SARC-003"].source_lines))
    return Advice(
        rule="SARC-003",
        because=dx.sts & setting.is_("advanced-first-line"),
        lines=tuple(line for line in lines if studied.yes or line != SINTILIMAB_LINE),
        fill={"sarcoma": _named(case)},
    )


def _child(case: Case) -> Advice:
    dx, limits = case.facts.dx, case.limits(GUIDANCE)
    return Advice(
        rule="SARC-006",
        because=(dx.osteosarcoma | dx.sts) & (case.facts.patient.age < limits.adult_age),
        fill={"sarcoma": _named(case)},
    )


def _names_of(case: Case, drug_class: str) -> tuple[Fill, ...]:
    """Give the names of the drugs of a class, as recorded."""
    return tuple(dict.fromkeys(one.name for one in case.facts.taken if drug_class in one.classes and one.name))


# --- ifosfamide: the bladder --------------------------------------------------------------------------------


def _bladder_protection(case: Case, order: Order) -> Iterator[Advice]:
    facts, limits = case.facts, case.limits(GUIDANCE)
    mesna = protects_bladder(case)
    long_infusion = ~documented(order.infusion_min < limits.long_infusion)
    ifosfamide = order.daily_mg if order.daily_mg.is_known else order.dose_mg
    dose, told = _shown(ifosfamide), ifosfamide.is_known
    yield Advice(
        rule="SARC-010",
        because=YES,
        unless=documented(mesna),
        holds={
            "unidentified": given(_is_unidentified(facts.meds.mesna)),
            "list-missing": given(mesna.unknown or not facts.courses.delivered),
            "long-infusion": long_infusion,
        },
        fill={"ifo_dose": Phrase("mg-a-day", {"x": dose}) if told else ""},
        proposals=(
            *_mesna(case, order, None),
            Proposal(button="hydration", items=(ProposedService(service="hydration"),)),
        ),
        order=order.reference,
    )

    required, amount = mesna_required(case, order), mesna_per_day(case)
    if required is None:
        too_little = _unknown(order.daily_mg, "order.dose_mg")
    elif not amount.is_known:
        too_little = _unknown(amount, "meds.mesna")
    else:
        too_little = amount < required * limits.mesna_margin.value
    share = mesna_share(case)
    by_mouth = share == limits.mesna_share_with_oral.value
    drafts = [draft for draft in facts.orders if "mesna" in draft.kinds]
    single = drafts[0] if len(drafts) == 1 and drafts[0].has_id and not facts.meds.mesna.resources[1:] else None
    yield Advice(
        rule="SARC-011",
        because=mesna & too_little,
        holds={"by-mouth": given(by_mouth), "long-infusion": long_infusion},
        fill={"ifo_mg_day": dose, "mesna_mg_day": _shown(amount), "mesna_share_pct": plain(share * 100)},
        proposals=() if by_mouth or single is None else _mesna(case, order, single),
        values={} if required is None else {"mesna_required_mg_per_day": required},
        order=order.reference,
    )


def _mesna(case: Case, order: Order, instead_of: Order | None) -> tuple[Proposal, ...]:
    """The label's IV mesna; none beside a long infusion, with which mesna runs alongside."""
    limits = case.limits(GUIDANCE)
    dose = mesna_beside(case, order)
    if dose is None or (order.infusion_min >= limits.long_infusion).yes:
        return ()
    mesna = ProposedMedication(drug="mesna", dose=dose, route="IV", hours=tuple(GUIDANCE.tables["mesna"]["hours"]))
    return (
        Proposal(
            button="mesna",
            items=(mesna,),
            replaces=None if instead_of is None else instead_of.reference,
            recommended=True,
            fill={"mesna_dose_mg": dose},
        ),
    )


def _is_unidentified(fact: Fact) -> bool:
    """Whether it is unknown because a drug of the list could not be identified (`unidentified`)."""
    return str(fact.reason) == "unidentified"


def _unknown(reading: Reading, name: str) -> Criterion:
    """A comparison that an unread amount leaves open; `name` is what to ask for."""
    return leaf(Condition(name, "<", None, exactly(reading, 0).forget("missing"), None))


def _shown(reading: Reading) -> Fill:
    return Phrase("not-told") if reading.rounded is None or not reading.is_known else plain(reading.rounded)


def _contraindicated(case: Case, order: Order) -> Advice:
    facts = case.facts
    obstruction, allergy = facts.other.urinary_obstruction, facts.allergy.ifosfamide
    day = obstruction.date
    return Advice(
        rule="SARC-014",
        because=obstruction | allergy,
        holds={"allergy": documented(allergy), "obstruction": documented(obstruction)},
        fill={"obstruction": Phrase("recorded") if day is None else Phrase("recorded-on", {"day": day})}
        | shown_allergy(ifosfamide_allergy(facts.allergies)),
        proposals=(
            Proposal(button="urology", items=(ProposedService(service="urology-consultation", priority="urgent"),)),
        )
        if documented(obstruction).yes
        else (),
        order=order.reference,
    )


# --- ifosfamide: kidneys and brain --------------------------------------------------------------------------


def _kidneys(case: Case, order: Order) -> Advice:
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    crcl, egfr, dialysis = facts.lab.crcl, facts.lab.egfr, facts.other.dialysis
    # Cockcroft-Gault does not hold for a child, and wants a weight: then the reported filtration rate tells
    by_egfr = given(egfr.is_known and not crcl.is_known)
    impaired, severe = (
        any_of((crcl < limit, by_egfr & (egfr < limit.value)))
        for limit in (limits.impaired_clearance, limits.severely_impaired_clearance)
    )
    return Advice(
        rule="SARC-012",
        because=impaired | dialysis,
        holds={
            "dialysis": documented(dialysis),
            "severe-by-egfr": by_egfr & severe & ~documented(dialysis),
            "by-egfr": by_egfr,
            "severe": severe & ~documented(dialysis),
        },
        proposals=(_laboratory("laboratory", "creatinine", "electrolytes", "phosphate", "urinalysis"),),
        order=order.reference,
    )


def _brain(case: Case, order: Order) -> Advice:
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    crcl = facts.lab.crcl
    albumin = case.facts.lab.albumin.choose("lowest")
    ecog = facts.status.ecog.choose("highest")
    previous, metastases = less_safe(facts.ever.ifosfamide_encephalopathy), less_safe(facts.dx.brain_metastases)
    risks: dict[str, tuple[Criterion, dict[str, Fill]]] = {
        "low-albumin": (albumin < limits.low_albumin, {"value": albumin}),
        "impaired-kidneys": (crcl < limits.impaired_clearance, {"value": crcl}),
        "poor-performance": (ecog >= limits.poor_performance, {"value": ecog}),
        "brain-metastases": (metastases.criterion(), {}),
        "previous-encephalopathy": (previous.criterion(), {}),
    }
    found = [key for key, (risk, _) in risks.items() if risk.yes]
    an_earlier_cycle = documented(case.facts.meds.ifosfamide)
    return Advice(
        rule="SARC-013",
        because=any_of(risk for risk, _ in risks.values()),
        holds={
            "before": documented(previous),
            "kidneys-only": given(found == ["impaired-kidneys"]),
            "tolerated": given(found in (["low-albumin"], ["poor-performance"])) & an_earlier_cycle,
        },
        fill={
            "factors": tuple(Phrase(key, risks[key][1]) for key in found),
            "encephalopathy_day": previous.date or Phrase("undated"),
        },
        order=order.reference,
    )


# --- ifosfamide: blood, urine, other drugs ------------------------------------------------------------------


def _tests_needed(case: Case, order: Order) -> Advice:
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    lab = facts.lab
    needed = (lab.wbc.choose("lowest"), lab.platelets.choose("lowest"), lab.creatinine, lab.albumin)
    lacking = [reading for reading in needed if not reading.is_known]
    looked_at_urine = facts.urine.haematuria.within(limits.urinalysis, facts.as_of)
    due: dict[str, tuple[Service, ...]] = {}
    for reading in lacking:
        button, services = _TEST_FOR[reading.name]
        due[button] = services
    if not looked_at_urine.yes:
        due["urinalysis"] = ("urinalysis",)
    tests = [services[0] for button, services in due.items() if button != "urinalysis"]
    return Advice(
        rule="SARC-015",
        because=any_of(~known(reading) for reading in needed),
        unless=_asked_for(case, tests),
        fill={"list": tuple(_why_lacking(case, reading) for reading in lacking)},
        proposals=tuple(_laboratory(button, *services) for button, services in due.items()),
        order=order.reference,
    )


_TEST_FOR: dict[str, tuple[str, tuple[Service, ...]]] = {
    "lab.wbc": ("blood-count", ("blood-count",)),
    "lab.platelets": ("blood-count", ("blood-count",)),
    "lab.creatinine": ("creatinine", ("creatinine", "electrolytes")),
    "lab.albumin": ("albumin", ("albumin",)),
}
"""A value that is needed before ifosfamide -> its button, and what that orders."""


def _asked_for(case: Case, tests: Sequence[Service]) -> Criterion:
    """Tell whether these tests are on their way, or one is drafted beside (then the list was read); never unknown."""
    if not tests:
        return NO
    requested, pending = case.facts.requested, int(case.limits(GUIDANCE).urinalysis.value)
    since = case.facts.as_of - dt.timedelta(pending)
    drafted = any(one.status == "draft" and one.service in tests for one in requested)
    return given(drafted) | all_of(documented(requested.criterion(test, since=since)) for test in tests)


def _why_lacking(case: Case, fact: Fact) -> Phrase:
    """Name a test with the reason why its result cannot be used."""
    what: dict[str, Fill] = {"what": Label(fact.name)}
    if fact.reason == "stale" and fact.date is not None:
        return Phrase("lacking-old", what | {"days": (case.facts.as_of - fact.date).days})
    if fact.reason == "missing":
        return Phrase("lacking-none", what)
    return Phrase("lacking-unusable", what | {"why": Why(fact)})


def _counts_and_interactions(case: Case, order: Order) -> Advice:
    facts, limits = case.cautious(), case.limits(GUIDANCE)
    lab, meds = facts.lab, facts.meds
    white_cells, platelets = lab.wbc.choose("lowest"), lab.platelets.choose("lowest")
    haematuria = less_safe(facts.urine.haematuria)
    few_white_cells, few_platelets = white_cells < limits.low_white_cells, platelets < limits.low_platelets
    low_counts = few_white_cells | few_platelets
    nothing_graver = ~documented(low_counts) & ~documented(haematuria)
    inducer, inhibitor = meds.cyp3a4_inducer, meds.cyp3a4_inhibitor
    antiemetic_only = given(_only_antiemetics(case))
    buttons = []
    if low_counts.yes:
        buttons.append(_laboratory("blood-count", "blood-count"))
    if haematuria.value is True:
        buttons.append(_laboratory("urinalysis", "urinalysis"))
    by_inducer = documented(inducer) & nothing_graver
    return Advice(
        rule="SARC-016",
        because=any_of((low_counts, haematuria.criterion(), inhibitor | inducer)),
        holds={
            "both-low": at_least(2, (few_white_cells, few_platelets)),
            "low-platelets": few_platelets & ~documented(few_white_cells),
            "haematuria": documented(haematuria) & ~documented(low_counts),
            "inducer": by_inducer,
            "inhibitor": documented(inhibitor) & nothing_graver & ~documented(inducer) & ~antiemetic_only,
            "antiemetic": documented(inhibitor) & nothing_graver & ~documented(inducer) & antiemetic_only,
            "low-counts": documented(low_counts),
        },
        fill={
            "lab.wbc": _shown(white_cells),
            "lab.platelets": _shown(platelets),
            "haematuria_day": haematuria.date or Phrase("undated"),
            "interacting_drug": _interacting(case, "cyp3a4_inducer" if by_inducer.yes else "cyp3a4_inhibitor"),
        },
        proposals=tuple(buttons),
        order=order.reference,
    )


def _interacting(case: Case, drug_class: str) -> Fill:
    return _names_of(case, drug_class) or Label(f"meds.{drug_class}")


def _only_antiemetics(case: Case) -> bool:
    """Whether all CYP3A4 inhibitors are antiemetics that go with such a treatment (aprepitant, fosaprepitant)."""
    names = [str(name).casefold() for name in _names_of(case, "cyp3a4_inhibitor")]
    usual: list[str] = GUIDANCE.tables["antiemetics"]["names"]
    return bool(names) and all(any(word in name for word in usual) for name in names)


def _laboratory(button: str, *services: Service) -> Proposal:
    return Proposal(button=button, items=tuple(ProposedService(service=service) for service in services))


# --- ifosfamide: too much in a day --------------------------------------------------------------------------


def _too_much_in_a_day(case: Case, order: Order) -> Advice:
    """Say when a day's dose is above the labels' highest: for a short infusion, or one of a whole day."""
    limits, area, daily = case.limits(GUIDANCE), case.facts.patient.bsa, _mg_per_day(order)
    whole_day = (order.infusion_min >= limits.long_infusion).yes
    usual, most = (
        (limits.day_infusion_usual, limits.day_infusion_most) if whole_day else (limits.daily_usual, limits.daily_most)
    )
    by_area = _by_area(daily, area)
    without_area = given(not area.is_known) & (daily > limits.daily_absolute)
    above_most = by_area > most
    return Advice(
        rule="SARC-017",
        because=(by_area > usual) | without_area if area.is_known else without_area,
        holds={"surface-unknown": without_area, "above-usual": documented(by_area > usual) & ~documented(above_most)},
        fill={
            "ifo_g_m2_day": _shown(by_area),
            "ifo_mg_day": _shown(daily),
            "ifo_limit": _limit_shown(
                usual if not above_most.yes else limits.day_infusion_most if whole_day else usual, whole_day=whole_day
            ),
            "ifo_infusion": _infusion_shown(order, whole_day=whole_day),
        },
        order=order.reference,
    )


def _mg_per_day(order: Order) -> Reading:
    return (
        order.daily_mg
        if order.daily_mg.is_known
        else exactly(order.daily_mg, order.dose_mg.value)
        if order.dose_mg.value is not None and order.dose_mg.is_known
        else order.daily_mg
    )


def _by_area(daily: Reading, area: Reading) -> Reading:
    """Give the ifosfamide of a day in g per m² body surface; unknown without one of them."""
    blank = Reading(name="order.daily_g_m2", unit="g/m2", decimals=1, lacks=("order.dose_mg", "patient.bsa"))
    if not daily.is_known or not area.is_known or daily.value is None or not area.value:
        return blank
    names = tuple(dict.fromkeys((*daily.resources, *area.resources)))
    return exactly(blank, daily.value / 1000 / area.value, date=area.date, resources=names, lacks=())


def _limit_shown(limit: Limit, *, whole_day: bool) -> Phrase:
    return Phrase("limit-in-24-h" if whole_day else "limit-a-day", {"x": plain(limit.value)})


def _infusion_shown(order: Order, *, whole_day: bool) -> Fill:
    minutes = order.infusion_min.value if order.infusion_min.is_known else None
    if whole_day:
        return Phrase("as-24-h")
    if minutes is None:
        return ""
    hours = round_half_up(minutes / 60, 1)
    return Phrase("over-hours", {"n": plain(hours)})
