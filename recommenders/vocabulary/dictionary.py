"""`Facts`, one patient's answers on one day, and the dictionary of all that may be asked about a patient."""

from __future__ import annotations

import datetime as dt
from itertools import compress
from operator import attrgetter, is_not
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from recommenders.vocabulary.fact_groups import (
    AllergyFacts,
    BiopsyFacts,
    BoneMarkerFacts,
    CauseFacts,
    ClinicalFacts,
    CytogeneticFacts,
    DentalFacts,
    DiagnosisFacts,
    DriverFacts,
    FractureFacts,
    GeneFacts,
    HistoryFacts,
    LaboratoryFacts,
    LocalFacts,
    MdtFacts,
    MedicationFacts,
    MyelomaFacts,
    OnjFacts,
    OtherFacts,
    PainFacts,
    PatientFacts,
    PsychFacts,
    SarcomaFacts,
    SpineFacts,
    StatusFacts,
    TherapyFacts,
    UrineFacts,
)
from recommenders.vocabulary.facts import Fact, FactSpec, Reading, declared, parts_of
from recommenders.vocabulary.records import (
    Allergy,
    Courses,
    Dose,
    Event,
    Lesion,
    Lesions,
    Order,
    Requests,
    Study,
    Taken,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """
    All that is known about one patient on one day (`as_of`).

    Every fact is there, known or not: an unknown one still has its name and unit, so that a card can ask for
    it. `series` holds earlier results by fact name, oldest first. `unavailable` names the prefetch keys that
    did not come and could not be had, `cut` those of which only a part came.
    """

    as_of: dt.date
    patient: PatientFacts = PatientFacts()
    status: StatusFacts = StatusFacts()
    pain: PainFacts = PainFacts()
    psych: PsychFacts = PsychFacts()
    mdt: MdtFacts = MdtFacts()
    therapy: TherapyFacts = TherapyFacts()
    dx: DiagnosisFacts = DiagnosisFacts()
    ever: HistoryFacts = HistoryFacts()
    sarcoma: SarcomaFacts = SarcomaFacts()
    mm: MyelomaFacts = MyelomaFacts()
    cyto: CytogeneticFacts = CytogeneticFacts()
    gene: GeneFacts = GeneFacts()
    driver: DriverFacts = DriverFacts()
    lab: LaboratoryFacts = LaboratoryFacts()
    bone: BoneMarkerFacts = BoneMarkerFacts()
    urine: UrineFacts = UrineFacts()
    spine: SpineFacts = SpineFacts()
    pathological_fracture: FractureFacts = FractureFacts()
    clin: ClinicalFacts = ClinicalFacts()
    bx: BiopsyFacts = BiopsyFacts()
    dental: DentalFacts = DentalFacts()
    onj: OnjFacts = OnjFacts()
    allergy: AllergyFacts = AllergyFacts()
    meds: MedicationFacts = MedicationFacts()
    local: LocalFacts = LocalFacts()
    cause: CauseFacts = CauseFacts()
    other: OtherFacts = OtherFacts()
    lesions: Lesions = msgspec.field(default_factory=Lesions)
    sre: tuple[Event, ...] = ()
    studies: tuple[Study, ...] = ()
    courses: Courses = msgspec.field(default_factory=Courses)
    orders: tuple[Order, ...] = ()
    allergies: tuple[Allergy, ...] = ()
    taken: tuple[Taken, ...] = ()
    melphalan_given: tuple[Dose, ...] = ()
    requested: Requests = msgspec.field(default_factory=Requests)
    series: Mapping[str, tuple[Reading, ...]] = msgspec.field(default_factory=dict)
    unavailable: frozenset[str] = frozenset()
    cut: frozenset[str] = frozenset()

    @property
    def skeletal_events(self) -> tuple[Event, ...]:
        """The events of the definition: an operation for another reason than cancer is none."""
        return tuple(event for event in self.sre if event.is_sre)

    def fact(self, path: str) -> Fact:
        """Give the fact at a dotted path of the dictionary (`lab.ca_total`)."""
        group, attribute = _PLACE[path]
        found: Fact = getattr(getattr(self, group), attribute)
        return found

    def is_cut(self, *keys: str) -> bool:
        """Tell whether of one of these lists (prefetch keys) only a part came: then "none" cannot be said."""
        return not self.cut.isdisjoint(keys)

    def with_facts(self, changes: Mapping[str, Fact]) -> Facts:
        """Give a copy in which the facts at these dotted paths are replaced."""
        by_group: dict[str, dict[str, Fact]] = {}
        for path, value in changes.items():
            group, attribute = _PLACE[path]
            by_group.setdefault(group, {})[attribute] = value
        groups = {group: replace(getattr(self, group), **values) for group, values in by_group.items()}
        return replace(self, **groups)

    def touched(self) -> Iterator[tuple[str, Fact]]:
        """Yield with its path whatever is not as blank as in a chart of which nothing was read."""
        groups = _all_groups(self)
        for (paths, values, untouched), group in compress(
            zip(_BLANKS.values(), groups, strict=True), map(is_not, groups, _BLANK_GROUPS)
        ):
            facts = values(group)
            yield from compress(zip(paths, facts, strict=True), map(is_not, facts, untouched))

    def known_facts(self) -> Iterator[tuple[FactSpec, Fact]]:
        """Yield each dictionary entry with this patient's fact, known or not, in dictionary order."""
        for path, spec in DICTIONARY.items():
            group, attribute = _PLACE[path]
            yield spec, getattr(getattr(self, group), attribute)


BLANK = Facts(as_of=dt.date.min)
"""Facts of which nothing is told; what a chart says nothing of has the very same groups."""

_GROUPS: dict[str, tuple[Any, tuple[str, ...]]] = {
    name: (blank, blank.__struct_fields__)
    for name in Facts.__struct_fields__
    if isinstance(blank := getattr(BLANK, name), msgspec.Struct)
}
"""The groups of facts by name: the blank one, which every patient of whom nothing is told shares, and its facts."""
_all_groups: Callable[[Facts], tuple[msgspec.Struct, ...]] = attrgetter(*_GROUPS)
_BLANK_GROUPS = _all_groups(BLANK)


def _blanks() -> dict[str, tuple[tuple[str, ...], Callable[[object], tuple[Fact, ...]], tuple[Fact, ...]]]:
    found = {}
    for name, (blank, attributes) in _GROUPS.items():
        kind: type = type(blank)
        _, values = parts_of(kind)
        found[name] = tuple(f"{name}.{attribute}" for attribute in attributes), values, values(blank)
    return found


_BLANKS = _blanks()
"""Of each group the paths of its facts, what reads all of them at once, and what they are where nothing is told."""


def _dictionary() -> tuple[dict[str, FactSpec], dict[str, tuple[str, str]]]:
    specs: dict[str, FactSpec] = {}
    places: dict[str, tuple[str, str]] = {}
    for name, (blank, _) in _GROUPS.items():
        for attribute, (fact, said) in declared(type(blank)).items():
            path = f"{name}.{attribute}"
            specs[path] = FactSpec(path=path, name=fact.name, **said)
            places[path] = (name, attribute)
    return specs, places


DICTIONARY, _PLACE = _dictionary()
"""Every single fact by its dotted path, in the order of the specification's §1."""


def _components(kind: type) -> dict[str, FactSpec]:
    return {name: FactSpec(path=name, name=fact.name, **said) for name, (fact, said) in declared(kind).items()}


LESION_COMPONENTS = _components(Lesion)
ORDER_COMPONENTS = _components(Order)

LABELS: dict[str, tuple[str, str]] = {
    spec.name: (spec.en, spec.zh)
    for spec in (*ORDER_COMPONENTS.values(), *LESION_COMPONENTS.values(), *DICTIONARY.values())
} | {
    "lesions[]": ("bone lesions", "骨病灶"),
    "requested[]": ("ordered services", "已开立的检查与会诊"),
    "sre[].date": ("dates of skeletal events", "SRE日期"),
    "bma.courses": ("bone-modifying agents", "骨保护药物"),
    "bma.current": ("current bone-modifying agents", "当前骨保护药物"),
    "bma.any": ("current antiresorptive agents", "当前抗骨吸收药物"),
    "bma.overlap": ("current or recent antiresorptive agents", "当前或近期抗骨吸收药物"),
    "order.drug": ("ordered drug", "医嘱药物"),
    "bma.start_date": ("start of the bone-modifying agent", "骨保护药物开始日期"),
    "bma.months": ("months on the bone-modifying agent", "骨保护药物用药月数"),
    "bma.interval_days": ("dosing interval", "给药间隔"),
    "bma.last_dose_date": ("last dose", "末次给药"),
    "order.first_dose": ("first dose of this drug", "该药首次给药"),
    "img.spect.result": ("bone scan result", "骨扫描结果"),
    "img.xray.result": ("X-ray result", "X线结果"),
    "img.xray": ("X-ray of bone", "骨X线检查"),
    "img.ct": ("CT of bone", "骨CT检查"),
    "img.mri": ("MRI of bone", "骨MRI检查"),
    "img.spect": ("bone scan", "骨扫描"),
    "img.pet": ("PET-CT", "PET-CT"),
    "sre[].type": ("skeletal event or treatment", "骨相关事件或治疗"),
    "sre[].site": ("place of the skeletal event or treatment", "骨相关事件或治疗部位"),
    "mirels_total": ("Mirels score", "Mirels评分"),
    "mm_class": ("class computed from the chart", "根据病历判定的分类"),
    "mm.m_protein_change": ("change of M-protein", "M蛋白变化"),
    "mm.flcr_change": ("change of the light chain ratio", "轻链比值变化"),
    "lab.creatinine_change": ("rise of creatinine", "肌酐升幅"),
    "lab.hb_change": ("fall of haemoglobin", "血红蛋白降幅"),
    "mirels_min": ("lowest possible Mirels score", "Mirels最低可能分"),
    "mirels_max": ("highest possible Mirels score", "Mirels最高可能分"),
    "sins_total": ("SINS", "SINS评分"),
}
"""Fact name -> label (en, zh-CN)."""
