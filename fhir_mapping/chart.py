"""A whole chart into facts: `read_chart`, the one function that the service calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from fhir_mapping import allergies, draft_orders, genomics, imaging, lesions, medications, requested
from fhir_mapping.conditions import ConditionReader
from fhir_mapping.delivery import drafts, silence
from fhir_mapping.delivery.context import Note, ReadingContext, Used
from fhir_mapping.delivery.notes import Notes
from fhir_mapping.delivery.prepared import tables_of
from fhir_mapping.delivery.selection import MEDICATION_KINDS, Selection
from fhir_mapping.diagnoses import fractures
from fhir_mapping.diagnoses.plasma_cells import is_of_family
from fhir_mapping.elements import medication_entries
from fhir_mapping.findings import bone_pain, cord, density, disease_status, histology, prognosis, spread, stage
from fhir_mapping.joining import measurements, series, sources
from fhir_mapping.joining.uses import all_uses
from fhir_mapping.observations import ObservationReader
from fhir_mapping.patient import born_on, pregnancy, read_patient
from fhir_mapping.procedures import ProcedureReader
from fhir_mapping.skeleton.minor_fracture import minor_fracture
from fhir_mapping.terms import decode
from fhir_mapping.terms.site import NO_SITE, SiteMapping
from recommenders.vocabulary.dictionary import Facts
from recommenders.vocabulary.facts import Fact, Finding, Reading, replace
from recommenders.vocabulary.records import Lesions, Requests

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Sequence

    from fhir_mapping.delivery.items import Item
    from fhir_mapping.terms.decode import Brought, Delivered

PREFETCH_KEYS = (
    "patient",
    "conditions",
    "observations",
    "medications",
    "procedures",
    "allergies",
    "medicationAdministrations",
    "serviceRequests",
)
"""The keys that are read; any other is left alone."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A prefetch key that could not be had, and why (no patient data in it)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """
    What a chart says.

    `facts` are as recorded, whatever their age (recency is the clinic's business); `notes` name all that was not
    used; `used` tells where each fact came from, which a call does not ask.
    """

    facts: Facts
    notes: tuple[Note, ...] = ()
    origins: Callable[[], Iterable[Used]] = field(default=tuple, compare=False, repr=False)
    drafts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The draft orders as sent, by the order's reference: a corrected order keeps what was written."""

    @property
    def used(self) -> tuple[Used, ...]:
        """Where each fact came from, in a fixed order; put together whenever somebody asks."""
        return tuple(sorted(set(self.origins()), key=lambda one: (one.fact, one.resource, one.path, one.code)))


def read_chart(
    prefetch: Mapping[str, Brought | Unavailable | None],
    *,
    patient_id: str,
    now: dt.datetime,
    timezone: dt.tzinfo,
    draft_orders: bytes | None = None,
    selections: Sequence[str] | None = None,
    site: SiteMapping | None = None,
    whole_series: bool = False,
) -> Mapped:
    """
    Read one patient's facts from prefetched FHIR R4.

    `prefetch` holds the JSON bytes of each key, or its list as it was opened (`b"null"` is known to be empty; a
    missing key or None did not come; an `Unavailable` could not be had). `now` is timezone-aware; the evaluation day
    is its day in `timezone`.
    `draft_orders` are the bytes of `context.draftOrders`, `selections` those of order-select. With `whole_series` all
    earlier results are kept, to be shown, and not those alone that a rule can need.

    Raises `WrongPatientError` for another patient's Patient or draft order, `TooManyEntriesError` above 20,000
    entries (5,000 that are to be read and are no results; 200 bone lesions; 500 drafts), `ResourceFaultError` for
    draft orders that cannot be read. Anything else that is wrong becomes a note.
    """
    if now.tzinfo is None:
        raise ValueError("`now` must tell its time zone; use datetime.now(UTC).")
    chart = _Chart(patient_id, now, timezone, site or NO_SITE, whole_series=whole_series)
    return chart.read(prefetch, draft_orders, selections)


class _Chart:
    """One call; the readers share its context and notes."""

    def __init__(
        self, patient_id: str, now: dt.datetime, timezone: dt.tzinfo, site: SiteMapping, *, whole_series: bool
    ) -> None:
        self.whole_series = whole_series
        self.notes = Notes()
        table, index = tables_of(site)
        self.selection = Selection(
            patient_id=patient_id, now=now, timezone=timezone, table=table, index=index, notes=self.notes
        )
        self.context = ReadingContext(
            patient_id=patient_id, now=now, timezone=timezone, site=site, codes=table, resolve=self.selection.resolve
        )
        self.found = self.selection.found
        self.drafts: Mapping[str, Mapping[str, Any]] = {}
        self.drafted_drugs: tuple[medications.Drafted, ...] = ()

    def read(
        self,
        prefetch: Mapping[str, Brought | Unavailable | None],
        draft_bytes: bytes | None,
        selections: Sequence[str] | None,
    ) -> Mapped:
        """Read list by list, in the order in which one list needs what another told."""
        unavailable = self._select(prefetch)
        items = self.found.items
        patients, reports = items.get("Patient", ()), items.get("DiagnosticReport", ())
        born = born_on(patients, self.context, self.notes)
        conditions = ConditionReader(items.get("Condition", ()), self.context, self.notes, born=born)
        changes: dict[str, Fact] = {}
        for item in patients:
            changes |= read_patient(item, self.context, self.notes)
        sex = changes.get("patient.sex")
        reader = ObservationReader(
            self.found, self.context, self.notes, str(sex.value) if isinstance(sex, Finding) else None
        )
        procedures = ProcedureReader(reader, conditions)
        standing = procedures.requests(items.get("ServiceRequest", ()))
        procedures.bills(items.get("Procedure", ()))
        bundle = drafts.opened(draft_bytes)
        drugs = self._medications(procedures.billed, standing, bundle)
        whole = silence.whole_keys(self.found)
        reader.readings(series.wanted_days(conditions, drugs.courses, whole=whole, whole_series=self.whole_series))
        reader.findings()
        reader.moments()
        conditions.read(reader.reading_of("mm.bmpc"), reader.reading_of("mm.m_protein"))
        procedures.procedures(items.get("Procedure", ()))
        fractures.choose(conditions, procedures.events)
        procedures.encounters(items.get("Encounter", ()))
        genomics.read(reader)
        reader.of_myeloma = any(is_of_family(one) for one in conditions.diagnoses)
        imaging.read(reader, reports, items.get("ImagingStudy", ()), items.get("Procedure", ()))
        cord.read(reader, conditions, reports)
        genomics.doubt_impossible(reader)
        bone_pain.read(reader)
        density.read(reader)
        stage.read(reader, conditions)
        spread.read(reader)
        disease_status.read(reader)
        prognosis.read(reader)
        histology.read(reader, conditions)
        measurements.check(reader)
        reader.tell_of_what_does_not_count()
        entered = lesions.read(reader, conditions, items.get("BodyStructure", ()))
        minor = minor_fracture(conditions, entered)
        if minor is not None:
            conditions.changes["pathological_fracture.minor_bone"] = minor
        self._join(changes, conditions, reader)
        changes |= series.baseline(reader, drugs.courses)
        allergic = allergies.read(items.get("AllergyIntolerance", ()), self.context, self.notes)
        changes |= allergic.facts
        orders, of_drugs = self._orders(bundle, selections, drugs, changes)
        changes |= {path: fact for path, fact in of_drugs.items() if silence.tells(fact) or path not in changes}
        for item in items.get("Medication", ()):
            self.notes.add(item.name, "a Medication: read where an order or a dose refers to it")
        facts = Facts(as_of=self.context.today).with_facts(silence.filled(changes, self.found))
        facts = replace(
            facts,
            lesions=Lesions(entered, whole=not self.found.cut.keys() & {"observations", "conditions"}),
            sre=series.in_order([*conditions.events, *procedures.events]),
            studies=series.in_order(reader.studies),
            courses=drugs.courses,
            orders=orders,
            allergies=tuple(allergic.records),
            taken=medications.taken(drugs, self.drafted_drugs),
            melphalan_given=medications.melphalan_given(drugs),
            requested=self._requested(items.get("ServiceRequest", ())),
            series=reader.series,
            unavailable=frozenset(unavailable),
            cut=frozenset(self.found.cut),
        )
        origins = partial(all_uses, changes, facts, conditions, reader, drugs)
        return Mapped(facts, self.notes.sorted(), origins, self.drafts)

    # --- what came ---

    def _select(self, prefetch: Mapping[str, Brought | Unavailable | None]) -> set[str]:
        """Open each key and pass over its entries; give the keys that could not be had."""
        delivered: dict[str, Delivered] = {}
        unavailable: set[str] = set()
        for key in PREFETCH_KEYS:
            value = prefetch.get(key)
            if value is None:
                unavailable.add(key)
            elif isinstance(value, Unavailable):
                unavailable.add(key)
                self.notes.add(f"prefetch/{key}", f"unavailable: {value.reason}")
            else:
                delivered[key] = decode.opened(value)
        self.selection.run(delivered)
        self.context = replace(
            self.context,
            delivered=frozenset(self.found.delivered),
            truncated=frozenset(self.found.truncated),
            cut=dict(self.found.cut),
        )
        return unavailable | self.found.unavailable

    def _copies(self, items: Iterable[Item]) -> list[Mapping[str, Any]]:
        """Give the resources that can be read, in a fixed order."""
        ordered = sorted(items, key=lambda one: one.name)
        return [copy for item in ordered if (copy := item.copy(self.context.timezone, self.notes)) is not None]

    def _add(self, notes: Sequence[Note]) -> None:
        for note in notes:
            self.notes.add(note.resource, note.reason)

    # --- medications, drafts and requests ---

    def _medications(
        self, billed: Sequence[Item], standing: Sequence[Mapping[str, Any]], bundle: Mapping[str, Any] | None
    ) -> medications.Medications:
        """Read the drugs on record; an order that the call drafts anew is left out."""
        resources: list[Mapping[str, Any]] = []
        for kind in sorted(MEDICATION_KINDS):
            resources += self._copies(self.found.items.get(kind, ()))
        resources += self._copies(billed)
        resources += standing
        drafted = [medication_entries.reference_of(one) for one in drafts.resources_of(bundle)]
        self.context = replace(self.context, truncated=self.context.truncated | silence.faulty_keys(self.found))
        found = medications.read_medications(resources, context=self.context, drafted=drafted)
        self._add(found.notes)
        return found

    def _orders(
        self,
        bundle: Mapping[str, Any] | None,
        selections: Sequence[str] | None,
        read: medications.Medications,
        changes: Mapping[str, Fact],
    ) -> tuple[tuple[Any, ...], Mapping[str, Fact]]:
        """Read the drafts of the call; give the orders, and what the drugs on record and in drafts tell together."""
        if bundle is None:
            return (), read.changes
        weight, area = changes.get("patient.weight"), changes.get("patient.bsa")
        context = replace(
            self.context,
            weight=weight if isinstance(weight, Reading) else self.context.weight,
            bsa=measurements.body_surface(changes, area if isinstance(area, Reading) else self.context.bsa),
        )
        found = draft_orders.read_drafts(bundle, selections, context=context)
        self._add(found.notes)
        self.drafts = found.raw
        self.drafted_drugs = found.drafted
        return found.orders, draft_orders.with_drafted(read, found, context=context)

    def _requested(self, items: Sequence[Item]) -> Requests:
        """Services on order: those on record and those drafted in this call."""
        on_record = [
            (item.name, copy) for item in items if (copy := item.copy(self.context.timezone, self.notes)) is not None
        ]
        drafted = [
            (name, resource)
            for name, resource in self.drafts.items()
            if resource.get("resourceType") == "ServiceRequest"
        ]
        return Requests(
            requested.read([*on_record, *drafted], self.context),
            delivered="serviceRequests" in silence.whole_keys(self.found),
        )

    # --- what several lists tell ---

    def _join(self, changes: dict[str, Fact], conditions: ConditionReader, reader: ObservationReader) -> None:
        """Add what Conditions and Observations tell, each fact from the list that counts for it."""
        changes |= sources.merged(conditions.changes, reader.changes)
        grade = sources.newer_grade(conditions.changes.get("status.ecog"), reader.changes.get("status.ecog"))
        if grade is not None:
            changes["status.ecog"] = grade
        told = conditions.changes.get("patient.pregnant")
        expecting = pregnancy(reader, changes, told if isinstance(told, Finding) else None)
        if expecting is not None:
            changes["patient.pregnant"] = expecting
        sources.add_report_of_metastasis(reader, changes)
