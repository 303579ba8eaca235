"""Procedures and service requests: radiotherapy and surgery of bone, dental work, dialysis, transplant, biopsy, MDT."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping import imaging
from fhir_mapping.delivery.items import relative
from fhir_mapping.places.operations import CONCEPTS as OPERATIONS
from fhir_mapping.places.operations import Operation, operation_of
from fhir_mapping.places.sites import NOWHERE, Place, body_sites, place_in, place_of_structure, places_in
from fhir_mapping.service_orders import fractionation, read_service
from fhir_mapping.terms import dates, dictionary, units
from fhir_mapping.terms.codes import HCPCS, texts_of
from fhir_mapping.terms.exact import is_number
from fhir_mapping.words import assertions
from fhir_mapping.words.fold import compiled, fold
from recommenders.vocabulary.facts import Finding, replace, stated
from recommenders.vocabulary.records import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fhir_mapping.conditions import ConditionReader
    from fhir_mapping.delivery.items import Item
    from fhir_mapping.observations import ObservationReader
    from fhir_mapping.terms.dates import Stamp

_DONE = frozenset({"completed", "in-progress"})
_RADIOTHERAPY = frozenset(
    {
        "radiotherapy_course",
        "radiation_therapy",
        "ebrt",
        "ebrt_photon",
        "ebrt_proton",
        "ebrt_electron",
        "ebrt_carbon_ion",
        "rt_stereotactic",
        "rt_technique_imrt",
        "rt_technique_vmat",
        "rt_technique_3d",
        "rt_technique_2d",
    }
)
_CANCER_CONCEPTS = compiled(r"cancer|metasta|myeloma|plasmacytoma|sarcoma|pathological_fracture(?!_osteo)|malignan")
_CANCER_WORDS = compiled(
    r"metasta|cancer|carcinoma|tumou?r|myeloma|sarcoma|malignan|patholog\w+ fracture|转移|癌|瘤|病理性骨折"
)
FRACTURE_DAYS = 30
DIALYSIS_DAYS = 60
COURSE_DAYS = 60


class ProcedureReader:
    """Reads procedures, service requests and encounters into the facts of an `ObservationReader`, and into events."""

    def __init__(self, reader: ObservationReader, conditions: ConditionReader) -> None:
        self.reader = reader
        self.context = reader.context
        self.notes = reader.notes
        self.conditions = conditions
        self.events: list[Event] = []
        self.billed: list[Item] = []
        """Procedures that bill a drug: they are for the reader of medications."""

    def bills(self, items: Iterable[Item]) -> None:
        """Set the procedures apart that bill a drug: doses are read before anything else."""
        for item in sorted(items, key=lambda one: one.name):
            resource = item.copy(self.context.timezone, self.notes)
            if resource is None:
                continue
            matches = self.context.concepts(resource.get("code"))
            if any(match.system == HCPCS for match in matches) and self._was_done(item, resource):
                self.billed.append(item)

    def procedures(self, items: Iterable[Item]) -> None:
        """Read all procedures that were done; planned ones are ServiceRequests."""
        radiotherapy: list[Event] = []
        for item in sorted(items, key=lambda one: one.name):
            resource = item.copy(self.context.timezone, self.notes)
            if resource is None or item in self.billed or not self._was_done(item, resource):
                continue
            matches = self.context.concepts(resource.get("code"))
            concepts = {match.concept for match in matches}
            for match in matches:
                if match.is_trap:
                    self.notes.add(item.name, "trap: recognised and rejected")
            words = self._words(resource, known=bool(concepts))
            stamp = self._when(resource)
            if not self._one(item, resource, concepts, words, stamp, radiotherapy):
                self.notes.add(item.name, "not read: no code that a rule uses")
        self.events += _courses_of_radiotherapy(radiotherapy)

    def _one(
        self,
        item: Item,
        resource: Mapping[str, Any],
        concepts: set[str],
        words: Mapping[str, assertions.Verdict],
        stamp: Stamp | None,
        radiotherapy: list[Event],
    ) -> bool:
        """Read one procedure; tell whether it was of any use (or was named with its reason)."""
        if concepts & _RADIOTHERAPY or words.get("radiotherapy") == "present":
            radiotherapy += self._radiotherapy(item, resource, stamp)
        elif (not concepts or concepts & OPERATIONS) and (done := operation_of(resource, self.context)) is not None:
            self._surgery(item, resource, done, stamp)
        elif "dental_consultation" in concepts or words.get("dental_exam") == "present":
            self.reader.offer_moment("dental.last_exam", item, stamp)
        elif concepts & {"tooth_extraction", "oral_surgery"}:
            self.notes.add(item.name, "a completed extraction is past: listed for healing time only")
        elif "dialysis_procedure" in concepts:
            self._dialysis(item, stamp)
        elif words.get("mdt") == "present":
            self.reader.offer_moment("mdt.last_date", item, stamp)
        elif words.get("bone_biopsy") == "present":
            blank = dictionary.blank_finding("bx.bone_done")
            day = stamp.day if stamp else None
            self.reader.changes["bx.bone_done"] = stated(blank, True, date=day, resources=(item.name,))
        elif any(concept.startswith(("stem_cell_transplant", "hdct")) for concept in concepts):
            self.notes.add(item.name, "a stem-cell transplant: hints at the phase after transplant, which is asked for")
        elif concepts & {"radiopharmaceutical_therapy", "brachytherapy_ra223", "palliative_care", "chemotherapy"}:
            self.notes.add(item.name, "recognised; it states no fact that a rule uses")
        else:
            return bool(concepts & _IMAGING) or imaging.of_bone(resource, self.reader) is not None
        return True

    def _was_done(self, item: Item, resource: Mapping[str, Any]) -> bool:
        status = str(resource.get("status") or "")
        if status not in _DONE:
            self.notes.add(item.name, f"status: {status if status in _KNOWN_STATUS else 'not one that counts'}")
            return False
        stamp = self._when(resource)
        if stamp is not None and stamp.is_future(self.context.now):
            self.notes.add(item.name, "future-dated: more than 24 hours ahead")
            return False
        if resource.get("subject") is None:
            self.notes.add(item.name, "no-subject: used, since it came with this patient's data")
        return True

    def _words(self, resource: Mapping[str, Any], *, known: bool) -> Mapping[str, assertions.Verdict]:
        """Words count only where no code is known."""
        if known:
            return {}
        return assertions.verdicts("; ".join(texts_of(resource.get("code"))))

    def _when(self, resource: Mapping[str, Any]) -> Stamp | None:
        period = resource.get("performedPeriod")
        ends = (period.get("end"), period.get("start")) if isinstance(period, dict) else (None, None)
        for told in (ends[0], resource.get("performedDateTime"), ends[1]):
            if (stamp := dates.parse(told, self.context.timezone)) is not None:
                return stamp
        return None

    def _start(self, resource: Mapping[str, Any]) -> Stamp | None:
        period = resource.get("performedPeriod")
        return dates.parse(period.get("start"), self.context.timezone) if isinstance(period, dict) else None

    # --- radiotherapy ---

    def _radiotherapy(self, item: Item, resource: Mapping[str, Any], stamp: Stamp | None) -> list[Event]:
        """One event per bone that was treated; radiotherapy of something else is none, without a site it is asked."""
        start = self._start(resource)
        common: dict[str, Any] = {
            "type": "bone-radiotherapy",
            "date": stamp.day if stamp else None,
            "start": start.day if start else None,
            "resources": (item.name,),
        }
        volumes = self._volumes(resource)
        if volumes:
            found = [
                Event(**place.parts, dose_gy=dose, fractions=fractions, **common)
                for place, dose, fractions in volumes
                if place.is_bone
            ]
            if not found:
                self.notes.add(item.name, _no_bone([place.is_bone for place, _, _ in volumes]))
            return found
        places = body_sites(resource, self.context)
        if not any(place.is_bone or place.is_bone is False for place in places):
            places = list(places_in("; ".join(texts_of(resource.get("code")))))
        bones = [place for place in places if place.is_bone]
        dose, fractions = self._told_dose(resource)
        if not bones and any(place.is_bone is False for place in places):
            self.notes.add(item.name, _no_bone([False]))
            return []
        if not bones and self._for_bone_metastasis(resource):
            bones = [Place("bone", True)]
        if not bones:
            self.notes.add(item.name, _no_bone([None]))
            return []
        distinct = tuple(dict.fromkeys(bones))
        one = len(distinct) == 1
        return [
            Event(**place.parts, dose_gy=dose if one else None, fractions=fractions if one else None, **common)
            for place in distinct
        ]

    def _volumes(self, resource: Mapping[str, Any]) -> list[tuple[Place, Decimal | None, int | None]]:
        """Give the place, dose in Gy and fractions of each volume of an mCODE course summary."""
        found = []
        for extension in resource.get("extension", ()):
            if not str(extension.get("url", "")).endswith("mcode-radiotherapy-dose-delivered-to-volume"):
                continue
            inner = {str(one.get("url", "")).rpartition("/")[2]: one for one in extension.get("extension", ())}
            place = self._volume_place(inner.get("volume", {}).get("valueReference"), resource)
            fractions = inner.get("fractionsDelivered", {})
            count = fractions.get("valueUnsignedInt", fractions.get("valuePositiveInt"))
            found.append((place, _gray(inner.get("totalDoseDelivered", {}).get("valueQuantity")), count))
        return found

    def _volume_place(self, reference: object, resource: Mapping[str, Any]) -> Place:
        told = reference.get("reference") if isinstance(reference, dict) else None
        structure = self.context.resolve(told, resource) if isinstance(told, str) else None
        if structure is not None:
            place = place_of_structure(structure, self.context)
            if place.is_bone is not None:
                return place
        shown = reference.get("display") if isinstance(reference, dict) else None
        if isinstance(shown, str) and (place := place_in(shown)).is_bone is not None:
            return place
        places = body_sites(resource, self.context)
        return places[0] if len(places) == 1 else NOWHERE

    def _told_dose(self, resource: Mapping[str, Any]) -> tuple[Decimal | None, int | None]:
        said = [*texts_of(resource.get("code")), *(str(note.get("text")) for note in resource.get("note", ()))]
        dose, fractions = fractionation("; ".join(said))
        for extension in resource.get("extension", ()):
            if str(extension.get("url", "")).endswith("mcode-radiotherapy-sessions") and fractions is None:
                count = extension.get("valueUnsignedInt", extension.get("valuePositiveInt"))
                fractions = count if isinstance(count, int) and not isinstance(count, bool) else None
        return dose, fractions

    def _for_bone_metastasis(self, resource: Mapping[str, Any]) -> bool:
        for reason in self._reasons(resource):
            if {"bone_metastasis", "bone_metastasis_child"} & {
                match.concept for match in self.context.concepts(reason)
            }:
                return True
            if any(assertions.verdict(said, "bone_metastasis") == "present" for said in texts_of(reason)):
                return True
        return False

    def _reasons(self, resource: Mapping[str, Any]) -> list[Any]:
        found = list(resource.get("reasonCode", ()))
        for reference in resource.get("reasonReference", ()):
            told = reference.get("reference")
            condition = self.context.resolve(told, resource) if isinstance(told, str) else None
            if condition is not None:
                found.append(condition.get("code"))
            known = [
                one for one in self.conditions.diagnoses if isinstance(told, str) and one.item.name == relative(told)
            ]
            found += [one.resource.get("code") for one in known if condition is None]
            if isinstance(reference.get("display"), str):
                found.append({"text": reference["display"]})
        return found

    # --- surgery ---

    def _surgery(self, item: Item, resource: Mapping[str, Any], done: Operation, stamp: Stamp | None) -> None:
        """
        An operation on bone; a skeletal-related event only for cancer, or within 30 days of a pathological fracture.

        Whatever the reason, the bone was operated on: what asked for it is dealt with.
        """
        reasons = self._reasons(resource)
        for_cancer = any(self._is_cancer(reason) for reason in (*reasons, resource.get("code")))
        is_event = for_cancer or (not reasons and self._near_fracture(stamp))
        if not is_event:
            why = "for another reason than cancer" if reasons else "without a cancer reason or a pathological fracture"
            self.notes.add(item.name, f"surgery of bone {why}: an operation, no skeletal-related event")
        for place in done.places or (NOWHERE,):
            self.events.append(
                Event(
                    type="bone-surgery",
                    date=stamp.day if stamp else None,
                    fixation=done.fixation,
                    is_sre=is_event,
                    resources=(item.name,),
                    **place.parts,
                )
            )

    def _is_cancer(self, reason: object) -> bool:
        if any(_CANCER_CONCEPTS.search(match.concept) and not match.is_trap for match in self.context.concepts(reason)):
            return True
        return any(_CANCER_WORDS.search(fold(said)) for said in texts_of(reason))

    def _near_fracture(self, stamp: Stamp | None) -> bool:
        days = [event.date for event in self.conditions.events if event.type == "pathological-fracture" and event.date]
        return stamp is not None and any(abs((stamp.day - day).days) <= FRACTURE_DAYS for day in days)

    def _dialysis(self, item: Item, stamp: Stamp | None) -> None:
        if stamp is None or (self.context.today - stamp.day).days > DIALYSIS_DAYS:
            self.notes.add(item.name, "dialysis more than 60 days ago, or without a date")
            return
        blank = dictionary.blank_finding("other.dialysis")
        self.reader.changes["other.dialysis"] = stated(blank, True, date=stamp.day, resources=(item.name,))

    # --- requests and encounters ---

    def requests(self, items: Iterable[Item]) -> list[Mapping[str, Any]]:
        """Read service requests; give those that stand, for the reader of medications (radionuclides)."""
        standing: list[Mapping[str, Any]] = []
        for item in sorted(items, key=lambda one: one.name):
            resource = item.copy(self.context.timezone, self.notes)
            if resource is None:
                continue
            status = str(resource.get("status") or "")
            if status not in {"active", "on-hold"} or resource.get("doNotPerform") is True:
                reason = "doNotPerform" if resource.get("doNotPerform") is True else f"status: {status or 'none'}"
                self.notes.add(item.name, f"{reason}, not a plan that stands")
                continue
            standing.append(resource)
            order = read_service(resource, context=self.context)
            concepts = {match.concept for match in self.context.concepts(resource.get("code"))}
            said = assertions.verdicts("; ".join(texts_of(resource.get("code"))))
            authored = dates.parse(resource.get("authoredOn"), self.context.timezone)
            day = authored.day if authored else None
            if "invasive-dental" in order.kinds:
                self._plan("dental.invasive_planned", item, day)
            elif any(one.startswith(("stem_cell_transplant", "hdct")) for one in concepts) or (
                not concepts and said.get("stem_cell_transplant") == "present"
            ):
                self._plan("mm.transplant_planned", item, day)
            elif "palliative_care" in concepts:
                self.notes.add(item.name, "limited prognosis documented without a number: ask for it")
            elif "radionuclide" not in order.kinds:
                self.notes.add(item.name, "an order that stands: no result yet, no fact that a rule uses")
        return standing

    def _plan(self, path: str, item: Item, day: dt.date | None) -> None:
        blank = dictionary.blank_finding(path)
        known = self.reader.changes.get(path)
        names = known.resources if isinstance(known, Finding) and known.value is True else ()
        self.reader.changes[path] = stated(blank, True, date=day, resources=(*names, item.name))

    def encounters(self, items: Iterable[Item]) -> None:
        """A finished encounter may be a dental examination or a tumour board."""
        for item in sorted(items, key=lambda one: one.name):
            resource = item.copy(self.context.timezone, self.notes)
            if resource is None:
                continue
            said = assertions.verdicts("; ".join(texts_of(resource.get("type"))))
            period = resource.get("period")
            stamp = dates.parse(period.get("start"), self.context.timezone) if isinstance(period, dict) else None
            path = next((fact for term, fact in _ENCOUNTERS if said.get(term) == "present"), None)
            if path is None or resource.get("status") != "finished":
                self.notes.add(item.name, "not read: no code that a rule uses")
            elif stamp is not None and not stamp.is_future(self.context.now):
                self.reader.offer_moment(path, item, stamp)


_ENCOUNTERS = (("dental_exam", "dental.last_exam"), ("mdt", "mdt.last_date"))
_KNOWN_STATUS = frozenset({"entered-in-error", "not-done", "preparation", "on-hold", "stopped", "unknown"})
_IMAGING = frozenset({"pet_ct", "pet_ct_fdg", "pet_whole_body", "mri_whole_body", "mri_spine", "ct_spine", "bone_scan"})


def _no_bone(told: Sequence[bool | None]) -> str:
    if any(one is False for one in told):
        return "radiotherapy of something else than bone"
    return "radiotherapy without a site: ask whether bone was treated"


def _gray(quantity: object) -> Decimal | None:
    if not isinstance(quantity, dict) or not is_number(quantity.get("value")):
        return None
    unit = units.ucum(quantity)
    found = units.convert(Decimal(str(quantity["value"])), unit, "Gy", "radiotherapy_dose")
    return found.value if found else None


def _courses_of_radiotherapy(events: Sequence[Event]) -> list[Event]:
    """Codes of delivery repeat with each fraction: undosed ones of one site within 60 days are one course."""
    found: list[Event] = []
    for event in sorted(events, key=lambda one: (one.bone.key, one.date or dt.date.min, one.resources)):
        last = found[-1] if found else None
        if (
            last is not None
            and last.bone == event.bone
            and last.dose_gy is None
            and event.dose_gy is None
            and last.date is not None
            and event.date is not None
            and (event.date - last.date).days <= COURSE_DAYS
        ):
            start = last.start or last.date
            found[-1] = replace(last, date=event.date, start=start, resources=(*last.resources, *event.resources))
        else:
            found.append(event)
    return found
