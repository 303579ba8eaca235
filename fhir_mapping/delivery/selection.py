"""One pass over all that was delivered: whose it is, whether it counts, and whether it carries a fact."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from fhir_mapping.delivery.context import Note, WrongPatientError
from fhir_mapping.delivery.resources import ELEMENTS, readable
from fhir_mapping.terms import codes, dates, decode, dictionary, drugs, names, units
from fhir_mapping.terms.decode import Delivered, Entry, Head, ResourceFaultError, TooManyEntriesError
from fhir_mapping.words import assertions, cytogenetics, targets
from fhir_mapping.words.fold import compiled, fold
from recommenders.vocabulary.dictionary import DICTIONARY

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from fhir_mapping.terms.codes import CodeTable
    from fhir_mapping.terms.dates import Stamp
    from fhir_mapping.terms.site import SiteMapping

NOT_READ = "not read: no code that a rule uses"
SUPERSEDED = "superseded by a newer result"
_COUNTED = frozenset({NOT_READ, SUPERSEDED})
NAMED_AT_MOST = 100
"""So many resources of one reason are named one by one; the rest is counted."""
READ_AT_MOST = 5_000
"""So many resources, results aside, are read: a chart has a few hundred, and each costs a third of a millisecond."""

MEDICATION_KINDS = frozenset(
    {"MedicationRequest", "MedicationAdministration", "MedicationStatement", "MedicationDispense"}
)
_DRUG_KINDS = frozenset(drugs.KINDS)
_USUAL_NAME = re.compile(r"[A-Za-z]{1,40}/(?!None$)[A-Za-z0-9\-._|]{1,128}$")


class Notes:
    """Collects why things were not used; the same words twice are said once, and long lists are counted."""

    def __init__(self) -> None:
        self._found: set[tuple[str, str]] = set()
        self._nameless: Counter[tuple[str, str]] = Counter()
        self._counts: Counter[str] = Counter()

    def add(self, resource: str, reason: str) -> None:
        """Note a reason for one resource (`Type/id`) or prefetch key."""
        self._found.add((resource, reason))
        if resource.endswith(" without id"):
            self._nameless[resource, reason] += 1

    def add_all(self, resources: Iterable[str], reason: str) -> None:
        """Note one reason for many resources: the first hundred by name, the others counted."""
        names = sorted(set(resources))
        for name in names[:NAMED_AT_MOST]:
            self.add(_usual(name), reason)
        self._counts[reason] += max(0, len(names) - NAMED_AT_MOST)

    def sorted(self) -> tuple[Note, ...]:
        """Give all notes in a fixed order; of each reason the first hundred by name, then a count."""
        named: list[Note] = []
        counted: list[Note] = []
        met, more = Counter[str](), Counter[str](self._counts)
        for resource, reason in sorted(self._found):
            met[reason] += 1
            if met[reason] > NAMED_AT_MOST:
                more[reason] += 1
            else:
                said = counted if reason in _COUNTED else named
                said.append(Note(resource, self._times(resource, reason)))
        counted.sort(key=lambda note: note.reason)
        rest = [Note("prefetch", f"{more[reason]} more resources: {reason}") for reason in sorted(more) if more[reason]]
        return (*named, *counted, *rest)

    def _times(self, resource: str, reason: str) -> str:
        count = self._nameless[resource, reason]
        return f"{reason} ({count} times)" if count > 1 else reason


@dataclass(slots=True, eq=False)
class Item:
    """
    One resource that carries a fact: its bytes, its head, and its tidy copy once somebody reads it.

    `name` is `Type/id`; `stamp` when it was true, `dated_by` the element that told, `issued` when it was
    released.
    """

    kind: str
    name: str
    key: str
    raw: msgspec.Raw | bytes
    head: Head
    stamp: Stamp | None = None
    dated_by: str = ""
    issued: Stamp | None = None
    flags: tuple[str, ...] = ()
    ranged: bool = False
    """Whether a fact it carries is judged by the laboratory's own range."""
    is_faulty: bool = False
    """Whether it was found to be unreadable: then nobody knows what it says."""
    _copy: dict[str, Any] | None = None

    def copy(self, timezone: dt.tzinfo, notes: Notes) -> dict[str, Any] | None:
        """Give the tidy, validated copy; None, noted, when the resource cannot be used."""
        if self._copy is None and not self.is_faulty:
            try:
                without = _NOTHING if self.ranged or self.kind != "Observation" else _RANGE
                self._copy = readable(decode.whole(self.raw), timezone, without=without)
            except ResourceFaultError as error:
                self.is_faulty = True
                notes.add(self.name, str(error))
        return self._copy


_NOTHING: frozenset[str] = frozenset()
_RANGE = frozenset({"referenceRange"})
_JUDGED_BY_RANGE = frozenset(
    {
        "lab.ca_total",
        "lab.ca_corr",
        "lab.alp",
        "lab.balp",
        "lab.ldh",
        "lab.hb",
        "bone.ctx",
        "bone.pinp",
        "bone.ntx",
        "pain.nrs",
    }
)
"""Facts whose reference range rules ask for (a faces scale tells by it how far it goes)."""


@dataclass(frozen=True, slots=True)
class Slot:
    """
    What one code of an Observation is for.

    `topic` names the reader, `target` the fact path (or concept), `rank` how much it is to be trusted
    (1 standard code … 4 text), `concept`/`system`/`code` what matched.
    """

    topic: str
    target: str
    rank: int
    concept: str
    system: str = ""
    code: str = ""


@dataclass(slots=True, eq=False)
class Candidate:
    """One value that may become a fact: the item, which component of it (None: itself), and its slot."""

    item: Item
    slot: Slot
    part: int | None = None
    stamp: Stamp | None = None
    behind: int = 0


class ObservationIndex:
    """
    Which facts an Observation's codes and names stand for.

    Answers are remembered per (system, code) and per name from call to call; `forget_if_large` bounds that.
    """

    def __init__(self, table: CodeTable, site: SiteMapping) -> None:
        self._table = table
        self._by_concept = _BY_CONCEPT
        self._by_local = _BY_LOCAL
        self._names = {**dictionary.NAMES, **site.names}
        self._forms = _FACT_OF_FORM
        self._coded: dict[tuple[str | None, str | int | None], tuple[tuple[Slot, ...], bool]] = {}
        self._worded: dict[str, tuple[Slot, ...]] = {}

    def forget_if_large(self, most: int = 50_000) -> None:
        """Forget the remembered answers when a hostile feed has filled them with codes of its own."""
        if len(self._coded) > most:
            self._coded.clear()
        if len(self._worded) > most:
            self._worded.clear()

    def slots(self, code: decode.Codeable | list[decode.Codeable] | None) -> tuple[Slot, ...]:
        """Give the slots of a code: any coding that matches counts; words only where no standard code is."""
        if code.__class__ is decode.Codeable and code.coding.__class__ is list:
            listed: Iterable[decode.Coding] = code.coding
        else:
            listed = decode.codings(code)
        found: tuple[Slot, ...] = ()
        standard = False
        for coding in listed:
            key = (coding.system, coding.code)
            known = self._coded.get(key)
            if known is None:
                known = self._coded[key] = self._of_coding(coding.system, coding.code)
            if known[0]:
                found += known[0]
            elif known[1]:
                standard = True
        if found:
            return found if len(found) == 1 else _best_coded(tuple(dict.fromkeys(found)))
        return () if standard else self._by_words(code)

    def _by_words(self, code: decode.Codeable | list[decode.Codeable] | None) -> tuple[Slot, ...]:
        for codeable in decode.codeables(code):
            words = [codeable.text]
            words += [coding.display for coding in decode.codings(codeable)]
            for said in words:
                if said:
                    known = self._worded.get(said)
                    if known is None:
                        known = self._worded[said] = self._of_words(said)
                    if known:
                        return known
        return ()

    def _of_coding(self, system: str | None, code: str | int | None) -> tuple[tuple[Slot, ...], bool]:
        """Give the slots of one coding, and whether it is of a standard terminology (then words do not count)."""
        return self._slots_of(system, code), codes.is_standard(system)

    def _slots_of(self, system: str | None, code: str | int | None) -> tuple[Slot, ...]:
        text_of_code = codes.code_text(code)
        if not text_of_code:
            return ()
        normal = self._table.normal(system or "")
        if normal == codes.LOCAL:
            slot = self._by_local.get(text_of_code)
            return (Slot(slot[0], slot[1], 3, text_of_code, normal, text_of_code),) if slot else ()
        rank = 1 if codes.is_standard(normal) or normal in {codes.HGNC, codes.ICD_O_3} else 3
        found: list[Slot] = []
        for match, kinds in self._table.lookup(system or "", text_of_code):
            if not kinds & {"Observation", "DiagnosticReport"} and match.concept not in DICTIONARY:
                continue
            topic, target = self._by_concept.get(match.concept, ("", ""))
            if match.concept in DICTIONARY:
                topic, target = "reading" if match.concept in dictionary.READINGS else "finding", match.concept
            if topic:
                found.append(Slot(topic, target, rank, match.concept, match.system, match.code))
        return tuple(found)

    def _of_words(self, said: str) -> tuple[Slot, ...]:
        target = self._names.get(units.fold(said)) or self._named(said)
        if target is None:
            return self._titled(said) or _spoken_slots(said)
        if target.endswith("_TRAP"):
            return ()
        if target in dictionary.READINGS:
            return (Slot("reading", target, 4, "", "", ""),)
        if target in dictionary.FINDINGS:
            return (Slot("finding", target, 4, "", "", ""),)
        topic, path = self._by_concept.get(target, ("", ""))
        return (Slot(topic, path, 4, target, "", ""),) if topic else ()

    def _named(self, said: str) -> str | None:
        """Give the fact path or concept of a name in any of its comparable forms, the most literal first."""
        for form in names.forms(said):
            concepts = names.concepts_of(form, "Observation")
            traps = [concept for concept in concepts if concept.endswith("_TRAP")]
            if target := next(iter((*traps, *concepts)), None) or self._forms.get(form):
                return target
        return None

    def _titled(self, said: str) -> tuple[Slot, ...]:
        """Give the slots of a name that is the official title of a code."""
        matches = names.titled(said, "Observation", "DiagnosticReport")
        slots = (slot for match in matches for slot in self._slots_of(match.system, match.code))
        return tuple(dict.fromkeys(Slot(one.topic, one.target, 4, one.concept, one.system, one.code) for one in slots))


_LONGEST_NAME = 200


def _best_coded(slots: tuple[Slot, ...]) -> tuple[Slot, ...]:
    """Leave out what a local code says beside a standard one: it never outvotes it."""
    standard = tuple(slot for slot in slots if slot.rank == 1)
    return standard or slots


_GENETICS = compiled(r"\bfish\b|fluorescence in situ|cytogenetic|karyotyp|荧光原位杂交|细胞遗传|染色体|核型")


def _spoken_slots(said: str) -> tuple[Slot, ...]:
    """Facts that an Observation's name tells without a code: an MDT discussion, an abnormality, a score."""
    folded = fold(said[:_LONGEST_NAME])
    if len(abnormalities := cytogenetics.named(said)) == 1:
        return (Slot("presence", next(iter(abnormalities)), 4, "cyto-name"),)
    if abnormalities or _GENETICS.search(folded):
        return (Slot("cyto-text", "cyto-text", 4, "cyto-text"),)
    if targets.occurs(said, "mdt") and assertions.verdict(said, "mdt") == "present":
        return (Slot("moment", "mdt.last_date", 4, "mdt"),)
    if targets.occurs(said, "dental_exam") and assertions.verdict(said, "dental_exam") == "present":
        return (Slot("moment", "dental.last_exam", 4, "dental_exam"),)
    if re.search(r"\b(?:escc|bilsky)\b", folded, re.ASCII):
        return (Slot("finding", "spine.escc", 4, "escc"),)
    return ()


_TOPICS: Mapping[str, tuple[str, str]] = {
    "genetic_variant_assessment": ("variant", "variant"),
    "kras_nras_mutation": ("combined", "kras-nras"),
    "fish_del17p_and_14q32": ("combined", "del17p-14q32"),
    "fish_plasma_cell": ("cyto-text", "cyto-text"),
    "dxa_t_score_lumbar": ("dxa", "mm.bmd_decreased"),
    "dxa_t_score_hip": ("dxa", "mm.bmd_decreased"),
    "pregnancy_status": ("pregnancy", "patient.pregnant"),
    "hcg_serum": ("pregnancy", "patient.pregnant"),
    "hcg_urine": ("pregnancy", "patient.pregnant"),
    "pregnancy": ("pregnancy", "patient.pregnant"),
    "not_pregnant": ("pregnancy", "patient.pregnant"),
    "tnm_m_clinical": ("m-category", "dx.metastatic"),
    "tnm_m_pathologic": ("m-category", "dx.metastatic"),
    "tnm_m_category": ("m-category", "dx.metastatic"),
    "tnm_stage_group_clinical": ("stage", "dx.metastatic"),
    "tnm_stage_group_pathologic": ("stage", "dx.metastatic"),
    "tnm_stage_group": ("stage", "dx.metastatic"),
    "history_of_metastatic_cancer": ("metastatic-history", "ever.malignancy"),
    "tumor_size": ("tumor-size", "lesions"),
    "lytic_bone_lesion": ("lytic", "lesions"),
    "histology_behavior": ("histology", "histology"),
    "disease_status": ("disease-status", "local.disease_progression"),
    "bone_pain": ("symptom", "clin.bone_pain"),
    "malignant_bone_pain": ("symptom", "clin.bone_pain"),
    "limited_prognosis": ("prognosis-word", "status.life_expectancy"),
    "mri_spine": ("imaging", "mri"),
    "ct_spine": ("imaging", "ct"),
    "bone_scan": ("imaging", "spect"),
    "skeletal_survey": ("imaging", "xray"),
    "pet_ct_naf_bone": ("imaging", "pet-naf"),
}


def _slots_by_concept() -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = dict(_TOPICS)
    for concept in dictionary.LOOK_ALIKES:
        found[concept] = ("look-alike", concept)
    for rule in dictionary.FINDINGS.values():
        for concept in rule.concepts:
            found[concept] = ("presence", rule.fact)
        for concept in rule.tests:
            found[concept] = ("test", rule.fact)
    for reading in dictionary.READINGS.values():
        for concept in reading.concepts:
            found[concept] = ("reading", reading.fact)
    return found


def _slots_by_local() -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {"bone-lesion": ("lesion", "lesions")}
    for modality in ("xray", "ct", "mri", "spect", "pet"):
        found[f"img-{modality}"] = ("imaging", modality)
    for rule in dictionary.FINDINGS.values():
        if rule.local:
            found[rule.local] = ("finding", rule.fact)
    for reading in dictionary.READINGS.values():
        for code in reading.local:
            found[code] = ("reading", reading.fact)
    for code, fact in dictionary.MOMENTS.items():
        found[code] = ("moment", fact)
    return found


_BY_CONCEPT = _slots_by_concept()
_FACT_OF_FORM: Mapping[str, str] = {names.forms(name)[0]: path for name, path in dictionary.WRITTEN_NAMES.items()}
_BY_LOCAL = _slots_by_local()


# --- the pass -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Selected:
    """What was found: candidates per target, items per resource type, and what came of each prefetch key."""

    candidates: dict[str, list[Candidate]] = field(default_factory=dict)
    items: dict[str, list[Item]] = field(default_factory=dict)
    delivered: set[str] = field(default_factory=set)
    truncated: set[str] = field(default_factory=set)
    unavailable: set[str] = field(default_factory=set)
    by_reference: dict[str, msgspec.Raw | bytes] = field(default_factory=dict)


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
        self.table = table
        self.notes = notes
        self.index = index
        self.found = Selected()
        self._subjects: dict[str, bool] = {f"Patient/{patient_id}": True}
        self._urns: dict[str, str] = {}
        self._items: dict[str, Item] = {}
        self._condition_words: dict[str, bool] = {}
        self._drug_words: dict[str, bool] = {}
        self._listed: list[tuple[str, decode.Ref]] = []
        self._not_read: list[str] = []
        self._replaced: set[str] = set()
        self._kept = 0

    def run(self, delivered: Mapping[str, Delivered]) -> Selected:
        """
        Look at every entry of every key once; keys and entries may come in any order.

        Raises `WrongPatientError` for another patient's Patient, `TooManyEntriesError` above 20,000 entries, or
        5,000 that are to be read and are no results.
        """
        if sum(len(one.entries) for one in delivered.values()) > decode.MAX_ENTRIES:
            raise TooManyEntriesError(f"More than {decode.MAX_ENTRIES} entries in one call; send fewer at a time.")
        for one in delivered.values():
            self._learn_urns(one.entries)
        for key in sorted(delivered):
            self._key(key, delivered[key])
        self._take_out_replaced()
        self._tell_undelivered_results()
        self.notes.add_all(self._not_read, NOT_READ)
        return self.found

    def _tell_undelivered_results(self) -> None:
        """A report may list results that did not come: they are not delivered, which is not "not done"."""
        if not self._listed:
            return
        came = {*self._not_read, *self._items}
        missing = Counter(
            owner
            for owner, listed in self._listed
            if listed.reference
            and not listed.reference.startswith("#")
            and self._urns.get(listed.reference, relative(listed.reference)) not in came
        )
        for owner, count in missing.items():
            self.notes.add(owner, f"{count} of its results were not delivered")

    def _learn_urns(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.fullUrl and entry.fullUrl.startswith("urn:"):
                try:
                    head = decode.head_of(entry.resource)
                except ResourceFaultError:
                    continue
                self._urns[entry.fullUrl] = f"{head.resourceType}/{head.id}"

    def _key(self, key: str, one: Delivered) -> None:
        if one.outcome:
            self.found.unavailable.add(key)
            self.notes.add(f"prefetch/{key}", "unavailable: an OperationOutcome came, or what came cannot be read")
        for fault in one.faults:
            self.notes.add(f"prefetch/{key}", fault)
        if not one.outcome or one.entries:
            self.found.delivered.add(key)
        if one.truncated or (one.outcome and one.entries):
            self.found.truncated.add(key)
            self.notes.add(f"prefetch/{key}", "only a part was delivered: what is not found may still exist")
        decode_head, slots, subjects, not_read = decode.head_of, self.index.slots, self._subjects, self._not_read
        for number, entry in enumerate(one.entries):
            if entry.search is not None and entry.search.mode == "outcome":
                continue
            raw: msgspec.Raw | bytes = entry.resource
            try:
                head = decode_head(raw)
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
            if one.withheld:
                shown = self._shown(key, raw, head)
                if shown is None:
                    continue
                raw = shown
            # most of a chart are results that no rule reads: they are passed over without a call of their own
            if (
                head.resourceType == "Observation"
                and head.component is None
                and head.hasMember is None
                and head.subject is not None
                and subjects.get(head.subject.reference or "", False)
                and not slots(head.code)
            ):
                not_read.append(f"Observation/{head.id}")
                continue
            self._entry(key, number, raw, head)

    def _shown(self, key: str, raw: msgspec.Raw | bytes, head: Head) -> msgspec.Raw | bytes | None:
        """
        Give what may be read of a resource among which something is masked; None for what is withheld.

        What is withheld may be anything: then silence says nothing (the key counts as delivered in part). A masked
        Observation stays, without its values: it is newer than what came before it, and it is unknown.
        """
        try:
            resource = decode.whole(raw)
        except ResourceFaultError:
            return raw
        name = name_of(head.resourceType, head)
        if not decode.is_withheld(resource):
            if head.resourceType != "Observation" and _has_masked_code(resource):
                self.notes.add(name, "masked: its code is withheld on purpose")
                self.found.truncated.add(key)
            return raw
        if head.resourceType == "Patient":
            return raw
        if head.resourceType != "Observation":
            self.notes.add(name, "masked: withheld on purpose")
            self.found.truncated.add(key)
            return None
        parts = resource.get("component")
        for element in (
            resource,
            *(part for part in (parts if isinstance(parts, list) else ()) if isinstance(part, dict)),
        ):
            for told in [name for name in element if name.startswith(("value", "_value", "interpretation"))]:
                del element[told]
            element["dataAbsentReason"] = {"coding": [{"code": "masked"}]}
        return msgspec.Raw(json.dumps(resource, default=str).encode())

    def _entry(self, key: str, number: int, raw: msgspec.Raw | bytes, head: Head) -> None:
        kind = head.resourceType
        if kind == "Observation":
            if self._is_ours(kind, head):
                self._observation(key, raw, head)
            return
        if kind == "Patient":
            self._patient(key, number, raw, head)
            return
        if kind == "OperationOutcome":
            self.found.unavailable.add(key)
            self.found.truncated.add(key)
            self.notes.add(f"prefetch/{key}", "unavailable: an OperationOutcome came among the entries")
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
        for number, entry in enumerate(inner.entries):
            try:
                head = decode.head_of(entry.resource)
            except ResourceFaultError:
                continue
            if head.resourceType != "Bundle":
                self._entry(key, number, entry.resource, head)

    def urn(self, reference: str) -> str | None:
        """Give `Type/id` of what a `urn:uuid:` stands for in the Bundles that came."""
        return self._urns.get(reference.strip())

    # --- whose it is ---

    def _is_ours(self, kind: str, head: Head) -> bool:
        subject = head.subject or head.patient
        reference = subject.reference if subject is not None else None
        if reference is None:
            return True
        ours = self._subjects.get(reference)
        if ours is None:
            ours = self._subjects[reference] = self._is_patient(reference)
        if not ours:
            self.notes.add(name_of(kind, head), "other-patient: about somebody else")
        return ours

    def _is_patient(self, reference: str) -> bool:
        return is_patient(self._urns.get(reference.strip(), reference), self.patient_id)

    def _patient(self, key: str, number: int, raw: msgspec.Raw | bytes, head: Head) -> None:
        if codes.code_text(head.id) != self.patient_id:
            place = f"prefetch.{key}" if key == "patient" else f"prefetch.{key}.entry[{number}].resource"
            raise WrongPatientError(
                f"{place}: a Patient other than context.patientId; send the data of one patient only."
            )
        self._keep(Item("Patient", f"Patient/{self.patient_id}", key, raw, head))

    # --- Observations ---

    def _observation(self, key: str, raw: msgspec.Raw | bytes, head: Head) -> None:
        if head.hasMember:
            owner = name_of("Observation", head)
            self._listed += [(owner, member) for member in head.hasMember]
        own = self.index.slots(head.code)
        parts: list[tuple[int, tuple[Slot, ...]]] = []
        if head.component is not None:
            components = head.component if isinstance(head.component, list) else [head.component]
            for number, component in enumerate(components):
                if slots := self.index.slots(component.code):
                    parts.append((number, slots))
        if not own and not parts:
            self._not_read.append(name_of("Observation", head))
            return
        item = self._counted(key, "Observation", raw, head)
        if item is None:
            return
        for slot in own:
            self._candidate(item, slot, None)
        if not any(slot.topic in _WHOLE for slot in own):
            for number, slots in parts:
                for slot in slots:
                    self._candidate(item, slot, number)

    def _candidate(self, item: Item, slot: Slot, part: int | None) -> None:
        if slot.topic == "look-alike":
            self.notes.add(item.name, dictionary.LOOK_ALIKES[slot.target])
            return
        if slot.target in _JUDGED_BY_RANGE:
            item.ranged = True
        self.found.candidates.setdefault(slot.target, []).append(Candidate(item, slot, part, item.stamp))

    def _counted(self, key: str, kind: str, raw: msgspec.Raw | bytes, head: Head) -> Item | None:
        """Give the item when its status and date let it count; None, noted, otherwise."""
        name = name_of(kind, head)
        if not _status_counts(name, head.status, self.notes):
            return None
        if head.modifierExtension:
            self.notes.add(name, "unknown-modifier: a modifierExtension may change its meaning")
            return None
        stamp, dated_by = when(head, raw, self.timezone)
        if stamp is not None and stamp.is_future(self.now):
            self.notes.add(name, "future-dated: more than 24 hours ahead")
            return None
        if head.subject is None or head.subject.reference is None:
            self.notes.add(name, "no-subject: used, since it came with this patient's data")
        item = Item(kind, name, key, raw, head, stamp, dated_by, dates.parse(head.issued, self.timezone))
        if dated_by == "issued":
            item.flags = ("issued-date",)
        return self._keep(item)

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
        if not carries:
            self._not_read.append(name)
            if kind == "Condition":
                self.found.by_reference[name] = raw  # a reason may refer to it
            return
        if head.modifierExtension:
            self.notes.add(name, "unknown-modifier: a modifierExtension may change its meaning")
            self.found.truncated.add(key)
            return
        if kind == "DiagnosticReport":
            self._report(key, name, head)
        item = self._keep(Item(kind, name, key, raw, head, issued=dates.parse(head.issued, self.timezone)))
        if item is not None and kind == "Medication":
            self.found.by_reference[name] = raw

    def _report(self, key: str, name: str, head: Head) -> None:
        """Results inside a report count like results beside it; those it only lists are looked for."""
        self._listed += [(name, result) for result in head.result or ()]
        if (head.status or "").strip() not in _REPORTED:
            return  # what a retracted or unfinished report holds is retracted or unfinished too; it is named later
        for raw in head.contained or ():
            try:
                inner = decode.head_of(raw)
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
        if kind == "Condition":
            return self._condition_carries(head)
        return self._drug_carries(head)

    def _drug_carries(self, head: Head) -> bool:
        """Tell whether a medication resource names a drug that rules know, or leaves it to a reference."""
        coded = head.medicationCodeableConcept
        if coded is None or coded == []:
            return True
        for coding in decode.codings(coded):
            code = codes.code_text(coding.code)
            if code and any(kinds & _DRUG_KINDS for _, kinds in self.table.lookup(coding.system or "", code)):
                return True
        for codeable in decode.codeables(coded):
            for said in (codeable.text, *(coding.display for coding in decode.codings(codeable))):
                if said:
                    known = self._drug_words.get(said)
                    if known is None:
                        known = self._drug_words[said] = bool(drugs.mentions(said))
                    if known:
                        return True
        return False

    def _condition_carries(self, head: Head) -> bool:
        for coding in decode.codings(head.code):
            code = codes.code_text(coding.code)
            if code and any("Condition" in kinds for _, kinds in self.table.lookup(coding.system or "", code)):
                return True
            if code and code[0] in "Cc" and self.table.is_icd10(coding.system):
                return True  # a malignancy of whatever kind
        for codeable in decode.codeables(head.code):
            for said in (codeable.text, *(coding.display for coding in decode.codings(codeable))):
                if said:
                    known = self._condition_words.get(said)
                    if known is None:
                        known = self._condition_words[said] = targets.mentions(said) or bool(
                            names.titled(said, "Condition")
                        )
                    if known:
                        return True
        return False

    def _keep(self, item: Item) -> Item | None:
        """Keep an item once: the same resource delivered twice counts once, of two versions the newer."""
        if not item.name.endswith(" without id"):
            known = self._items.get(item.name)
            if known is not None:
                if bytes(known.raw) == bytes(item.raw):
                    return None
                return self._newer(known, item)
            self._items[item.name] = item
        if item.kind not in {"Observation", "Patient"}:
            self._kept += 1
            if self._kept > READ_AT_MOST:
                raise TooManyEntriesError(
                    f"More than {READ_AT_MOST} resources to be read besides results; send fewer at a time."
                )
        self.found.items.setdefault(item.kind, []).append(item)
        return item

    def _newer(self, known: Item, item: Item) -> Item | None:
        self.notes.add(item.name, "delivered in two versions: the newer one is used")
        if _version(item.raw) <= _version(known.raw):
            return None
        self._items[item.name] = item
        self._replaced.add(item.name)
        self.found.items[item.kind].append(item)
        return item

    def _take_out_replaced(self) -> None:
        """Take out the versions that a newer one has replaced, all at once: there may be thousands."""
        if not self._replaced:
            return

        def stays(item: Item) -> bool:
            return item.name not in self._replaced or self._items[item.name] is item

        for items in self.found.items.values():
            items[:] = [item for item in items if stays(item)]
        for candidates in self.found.candidates.values():
            candidates[:] = [candidate for candidate in candidates if stays(candidate.item)]


_REPORTED = frozenset({"final", "amended", "corrected", "appended"})


def _has_masked_code(resource: Mapping[str, Any]) -> bool:
    """Tell whether the code of a resource is withheld by a data-absent-reason in its place."""
    for element in ("code", "_code", "medicationCodeableConcept", "_medicationCodeableConcept"):
        told = resource.get(element)
        if isinstance(told, dict) and not any(codes.code_text(one.get("code")) for one in codes.codings(told)):
            return '"masked"' in json.dumps(told, default=str)
    return False


_NAMED_ONLY: Mapping[str, str] = {
    "FamilyMemberHistory": "about the family: no fact of this patient",
    "RiskAssessment": "an estimate of risk or survival is no life expectancy: ask for it",
    "CarePlan": "a plan is no order and no treatment",
    "RequestGroup": "a plan is no order and no treatment",
    "Claim": "billing for payment: no fact of this patient",
    "ExplanationOfBenefit": "billing for payment: no fact of this patient",
}
"""Resource types that a reader may look for and that never state a fact, and why."""

_WHOLE = frozenset({"lesion", "variant", "tumor-size", "imaging"})
"""Topics whose components belong to the Observation and are no results of their own."""


def name_of(kind: str, head: Head) -> str:
    """Give `Type/id` of a resource, without letting odd characters of an id through."""
    number = codes.code_text(head.id)
    if not number:
        return f"{kind} without id"
    return _usual(f"{kind}/{number}")


def _usual(name: str) -> str:
    if _USUAL_NAME.match(name):
        return name
    kind, _, number = name.partition("/")
    if number in {"", "None"}:
        return f"{kind} without id"
    return f"{re.sub(r'[^A-Za-z]', '', kind)[:40]}/{re.sub(r'[^A-Za-z0-9._|-]', '_', number)[:64]}"


def is_patient(reference: str, patient_id: str) -> bool:
    """Tell whether a reference is to this patient: `Patient/x`, an address ending so, or a version of it."""
    text_of_reference = reference.strip().partition("/_history/")[0].rstrip("/")
    if text_of_reference == f"urn:uuid:{patient_id}":
        return True
    before, slash, number = text_of_reference.rpartition("/")
    return bool(slash) and number == patient_id and (before == "Patient" or before.endswith("/Patient"))


def relative(reference: str) -> str:
    """Give `Type/id` of a reference that may be an address or a version of one."""
    parts = reference.strip().partition("/_history/")[0].rstrip("/").split("/")
    return "/".join(parts[-2:])


_COUNTS = frozenset({"final", "amended", "corrected"})
_PENDING = frozenset({"registered", "preliminary"})


def _status_counts(name: str, status: str | None, notes: Notes) -> bool:
    told = (status or "").strip()
    if told in _COUNTS:
        return True
    if told in _PENDING:
        notes.add(name, f"status: {told}, pending")
    else:
        notes.add(name, f"status: {told if told in _KNOWN_STATUS else 'not one that counts'}")
    return False


_KNOWN_STATUS = frozenset({"entered-in-error", "cancelled", "unknown"})


def when(head: Head, raw: msgspec.Raw | bytes, timezone: dt.tzinfo) -> tuple[Stamp | None, str]:
    """Give when an Observation or report was true, and the element that told; None when nothing tells."""
    period = head.effectivePeriod
    told: list[tuple[str, str | None]] = [
        ("effectiveDateTime", head.effectiveDateTime),
        ("effectivePeriod.end", period.end if period else None),
        ("effectivePeriod.start", period.start if period else None),
        ("effectiveInstant", head.effectiveInstant),
    ]
    for element, value in told:
        if value and (stamp := dates.parse(value, timezone)) is not None:
            return stamp, element
    if head.specimen is not None and (head.specimen.reference or "").startswith("#"):
        collected = _collected(raw, str(head.specimen.reference)[1:], timezone)
        if collected is not None:
            return collected, "specimen.collection"
    stamp = dates.parse(head.issued, timezone)
    return stamp, "issued" if stamp else ""


def _collected(raw: msgspec.Raw | bytes, number: str, timezone: dt.tzinfo) -> Stamp | None:
    try:
        resource = decode.whole(raw)
    except ResourceFaultError:
        return None
    for specimen in decode.listed(resource.get("contained")):
        if specimen.get("id") == number:
            collection = specimen.get("collection")
            if isinstance(collection, dict):
                period = collection.get("collectedPeriod")
                ends = (period.get("end"), period.get("start")) if isinstance(period, dict) else ()
                for value in (collection.get("collectedDateTime"), *ends):
                    if (stamp := dates.parse(value, timezone)) is not None:
                        return stamp
    return None


def _version(raw: msgspec.Raw | bytes) -> tuple[str, bytes]:
    """Order two versions of one resource: by when they were last updated, then by their bytes."""
    try:
        meta = decode.whole(raw).get("meta")
    except ResourceFaultError:
        return "", bytes(raw)
    told = meta.get("lastUpdated") if isinstance(meta, dict) else None
    return told if isinstance(told, str) else "", bytes(raw)
