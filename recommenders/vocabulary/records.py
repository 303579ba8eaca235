"""What a chart holds many of: bone lesions, skeletal events, studies, courses of drugs, orders."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import msgspec

from recommenders.vocabulary.bones import SITES, SPINE_REGIONS, Bone, Side, bone_of, same_bone, same_place
from recommenders.vocabulary.facts import (
    Finding,
    Reading,
    finding,
    reading,
)
from recommenders.vocabulary.logic import Condition, Criterion, Logical, Truth, any_of, leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from recommenders.vocabulary.facts import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesion:
    """
    §1.3 one skeletal lesion; each component is a fact of its own and may be unknown.

    `old` says that it was seen too long ago, and never again, to be counted on (`recency.py`).
    """

    id: str = ""
    date: dt.date | None = None
    resources: tuple[str, ...] = ()
    imaging_confirmed: bool = True
    old: bool = False
    side: Side | None = None
    level: str | None = None
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
    axial_cortical_mm: Reading = reading(
        "lesions[].axial_cortical_mm", "mm", 0, "cortex involved lengthwise", "皮质纵向受累长度"
    )
    pain_mechanical: Finding = finding(
        "lesions[].pain_mechanical", "pain on movement", "机械性疼痛", "none", "occasional", "mechanical"
    )
    collapse: Finding = finding(
        "lesions[].collapse", "vertebral collapse", "椎体塌陷", "none", "body-involved", "up-to-half", "over-half"
    )
    posterolateral: Finding = finding(
        "lesions[].posterolateral", "posterolateral involvement", "后外侧受累", "none", "unilateral", "bilateral"
    )

    @property
    def bone(self) -> Bone:
        """The bone that it lies in, as far as it is told."""
        return Bone(self.site.value if isinstance(self.site.value, str) else None, self.side, self.level)


def _other_lesions(reason: Reason) -> Criterion:
    return leaf(Condition("lesions[]", "is", True, Finding(name="lesions[]", reason=reason), None))


_NO_LESION_TOLD, _LESIONS_CUT = _other_lesions("missing"), _other_lesions("list-cut")


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
        if not self.items:
            return _NO_LESION_TOLD if self.whole else _LESIONS_CUT
        found = [condition(lesion) for lesion in self.items]
        return any_of(found) if self.whole else any_of((*found, _LESIONS_CUT))

    def all(self, condition: Callable[[Lesion], Logical]) -> Criterion:
        """Tell whether every lesion fulfils it; unknown over an empty list, and never yes over a part of one."""
        if not self.items:
            return self.any(condition)
        return ~self.any(lambda lesion: ~condition(lesion).criterion())


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    §1.4 one skeletal-related event, or another procedure on bone that rules look at.

    `site` is a lesion site or None when not told, `side` left or right, `level` a vertebra ("T10") where told;
    radiotherapy may carry dose (Gy) and fractions. `is_sre` False is an operation on bone for another reason than
    cancer: it deals with that bone, and counts as no skeletal-related event.
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
    level: str | None = None
    active: bool = True
    is_sre: bool = True
    fixation: bool = False
    dose_gy: Decimal | None = None
    fractions: int | None = None
    resources: tuple[str, ...] = ()

    @property
    def bone(self) -> Bone:
        """The bone that it is of, as far as it is told."""
        return Bone(self.site, self.side, self.level)


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """
    §1.10 one imaging study that was done; `site` None when it does not name a bone region.

    Without a `result` it was done, but what it found was not read: a state of its own. `read` says that it was, and
    that what it found is too old to count, or nothing that `result` has a word for.
    """

    modality: Literal["xray", "ct", "mri", "spect", "pet"]
    date: dt.date | None
    site: str | None = None
    side: Side | None = None
    level: str | None = None
    whole_body: bool = False
    result: Literal["positive", "negative", "equivocal"] | None = None
    read: bool = False
    resources: tuple[str, ...] = ()

    @property
    def bone(self) -> Bone:
        """The bone that it is of, as far as it is told."""
        return Bone(self.site, self.side, self.level)

    @property
    def is_unread(self) -> bool:
        """Whether it was done and nobody here knows what it found."""
        return self.result is None and not self.read


BmaClass = Literal[
    "denosumab-120",
    "denosumab-60",
    "denosumab-unspecified",
    "zoledronic",
    "zoledronic-5",
    "ibandronate",
    "ibandronate-3",
    "ibandronate-oral",
    "incadronate",
    "pamidronate",
    "clodronate",
    "other-bisphosphonate",
]
"""
Bone-modifying agents by class; ibandronate 50 mg daily by mouth is `ibandronate`, 150 mg monthly `-oral`, and 3 mg by
vein every three months `-3`: osteoporosis strengths.
"""

DENOSUMAB: frozenset[str] = frozenset({"denosumab-120", "denosumab-60", "denosumab-unspecified"})
BISPHOSPHONATES: frozenset[str] = frozenset(
    {
        "zoledronic",
        "zoledronic-5",
        "ibandronate",
        "ibandronate-3",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Allergy:
    """
    One allergy or intolerance on record that counts (not refuted, over or entered in error).

    `drugs` are the ingredients it names, `substance` and `reaction` the words of the record (empty when there are
    none). `intolerance` says that the record calls it one, or tells of fever, flu-like illness or bone pain only;
    `doubtful` that it is unconfirmed.
    """

    drugs: tuple[str, ...]
    substance: str = ""
    reaction: str = ""
    day: dt.date | None = None
    intolerance: bool = False
    doubtful: bool = False
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One drug that is taken or stands ordered: its name as recorded, its ingredients and their classes."""

    name: str
    drugs: tuple[str, ...]
    classes: frozenset[str] = frozenset()
    day: dt.date | None = None
    resources: tuple[str, ...] = ()


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


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """
    §1.8 one draft order (medication or service), as far as it can be read.

    `reference` is `Type/id`, or `Type#n` (place in draftOrders) for a draft without id; `at_hand` is False
    for drafts that are background only (order-select, not selected). An order may be of several kinds
    (calcium with vitamin D). `drug` is a `BmaClass` for bone-modifying agents, else the ingredient.
    `dose_mg` is one single dose (infusions: per administration), `daily_mg` the sum over a day, `treatment_days` on
    how many days it is given in all. `push` says that the order speaks of a push or bolus into the vein.
    `unjudged` says what kept it from being judged: nobody can tell which drug it is, or how much of one of ours;
    `hint` is the one of our drugs that its other words speak of, where the drug itself cannot be told.
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
    route: Finding = finding("order.route", "route", "给药途径", "IV", "SC", "IM", "ID", "PO", "other")
    interval_days: Reading = reading("order.interval_days", "d", 0, "interval", "给药间隔")
    infusion_min: Reading = reading("order.infusion_min", "min", 0, "infusion time", "滴注时间")
    diluent_ml: Reading = reading("order.diluent_ml", "mL", 0, "diluent volume", "稀释液量")
    push: Finding = finding("order.push", "given as a push", "静脉推注", closed=True)
    product_form: Finding = finding(
        "order.product_form", "form of the product", "产品剂型", "concentrate", "ready-to-use"
    )
    treatment_days: Reading = reading("order.treatment_days", "d", 0, "days of treatment", "用药天数")
    indication: Finding = finding(
        "order.indication",
        "indication",
        "适应证",
        "hypercalcaemia",
        "osteoporosis",
        "paget",
        "giant-cell-tumour",
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
    side: Side | None = None
    level: str | None = None
    starts: dt.date | None = None

    @property
    def bone(self) -> Bone:
        """The bone that it is for, as far as it is told."""
        return Bone(self.site, self.side, self.level)

    @property
    def is_bma(self) -> bool:
        """Whether it orders a bone-modifying agent."""
        return "bma" in self.kinds


RequestStatus = Literal["active", "draft", "completed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    One service that was already asked for: a ServiceRequest on record, or a draft of this call.

    `service` is a `Service` of `patient/advice.py`; site, side and level are those of a bone, None where not told.
    `day` is the day it was written, None when undated.
    """

    service: str
    status: RequestStatus = "active"
    site: str | None = None
    side: Side | None = None
    level: str | None = None
    day: dt.date | None = None
    resources: tuple[str, ...] = ()

    @property
    def bone(self) -> Bone:
        """The bone it is for, as far as it is told."""
        return Bone(self.site, self.side, self.level)


@dataclass(frozen=True, slots=True)
class Requests:
    """All services asked for; `delivered` is False when the list of service requests did not come, or came cut."""

    items: tuple[Request, ...] = ()
    delivered: bool = True

    def __iter__(self) -> Iterator[Request]:
        return iter(self.items)

    def criterion(self, *services: str, about: str | None = None, since: dt.date | None = None) -> Criterion:
        """
        Tell whether one of these services is already asked for, of that bone (`about`, a bone's key).

        What is active or drafted counts, unless dated before `since`; what is completed only on or after it. A request
        that names no bone is for whichever bone is meant. Unknown where it is for a bone whose side or level is not
        told, or where nothing was found and the list did not come whole: a rule's `unless` asks `documented(…)` of it.
        """
        if not self.items:
            return _NOTHING_ASKED if self.delivered else _LIST_NOT_DELIVERED
        asked = [one for one in self.items if one.service in services and _is_current(one, since)]
        answers = [(one, self._is_of(one, about)) for one in asked]
        found = [_asked_for(one, answer) for one, answer in answers if answer is not False]
        if not self.delivered:
            found.append(_asked_for(None, None))
        return any_of(found)

    @staticmethod
    def _is_of(request: Request, about: str | None) -> Truth:
        if about is None or request.site is None:
            return True
        bone = bone_of(about)
        if request.bone.whole.key == about:
            return True  # the order names the bone as exactly as the chart does
        if request.level is None and request.site in SPINE_REGIONS:
            return same_place(request.site, bone.site)  # an order for the spine covers each of its bones
        return same_bone(request.bone, bone)


def _is_current(request: Request, since: dt.date | None) -> bool:
    if request.status == "completed":
        return since is not None and request.day is not None and request.day >= since
    return since is None or request.day is None or request.day >= since


def _asked_for(request: Request | None, holds: Truth) -> Criterion:
    service = request.service if request is not None else None
    shown = Finding(
        name="requested[]",
        value=service,
        reason=None if request is not None else "not-delivered",
        date=request.day if request is not None else None,
        resources=request.resources if request is not None else (),
    )
    return leaf(Condition(shown.name, "is", service, shown, holds))


_NOTHING_ASKED, _LIST_NOT_DELIVERED = any_of(()), any_of((_asked_for(None, None),))
"""What is told of the services asked for where the list of them is empty, or did not come."""
