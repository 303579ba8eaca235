"""One pass over all that was delivered: whose it is, whether it counts, and whether it carries a fact."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fhir_mapping.delivery.carrying import LISTS_ALL_DISEASES, Carrying
from fhir_mapping.delivery.context import WrongPatientError
from fhir_mapping.delivery.cuts import tell_of_list
from fhir_mapping.delivery.items import (
    JUDGED_BY_RANGE,
    Aside,
    Candidate,
    Item,
    Slot,
    is_patient,
    name_of,
    relative,
)
from fhir_mapping.delivery.masking import may_be_withheld, shown_part
from fhir_mapping.delivery.notes import NOT_READ, TOO_LONG, Notes, is_usual_id
from fhir_mapping.delivery.resources import readable
from fhir_mapping.delivery.selected import Selected
from fhir_mapping.delivery.shapes import ELEMENTS
from fhir_mapping.delivery.timing import PENDING, status_counts, when
from fhir_mapping.terms import codes, dates, decode, dictionary, exact, glances, heads
from fhir_mapping.terms.decode import Delivered, Entry, TooManyEntriesError
from fhir_mapping.terms.exact import BROKEN, SURELY_LITTLE, ResourceFaultError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence

    import msgspec

    from fhir_mapping.delivery.index import ObservationIndex
    from fhir_mapping.terms.codes import CodeTable
    from fhir_mapping.terms.heads import Head

MEDICATION_KINDS = frozenset(
    {"MedicationRequest", "MedicationAdministration", "MedicationStatement", "MedicationDispense"}
)
_WHOLE = frozenset({"lesion", "variant", "tumor-size", "imaging"})
"""Topics whose components belong to the Observation and are no results of their own."""
_NAMED_ONLY: Mapping[str, str] = {
    "FamilyMemberHistory": "about the family: no fact of this patient",
    "RiskAssessment": "an estimate of risk or survival is no life expectancy: ask for it",
    "CarePlan": "a plan is no order and no treatment",
    "RequestGroup": "a plan is no order and no treatment",
    "Claim": "billing for payment: no fact of this patient",
    "ExplanationOfBenefit": "billing for payment: no fact of this patient",
}
"""Resource types that a reader may look for and that never state a fact, and why."""
_OVER = frozenset({"inactive", "remission", "resolved"})
_REPORTED = frozenset({"final", "amended", "corrected", "appended"})


class _Alike:
    """Plain results of one code as it was written: what it stands for (None: look closer), and those that are kept."""

    __slots__ = ("items", "slots")

    def __init__(self, slots: tuple[Slot, ...] | None) -> None:
        self.slots = slots
        self.items: list[Item] = []


class Selection:
    """Runs the pass; see `run`."""

    def __init__(
        self,
        *,
        patient_id: str,
        now: dt.datetime,
        timezone: dt.tzinfo,
        table: CodeTable,
        index: ObservationIndex,
        notes: Notes,
    ) -> None:
        self.patient_id = patient_id
        self.now = now
        self.timezone = timezone
        self._today = now.astimezone(timezone).date()
        self.table = table
        self.notes = notes
        self.index = index
        self.found = Selected()
        self._subjects: dict[str, bool] = {f"Patient/{patient_id}": True}
        self._alike: dict[bytes, _Alike] = {}
        self._entries: list[list[Entry]] = []
        """All that came, key by key: asked for what the URNs among them mean, if somebody uses one."""
        self._resolved: dict[str, dict[str, Any] | None] = {}
        self.carrying = Carrying(table)
        self._listed: list[tuple[str, heads.Ref]] = []
        self._not_read: list[str] = []

    def run(self, delivered: Mapping[str, Delivered]) -> None:
        """
        Look at every entry of every key once, into `found`; keys and entries may come in any order.

        Raises `WrongPatientError` for another patient's Patient, `TooManyEntriesError` above 20,000 entries, or
        5,000 that are to be read and are no results.
        """
        if sum(len(one.entries) for one in delivered.values()) > decode.MAX_ENTRIES:
            raise TooManyEntriesError(f"More than {decode.MAX_ENTRIES} entries in one call; send fewer at a time.")
        self._entries = [one.entries for one in delivered.values()]
        closely = {key: self._at_a_glance(key, delivered[key].entries) for key in sorted(delivered)}
        if exact.are_too_many([entry.resource for entries in closely.values() for _, entry in entries]):
            raise TooManyEntriesError(f"More than {exact.MOST_OBJECTS} objects and lists; send fewer at a time.")
        for key, entries in closely.items():
            self._key(key, delivered[key], entries)
        for alike in self._alike.values():
            for slot in (alike.slots or ()) if alike.items else ():
                self._may_become(alike.items, slot)
        self.found.take_out_replaced()
        self._tell_undelivered_results()
        self.notes.add_all(self._not_read, NOT_READ)

    def _tell_undelivered_results(self) -> None:
        """A report may list results that did not come: they are not delivered, which is not "not done"."""
        if not self._listed:
            return
        came = {*self._not_read, *self.found.by_name}
        missing = Counter(
            owner
            for owner, listed in self._listed
            if listed.reference
            and not listed.reference.startswith("#")
            and self._urns.get(listed.reference, relative(listed.reference)) not in came
        )
        for owner, count in missing.items():
            self.notes.add(owner, f"{count} of its results were not delivered")

    def _key(self, key: str, one: Delivered, closely: Sequence[tuple[int, Entry]]) -> None:
        outcomes = decode.take_out_outcomes(one, [entry for _, entry in closely])
        tell_of_list(key, one, self.timezone, self.notes, self.found)
        for number, entry in closely:
            raw: msgspec.Raw | bytes = entry.resource
            if id(entry) in outcomes:
                continue
            try:
                head = heads.head_of(raw)
            except ResourceFaultError as error:
                fault = "without a resource" if decode.is_nothing(entry.resource) else str(error)
                self.notes.add(f"prefetch/{key}", f"an entry that is {fault}")
                self.found.truncated.add(key)  # nobody knows what it would have said
                continue
            if one.single and head.resourceType not in ELEMENTS:
                self.found.unavailable.add(key)
                self.found.delivered.discard(key)
                self.notes.add(f"prefetch/{key}", "unavailable: neither a Bundle nor a resource that is read")
                continue
            if may_be_withheld(head, raw):
                shown = shown_part(raw, head, key, self.notes, self.found)
                if shown is None:
                    continue
                raw = shown
            self._entry(key, number, raw, head)

    def _entry(self, key: str, number: int, raw: msgspec.Raw | bytes, head: Head) -> None:
        kind = head.resourceType
        if kind == "Observation":
            if self._is_ours(kind, head):
                self._observation(key, raw, head)
            return
        if kind == "Patient":
            self._patient(key, number, raw, head)
            return
        if kind == "Bundle":
            self._bundle(key, raw)
            return
        if not kind:
            self.notes.add(f"prefetch/{key}", "an entry without resourceType")
            return
        if self._is_ours(kind, head):
            self._other(key, kind, raw, head)

    def _bundle(self, key: str, raw: msgspec.Raw | bytes) -> None:
        """A Bundle inside a Bundle is a server's answer in a batch: one level is opened."""
        inner = decode.open_key(bytes(raw))
        if inner.outcome:
            self.found.unavailable.add(key)
            self.found.truncated.add(key)
            self.notes.add(f"prefetch/{key}", "unavailable: an OperationOutcome came among the entries")
        for number, entry in enumerate(inner.entries):
            try:
                head = heads.head_of(entry.resource)
            except ResourceFaultError:
                continue
            if head.resourceType != "Bundle":
                self._entry(key, number, entry.resource, head)

    # --- what a reference means ---

    @cached_property
    def _urns(self) -> Mapping[str, str]:
        """What the entries' URNs stand for (`Type/id`); looked up once a reference needs more than a look at it."""
        found: dict[str, str] = {}
        for entries in self._entries:
            for entry in entries:
                if entry.fullUrl and entry.fullUrl.startswith("urn:"):
                    with suppress(ResourceFaultError):
                        head = heads.head_of(entry.resource)
                        found[entry.fullUrl] = f"{head.resourceType}/{head.id}"
        return found

    def resolve(self, reference: str, containing: Mapping[str, Any] | None) -> dict[str, Any] | None:
        """Give a resource that is contained, or was delivered; None when it is neither."""
        if reference.startswith("#"):
            for inner in exact.listed((containing or {}).get("contained")):
                if inner.get("id") == reference[1:]:
                    return self._checked(inner)
            return None
        name = self._urns.get(reference.strip()) or relative(reference)
        if name in self.found.by_name:
            return self.found.by_name[name].copy(self.timezone, self.notes)
        if name not in self._resolved:
            raw = self.found.by_reference.get(name)
            self._resolved[name] = None if raw is None else self._decoded(raw)
        return self._resolved[name]

    def _decoded(self, raw: msgspec.Raw | bytes) -> dict[str, Any] | None:
        try:
            return self._checked(exact.whole(raw))
        except ResourceFaultError:
            return None

    def _checked(self, resource: Mapping[str, Any]) -> dict[str, Any] | None:
        try:
            return readable(resource, self.timezone)
        except ResourceFaultError as error:
            self.notes.add(f"{resource.get('resourceType')} contained", str(error))
            return None

    # --- whose it is ---

    def _is_ours(self, kind: str, head: Head) -> bool:
        subject = head.subject or head.patient
        reference = subject.reference if subject is not None else None
        if reference is None:
            return True
        ours = self._is_us(reference)
        if not ours:
            self.notes.add(name_of(kind, head), "other-patient: about somebody else")
        return ours

    def _is_us(self, reference: str) -> bool:
        known = self._subjects.get(reference)
        if known is None:
            meant = self._urns.get(reference.strip(), reference)
            known = self._subjects[reference] = is_patient(meant, self.patient_id)
        return known

    def _patient(self, key: str, number: int, raw: msgspec.Raw | bytes, head: Head) -> None:
        if codes.code_text(head.id) != self.patient_id:
            place = f"prefetch.{key}" if key == "patient" else f"prefetch.{key}.entry[{number}].resource"
            raise WrongPatientError(
                f"{place}: a Patient other than context.patientId; send the data of one patient only."
            )
        self.found.keep(Item("Patient", f"Patient/{self.patient_id}", key, raw), self.notes)

    # --- results at a glance ---

    def _at_a_glance(self, key: str, entries: Sequence[Entry]) -> list[tuple[int, Entry]]:
        """
        Pass over the results that no rule reads, and put those in their place that are; give what needs a closer look.

        Most of a chart are results, thousands of them, and most of those are plain: what is done for each is done here.
        """
        closely: list[tuple[int, Entry]] = []
        glance, seen, known, ours = glances.glance_at, self._alike, self.found.by_name, self._subjects
        for number, entry in enumerate(entries):
            raw = entry.resource
            try:
                result = glance(raw)
            except BROKEN:
                closely.append((number, entry))
                continue
            code = bytes(result.code)
            alike = seen.get(code) or self._alike_of(code)
            subject = result.subject.reference
            if alike.slots is None or len(raw) > SURELY_LITTLE or not (ours.get(subject) or self._is_us(subject)):
                closely.append((number, entry))
            elif not alike.slots:
                self._not_read.append(f"Observation/{result.id}")
            elif (stamp := self._past(told := result.effectiveDateTime)) is None or not is_usual_id(result.id):
                closely.append((number, entry))
            else:
                name = f"Observation/{result.id}"
                issued = stamp if result.issued == told else dates.parse(result.issued, self.timezone)
                item = Item("Observation", name, key, raw, result.status, stamp, "effectiveDateTime", issued)
                if known.setdefault(name, item) is item or self.found.keep(item, self.notes) is not None:
                    alike.items.append(item)
        return closely

    def _alike_of(self, written: bytes) -> _Alike:
        """Begin to gather the results of a code."""
        found = self._alike[written] = _Alike(self.index.slots_as_written(written))
        return found

    def _past(self, told: str) -> dates.Stamp | None:
        """Read the date of a result; None where there is none, or one in the future."""
        stamp = dates.parse(told, self.timezone)
        if stamp is None or (stamp.day > self._today and stamp.is_future(self.now)):  # most need no look at the time
            return None
        return stamp

    # --- Observations ---

    def _observation(self, key: str, raw: msgspec.Raw | bytes, head: Head) -> None:
        if head.hasMember:
            owner = name_of("Observation", head)
            self._listed += [(owner, member) for member in head.hasMember]
        own = self.index.slots(head.code)
        parts = self._parts(head)
        if not own and not parts:
            self._not_read.append(name_of("Observation", head))
            return
        item = self._counted(key, "Observation", raw, head)
        if item is None:
            self._set_aside(raw, head, (*own, *(slot for _, slots in parts for slot in slots)))
            return
        for slot in own:
            self._may_become((item,), slot)
        if not any(slot.topic in _WHOLE for slot in own):
            for number, slots in parts:
                for slot in slots:
                    self._may_become((item,), slot, number)

    def _parts(self, head: Head) -> list[tuple[int, tuple[Slot, ...]]]:
        """Give the components that carry a fact, by their place."""
        listed = head.component if isinstance(head.component, list) else [head.component]
        slots = ((number, self.index.slots(one.code)) for number, one in enumerate(listed) if one is not None)
        return [(number, found) for number, found in slots if found]

    def _may_become(self, items: Sequence[Item], slot: Slot, part: int | None = None) -> None:
        """Offer results, or a component of one, for what their code stands for."""
        if slot.topic == "look-alike":
            self.notes.add_each((item.name for item in items), dictionary.LOOK_ALIKES[slot.target])
            return
        if slot.target in JUDGED_BY_RANGE:
            for item in items:
                item.ranged = True
        self.found.topics[slot.target].add(slot.topic)
        if slot.rank == 4:
            self.found.worded.add(slot.target)
        self.found.candidates[slot.target] += [Candidate(item, slot, part, item.stamp) for item in items]

    def _counted(self, key: str, kind: str, raw: msgspec.Raw | bytes, head: Head) -> Item | None:
        """Give the item when its status and date let it count; None, noted, otherwise."""
        name = name_of(kind, head)
        if not status_counts(name, head.status, self.notes):
            return None
        if head.modifierExtension:
            self.notes.add(name, "unknown-modifier: a modifierExtension may change its meaning")
            return None
        stamp, dated_by, respelled = when(head, raw, self.timezone)
        if stamp is not None and stamp.is_future(self.now):
            self.notes.add(name, "future-dated: more than 24 hours ahead")
            return None
        if stamp is None:
            self.notes.add(name, "undated: no date, so it counts only where age does not matter")
        if head.subject is None or head.subject.reference is None:
            self.notes.add(name, "no-subject: used, since it came with this patient's data")
        item = Item(kind, name, key, raw, head.status or "", stamp, dated_by, dates.parse(head.issued, self.timezone))
        if dated_by == "issued":
            item.flags = ("issued-date",)
        if respelled:
            item.flags = (*item.flags, "date-respelled")
            self.notes.add(name, f"date-respelled: {dated_by} is not written as FHIR has it")
        return self.found.keep(item, self.notes)

    def _set_aside(self, raw: msgspec.Raw | bytes, head: Head, slots: Iterable[Slot]) -> None:
        """Remember that there is a result which does not count yet, or not now: it is not "not on record"."""
        stamp = when(head, raw, self.timezone).stamp
        future = stamp is not None and stamp.is_future(self.now)
        if (head.status or "").strip() not in PENDING and not future:
            return
        one = Aside("future-dated" if future else "pending", name_of("Observation", head), stamp.day if stamp else None)
        for slot in slots:
            if slot.topic in {"reading", "finding"}:
                self.found.aside.setdefault(slot.target, []).append(one)

    # --- the others ---

    def _other(self, key: str, kind: str, raw: msgspec.Raw | bytes, head: Head) -> None:
        name = name_of(kind, head)
        if kind in MEDICATION_KINDS or kind in {"Medication", "Condition", "AllergyIntolerance", "BodyStructure"}:
            carries = kind in {"Medication", "AllergyIntolerance", "BodyStructure"} or self._carries(kind, head)
        elif kind in {"Procedure", "ServiceRequest", "DiagnosticReport", "ImagingStudy", "Encounter"}:
            carries = True
        else:
            carries = False
        if kind in _NAMED_ONLY:
            self.notes.add(name, _NAMED_ONLY[kind])
            return
        if self.carrying.is_cut(kind, head):
            self.notes.add(name, TOO_LONG)
        if not carries:
            self._not_read.append(name)
            if kind == "Condition":
                self.found.by_reference[name] = raw  # a reason may refer to it
                self._unidentified_condition(key, name, raw, head)
            return
        if head.modifierExtension:
            self.notes.add(name, "unknown-modifier: a modifierExtension may change its meaning")
            self.found.truncated.add(key)
            return
        if kind == "DiagnosticReport":
            self._report(key, name, head)
        item = self.found.keep(Item(kind, name, key, raw, issued=dates.parse(head.issued, self.timezone)), self.notes)
        if item is not None and kind == "Medication":
            self.found.by_reference[name] = raw

    def _report(self, key: str, name: str, head: Head) -> None:
        """Results inside a report count like results beside it; those it only lists are looked for."""
        self._listed += [(name, result) for result in head.result or ()]
        if (head.status or "").strip() not in _REPORTED:
            return  # what a retracted or unfinished report holds is retracted or unfinished too; it is named later
        for raw in head.contained or ():
            try:
                inner = heads.head_of(raw)
            except ResourceFaultError:
                continue
            if inner.resourceType == "Observation" and self._is_ours("Observation", inner):
                inner.id = f"{head.id}-{inner.id}"
                if inner.subject is None:
                    inner.subject = head.subject
                if inner.effectiveDateTime is None and inner.effectivePeriod is None:
                    inner.effectiveDateTime = head.effectiveDateTime
                    inner.effectivePeriod = head.effectivePeriod
                self._observation(key, raw, inner)

    def _carries(self, kind: str, head: Head) -> bool:
        return self.carrying.condition(head) if kind == "Condition" else self.carrying.drug(head)

    def _unidentified_condition(self, key: str, name: str, raw: msgspec.Raw | bytes, head: Head) -> None:
        """Note a standing problem of which nobody can tell what it is: it may be the one that is looked for."""
        if not self.carrying.is_unidentified(head.code, LISTS_ALL_DISEASES):
            return
        try:
            status = exact.whole(raw).get("clinicalStatus")
        except ResourceFaultError:
            return
        if {codes.code_text(coding.get("code")) for coding in codes.codings(status)} & _OVER:
            return
        self.notes.add(name, "unidentified: no words, and a code that nobody here knows")
        self.found.truncated.add(key)
        self.found.unidentified.setdefault(key, []).append(name)
