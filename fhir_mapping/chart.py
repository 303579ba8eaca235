"""A whole chart into facts: `read_chart`, the one function that the service calls."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from fhir_mapping import allergies, cord, draft_orders, genomics, imaging, lesions, medications, requested
from fhir_mapping.conditions import ConditionReader
from fhir_mapping.delivery.context import Note, ReadingContext, Used
from fhir_mapping.delivery.index import ObservationIndex
from fhir_mapping.delivery.items import Item, relative
from fhir_mapping.delivery.notes import Notes
from fhir_mapping.delivery.selection import MEDICATION_KINDS, Selection
from fhir_mapping.diagnoses import fractures, histology
from fhir_mapping.diagnoses.plasma_cells import is_of_family
from fhir_mapping.diagnoses.tumours import is_stage_iv
from fhir_mapping.elements import medication_entries, values
from fhir_mapping.elements.answers import answer_of, imwg_response
from fhir_mapping.observations import ObservationReader
from fhir_mapping.patient import pregnancy, read_patient
from fhir_mapping.procedures import ProcedureReader
from fhir_mapping.skeleton.minor_fracture import minor_fracture
from fhir_mapping.terms import dates, decode, dictionary, exact
from fhir_mapping.terms.codes import CodeTable, code_text, codings, texts_of
from fhir_mapping.terms.decode import Delivered
from fhir_mapping.terms.dictionary import MYELOMA
from fhir_mapping.terms.site import NO_SITE, SiteMapping
from fhir_mapping.words import assertions
from fhir_mapping.words.fold import compiled, fold
from recommenders.vocabulary.dictionary import Facts
from recommenders.vocabulary.facts import Fact, Finding, Reading, Reason, replace, round_half_up, stated
from recommenders.vocabulary.formulas import mosteller
from recommenders.vocabulary.records import BISPHOSPHONATES, Courses, Lesions, Requests

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

BASELINE_DAYS = 30
SERIES_DAYS = 500
"""A year before the newest myeloma result, which may itself be 120 days old."""
RECENT_DAYS = 180
ONSET_DAYS = 90
RUN_GAP_DAYS = 183
_FAMILY_SERIES = frozenset({"mm.m_protein", "mm.kappa", "mm.lambda_", "mm.flc_ratio_kl", "lab.hb", "lab.creatinine"})
_STAGING_SERIES = frozenset({"mm.b2m", "lab.albumin", "lab.ldh"})


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A prefetch key that could not be had, and why (no patient data in it)."""

    reason: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """
    What a chart says.

    `facts` are as recorded, whatever their age (recency is the clinic's business); `notes` name all that was not
    used; `used` tells where each fact came from.
    """

    facts: Facts
    notes: tuple[Note, ...] = ()
    used: tuple[Used, ...] = ()
    drafts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The draft orders as sent, by the order's reference: a corrected order keeps what was written."""


def read_chart(
    prefetch: Mapping[str, bytes | Unavailable | None],
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

    `prefetch` holds the JSON bytes of each key (`b"null"` is known to be empty; a missing key or None did not come; an
    `Unavailable` could not be had). `now` is timezone-aware; the evaluation day is its day in `timezone`.
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
        self.table, index = _tables(site)
        self.selection = Selection(
            patient_id=patient_id, now=now, timezone=timezone, table=self.table, index=index, notes=self.notes
        )
        self.context = ReadingContext(
            patient_id=patient_id,
            now=now,
            timezone=timezone,
            site=site,
            codes=self.table,
            resolve=self.selection.resolve,
        )
        self.found = self.selection.found
        self.drafts: Mapping[str, Mapping[str, Any]] = {}
        self.drafted_drugs: tuple[medications.Drafted, ...] = ()

    def read(
        self,
        prefetch: Mapping[str, bytes | Unavailable | None],
        draft_bytes: bytes | None,
        selections: Sequence[str] | None,
    ) -> Mapped:
        unavailable = self._select(prefetch)
        items = self.found.items
        born = self._born(items.get("Patient", ()))
        conditions = ConditionReader(items.get("Condition", ()), self.context, self.notes, born=born)
        changes: dict[str, Fact] = {}
        for item in items.get("Patient", ()):
            changes |= read_patient(item, self.context, self.notes)
        sex = changes.get("patient.sex")
        reader = ObservationReader(
            self.found, self.context, self.notes, str(sex.value) if isinstance(sex, Finding) else None
        )
        procedures = ProcedureReader(reader, conditions)
        standing = procedures.requests(items.get("ServiceRequest", ()))
        procedures.bills(items.get("Procedure", ()))
        drafts_bundle = _drafts(draft_bytes)
        read_drugs = self._medications(procedures.billed, standing, drafts_bundle)
        reader.readings(self._wanted(conditions, read_drugs.courses))
        reader.findings()
        reader.moments()
        conditions.read(_reading(reader, "mm.bmpc"), _reading(reader, "mm.m_protein"))
        procedures.procedures(items.get("Procedure", ()))
        fractures.choose(conditions, procedures.events)
        procedures.encounters(items.get("Encounter", ()))
        genomics.read(reader)
        reader.of_myeloma = any(is_of_family(one) for one in conditions.diagnoses)
        imaging.read(
            reader, items.get("DiagnosticReport", ()), items.get("ImagingStudy", ()), items.get("Procedure", ())
        )
        cord.read(reader, conditions, items.get("DiagnosticReport", ()))
        genomics.doubt_impossible(reader)
        _single_observations(reader, conditions)
        self._after(reader)
        reader.tell_of_what_does_not_count()
        entered = lesions.read(reader, conditions, items.get("BodyStructure", ()))
        minor = minor_fracture(conditions, entered)
        if minor is not None:
            conditions.changes["pathological_fracture.minor_bone"] = minor
        changes |= _merged(conditions.changes, reader.changes)
        grade = _newer_grade(conditions.changes.get("status.ecog"), reader.changes.get("status.ecog"))
        if grade is not None:
            changes["status.ecog"] = grade
        told = conditions.changes.get("patient.pregnant")
        expecting = pregnancy(reader, changes, told if isinstance(told, Finding) else None)
        if expecting is not None:
            changes["patient.pregnant"] = expecting
        self._report_of_metastasis(reader, changes)
        changes |= self._baseline(reader, read_drugs.courses)
        allergic = allergies.read(items.get("AllergyIntolerance", ()), self.context, self.notes)
        changes |= allergic.facts
        orders, drug_changes = self._orders(drafts_bundle, selections, read_drugs, changes)
        changes = changes | {path: fact for path, fact in drug_changes.items() if _tells(fact) or path not in changes}
        self._name_bare_items(items)
        facts = Facts(as_of=self.context.today).with_facts(self._silence(changes))
        facts = replace(
            facts,
            lesions=Lesions(entered, whole=not self.found.cut.keys() & {"observations", "conditions"}),
            sre=_in_order([*conditions.events, *procedures.events]),
            studies=_in_order(reader.studies),
            courses=read_drugs.courses,
            orders=orders,
            allergies=tuple(allergic.records),
            taken=medications.taken(read_drugs, self.drafted_drugs),
            melphalan_given=medications.melphalan_given(read_drugs),
            requested=self._requested(items.get("ServiceRequest", ())),
            series=reader.series,
            unavailable=frozenset(unavailable),
            cut=frozenset(self.found.cut),
        )
        used = {*reader.used, *_other_uses(changes, facts, conditions, reader, read_drugs)}
        ordered = sorted(used, key=lambda one: (one.fact, one.resource, one.path, one.code))
        return Mapped(facts, self.notes.sorted(), tuple(ordered), self.drafts)

    # --- what came ---

    def _select(self, prefetch: Mapping[str, bytes | Unavailable | None]) -> set[str]:
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
                delivered[key] = decode.open_key(value)
        self.selection.run(delivered)
        self.context = replace(
            self.context,
            delivered=frozenset(self.found.delivered),
            truncated=frozenset(self.found.truncated),
            cut=dict(self.found.cut),
        )
        return unavailable | self.found.unavailable

    def _born(self, patients: Sequence[Item]) -> dates.Stamp | None:
        copies = [item.copy(self.context.timezone, self.notes) or {} for item in patients]
        told = [dates.parse(one.get("birthDate"), self.context.timezone) for one in copies]
        return next((stamp for stamp in told if stamp is not None), None)

    # --- medications and drafts ---

    def _medications(
        self, billed: Sequence[Item], standing: Sequence[Mapping[str, Any]], drafts: Mapping[str, Any] | None
    ) -> medications.Medications:
        resources: list[Mapping[str, Any]] = []
        for kind in sorted(MEDICATION_KINDS):
            for item in sorted(self.found.items.get(kind, ()), key=lambda one: one.name):
                copy = item.copy(self.context.timezone, self.notes)
                if copy is not None:
                    resources.append(copy)
        for item in sorted(billed, key=lambda one: one.name):
            copy = item.copy(self.context.timezone, self.notes)
            if copy is not None:
                resources.append(copy)
        resources += standing
        drafted = [medication_entries.reference_of(one) for one in _resources_of(drafts)]
        self.context = replace(self.context, truncated=self.context.truncated | self._faulty_keys())
        found = medications.read_medications(resources, context=self.context, drafted=drafted)
        self._add(found.notes)
        return found

    def _add(self, notes: Sequence[Note]) -> None:
        for note in notes:
            self.notes.add(note.resource, note.reason)

    def _orders(
        self,
        bundle: Mapping[str, Any] | None,
        selections: Sequence[str] | None,
        read: medications.Medications,
        changes: Mapping[str, Fact],
    ) -> tuple[tuple[Any, ...], Mapping[str, Fact]]:
        if bundle is None:
            return (), read.changes
        weight, area = changes.get("patient.weight"), changes.get("patient.bsa")
        context = replace(
            self.context,
            weight=weight if isinstance(weight, Reading) else self.context.weight,
            bsa=_body_surface(changes, area if isinstance(area, Reading) else self.context.bsa),
        )
        drafts = draft_orders.read_drafts(bundle, selections, context=context)
        self._add(drafts.notes)
        self.drafts = drafts.raw
        self.drafted_drugs = drafts.drafted
        return drafts.orders, draft_orders.with_drafted(read, drafts, context=context)

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
        whole = self.found.delivered - self.found.truncated - self._faulty_keys()
        return Requests(
            requested.read([*on_record, *drafted], self.context),
            delivered="serviceRequests" in whole,
        )

    # --- series and baselines ---

    def _wanted(
        self, conditions: ConditionReader, courses: Courses
    ) -> Callable[[str], Callable[[dt.date], bool] | None]:
        today = self.context.today
        family = any(is_of_family(one) for one in conditions.diagnoses)
        onset = _first_onset(conditions)
        first = first_dose(courses)

        def wanted(path: str) -> Callable[[dt.date], bool] | None:
            if self.whole_series or path in {"bone.ctx", "bone.pinp"}:
                return lambda _: True
            if path == "lab.creatinine" and first is not None:
                return lambda day: (
                    dt.timedelta(0) <= first - day <= dt.timedelta(BASELINE_DAYS)
                    or (family and (today - day).days <= SERIES_DAYS)
                )
            if path == "lab.ca_total" and courses.items:
                return lambda day: (today - day).days <= SERIES_DAYS
            if family and path in _FAMILY_SERIES:
                return lambda day: (today - day).days <= SERIES_DAYS
            if family and path in _STAGING_SERIES:
                return lambda day: (
                    (today - day).days <= RECENT_DAYS or (onset is not None and abs((day - onset).days) <= ONSET_DAYS)
                )
            return None

        return wanted

    def _baseline(self, reader: ObservationReader, courses: Courses) -> dict[str, Fact]:
        """The newest creatinine on or up to 30 days before the first bisphosphonate dose."""
        first = first_dose(courses)
        if first is None:
            return {}
        blank = dictionary.blank_reading("lab.creatinine_baseline")
        rule = dictionary.READINGS["lab.creatinine"]
        before = [
            candidate
            for candidate in reader.candidates("lab.creatinine", "reading")
            if candidate.stamp is not None
            and dt.timedelta(0) <= first - candidate.stamp.day <= dt.timedelta(BASELINE_DAYS)
        ]
        found = next(reader.timeline(before, reader.reader_of(rule)), None)
        if not isinstance(found, Reading):
            return {}
        reader.take("lab.creatinine_baseline", found, before)
        return {"lab.creatinine_baseline": replace(reader.changes["lab.creatinine_baseline"], name=blank.name)}

    # --- the end ---

    def _after(self, reader: ObservationReader) -> None:
        """What only the readings together tell."""
        changes = reader.changes
        total, corrected = changes.get("lab.ca_total"), changes.get("lab.ca_corr")
        if isinstance(corrected, Reading) and total is not None and total.date is not None:
            same_day = total.date == corrected.date and total.is_known
            if same_day or corrected.date is None or corrected.date < total.date:
                for name in corrected.resources:
                    self.notes.add(name, "calcium corrected by the laboratory: a total calcium is used instead")
                del changes["lab.ca_corr"]
        _check_ratio(reader)
        _check_build(reader)

    def _report_of_metastasis(self, reader: ObservationReader, changes: dict[str, Fact]) -> None:
        """Take what the newest report concludes on bone metastasis, where no Condition tells."""
        known = changes.get("dx.bone_met")
        if not reader.reported_bone_metastasis or (isinstance(known, Finding) and known.reason is None):
            return
        day, name, verdict = max(reader.reported_bone_metastasis)
        told: dict[str, Any] = {"resources": (name,), "flags": ("from-report",)}
        told["date"] = None if day == dt.date.min else day
        blank = dictionary.blank_finding("dx.bone_met")
        if verdict == "present":
            changes["dx.bone_met"] = stated(blank, True, **told)
        elif verdict == "suspected" and known is None:
            changes["dx.bone_met"] = replace(blank, value=None, reason="suspected", **told)

    def _silence(self, changes: dict[str, Fact]) -> dict[str, Fact]:
        """
        A closed-world "no" holds only where the list it would stand in came, and came whole.

        What only Observations tell is not "not on record" while their list is cut or did not come, and the first of
        something is not known from a part.
        """
        whole = self.found.delivered - self.found.truncated - self._faulty_keys()
        cut = self.found.cut.keys()
        found = dict(changes)
        for path, keys in dictionary.CLOSED.items():
            if path not in changes and not whole.issuperset(keys):
                found[path] = self._unsaid(path, keys, whole)
        if why := self._why_unobserved():
            found |= {path: dictionary.blank(path).forget(why) for path in _OBSERVED - found.keys()}
        if "procedures" in cut:
            for path in _PERFORMED:
                found[path] = found.get(path, dictionary.blank(path)).forget("list-cut")
        for key, paths in _FIRST_OF.items():
            if key in cut:
                found |= {path: found[path].forget("list-cut") for path in paths if path in found}
        return found

    def _why_unobserved(self) -> Reason | None:
        """Tell why an Observation that is not there may exist all the same; None where their list came whole."""
        if "observations" not in self.found.delivered:
            return "not-delivered"
        return "list-cut" if "observations" in self.found.cut else None

    def _unsaid(self, path: str, keys: Sequence[str], whole: set[str]) -> Finding:
        """Give a closed-world fact of which nothing is said, and why that is no "no"."""
        blank = dictionary.blank_finding(path)
        if self.found.cut.keys() & set(keys):
            return blank.forget("list-cut")
        names = tuple(sorted(name for key in keys for name in self.found.unidentified.get(key, ())))
        if names and whole.issuperset(set(keys) - self.found.unidentified.keys()):
            return replace(blank.forget("unidentified"), resources=names)
        return blank.forget("not-delivered")

    def _faulty_keys(self) -> frozenset[str]:
        """Give the keys of which a resource could not be read: it may be the diagnosis or drug that is looked for."""
        return frozenset(
            item.key
            for kind, listed in self.found.items.items()
            if kind != "Observation"
            for item in listed
            if item.is_faulty
        )

    def _name_bare_items(self, items: Mapping[str, Sequence[Item]]) -> None:
        """Resources that only serve others are named when nothing refers to them."""
        for item in items.get("Medication", ()):
            self.notes.add(item.name, "a Medication: read where an order or a dose refers to it")


_OBSERVED = frozenset({*dictionary.READINGS, *dictionary.FINDINGS, *dictionary.MOMENTS.values()})
"""Facts that stand in Observations."""
_PERFORMED = frozenset({"dental.last_exam", "mdt.last_date"})
"""Facts that stand in Procedures as well."""
_FIRST_OF: Mapping[str, tuple[str, ...]] = {
    "conditions": ("mm.onset_date",),
    "medications": ("mm.antimyeloma_start",),
    "medicationAdministrations": ("mm.antimyeloma_start",),
}
"""Prefetch key -> facts that are the first of their kind in its list."""

_PREPARED: dict[int, tuple[SiteMapping, CodeTable, ObservationIndex]] = {}
"""Tables by site mapping; a process has one or a few of those."""


def _tables(site: SiteMapping) -> tuple[CodeTable, ObservationIndex]:
    """Give the code table and index of a site, made once."""
    known = _PREPARED.get(id(site))
    if known is None or known[0] is not site:
        if len(_PREPARED) >= 16:
            _PREPARED.clear()
        table = site.table()
        known = _PREPARED[id(site)] = (site, table, ObservationIndex(table, site))
    known[2].forget_if_large()
    return known[1], known[2]


# --- helpers ------------------------------------------------------------------------------------------------


def _other_uses(
    told_facts: Mapping[str, Fact],
    facts: Facts,
    conditions: ConditionReader,
    reader: ObservationReader,
    read: medications.Medications,
) -> list[Used]:
    """Name where the facts came from that are not read from one value of an Observation."""
    told = {(one.fact, one.resource) for one in reader.used}
    matches = {one.item.name: one.matches[0] for one in conditions.diagnoses if one.matches}
    found: list[Used] = []
    for path, fact in told_facts.items():
        for name in fact.resources:
            if (path, name) not in told:
                match = matches.get(name)
                found.append(Used(path, name, "code", match.system, match.code) if match else Used(path, name, ""))
    for path, readings in facts.series.items():
        names = {name for one in readings for name in one.resources}
        found += [Used(path, name, "") for name in names if (path, name) not in told]
    for lesion in facts.lesions:
        found += [Used("lesions[]", name, "") for name in lesion.resources if ("lesions[]", name) not in told]
    found += [Used("sre[]", name, "") for event in facts.sre for name in event.resources]
    found += [Used("img", name, "") for study in facts.studies for name in study.resources]
    found += [Used("medications", entry.reference, "medication") for entry in read.entries]
    return found


def _drafts(raw: bytes | None) -> Mapping[str, Any] | None:
    return None if raw is None or raw.strip() == b"null" else exact.whole(raw)


def _resources_of(bundle: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    listed = (bundle or {}).get("entry", ())
    entries = listed if isinstance(listed, list) else [listed]
    return [
        entry["resource"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("resource"), dict)
    ]


def _reading(reader: ObservationReader, path: str) -> Reading:
    found = reader.changes.get(path)
    return found if isinstance(found, Reading) else dictionary.blank_reading(path)


def _tells(fact: Fact) -> bool:
    return fact.reason not in {"not-delivered", "list-cut", "unidentified"}


def _in_order(events: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(sorted(events, key=lambda one: (one.date or dt.date.min, one.resources)))


def _first_onset(conditions: ConditionReader) -> dt.date | None:
    days = [
        one.onset.day
        for one in conditions.diagnoses
        if one.onset is not None and (one.concepts & MYELOMA or one.spoken.get("multiple_myeloma") == "present")
    ]
    return min(days, default=None)


def first_dose(courses: Courses) -> dt.date | None:
    """Give the first real bisphosphonate dose of the newest run; None when history is cut short before it."""
    own = [course for course in courses if course.drug in BISPHOSPHONATES]
    days = sorted({dose.date for course in own for dose in course.doses if dose.kind != "order-date"})
    if not days or any(course.truncated for course in own):
        return None
    first = days[-1]
    for day in reversed(days):
        if (first - day).days > RUN_GAP_DAYS:
            break
        first = day
    return first


def _body_surface(changes: Mapping[str, Fact], told: Reading) -> Reading:
    """Mosteller from weight and height; the told area where one of them is missing."""
    weight, height = changes.get("patient.weight"), changes.get("patient.height")
    if (
        isinstance(weight, Reading)
        and isinstance(height, Reading)
        and weight.value is not None
        and height.value is not None
    ):
        area = mosteller(height.value, weight.value)
        return replace(dictionary.blank_reading("patient.bsa"), low=area, high=area, reason=None, date=weight.date)
    return told


def _check_ratio(reader: ObservationReader) -> None:
    """A reported light-chain ratio that disagrees with its chains by more than 10 % is named; the chains win."""
    kappa, lambda_, ratio = (_reading(reader, path) for path in ("mm.kappa", "mm.lambda_", "mm.flc_ratio_kl"))
    if kappa.value is None or not lambda_.value or not ratio.value:
        return
    if kappa.date == lambda_.date == ratio.date and abs(kappa.value / lambda_.value / ratio.value - 1) > Decimal("0.1"):
        for name in ratio.resources:
            reader.notes.add(
                name, "reported ratio and its light chains disagree by more than 10 %: the chains are used"
            )


def _check_build(reader: ObservationReader) -> None:
    """A weight in pounds sent as kilograms shows as an impossible build."""
    weight, height = _reading(reader, "patient.weight").value, _reading(reader, "patient.height").value
    if weight is None or not height:
        return
    index = weight / (height / 100) ** 2
    if index < 10 or index > 70:
        for name in _reading(reader, "patient.weight").resources:
            reader.notes.add(name, "check weight: body-mass index outside 10 to 70")


def _newer_grade(coded: Fact | None, scored: Fact | None) -> Fact | None:
    """Of an ECOG grade coded as a Condition and a score, the newer."""
    if coded is None or scored is None:
        return scored if coded is None else coded
    return coded if (coded.date or dt.date.min) > (scored.date or dt.date.min) else scored


def _merged(conditions: Mapping[str, Fact], observed: Mapping[str, Fact]) -> dict[str, Fact]:
    """
    Join what Conditions and Observations say of the same fact: the newer wins.

    An undated Condition is older than any dated entry; on one day, values that differ contradict. A numeric or
    local entry that is unknown never hides a Condition.
    """
    found = dict(conditions) | dict(observed)
    for path in conditions.keys() & observed.keys():
        one, other = conditions[path], observed[path]
        if not isinstance(one, Finding) or not isinstance(other, Finding):
            continue
        if not other.is_known and not other.possible:
            found[path] = one
        elif not one.is_known and one.reason != "contradictory":
            found[path] = other
        elif one.value == other.value:
            found[path] = replace(other, resources=tuple(dict.fromkeys((*one.resources, *other.resources))))
        elif path == "onj.status":
            found[path] = _worse_jaw(one, other)
        elif one.date is not None and one.date == other.date:
            names = tuple(dict.fromkeys((*one.resources, *other.resources)))
            found[path] = replace(one, resources=names).forget("contradictory")
        else:
            found[path] = max((one, other), key=lambda fact: fact.date or dt.date.min)
    return found


_JAW = ("none", "suspected", "confirmed")


def _worse_jaw(condition: Finding, entry: Finding) -> Finding:
    """Of two words on the jaw the worse counts, unless a newer entry says that there is none."""
    if condition.date is not None and entry.date is not None and entry.date > condition.date:
        return entry
    return max((condition, entry), key=lambda fact: _JAW.index(str(fact.value)) if fact.value in _JAW else 0)


def _single_observations(reader: ObservationReader, conditions: ConditionReader) -> None:
    """Observations that state a diagnosis, a stage, a symptom or a density."""
    _symptoms(reader)
    _density(reader)
    _metastatic(reader, conditions)
    _disease_status(reader)
    for candidate in reader.candidates("status.life_expectancy", "prognosis-word"):
        reader.notes.add(candidate.item.name, "limited prognosis documented without a number: ask for it")
    for candidate in reader.candidates("histology", "histology"):
        _histology(reader, conditions, candidate)


def _symptoms(reader: ObservationReader) -> None:
    candidates = reader.candidates("clin.bone_pain", "symptom")

    def read(candidate: Any) -> Fact | None:  # noqa: ANN401 - a Candidate
        resource = reader.copy_of(candidate)
        if resource is None:
            return None
        has_value = any(name.startswith("value") for name in resource)
        answer = answer_of(resource, reader.context) if has_value else "positive"
        if answer not in {"positive", "negative"}:
            return None
        blank = dictionary.blank_finding("clin.bone_pain")
        fact: Fact = reader.stamped(replace(blank, value=answer == "positive", reason=None), candidate, resource)
        old = fact.date is not None and (reader.context.today - fact.date).days > 365
        return fact.forget("stale") if old else fact

    if candidates:
        found = reader.newest(candidates, read)
        known = reader.changes.get("clin.bone_pain")
        if found is not None and (known is None or (known.date or dt.date.min) < (found.date or dt.date.min)):
            reader.take("clin.bone_pain", found, candidates)


def _density(reader: ObservationReader) -> None:
    """A T-score of −1.0 or less at hip or spine is a decreased density; it is no diagnosis of osteoporosis."""
    candidates = reader.candidates("mm.bmd_decreased", "dxa")
    for concept in ("dxa_t_score_lumbar", "dxa_t_score_hip"):
        own = sorted(
            (one for one in candidates if one.slot.concept == concept and one.stamp is not None),
            key=lambda one: (dates.order(one.stamp), one.item.name),
            reverse=True,
        )
        for candidate in own[1:]:
            reader.notes.add(candidate.item.name, "superseded by a newer result")
        if not own:
            continue
        element = reader.element(own[0])
        number = values.number_of(element, reader.context) if element is not None else "no-value"
        if not isinstance(number, values.Number) or number.low is None or number.low != number.high:
            reader.notes.add(own[0].item.name, "no-value: nothing to read for mm.bmd_decreased")
        elif number.unit not in {"", "1", "{T-score}", "{score}"}:
            reader.notes.add(own[0].item.name, "unit: no unit, or none that can be converted")
        elif round_half_up(number.low, 1) <= Decimal("-1.0"):
            blank = dictionary.blank_finding("mm.bmd_decreased")
            fact = reader.stamped(replace(blank, value=True, reason=None), own[0], reader.copy_of(own[0]) or {})
            reader.take("mm.bmd_decreased", fact, own[:1])
        else:
            reader.notes.add(own[0].item.name, "a bone density that is not decreased")


_M_CATEGORY = compiled(r"\b[cpya]*m([01])[abc]?(?:\b|\()")


def _metastatic(reader: ObservationReader, conditions: ConditionReader) -> None:  # noqa: C901 - one question, asked of each list in turn
    """M1 and stage IV say metastatic, organ unknown; M0 says not, unless a Condition names a metastasis."""
    if "dx.metastatic" in conditions.changes:
        for candidate in reader.candidates("dx.metastatic", "m-category", "stage"):
            reader.notes.add(candidate.item.name, "a stage: a Condition names the metastasis itself")
        return
    blank = dictionary.blank_finding("dx.metastatic")

    def read(candidate: Any) -> Fact | None:  # noqa: ANN401 - a Candidate
        resource = reader.copy_of(candidate)
        if resource is None:
            return None
        value = resource.get("valueCodeableConcept") or {"text": resource.get("valueString") or ""}
        if candidate.slot.topic == "stage":
            staged: Fact = reader.stamped(stated(blank, True), candidate, resource)
            return staged if is_stage_iv(value) else None
        said = [*texts_of(value), *(code_text(coding.get("code")) for coding in codings(value))]
        for one in said:
            hit = _M_CATEGORY.search(fold(one))
            if hit:
                fact: Fact = reader.stamped(stated(blank, hit[1] == "1"), candidate, resource)
                return fact
        return None

    candidates = reader.candidates("dx.metastatic", "m-category", "stage")
    found = reader.newest(candidates, read) if candidates else None
    reader.take("dx.metastatic", found, candidates)
    for candidate in candidates:
        if found is None or candidate.item.name not in found.resources:
            reader.notes.add(candidate.item.name, "a stage that tells of no metastasis")
    for candidate in reader.candidates("ever.malignancy", "metastatic-history"):
        resource = reader.copy_of(candidate)
        if resource is not None and resource.get("valueBoolean") is not False:
            ever = dictionary.blank_finding("ever.malignancy")
            reader.take("ever.malignancy", reader.stamped(stated(ever, True), candidate, resource), [candidate])
        else:
            reader.notes.add(candidate.item.name, "says that there is no history of metastasis")


def _disease_status(reader: ObservationReader) -> None:
    """mCODE disease status: only the word "progressed" is a fact of ours."""
    candidates = reader.candidates("local.disease_progression", "disease-status")
    newest = max(candidates, key=lambda one: (dates.order(one.stamp), one.item.name), default=None)
    for candidate in candidates:
        resource = reader.copy_of(candidate)
        said = texts_of((resource or {}).get("valueCodeableConcept")) or (
            str((resource or {}).get("valueString") or ""),
        )
        response = next((word for one in said if (word := _imwg_word(one)) is not None), None)
        if candidate is newest and response is not None and resource is not None:
            _take_response(reader, candidate, resource, response)
        progressed = any(assertions.verdict(one, "progression") == "present" for one in said)
        if candidate is not newest or not progressed or resource is None:
            if candidate is newest and response is not None:
                continue
            reader.notes.add(candidate.item.name, "a disease status that tells of no progression, or an older one")
            continue
        blank = dictionary.blank_finding("local.disease_progression")
        fact = reader.stamped(stated(blank, True), candidate, resource)
        known = reader.changes.get("local.disease_progression")
        if known is None or not known.is_known or (known.date or dt.date.min) < (fact.date or dt.date.min):
            reader.take("local.disease_progression", fact, [candidate])


def _imwg_word(said: str) -> str | None:
    """Give a response category of myeloma: "complete remission" or "stable" are said of any cancer, VGPR is not."""
    word = imwg_response(said)
    return word if word in {"sCR", "VGPR", "MR"} or (word and "imwg" in said.lower()) else None


def _take_response(reader: ObservationReader, candidate: Any, resource: Mapping[str, Any], word: str) -> None:  # noqa: ANN401 - a Candidate
    """Take an IMWG category that stands in the words of a disease status, unless a newer one was entered."""
    known = reader.changes.get("mm.response")
    fact = reader.stamped(
        stated(dictionary.blank_finding("mm.response"), word, flags=("from-text",)), candidate, resource
    )
    if known is None or not known.is_known or (known.date or dt.date.min) < (fact.date or dt.date.min):
        reader.take("mm.response", fact, [candidate])


def _histology(reader: ObservationReader, conditions: ConditionReader, candidate: Any) -> None:  # noqa: ANN401 - a Candidate
    """A histology Observation belongs to the Condition it is about; without one it is only named."""
    resource = reader.copy_of(candidate)
    focus = {relative(str(one.get("reference") or "")) for one in (resource or {}).get("focus", ())}
    about = [one for one in conditions.diagnoses if one.item.name in focus]
    if resource is None or not about:
        reader.notes.add(candidate.item.name, "a histology that is not told to be of one Condition")
        return
    found = histology.take(conditions, about[0], resource.get("valueCodeableConcept"), candidate.item.name)
    if not found:
        reader.notes.add(candidate.item.name, "a histology that no rule uses")
