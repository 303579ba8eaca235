"""Draft orders as EHRs send them: which are at hand, for what drug or service, with which dose (§8.5)."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping import medications, service_orders
from fhir_mapping.delivery.context import WrongPatientError
from fhir_mapping.delivery.items import is_patient
from fhir_mapping.delivery.resources import readable
from fhir_mapping.elements import dosing, medication_entries
from fhir_mapping.elements.amounts import words
from fhir_mapping.elements.dosing import BLANK
from fhir_mapping.elements.indications import indications
from fhir_mapping.elements.products import note, product_of
from fhir_mapping.medications import Drafted, Medications
from fhir_mapping.terms import dates
from fhir_mapping.terms.bma_classes import bma_class
from fhir_mapping.terms.codes import code_text, texts_of
from fhir_mapping.terms.decode import TooManyEntriesError
from fhir_mapping.terms.drug_names import DRUGS, mentions
from fhir_mapping.terms.exact import ResourceFaultError, listed
from fhir_mapping.words.fold import compiled
from recommenders.vocabulary.dictionary import Facts
from recommenders.vocabulary.facts import exactly, replace, stated
from recommenders.vocabulary.records import Order

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from fhir_mapping.delivery.context import Note, ReadingContext
    from fhir_mapping.elements.products import Delivered
    from fhir_mapping.terms.drugs import Identified
    from recommenders.vocabulary.facts import Fact
    from recommenders.vocabulary.records import OrderKind

ORDERED = frozenset({"MedicationRequest", "ServiceRequest"})
"""The resource types that are read as orders."""

SUPPORTING = frozenset(
    {"Medication", "Patient", "Condition", "Practitioner", "PractitionerRole", "Encounter", "Coverage"}
)
"""Types that may stand in `draftOrders` to be referred to."""

NOT_DRAFTS = frozenset({"entered-in-error", "cancelled", "completed", "stopped", "revoked", "on-hold", "unknown"})

_KINDS: tuple[tuple[str, OrderKind], ...] = (
    ("bma", "bma"),
    ("calcium", "calcium"),
    ("vitd", "vitamin-d"),
    ("ifosfamide", "ifosfamide"),
    ("mesna", "mesna"),
    ("melphalan", "melphalan"),
    ("antineoplastic", "antineoplastic"),
    ("radionuclide", "radionuclide"),
    ("hydration", "hydration"),
)
"""Class of `drugs.toml` -> kind of order."""

CALCIUM_DRUGS = frozenset({"calcium", "calcium-gluconate", "calcium-chloride", "calcium-vitamin-d"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafts:
    """
    The draft orders of one call.

    `orders` in the order of `draftOrders`; `raw` each draft as it was sent, by the order's reference;
    `drafted` what counts as current medication once signed.
    """

    orders: tuple[Order, ...] = ()
    notes: tuple[Note, ...] = ()
    raw: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    drafted: tuple[Drafted, ...] = ()


MOST_DRAFTS, MOST_DRUGS = 500, 100
"""Of one call: a large order set has some dozens. Each drug is judged beside all others, so the work grows faster."""


def read_drafts(bundle: Mapping[str, Any], selections: Sequence[str] | None, *, context: ReadingContext) -> Drafts:
    """
    Read `context.draftOrders`.

    `selections` are those of order-select (`Type/id`); None, as at order-sign, puts every draft at hand, an
    empty list none. Whatever a draft holds, it is read as far as it goes and the rest is noted; only a draft
    for another patient is refused: raises `WrongPatientError` with the field's name, and `TooManyEntriesError`
    for more than 500 entries, or 100 orders of drugs that rules know.
    """
    notes: list[Note] = []
    entries = _entries(bundle, notes)
    if len(entries) > MOST_DRAFTS:
        raise TooManyEntriesError(f"More than {MOST_DRAFTS} entries in context.draftOrders; send fewer at a time.")
    shelf = _Shelf(entries)
    for place, _, resource in entries:
        _refuse_others(resource, place, shelf, context)
    names = _names(entries, notes)
    chosen = _at_hand(selections, [entry for entry in entries if entry[0] in names], notes)
    orders: list[Order] = []
    drafted: list[Drafted] = []
    raw: dict[str, Mapping[str, Any]] = {}
    for place, _, resource in entries:
        if place not in names:
            continue
        name, has_id = names[place]
        _note_faults(resource, name, context, notes)
        if resource.get("resourceType") == "MedicationRequest":
            order, product, doses = _medication(resource, name, shelf, context, notes)
        else:
            order, product, doses = _service(resource, name, shelf, context, notes), None, None
        order = replace(order, at_hand=place in chosen, has_id=has_id)
        orders.append(order)
        raw[name] = resource
        if product is not None and doses is not None and product.drugs:
            drafted.append(Drafted(order=order, product=product, doses=doses))
    if len(drafted) > MOST_DRUGS:
        raise TooManyEntriesError(
            f"More than {MOST_DRUGS} draft orders of drugs that rules know; send fewer at a time."
        )
    return Drafts(orders=tuple(orders), notes=tuple(dict.fromkeys(notes)), raw=raw, drafted=tuple(drafted))


def with_drafted(read: Medications, drafts: Drafts, *, context: ReadingContext) -> dict[str, Fact]:
    """
    Give the facts of the medication lists with the drafts counted in.

    Drafted calcium, vitamin D and mesna (and inhibitors and inducers of CYP3A4) are "current or drafted"; a
    drafted extraction is a planned invasive dental procedure. Other drafts change nothing: they are orders.
    """
    changes = medications.with_drafted(read, drafts.drafted, context=context)
    invasive = [order for order in drafts.orders if "invasive-dental" in order.kinds]
    if invasive:
        blank = Facts(as_of=context.today).dental.invasive_planned
        changes["dental.invasive_planned"] = stated(
            blank, True, date=context.today, resources=tuple(order.reference for order in invasive)
        )
    return changes


def _names(entries: Sequence[Placed], notes: list[Note]) -> dict[int, tuple[str, bool]]:
    """Name the drafts among the entries: place -> its reference, and whether it came with an id."""
    names: dict[int, tuple[str, bool]] = {}
    taken: dict[str, dict[str, Any]] = {}
    for place, _, resource in entries:
        kind = words(resource.get("resourceType"))
        if kind not in ORDERED:
            if kind not in SUPPORTING:
                notes.append(note(medication_entries.reference_of(resource) or "draftOrders", "type-not-read"))
            continue
        own = medication_entries.reference_of(resource)
        if taken.get(own) == resource:  # one order sent twice is not a drug ordered twice
            notes.append(note(own, "order-sent-twice"))
            continue
        name, has_id = _name(resource, place, taken, notes)
        if _is_draft(resource, name, notes):
            names[place] = (name, has_id)
            taken[name] = resource
    return names


# --- the bundle ---------------------------------------------------------------------------------------------

Placed = tuple[int, str, dict[str, Any]]
"""Place in `draftOrders`, fullUrl, resource."""


def _entries(bundle: Mapping[str, Any], notes: list[Note]) -> list[Placed]:
    if words(bundle.get("resourceType")) in ORDERED:  # one resource where a Bundle belongs
        return [(0, "", dict(bundle))]
    found: list[Placed] = []
    entries = bundle.get("entry")
    for place, entry in enumerate(entries if isinstance(entries, list) else listed(entries)):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict) and words(resource.get("resourceType")):
            found.append((place, words(entry.get("fullUrl")), resource))
        else:
            notes.append(note(f"draftOrders#{place}", "entry-without-resource"))
    return found


class _Shelf:
    """What stands in `draftOrders`, to be looked up by reference."""

    def __init__(self, entries: Sequence[Placed]) -> None:
        self._by_name: dict[str, dict[str, Any]] = {}
        for _, url, resource in entries:
            for name in (url, medication_entries.reference_of(resource)):
                if name:
                    self._by_name.setdefault(name, resource)

    def resolve(self, reference: str, containing: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        """Give a contained resource or another entry; None when it is not here."""
        if reference.startswith("#"):
            inside = listed(containing.get("contained")) if containing is not None else []
            return next((item for item in inside if words(item.get("id")) == reference[1:]), None)
        bare = reference.split("/_history/", maxsplit=1)[0]
        return self._by_name.get(bare) or self._by_name.get("/".join(bare.split("/")[-2:]))


def _refuse_others(resource: Mapping[str, Any], place: int, shelf: _Shelf, context: ReadingContext) -> None:
    """Refuse the call when an order, or anything beside it, is another patient's."""
    for element in ("subject", "patient"):
        subject = resource.get(element)
        reference = words(subject.get("reference")) if isinstance(subject, dict) else words(subject)
        if not reference:
            continue
        found = shelf.resolve(reference, resource)
        if found is not None and found.get("resourceType") == "Patient" and code_text(found.get("id")):
            reference = f"Patient/{code_text(found.get('id'))}"
        if not is_patient(reference, context.patient_id):
            raise WrongPatientError(
                f"context.draftOrders.entry[{place}].resource.{element}: another patient than context.patientId;"
                " send the draft orders of one patient only."
            )


def _name(resource: Mapping[str, Any], place: int, taken: Container[str], notes: list[Note]) -> tuple[str, bool]:
    kind, identity = words(resource.get("resourceType")), code_text(resource.get("id"))
    name = f"{kind}/{identity}"
    if not medication_entries.USUAL_ID.fullmatch(identity):
        return f"{kind}#{place}", False
    if name in taken:
        notes.append(note(name, "same-id-twice"))
        return f"{kind}#{place}", False
    return name, True


def _is_draft(resource: Mapping[str, Any], name: str, notes: list[Note]) -> bool:
    status = words(resource.get("status")).lower()
    if resource.get("doNotPerform") is True:
        notes.append(note(name, "prohibited"))
        return False
    if status in NOT_DRAFTS:
        notes.append(note(name, status))
        return False
    return True


def _at_hand(selections: Sequence[str] | None, drafts: Sequence[Placed], notes: list[Note]) -> frozenset[int]:
    """Tell which drafts the call is about, by place."""
    if selections is None:
        return frozenset(place for place, _, _ in drafts)
    chosen: set[int] = set()
    unresolved = False
    for selection in selections:
        wanted = words(selection)
        found = next((place for place, url, resource in drafts if _is_selected(wanted, url, resource)), None)
        if found is None:
            unresolved = True
            notes.append(note("context.selections", "selection-not-among-drafts"))
        else:
            chosen.add(found)
    if unresolved and not chosen and len(drafts) == 1:
        return frozenset({drafts[0][0]})
    return frozenset(chosen)


def _is_selected(wanted: str, url: str, resource: Mapping[str, Any]) -> bool:
    if not wanted:
        return False
    identity = code_text(resource.get("id"))
    own = f"{words(resource.get('resourceType'))}/{identity}" if identity else ""
    if own and (wanted == own or wanted.endswith("/" + own)):
        return True
    return bool(url) and (url == wanted or url.endswith("/" + wanted))


def _note_faults(resource: Mapping[str, Any], name: str, context: ReadingContext, notes: list[Note]) -> None:
    """A draft is read even where it is no valid FHIR: silence would hide what can be seen. The fault is named."""
    try:
        readable(resource, context.timezone)
    except ResourceFaultError as error:
        notes.append(note(name, str(error)))


# --- one medication -----------------------------------------------------------------------------------------


def _medication(
    resource: Mapping[str, Any], name: str, shelf: _Shelf, context: ReadingContext, notes: list[Note]
) -> tuple[Order, Identified, dosing.Dosing]:
    delivered = product_of(resource, context=context, resolve=shelf.resolve, at_hand=True)
    product = delivered.product
    if delivered.is_unresolved:
        notes.append(note(name, "unresolved-medication"))
    notes.extend(note(name, reason) for reason in product.reasons)
    told = [words(resource.get("sig")), *(words(remark.get("text")) for remark in listed(resource.get("note")))]
    doses = dosing.read(
        resource.get("dosageInstruction"),
        product,
        context=context,
        resource=name,
        notes=[text for text in told if text],
    )
    reasons = indications(resource, context=context, resolve=shelf.resolve)
    indication = reasons[0] if reasons else None
    route = doses.route.value if isinstance(doses.route.value, str) else None
    verdict = bma_class(
        product, doses.dose_mg.value, route=route, interval_days=doses.interval_days.value, indication=indication
    )
    if verdict is not None and verdict.mismatch:
        notes.append(note(name, "product-dose-mismatch"))
    notes.extend(note(name, reason) for reason in doses.reasons if product.drugs)
    diluent = doses.diluent_ml
    if not diluent.is_known and delivered.diluent_ml is not None:
        diluent = exactly(diluent, delivered.diluent_ml, date=context.today, resources=(name,))
    unjudged = _unjudged(delivered, doses)
    if unjudged is not None:
        notes.append(note(name, medication_entries.UNIDENTIFIED if unjudged == "drug" else "dose-not-told"))
    order = Order(
        reference=name,
        kinds=_kinds(product),
        drug=verdict.drug if verdict is not None else _ingredient(product),
        label=product.label,
        dose_mg=doses.dose_mg,
        largest_dose_mg=doses.largest_dose_mg,
        daily_mg=doses.daily_mg,
        dose_mg_m2=doses.dose_mg_m2,
        route=_with_tablet(doses, product, context, name) if verdict is not None else doses.route,
        interval_days=doses.interval_days,
        infusion_min=doses.infusion_min,
        diluent_ml=diluent,
        push=stated(BLANK["push"], doses.push, resources=(name,)),
        product_form=_product_form(product, name),
        treatment_days=doses.treatment_days,
        indication=_indication(indication, name, context),
        loading=stated(BLANK["loading"], doses.loading, resources=(name,)),
        text=stated(BLANK["text"], doses.text, resources=(name,)) if doses.text else BLANK["text"],
        product_mismatch=verdict is not None and verdict.mismatch,
        from_text=product.by == "text" or "from-text" in doses.reasons,
        unjudged=unjudged,
        hint=_hint(resource, doses.text) if not product.drugs else None,
        replaces=_replaced(resource),
        starts=doses.starts,
    )
    return order, product, doses


_TABLETS_ONLY = compiled(
    r"alendron|fosamax|risedron|actonel|etidron|tiludron|阿仑膦酸|福善美|福美加|利塞膦酸|依替膦酸|替鲁膦酸"
)


def _is_tablet_only(product: Identified) -> bool:
    """Whether it is a bisphosphonate that is made as tablets only."""
    if not {"other-bisphosphonate", "alendronate-vitamin-d"}.intersection(product.drugs):
        return False
    return any(_TABLETS_ONLY.search(text.casefold()) for text in (*product.words, *product.displays, product.label))


_READY_TO_USE_MG_PER_ML = Decimal("0.1")
"""A zoledronic acid of this strength or less is the bag (4 or 5 mg in 100 mL), a stronger one the concentrate."""


def _product_form(product: Identified, name: str) -> Any:  # noqa: ANN401 - the order's form of the product
    blank, strength = BLANK["product_form"], product.strength.mg_per_ml
    if strength is None or not {"zoledronic"}.intersection(product.drugs):
        return blank
    return stated(blank, "ready-to-use" if strength <= _READY_TO_USE_MG_PER_ML else "concentrate", resources=(name,))


_DOSED = frozenset({"bma", "ifosfamide", "melphalan", "mesna"})
"""Kinds of orders whose dose rules look at."""


def _unjudged(delivered: Delivered, doses: dosing.Dosing) -> Literal["drug", "dose"] | None:
    """Tell what keeps an order from being judged: the drug cannot be told, or how much of one of ours it is."""
    if delivered.is_anything:
        return "drug"
    dosed = _DOSED & set(_kinds(delivered.product))
    told = (doses.dose_mg, doses.dose_mg_m2, doses.daily_mg)
    return "dose" if dosed and not any(one.is_known for one in told) else None


def _hint(resource: Mapping[str, Any], text: str) -> str | None:
    """Give the one of our drugs that an order of an untold drug speaks of in its other words."""
    reference = resource.get("medicationReference")
    said = [
        text,
        words(resource.get("sig")),
        *(words(remark.get("text")) for remark in listed(resource.get("note"))),
        *(words(each.get("patientInstruction")) for each in listed(resource.get("dosageInstruction"))),
        *(said for reason in listed(resource.get("reasonCode")) for said in texts_of(reason)),
        words(reference.get("display")) if isinstance(reference, dict) else "",
    ]
    named = [mention.key for one in said if one for mention in mentions(one) if mention.key]
    return next((key for key in named if _DOSED & DRUGS[key].classes), None)


def _kinds(product: Identified) -> tuple[OrderKind, ...]:
    classes = product.classes | ({"calcium"} if CALCIUM_DRUGS & set(product.drugs) else frozenset())
    found = tuple(kind for name, kind in _KINDS if name in classes)
    return found or ("other",)


def _ingredient(product: Identified) -> str | None:
    if not product.drugs:
        return None
    return "ifosfamide" if product.drugs == ("ifosfamide-mesna",) else product.drugs[0]


def _with_tablet(doses: dosing.Dosing, product: Identified, context: ReadingContext, name: str) -> Any:  # noqa: ANN401 - the order's route
    """An ibandronate of 50 or 150 mg, an alendronate … is a tablet even when neither route nor form is written."""
    if doses.route.is_known or product.injected:
        return doses.route
    ibandronate_tablet = "ibandronate" in product.drugs and doses.dose_mg.value in {50, 150}
    if ibandronate_tablet or _is_tablet_only(product):
        return stated(doses.route, "PO", flags=("from-dose",), date=context.today, resources=(name,))
    return doses.route


def _indication(reason: str | None, name: str, context: ReadingContext) -> Any:  # noqa: ANN401 - the order's indication
    blank = BLANK["indication"]
    return blank if reason is None else stated(blank, reason, date=context.today, resources=(name,))


def _replaced(resource: Mapping[str, Any]) -> tuple[str, ...]:
    return medication_entries.references(resource, "priorPrescription", "replaces")


# --- one service --------------------------------------------------------------------------------------------


def _service(
    resource: Mapping[str, Any], name: str, shelf: _Shelf, context: ReadingContext, notes: list[Note]
) -> Order:
    service = service_orders.read_service(resource, context=context, resolve=shelf.resolve)
    notes.extend(note(name, reason) for reason in service.reasons)
    reasons = indications(resource, context=context, resolve=shelf.resolve)
    reason = reasons[0] if reasons else None
    if "pet-ct" in service.kinds:
        reason = service_orders.purpose(_why(resource)) or service_orders.purpose(service.text) or reason
    occurs = resource.get("occurrencePeriod")
    start = occurs.get("start") if isinstance(occurs, dict) else resource.get("occurrenceDateTime")
    stamp = dates.parse(start, context.timezone)
    return Order(
        reference=name,
        kinds=service.kinds,
        label=service.label,
        indication=_indication(reason, name, context),
        text=stated(BLANK["text"], service.text, resources=(name,)) if service.text else BLANK["text"],
        replaces=_replaced(resource),
        **service.place.parts,
        rt_dose_gy=service.dose_gy,
        rt_fractions=service.fractions,
        rt_stereotactic=service.stereotactic,
        starts=stamp.day if stamp else None,
    )


def _why(resource: Mapping[str, Any]) -> str:
    return "; ".join(
        text
        for element in ("reasonCode", "reason")
        for item in listed(resource.get(element))
        for text in texts_of(item)
    )
