"""Procedures and service requests: radiotherapy and surgery of bone, dental work, dialysis, transplant, biopsy, MDT."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping import imaging
from fhir_mapping.delivery.items import relative
from fhir_mapping.places.laterality import (
    Place,
    one_side,
    place_of,
    place_of_structure,
    sides_beside,
    sides_in,
    sides_of_extensions,
)
from fhir_mapping.service_orders import fractionation, read_service
from fhir_mapping.terms import dates, dictionary, units
from fhir_mapping.terms.codes import HCPCS, texts_of
from fhir_mapping.terms.decode import is_number
from fhir_mapping.words import text
from recommenders.vocabulary.facts import Finding, stated
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
_BONE_SURGERY = frozenset(
    {
        "internal_fixation",
        "prophylactic_fixation_humerus",
        "spinal_decompression",
        "vertebroplasty",
        "kyphoplasty",
        "hip_replacement",
    }
)
_FIXATION = frozenset({"internal_fixation", "prophylactic_fixation_humerus"})
_SITE_OF_SURGERY = (
    (frozenset({"vertebroplasty", "kyphoplasty", "spinal_decompression"}), "spine"),
    (frozenset({"prophylactic_fixation_humerus"}), "humerus"),
    (frozenset({"hip_replacement"}), "femur-proximal"),
)
_SURGERY_TERMS = ("osteoplasty", "internal_fixation", "spinal_decompression")
_CANCER_CONCEPTS = text.compiled(
    r"cancer|metasta|myeloma|plasmacytoma|sarcoma|pathological_fracture(?!_osteo)|malignan"
)
_CANCER_WORDS = text.compiled(
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
        words: Mapping[str, text.Verdict],
        stamp: Stamp | None,
        radiotherapy: list[Event],
    ) -> bool:
        """Read one procedure; tell whether it was of any use (or was named with its reason)."""
        if concepts & _RADIOTHERAPY or words.get("radiotherapy") == "present":
            radiotherapy += self._radiotherapy(item, resource, stamp)
        elif concepts & _BONE_SURGERY or any(words.get(term) == "present" for term in _SURGERY_TERMS):
            self._surgery(item, resource, concepts, words, stamp)
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

    def _words(self, resource: Mapping[str, Any], *, known: bool) -> Mapping[str, text.Verdict]:
        """Words count only where no code is known."""
        if known:
            return {}
        return text.verdicts("; ".join(texts_of(resource.get("code"))))

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
                Event(site=place.site, side=place.side, dose_gy=dose, fractions=fractions, **common)
                for place, dose, fractions in volumes
                if place.is_bone
            ]
            if not found:
                self.notes.add(item.name, _no_bone([place.is_bone for place, _, _ in volumes]))
            return found
        places = self._body_sites(resource)
        if not places:
            places = [self._place_in_words("; ".join(texts_of(resource.get("code"))))]
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
            Event(
                site=place.site,
                side=place.side,
                dose_gy=dose if one else None,
                fractions=fractions if one else None,
                **common,
            )
            for place in distinct
        ]

    def _body_sites(self, resource: Mapping[str, Any]) -> list[Place]:
        """Give the places that a procedure names; a laterality on the procedure itself is that of its only site."""
        places = [place_of(place, self.context) for place in resource.get("bodySite", ())]
        own = sides_of_extensions(resource, self.context)
        if len(places) == 1 and places[0].side is None and own:
            return [replace(places[0], side=one_side(places[0].site, own))]
        return places

    def _place_in_words(self, said: str) -> Place:
        """Give the bone that free text names, with the side that stands beside it."""
        place = place_of({"text": said}, self.context)
        return replace(place, side=one_side(place.site, sides_beside(said, place.site or "")))

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
        if isinstance(shown, str):
            place = self._place_in_words(shown)
            if place.is_bone is not None:
                return place
        places = self._body_sites(resource)
        return places[0] if len(places) == 1 else Place()

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
            if any(text.verdict(said, "bone_metastasis") == "present" for said in texts_of(reason)):
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

    def _surgery(
        self,
        item: Item,
        resource: Mapping[str, Any],
        concepts: set[str],
        words: Mapping[str, text.Verdict],
        stamp: Stamp | None,
    ) -> None:
        """Surgery of bone for cancer, or within 30 days of a pathological fracture; for osteoarthritis it is none."""
        reasons = self._reasons(resource)
        for_cancer = any(self._is_cancer(reason) for reason in reasons)
        if not for_cancer and reasons:
            self.notes.add(item.name, "surgery of bone for another reason than cancer")
            return
        if not for_cancer and not self._near_fracture(stamp):
            self.notes.add(item.name, "surgery of bone without a cancer reason or a pathological fracture")
            return
        places = self._operated_places(resource, concepts)
        for place in places or [Place()]:
            self.events.append(
                Event(
                    type="bone-surgery",
                    date=stamp.day if stamp else None,
                    site=place.site,
                    side=place.side,
                    fixation=bool(concepts & _FIXATION) or words.get("internal_fixation") == "present",
                    resources=(item.name,),
                )
            )

    def _operated_places(self, resource: Mapping[str, Any], concepts: set[str]) -> list[Place]:
        """Give the bones that were operated on: by body site, else by words, by the code's name, or by its kind."""
        sited = [place for place in self._body_sites(resource) if place.is_bone and place.site != "bone"]
        said = texts_of(resource.get("code"))
        displays = [match.display for match in self.context.concepts(resource.get("code"))]
        named = [self._place_in_words(one) for one in (*said, *displays)]
        places = sited or [place for place in named if place.is_bone and place.site != "bone"][:1]
        names_no_bone = not places
        if names_no_bone:
            places = [Place(site, True) for kind, site in _SITE_OF_SURGERY if concepts & kind][:1]
        if len(places) == 1:
            site, side = places[0].site or "", places[0].side
            beside = frozenset().union(*(sides_beside(one, site) for one in said))
            if names_no_bone:
                # "left total hip replacement" names no bone: its only side is that of the bone
                beside = frozenset().union(*(sides_in(one) for one in said))
            told = beside | sides_of_extensions(resource, self.context) | ({side} if side else frozenset())
            places = [replace(places[0], side=one_side(site, told))]
        return list(dict.fromkeys(places))

    def _is_cancer(self, reason: object) -> bool:
        if any(_CANCER_CONCEPTS.search(match.concept) and not match.is_trap for match in self.context.concepts(reason)):
            return True
        return any(_CANCER_WORDS.search(text.fold(said)) for said in texts_of(reason))

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
            said = text.verdicts("; ".join(texts_of(resource.get("code"))))
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
            said = text.verdicts("; ".join(texts_of(resource.get("type"))))
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
    for event in sorted(
        events, key=lambda one: (one.site or "", one.side or "", one.date or dt.date.min, one.resources)
    ):
        last = found[-1] if found else None
        if (
            last is not None
            and (last.site, last.side) == (event.site, event.side)
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
