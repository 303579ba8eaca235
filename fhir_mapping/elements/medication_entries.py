"""One entry of the medication list: which drug, in which classes, whether it stands, and the doses that it tells of."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.elements import dosing
from fhir_mapping.elements.amounts import number, words
from fhir_mapping.elements.products import note, product_of
from fhir_mapping.terms import dates, dictionary
from fhir_mapping.terms.codes import ATC, HCPCS, RXNORM, code_text, normal_system, texts_of
from fhir_mapping.terms.drugs import Identified, identify
from fhir_mapping.terms.exact import listed
from fhir_mapping.words.fold import compiled
from fhir_mapping.words.plain import plain
from recommenders.patient.courses import GUIDANCE as COURSES_GUIDANCE
from recommenders.vocabulary.facts import replace
from recommenders.vocabulary.records import Dose

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fhir_mapping.delivery.context import Note, ReadingContext

TYPES = frozenset(
    {"MedicationRequest", "MedicationAdministration", "MedicationStatement", "MedicationDispense", "Procedure"}
)
"""The resource types read here; a Procedure only when it is a billed drug."""

KEY = "medications"
"""The prefetch key whose delivery makes silence a no."""

Standing = Literal["current", "on-hold", "past", "unknown", "not-taken", "dose"]

ORDERS = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
HOME_CLASSES = frozenset(
    {"calcium", "vitd", "nsaid", "opioid", "acetaminophen", "glucocorticoid", "cyp3a4_inhibitor", "cyp3a4_inducer"}
)
"""What a patient's own list (intent `plan`, reported) is believed for; a bone agent on it is only a question."""

LOW_DOSE_ASPIRIN = Decimal(100)
"""mg; up to here aspirin thins the blood and is no analgesic."""

MANY = Decimal(10) ** 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One resource about a drug, as read: what it says of the drug's standing, and when."""

    reference: str
    kind: Literal["request", "administration", "statement", "dispense", "billed"]
    product: Identified
    standing: Standing
    stopped: bool = False
    doses: dosing.Dosing
    classes: frozenset[str]
    reported: bool = False
    home_list: bool = False
    day: dt.date | None = None
    ends: dt.date | None = None
    given: tuple[Dose, ...] = ()
    supply_starts: dt.date | None = None
    belongs_to: tuple[str, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether the drug is being taken or stands ordered."""
        return self.standing in {"current", "on-hold"}


USUAL_KIND = compiled(r"[A-Za-z]{1,40}")
USUAL_ID = compiled(r"[A-Za-z0-9\-._|]{1,128}")
"""References are shown to people and written into answers: nothing else may stand in them."""


def reference_of(resource: Mapping[str, Any]) -> str:
    """Give `Type/id`; the bare type for a resource without id, or with one that no FHIR server would give."""
    kind, identity = words(resource.get("resourceType")), code_text(resource.get("id"))
    if not USUAL_KIND.fullmatch(kind):
        return "resource"
    return f"{kind}/{identity}" if USUAL_ID.fullmatch(identity) else kind


# --- one resource -------------------------------------------------------------------------------------------


def entry_of(resource: Mapping[str, Any], name: str, context: ReadingContext, notes: list[Note]) -> Entry | None:
    kind = resource.get("resourceType")
    status = words(resource.get("status")).lower()
    if kind == "MedicationRequest":
        return _request(resource, name, status, context, notes)
    if kind == "MedicationAdministration":
        return _administration(resource, name, status, context, notes)
    if kind == "MedicationStatement":
        return _statement(resource, name, status, context, notes)
    if kind == "MedicationDispense":
        return _dispense(resource, name, status, context, notes)
    if kind == "Procedure":
        return _billed(resource, name, status, context, notes)
    return None


def _told(resource: Mapping[str, Any], name: str, context: ReadingContext, notes: list[Note]) -> Identified | None:
    """Give the drug, or None after a note why there is none."""
    delivered = product_of(resource, context=context)
    product = delivered.product
    if delivered.is_unresolved:
        notes.append(note(name, "unresolved-medication"))
    notes.extend(note(name, reason) for reason in product.reasons if product.drugs or reason != "unmapped-code")
    if not product.drugs:
        if not product.reasons and product.by == "none" and not delivered.is_unresolved:
            notes.append(
                note(name, "unmapped" if product.words or any(code for _, code in product.codes) else "no-drug")
            )
        elif "unmapped-code" in product.reasons:
            notes.append(note(name, "unmapped"))
        if delivered.is_anything and _is_in_force(resource, context):
            notes.append(note(name, UNIDENTIFIED))
        return None
    return product


UNIDENTIFIED = "unidentified"


def _is_in_force(resource: Mapping[str, Any], context: ReadingContext) -> bool:
    """Tell whether it stands for a drug that is taken now, or was given as lately as a last dose counts."""
    kind, status = resource.get("resourceType"), words(resource.get("status")).lower()
    if kind == "MedicationAdministration":
        span = COURSES_GUIDANCE.limits(context.today, None).current_after_last_dose.value
        day = _effective(resource, context)
        return day is not None and 0 <= (context.today - day).days <= span
    return kind in {"MedicationRequest", "MedicationStatement"} and status in {"active", "on-hold", ""}


def _dosing(
    resource: Mapping[str, Any], element: str, name: str, product: Identified, context: ReadingContext
) -> dosing.Dosing:
    told = [words(remark.get("text")) for remark in listed(resource.get("note"))]
    return dosing.read(resource.get(element), product, context=context, resource=name, notes=told)


def _no_request(resource: Mapping[str, Any], status: str, *, home_list: bool) -> str | None:
    """Say why a MedicationRequest is none that counts; None for one that does."""
    if status in {"entered-in-error", "cancelled"}:
        return status
    if resource.get("doNotPerform") is True:
        return "prohibited"
    intent = words(resource.get("intent")).lower()
    if intent and intent not in ORDERS and not home_list:
        return "not-an-order"
    return "draft-outside-the-call" if status == "draft" else None


_STANDING: Mapping[str, Standing] = {
    "active": "current",
    "": "current",
    "on-hold": "on-hold",
    "completed": "past",
    "stopped": "past",
}
"""Status of a request -> how it stands; any other status is one of which nobody knows."""


def _request(
    resource: Mapping[str, Any], name: str, status: str, context: ReadingContext, notes: list[Note]
) -> Entry | None:
    reported = resource.get("reportedBoolean") is True or isinstance(resource.get("reportedReference"), dict)
    home_list = words(resource.get("intent")).lower() == "plan" and reported and status == "active"
    if (reason := _no_request(resource, status, home_list=home_list)) is not None:
        notes.append(note(name, reason))
        return None
    product = _told(resource, name, context, notes)
    if product is None:
        return None
    doses = _dosing(resource, "dosageInstruction", name, product, context)
    standing = _STANDING.get(status, "unknown")
    if standing == "unknown":
        notes.append(note(name, "status-unknown"))
    if standing == "current" and _says_not_taken(resource):
        standing = "past"
        notes.append(note(name, "reported-not-taken"))
    classes = classes_of(product, doses)
    if home_list:
        classes &= HOME_CLASSES | {"bma"}
        if not classes:
            notes.append(note(name, "not-an-order"))
            return None
    supply = resource.get("dispenseRequest")
    period = supply.get("validityPeriod") if isinstance(supply, dict) else None
    start, end = _period(period, context)
    authored = _day(resource.get("authoredOn"), context)
    events = () if standing == "on-hold" else tuple(day for day in doses.events if day <= context.today)
    given = tuple(Dose(date=day, kind="event", mg=doses.dose_mg.value, resources=(name,)) for day in events)
    return Entry(
        reference=name,
        kind="request",
        product=product,
        standing=standing,
        stopped=status == "stopped",
        doses=doses,
        classes=classes,
        reported=reported,
        home_list=home_list,
        day=doses.starts or start or authored,
        ends=doses.ends or end,
        given=given,
        supply_starts=start,
        belongs_to=references(resource, "priorPrescription", "basedOn"),
    )


_NOT_TAKEN = compiled(
    r"\bnot[- ]taking\b|\bdoes not take\b|\bdoes not (?:comply|adhere)\b|\bnever (?:taken|started)\b"
    r"|\bstopped\b|未服用|未使用|已停用|未用药"
)


def _says_not_taken(resource: Mapping[str, Any]) -> bool:
    """US Core's adherence extension: what the patient says of taking it; only a plain "not" ends a use."""
    for extension in listed(resource.get("extension")):
        if words(extension.get("url")).rstrip("/").endswith("us-core-medication-adherence"):
            for inner in listed(extension.get("extension")):
                if words(inner.get("url")) == "medicationAdherence":
                    said = " ".join(texts_of(inner.get("valueCodeableConcept")))
                    if _NOT_TAKEN.search(plain(said)):
                        return True
    return False


def _administration(
    resource: Mapping[str, Any], name: str, status: str, context: ReadingContext, notes: list[Note]
) -> Entry | None:
    if status not in {"completed", "in-progress", "stopped"}:
        notes.append(note(name, status or "no-status"))
        return None
    product = _told(resource, name, context, notes)
    if product is None:
        return None
    day = _effective(resource, context)
    if day is None:
        notes.append(note(name, "no-date"))
        return None
    if day > context.today:
        notes.append(note(name, "future-dated"))
        return None
    doses = _dosing(resource, "dosage", name, product, context)
    dose = Dose(date=day, kind="administration", mg=doses.dose_mg.value, resources=(name,))
    return Entry(
        reference=name,
        kind="administration",
        product=product,
        standing="current" if status == "in-progress" or day == context.today else "dose",
        doses=doses,
        classes=classes_of(product, doses),
        day=day,
        given=(dose,),
        belongs_to=references(resource, "request"),
    )


def _statement(
    resource: Mapping[str, Any], name: str, status: str, context: ReadingContext, notes: list[Note]
) -> Entry | None:
    standings: dict[str, Standing] = {
        "active": "current",
        "on-hold": "on-hold",
        "completed": "past",
        "stopped": "past",
        "not-taken": "not-taken",
        "unknown": "unknown",
    }
    if status not in standings:  # entered-in-error; intended is not yet
        notes.append(note(name, status or "no-status"))
        return None
    product = _told(resource, name, context, notes)
    if product is None:
        return None
    doses = _dosing(resource, "dosage", name, product, context)
    start, end = _period(resource.get("effectivePeriod"), context)
    asserted = _day(resource.get("dateAsserted"), context)
    day = asserted or _day(resource.get("effectiveDateTime"), context) or start
    standing = standings[status]
    return Entry(
        reference=name,
        kind="statement",
        product=product,
        standing=standing,
        doses=doses,
        classes=classes_of(product, doses),
        reported=True,
        day=day if standing == "not-taken" else start or day,
        ends=end,
        belongs_to=references(resource, "basedOn", "derivedFrom"),
    )


def _dispense(
    resource: Mapping[str, Any], name: str, status: str, context: ReadingContext, notes: list[Note]
) -> Entry | None:
    if status not in {"completed", "in-progress"}:
        notes.append(note(name, status or "no-status"))
        return None
    product = _told(resource, name, context, notes)
    if product is None:
        return None
    doses = _dosing(resource, "dosageInstruction", name, product, context)
    handed = _day(resource.get("whenHandedOver"), context)
    supply = resource.get("daysSupply")
    days = number(supply.get("value")) if isinstance(supply, dict) else None
    if handed is None:
        notes.append(note(name, "no-date"))
        return None
    if handed > context.today or doses.route.value in {"IV", "SC", "IM"}:
        notes.append(note(name, "supply-is-not-a-dose"))
        return None
    standing: Standing = "unknown"
    if days is not None and days <= MANY:
        standing = "current" if handed + dt.timedelta(int(days)) >= context.today else "past"
    return Entry(
        reference=name,
        kind="dispense",
        product=product,
        standing=standing,
        doses=doses,
        classes=classes_of(product, doses),
        day=handed,
        belongs_to=references(resource, "authorizingPrescription"),
    )


def _billed(
    resource: Mapping[str, Any], name: str, status: str, context: ReadingContext, notes: list[Note]
) -> Entry | None:
    code = _with_hcpcs(resource.get("code"), context)
    if code is None or status not in {"completed", "in-progress", ""}:
        return None
    product = identify([code], table=context.codes)
    if not product.drugs:
        return None
    start, end = _period(resource.get("performedPeriod"), context)
    day = end or _day(resource.get("performedDateTime"), context) or start
    if day is None or day > context.today:
        notes.append(note(name, "no-date" if day is None else "future-dated"))
        return None
    quantity = _billed_mg(resource)
    notes.append(note(name, "dose-from-billing"))
    doses = dosing.read([], product, context=context, resource=name)
    if quantity is not None:
        doses = replace(
            doses, dose_mg=replace(doses.dose_mg, low=quantity, high=quantity, reason=None, date=day, resources=(name,))
        )
    return Entry(
        reference=name,
        kind="billed",
        product=product,
        standing="dose",
        doses=doses,
        classes=classes_of(product, doses),
        day=day,
        given=(Dose(date=day, kind="billed", mg=quantity, resources=(name,)),),
        belongs_to=references(resource, "basedOn", "partOf"),
    )


def _with_hcpcs(codeable: object, context: ReadingContext) -> dict[str, Any] | None:
    """Give the HCPCS codings of a procedure; None when there is none."""
    found = [
        {"system": HCPCS, "code": match.code, "display": match.sent_display}
        for match in context.concepts(codeable)
        if match.system == HCPCS
    ]
    return {"coding": found} if found else None


def _billed_mg(resource: Mapping[str, Any]) -> Decimal | None:
    """The billed codes are per milligram; R4 has no place for the number of units, so it comes in an extension."""
    for extension in listed(resource.get("extension")):
        if "quantity" in words(extension.get("url")).lower() or "units" in words(extension.get("url")).lower():
            inner = extension.get("valueQuantity")
            value = inner.get("value") if isinstance(inner, dict) else None
            for candidate in (
                value,
                extension.get("valueInteger"),
                extension.get("valuePositiveInt"),
                extension.get("valueDecimal"),
            ):
                if (found := number(candidate)) is not None:
                    return found
    return None


def references(resource: Mapping[str, Any], *elements: str) -> tuple[str, ...]:
    """Give what these elements refer to, as `Type/id`."""
    found = [
        words(item.get("reference"))
        for element in elements
        for item in listed(resource.get(element))
        if words(item.get("reference"))
    ]
    return tuple("/".join(name.split("/_history/")[0].split("/")[-2:]) for name in found)


def _day(value: object, context: ReadingContext) -> dt.date | None:
    stamp = dates.parse(value, context.timezone)
    return stamp.day if stamp else None


def _period(value: object, context: ReadingContext) -> tuple[dt.date | None, dt.date | None]:
    if not isinstance(value, dict):
        return None, None
    return _day(value.get("start"), context), _day(value.get("end"), context)


def _effective(resource: Mapping[str, Any], context: ReadingContext) -> dt.date | None:
    start, end = _period(resource.get("effectivePeriod"), context)
    return start or _day(resource.get("effectiveDateTime"), context) or end


# --- classes ------------------------------------------------------------------------------------------------


def classes_of(product: Identified, doses: dosing.Dosing) -> frozenset[str]:
    """Give the classes that this use of the drug belongs to; a local, infused or low dose may belong to none."""
    if doses.local or _is_mucolytic(product):
        return frozenset()
    found = set(product.classes)
    if "calcium" in found and not is_supplement(product, doses):
        found.discard("calcium")
    if "aspirin" in product.drugs and "nsaid" in found and not {"nsaid"} & set(product.drugs):
        dose = doses.dose_mg.high if doses.dose_mg.is_known else product.strength.mg_per_piece
        if dose is None or dose <= LOW_DOSE_ASPIRIN:
            found.discard("nsaid")
    return frozenset(found)


def is_supplement(product: Identified, doses: dosing.Dosing) -> bool:
    """Tell whether calcium is taken by mouth: an infusion of gluconate or chloride corrects, it does not supplement."""
    if doses.route.value in {"IV", "IM", "SC"} and "vitd" not in product.classes:
        return False
    if doses.route.value == "PO" or product.oral or "vitd" in product.classes:
        return True
    return not product.injected and "calcium-gluconate" not in product.drugs


def _is_mucolytic(product: Identified) -> bool:
    """R05CB05 is mesna for the airways: it protects no bladder."""
    atc = [code.upper() for system, code in product.codes if normal_system(system) == ATC]
    other = [code for system, code in product.codes if normal_system(system) == RXNORM]
    return bool(atc) and set(atc) == {"R05CB05"} and not other


def counts_as(entry: Entry, drug_class: str) -> bool:
    """Tell whether an entry speaks of a class; mesna on hold protects no bladder."""
    return drug_class in entry.classes and not (drug_class == "mesna" and entry.standing == "on-hold")


def blank_of(path: str) -> Any:  # noqa: ANN401 - a Finding, Reading or Moment, as the dictionary says
    return dictionary.blank(path)


def names_of(entries: Iterable[Entry]) -> tuple[str, ...]:
    return tuple(entry.reference for entry in entries)
