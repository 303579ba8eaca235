"""What a chart holds many of: bone lesions, skeletal events, studies, courses of drugs, orders."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from recommenders.vocabulary.facts import (
    Finding,
    Reading,
    finding,
    reading,
)
from recommenders.vocabulary.logic import Condition, Criterion, Logical, any_of, leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recommenders.vocabulary.facts import Reason


Side = Literal["left", "right"]

SITES = (
    "spine-cervical",
    "spine-thoracic",
    "spine-lumbar",
    "spine",  # the level is not told
    "sacrum",
    "pelvis",
    "acetabulum",
    "femur-pertrochanteric",
    "femur-other",
    "femur",  # the part is not told
    "femur-proximal",  # neck, head, hip: the trochanter is not told
    "tibia",
    "fibula",
    "foot",
    "humerus",
    "radius",
    "ulna",
    "hand",
    "rib",
    "sternum",
    "scapula",
    "clavicle",
    "skull",
    "upper-limb",
    "lower-limb",
    "bone",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """§1.3 one skeletal lesion; each component is a fact of its own and may be unknown."""

    id: str = ""
    date: dt.date | None = None
    resources: tuple[str, ...] = ()
    imaging_confirmed: bool = True
    side: Side | None = None
    site: Finding = finding("lesions[].site", "lesion site", "病灶部位", *SITES)
    type: Finding = finding("lesions[].type", "lesion type", "病灶类型", "osteolytic", "osteogenic", "mixed")
    cortical_fraction: Reading = reading("lesions[].cortical_fraction", "%", 1, "share of cortex", "皮质受累比例")
    size: Reading = reading("lesions[].size", "mm", 0, "lesion size", "病灶大小")
    pain: Finding = finding("lesions[].pain", "lesion pain", "病灶疼痛", "none", "mild", "moderate", "severe")
    soft_tissue_mass: Finding = finding("lesions[].soft_tissue_mass", "soft-tissue mass", "软组织肿块")
    nature: Finding = finding(
        "lesions[].nature", "lesion nature", "病灶性质", "metastasis", "myeloma", "primary", "benign", "undetermined"
    )
    trend: Finding = finding("lesions[].trend", "lesion trend", "病灶变化", "improving", "stable", "progressing")
    after_conservative: Finding = finding(
        "lesions[].after_conservative",
        "after conservative treatment",
        "保守治疗后",
        "resolved",
        "pain-worse",
        "function-not-recovered",
        "progressing",
    )
    sensitive_rt_chemo: Finding = finding(
        "lesions[].sensitive_rt_chemo", "sensitive to radio-/chemotherapy", "对放化疗敏感"
    )
    imaging: Finding = finding("lesions[].imaging", "imaging", "影像方式", "xray", "ct", "mri", "spect", "pet-ct")
    stable_months: Reading = reading("lesions[].stable_months", "mo", 1, "stable for", "稳定时间")


@dataclass(frozen=True, slots=True)
class Lesions:
    """
    The lesions of a patient.

    Over an empty list nothing is known: a chart without lesion entries does not say that there are none. Of a list
    that is not `whole` (further pages did not come) there may be others.
    """

    items: tuple[Lesion, ...] = ()
    whole: bool = True

    def __iter__(self) -> Iterator[Lesion]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def any(self, condition: Callable[[Lesion], Logical]) -> Criterion:
        """Tell whether some lesion fulfils it; unknown over an empty list, and never no over a part of one."""
        found = [condition(lesion) for lesion in self.items]
        if found and self.whole:
            return any_of(found)
        unknown = Finding(name="lesions[]", reason="missing" if self.whole else "list-cut")
        others = leaf(Condition("lesions[]", "is", True, unknown, None))
        return any_of((*found, others)) if found else others

    def all(self, condition: Callable[[Lesion], Logical]) -> Criterion:
        """Tell whether every lesion fulfils it; unknown over an empty list, and never yes over a part of one."""
        if not self.items:
            return self.any(condition)
        return ~self.any(lambda lesion: ~condition(lesion).criterion())


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    §1.4 one skeletal-related event, or another procedure on bone that rules look at.

    `site` is a lesion site or None when not told, `side` left or right where told; radiotherapy may carry dose
    (Gy) and fractions.
    """

    type: Literal[
        "pathological-fracture",
        "spinal-cord-compression",
        "bone-radiotherapy",
        "bone-surgery",
        "hypercalcaemia",
    ]
    date: dt.date | None = None
    start: dt.date | None = None
    site: str | None = None
    side: Side | None = None
    active: bool = True
    fixation: bool = False
    dose_gy: Decimal | None = None
    fractions: int | None = None
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """
    §1.10 one imaging study that was done; `site` None when it does not name a bone region.

    Without a `result` it was done, but what it found was not read: a state of its own.
    """

    modality: Literal["xray", "ct", "mri", "spect", "pet"]
    date: dt.date | None
    site: str | None = None
    whole_body: bool = False
    result: Literal["positive", "negative", "equivocal"] | None = None
    resources: tuple[str, ...] = ()

    @property
    def is_unread(self) -> bool:
        """Whether it was done and nobody here knows what it found."""
        return self.result is None


BmaClass = Literal[
    "denosumab-120",
    "denosumab-60",
    "denosumab-unspecified",
    "zoledronic",
    "zoledronic-5",
    "ibandronate",
    "ibandronate-oral",
    "incadronate",
    "pamidronate",
    "clodronate",
    "other-bisphosphonate",
]
"""Bone-modifying agents by class; ibandronate 50 mg daily by mouth is `ibandronate`, 150 mg monthly `-oral`."""

DENOSUMAB: frozenset[str] = frozenset({"denosumab-120", "denosumab-60", "denosumab-unspecified"})
BISPHOSPHONATES: frozenset[str] = frozenset(
    {
        "zoledronic",
        "zoledronic-5",
        "ibandronate",
        "ibandronate-oral",
        "incadronate",
        "pamidronate",
        "clodronate",
        "other-bisphosphonate",
    }
)
ONCOLOGIC: frozenset[str] = frozenset(
    {"denosumab-120", "denosumab-unspecified", "zoledronic", "ibandronate", "incadronate", "pamidronate", "clodronate"}
)
"""Classes of oncologic strength: what makes "already on bone protection" true."""

DoseKind = Literal["administration", "event", "billed", "dispense-start", "order-date"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dose:
    """One dose of a drug that went in, and how it is known; `order-date` is the weakest: a date of writing."""

    date: dt.date
    kind: DoseKind = "administration"
    mg: Decimal | None = None
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """
    §1.8, one bone-modifying agent over time: its orders and doses, renewals joined.

    `status` is that of the newest order (`reported` = told by the patient only, a question and no fact);
    `doses` are in order of time; `started` is the first dose or, failing that, order of the current run
    without a gap of more than 6 months; `truncated` says that older history was not delivered (start is "on
    or before"). `interval_days` is as ordered.
    """

    drug: BmaClass
    status: Literal["active", "on-hold", "completed", "stopped", "reported", "unknown"]
    started: dt.date | None = None
    ended: dt.date | None = None
    doses: tuple[Dose, ...] = ()
    dose_mg: Decimal | None = None
    interval_days: Decimal | None = None
    truncated: bool = False
    resources: tuple[str, ...] = ()

    @property
    def last_dose(self) -> Dose | None:
        """The newest dose, a real one before the mere date of an order."""
        real = [dose for dose in self.doses if dose.kind != "order-date"]
        return max(real or self.doses, key=lambda dose: dose.date, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Courses:
    """
    §1.8 all courses of bone-modifying agents.

    `delivered` is False when "none" cannot be concluded: no medication list came, only a part of it (`cut`), or it
    holds drugs that nobody could identify (`unidentified`, their references).
    """

    items: tuple[Course, ...] = ()
    delivered: bool = True
    cut: bool = False
    unidentified: tuple[str, ...] = ()

    @property
    def reason(self) -> Reason:
        """Why "none" cannot be concluded."""
        return "unidentified" if self.unidentified else "list-cut" if self.cut else "not-delivered"

    def __iter__(self) -> Iterator[Course]:
        return iter(self.items)


OrderKind = Literal[
    "bma",
    "calcium",
    "vitamin-d",
    "ifosfamide",
    "mesna",
    "melphalan",
    "antineoplastic",
    "radionuclide",
    "bone-radiotherapy",
    "osteoplasty",
    "pet-ct",
    "bone-biopsy",
    "laboratory",
    "imaging",
    "dental",
    "invasive-dental",
    "consultation",
    "hydration",
    "other",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    §1.8 one draft order (medication or service), as far as it can be read.

    `reference` is `Type/id`, or `Type#n` (place in draftOrders) for a draft without id; `at_hand` is False
    for drafts that are background only (order-select, not selected). An order may be of several kinds
    (calcium with vitamin D). `drug` is a `BmaClass` for bone-modifying agents, else the ingredient.
    `dose_mg` is one single dose (infusions: per administration), `daily_mg` the sum over a day.
    `unjudged` says what kept it from being judged: nobody can tell which drug it is, or how much of one of ours;
    `hint` names one of our drugs that its other words speak of, where the drug itself cannot be told.
    """

    reference: str
    kinds: tuple[OrderKind, ...] = ("other",)
    drug: str | None = None
    label: str = ""
    at_hand: bool = True
    has_id: bool = True
    dose_mg: Reading = reading("order.dose_mg", "mg", 2, "ordered dose", "医嘱剂量")
    largest_dose_mg: Reading = reading("order.largest_dose_mg", "mg", 2, "largest single dose", "最大单次剂量")
    daily_mg: Reading = reading("order.daily_mg", "mg/d", 1, "dose per day", "每日剂量")
    dose_mg_m2: Reading = reading("order.dose_mg_m2", "mg/m2", 1, "ordered dose per m²", "每平方米剂量")
    route: Finding = finding("order.route", "route", "给药途径", "IV", "SC", "IM", "PO", "other")
    interval_days: Reading = reading("order.interval_days", "d", 0, "interval", "给药间隔")
    infusion_min: Reading = reading("order.infusion_min", "min", 0, "infusion time", "滴注时间")
    diluent_ml: Reading = reading("order.diluent_ml", "mL", 0, "diluent volume", "稀释液量")
    indication: Finding = finding(
        "order.indication",
        "indication",
        "适应证",
        "hypercalcaemia",
        "osteoporosis",
        "paget",
        "bone-metastasis",
        "myeloma",
        "screening",
        "staging",
        "other",
    )
    loading: Finding = finding("order.loading", "loading dose", "负荷剂量", closed=True)
    text: Finding = finding("order.text", "order text", "医嘱文本")
    product_mismatch: bool = False
    from_text: bool = False
    unjudged: Literal["drug", "dose"] | None = None
    hint: str | None = None
    replaces: tuple[str, ...] = ()
    rt_dose_gy: Decimal | None = None
    rt_fractions: int | None = None
    rt_stereotactic: bool = False
    site: str | None = None
    starts: dt.date | None = None

    @property
    def is_bma(self) -> bool:
        """Whether it orders a bone-modifying agent."""
        return "bma" in self.kinds
