"""Conditions into diagnoses: confirmed, refuted, suspected or history, from code, extension and words."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping.elements import tumours
from fhir_mapping.elements.diagnosis import Diagnosis, read_diagnosis
from fhir_mapping.elements.plasma_cells import MM, PlasmaCells
from fhir_mapping.elements.statements import Statement, says, settle
from fhir_mapping.elements.tumours import DOUBTS, EVER_MALIGNANT, METASTATIC, ORGAN_TERMS
from fhir_mapping.places.laterality import one_side, sides_in, sides_of_extensions
from fhir_mapping.places.sites import NOWHERE, Place, body_sites, place_of, places_in
from fhir_mapping.terms import dates, dictionary
from fhir_mapping.terms.codes import ICD10_CM, texts_of
from fhir_mapping.words import assertions
from fhir_mapping.words.fold import fold
from recommenders.vocabulary.bones import same_bone, same_site
from recommenders.vocabulary.facts import Fact, Finding, Reading, exactly, replace, stated
from recommenders.vocabulary.records import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.delivery.items import Item
    from fhir_mapping.delivery.notes import Notes
    from fhir_mapping.terms.dates import Stamp
    from fhir_mapping.terms.dictionary import DiagnosisRule


class ConditionReader:
    """Reads all Conditions of a patient; the answers gather in `changes` and `events`."""

    def __init__(
        self, items: Iterable[Item], context: ReadingContext, notes: Notes, *, born: Stamp | None = None
    ) -> None:
        self.context = context
        self.notes = notes
        self.changes: dict[str, Fact] = {}
        self.events: list[Event] = []
        self.diagnoses: list[Diagnosis] = [
            found
            for item in sorted(items, key=lambda one: one.name)
            if (found := read_diagnosis(item, context, notes, born=born)) is not None
        ]
        self._used: set[str] = set()
        self._fractured: list[Diagnosis] = []

    def read(self, marrow: Reading, m_protein: Reading) -> None:
        """Read every fact; `marrow` and `m_protein` decide whether D47.2 can be MGUS."""
        for rule in dictionary.DIAGNOSES:
            if rule.fact in _SPECIAL:
                continue
            self._settle(rule)
        family = PlasmaCells(self.context, self.notes)
        family.read(self.diagnoses, marrow, m_protein)
        self.changes |= family.changes
        self._used |= family.used
        self._fractures()
        self._cord()
        self._metastases()
        self._histology()
        self._sarcoma_subtype()
        self._jaw()
        self._distress()
        self._pregnancy()
        self._encephalopathy()
        self._plasmacytoma()
        self._history()
        self._malignancy()
        self._hypercalcaemia()
        self._ecog()
        self._name_unused()

    def _settle(self, rule: DiagnosisRule) -> Finding | None:
        statements = self._statements(rule)
        settled = settle(rule, statements, self.context)
        if settled is not None:
            self.changes[rule.fact] = settled
        return settled

    def _statements(self, rule: DiagnosisRule) -> list[Statement]:
        statements = [found for one in self.diagnoses if (found := says(rule, one)) is not None]
        for statement in statements:
            self._use(statement.diagnosis)
        return statements

    def _use(self, diagnosis: Diagnosis) -> None:
        self._used.add(diagnosis.item.name)

    def is_true(self, path: str) -> bool:
        """Tell whether a diagnosis is documented."""
        fact = self.changes.get(path)
        return isinstance(fact, Finding) and fact.value is True

    # --- fracture and cord ---

    def _fractures(self) -> None:
        rule = next(one for one in dictionary.DIAGNOSES if one.fact == "pathological_fracture.current")
        statements: list[Statement] = []
        for one in self.diagnoses:
            found = says(rule, one)
            if found is None:
                continue
            self._use(one)
            if found.says == "present" and _is_sequela(one):
                self.notes.add(one.item.name, "sequela of a fracture: history")
                found = Statement("historical", one, found.from_text)
            statements.append(found)
            if found.says in {"present", "historical"}:
                self._event("pathological-fracture", one, active=found.says == "present")
        settled = settle(rule, statements, self.context)
        if settled is None:
            return
        self.changes[rule.fact] = settled
        if settled.value is True:
            self._fractured = [one.diagnosis for one in statements if one.says == "present"]

    def choose_fracture(self, procedures: Sequence[Event]) -> None:
        """
        Name bone and side of the current fracture: of several the newest, one that was not operated on before others.

        `procedures` are the events of surgery.
        """
        current = self.changes.get("pathological_fracture.current")
        if not self._fractured or current is None:
            return
        newest = max(
            self._fractured,
            key=lambda one: (not self._was_operated(one, procedures), dates.order(one.since), one.item.name),
        )
        place = self.place_of(newest)
        common: dict[str, Any] = {"date": current.date, "resources": (newest.item.name,)}
        for part, word in (("bone", place.site), ("side", place.side), ("level", place.level)):
            if word is not None:
                path = f"pathological_fracture.{part}"
                self.changes[path] = stated(dictionary.blank_finding(path), word, **common)
        for one in self._fractured:
            other = self.place_of(one)
            if one is not newest and other.bone != place.bone:
                self.notes.add(one.item.name, "another current fracture: only one is judged, see the other one")

    def _was_operated(self, one: Diagnosis, procedures: Sequence[Event]) -> bool:
        place, since = self.place_of(one), one.since
        return any(
            event.type == "bone-surgery"
            and event.date is not None
            and (since is None or event.date >= since.day)
            and same_bone(event.bone, place.bone) is True
            for event in procedures
        )

    def _cord(self) -> None:
        """A cord or cauda compression is an event, a nerve compression and a deficit; undated, it counts as now."""
        for rule in dictionary.DIAGNOSES:
            if rule.fact in {"clin.nerve_compression", "spine.neuro_deficit"}:
                found = self._settle(rule)
                if found is not None and found.value is True and found.date is None and rule.yes_only:
                    self.changes[rule.fact] = replace(
                        found, date=self.context.today, flags=(*found.flags, "date-not-told")
                    )
        rule = next(one for one in dictionary.DIAGNOSES if one.fact == "spine.neuro_deficit")
        for one in self.diagnoses:
            statement = says(rule, one)
            if statement is None or one.concepts & rule.concepts == {"paraplegia"}:
                continue  # a paraplegia alone does not tell what caused it
            if statement.says in {"present", "historical"}:
                self._event("spinal-cord-compression", one, active=statement.says == "present")

    def _event(self, kind: Any, one: Diagnosis, *, active: bool) -> None:  # noqa: ANN401 - one of Event's types
        since, place = one.since, self.place_of(one)
        self.events.append(
            Event(
                type=kind,
                date=since.day if since else None,
                active=active,
                resources=(one.item.name,),
                **place.parts,
            )
        )

    def site_of(self, one: Diagnosis) -> str | None:
        """Give the lesion site of a Condition: its body site, else what its code or words name."""
        return self.place_of(one).site

    def place_of(self, one: Diagnosis) -> Place:
        """Give the bone of a Condition: of its body site, of its code, of its words; no side when two are told."""
        place = self._told_place(one)
        if place.site is None:
            return NOWHERE
        told = {side for side in (place.side,) if side is not None}
        told |= {other.side for other in body_sites(one.resource, self.context) if _at(other, place) and other.side}
        told |= sides_of_extensions(one.resource, self.context)
        told |= {side for name in self._names_of(one) for side in sides_in(name)}
        told |= {other.side for said in one.words for other in places_in(said) if _at(other, place) and other.side}
        return Place(place.site, True, one_side(place.site, told), place.level)

    def _told_place(self, one: Diagnosis) -> Place:
        for place in body_sites(one.resource, self.context):
            if place.is_bone:
                return place
        named = [
            place
            for said in (*self._names_of(one), *one.words)
            for place in places_in(_without_generic(said))
            if place.is_bone and place.site != "bone"
        ]
        first = next(iter(named), NOWHERE)
        # the code says "spine", the words say which vertebra
        exact = next((place for place in named if place.level is not None and same_site(place.site, first.site)), None)
        return exact if exact is not None and first.level is None else first

    def _names_of(self, one: Diagnosis) -> list[str]:
        """Give what the codes of a Condition are called; a later encounter's fracture code is called as the first's."""
        names: list[str] = []
        for match in one.matches:
            names += [match.display, match.sent_display]
            if match.system == ICD10_CM and match.code.startswith("M84"):
                first_visit = re.sub(r"[A-Z]$", "A", match.code[1:]) if len(match.code) > 6 else match.code[1:]
                twin = self.context.concepts({"coding": [{"system": ICD10_CM, "code": f"M{first_visit}"}]}, "Condition")
                names += [found.display for found in twin]
        return names

    # --- metastases, histology ---

    def _metastases(self) -> None:  # noqa: C901 - one pass over the conditions, each kind of metastasis in its line
        sure: dict[str, list[str]] = {}
        maybe: set[str] = set()
        metastatic: list[Diagnosis] = []
        for one in self.diagnoses:
            if one.state == "history" or one.state == "refuted":
                continue
            organs = tumours.organs(one)
            if organs:
                self._use(one)
            doubtful = (
                one.state == "suspected"
                or one.reported
                or any(one.spoken.get(term) in DOUBTS for term in ("bone_metastasis", *ORGAN_TERMS))
            )
            if "metastasis_elsewhere" in one.concepts:
                maybe.update(match.code for match in one.matches if match.concept == "metastasis_elsewhere")
            for organ in organs:
                if doubtful:
                    maybe.add(organ)
                else:
                    sure.setdefault(organ, []).append(one.item.name)
            if not doubtful and (one.concepts & METASTATIC or organs or tumours.at_stage_iv(one)):
                metastatic.append(one)
                self._use(one)
        blank = dictionary.blank_reading("dx.visceral_met_organs")
        names = tuple(sorted({name for listed in sure.values() for name in listed}))
        whole = "conditions" in self.context.delivered and "conditions" not in self.context.truncated
        least, most = Decimal(len(sure)), Decimal(len(sure) + len(maybe - set(sure)))
        if whole and least == most:
            self.changes["dx.visceral_met_organs"] = exactly(blank, least, resources=names, date=self.context.today)
        elif sure or maybe:
            self.changes["dx.visceral_met_organs"] = replace(
                blank,
                low=least,
                high=most if whole else Decimal(100),
                reason=None,
                resources=names,
                date=self.context.today,
            )
        bone = self.changes.get("dx.bone_met")
        if metastatic or (isinstance(bone, Finding) and bone.value is True):
            found = tuple(
                dict.fromkeys(
                    [one.item.name for one in metastatic]
                    + list(bone.resources if isinstance(bone, Finding) and bone.is_known else ())
                )
            )
            self.changes["dx.metastatic"] = stated(dictionary.blank_finding("dx.metastatic"), True, resources=found)
        self._stated_extent()

    def _stated_extent(self) -> None:
        """Words like "multiple" or "diffuse" beside a bone metastasis."""
        rule = next(one for one in dictionary.DIAGNOSES if one.fact == "dx.bone_met")
        for one in self.diagnoses:
            statement = says(rule, one)
            if statement is None or statement.says != "present":
                continue
            said = " ".join((*one.words, *(note.get("text", "") for note in one.resource.get("note", ()))))
            rest = re.sub(r"multiple myeloma|多发性骨髓瘤", "", fold(said))
            for term, path in (("multiple", "dx.multiple_stated"), ("diffuse", "dx.diffuse_metastases")):
                if assertions.verdict(rest, term) == "present":
                    self.changes[path] = stated(
                        dictionary.blank_finding(path),
                        True,
                        resources=(one.item.name,),
                        date=one.recorded.day if one.recorded else None,
                        flags=("from-text",),
                    )

    def _histology(self) -> None:
        rule = next(one for one in dictionary.DIAGNOSES if one.fact == "dx.lung_cancer")
        found: dict[str, list[str]] = {}
        for one in self.diagnoses:
            statement = says(rule, one)
            if statement is None or statement.says not in {"present", "suspected"}:
                continue
            word = tumours.lung_histology(one)
            if word is not None:
                found.setdefault(word, []).append(one.item.name)
        if len(found) > 1:
            found = tumours.more_telling(found)
        self._set_word("dx.lung_histology", found)

    def take_histology(self, diagnosis: Diagnosis, value: object, name: str) -> bool:
        """Take a histology Observation about one Condition, where the Condition itself tells none."""
        found = self.context.concepts(value)
        diagnosis.matches = (*diagnosis.matches, *found)
        diagnosis.concepts = diagnosis.concepts | {match.concept for match in found if not match.is_trap}
        known = self.changes.get("dx.lung_histology")
        if (known is None or not known.is_known) and "dx.lung_cancer" in self.changes:
            self._histology()
            now = self.changes.get("dx.lung_histology")
            if isinstance(now, Finding) and now.is_known:
                self.changes["dx.lung_histology"] = replace(now, resources=(*now.resources, name))
                return True
        return False

    def _sarcoma_subtype(self) -> None:
        """C49 alone tells no subtype; C48.0 and C47 tell no sarcoma without histology or words."""
        rule = next(one for one in dictionary.DIAGNOSES if one.fact == "dx.sts")
        for one in self.diagnoses:
            codes = {match.code for match in one.matches if match.concept == "soft_tissue_sarcoma"}
            if codes and all(code.startswith("C48") for code in codes) and not tumours.names_sarcoma(one):
                one.concepts = (one.concepts - {"soft_tissue_sarcoma"}) | {"other_solid_cancer"}
        self._settle(rule)
        self._settle(next(one for one in dictionary.DIAGNOSES if one.fact == "dx.other_solid_cancer"))
        found: dict[str, list[str]] = {}
        for one in self.diagnoses:
            statement = says(rule, one)
            if statement is not None and statement.says == "present" and (word := tumours.subtype(one)) is not None:
                found.setdefault(word, []).append(one.item.name)
        self._set_word("dx.sts_subtype", found)

    def _set_word(self, fact: str, found: Mapping[str, Sequence[str]]) -> None:
        """Set a fact to the one word that was found (word -> resources); of several none counts."""
        blank = dictionary.blank_finding(fact)
        names = tuple(name for listed in found.values() for name in listed)
        if len(found) == 1:
            self.changes[fact] = stated(blank, next(iter(found)), resources=names)
        elif found:
            self.changes[fact] = replace(blank, reason="contradictory", resources=names)

    # --- jaw, mind, pregnancy, history ---

    def _jaw(self) -> None:
        best: tuple[int, Diagnosis] | None = None
        refuted: list[Diagnosis] = []
        for one in self.diagnoses:
            degree = _jaw_degree(one, self.context)
            if degree is None:
                continue
            self._use(one)
            if one.state == "refuted":
                refuted.append(one)
            elif one.state != "history" and (best is None or (degree, one.item.name) > (best[0], best[1].item.name)):
                best = (degree, one)
        blank = dictionary.blank_finding("onj.status")
        if best is not None:
            degree, one = best
            later_no = [no for no in refuted if no.recorded and one.recorded and no.recorded.day > one.recorded.day]
            if later_no:
                return
            self.changes["onj.status"] = stated(
                blank,
                "confirmed" if degree == 2 else "suspected",
                date=one.recorded.day if one.recorded else None,
                resources=(one.item.name,),
            )

    def _distress(self) -> None:
        blank = dictionary.blank_finding("psych.distress")
        ill = [one for one in self.diagnoses if one.concepts & {"depression", "anxiety", "adjustment_disorder"}]
        uneasy = [one for one in self.diagnoses if "distress" in one.concepts]
        for listed, word in ((ill, "clinical-diagnosis"), (uneasy, "present-subclinical")):
            standing = [one for one in listed if one.state == "current"]
            for one in listed:
                self._use(one)
            if not standing:
                if any(one.state == "suspected" for one in listed):
                    self.changes["psych.distress"] = replace(blank, value=None, reason="suspected")
                continue
            stamps = [one.recorded or one.onset for one in standing]
            fresh = [stamp is None or (self.context.today - stamp.day).days <= _DISTRESS_DAYS for stamp in stamps]
            day = max((stamp.day for stamp in stamps if stamp), default=None)
            names = tuple(one.item.name for one in standing)
            if any(fresh):
                self.changes["psych.distress"] = stated(blank, word, date=day, resources=names)
                return
            self.changes["psych.distress"] = replace(blank, value=None, reason="stale", date=day, resources=names)

    def _pregnancy(self) -> None:
        blank = dictionary.blank_finding("patient.pregnant")
        for one in self.diagnoses:
            term = one.spoken.get("pregnancy") if not one.concepts else None
            if "pregnancy" not in one.concepts and term not in {"present", "suspected"}:
                continue
            self._use(one)
            stamp = one.recorded or one.onset
            if one.state == "current" and (stamp is None or (self.context.today - stamp.day).days <= PREGNANCY_DAYS):
                doubtful = term == "suspected"
                self.changes["patient.pregnant"] = replace(
                    blank,
                    value=None if doubtful else True,
                    reason="suspected" if doubtful else None,
                    date=stamp.day if stamp else None,
                    resources=(one.item.name,),
                )
            elif one.state == "current":
                self.changes.setdefault("patient.pregnant", replace(blank, reason="stale", resources=(one.item.name,)))

    def _plasmacytoma(self) -> None:
        """A plasmacytoma that stands and whose evidence is pathology was proven by biopsy."""
        rule = next(one for one in dictionary.DIAGNOSES if one.fact == "dx.plasmacytoma")
        for one in self.diagnoses:
            statement = says(rule, one)
            if statement is None or statement.says != "present" or not self._has_pathology(one):
                continue
            stamp = one.recorded or one.onset
            blank = dictionary.blank_finding("mm.plasmacytoma_biopsy")
            day = stamp.day if stamp else None
            self.changes["mm.plasmacytoma_biopsy"] = stated(blank, True, date=day, resources=(one.item.name,))

    def _has_pathology(self, one: Diagnosis) -> bool:
        said: list[str] = []
        for evidence in one.resource.get("evidence", ()):
            said += [name for coded in evidence.get("code", ()) for name in texts_of(coded)]
            for detail in evidence.get("detail", ()):
                said.append(str(detail.get("display") or ""))
                found = self.context.resolve(str(detail.get("reference") or "#"), one.resource) or {}
                said += texts_of(found.get("code"))
        return any(assertions.verdict(name, "pathology") == "present" for name in said)

    def _encephalopathy(self) -> None:
        for one in self.diagnoses:
            said = one.spoken.get("ifosfamide_encephalopathy")
            if said is None or one.state == "refuted":
                continue
            self._use(one)
            blank = dictionary.blank_finding("ever.ifosfamide_encephalopathy")
            if said == "suspected" or one.state == "suspected":
                self.changes.setdefault(
                    "ever.ifosfamide_encephalopathy",
                    replace(blank, value=None, reason="suspected", resources=(one.item.name,)),
                )
            elif said in {"present", "historical"}:
                self.changes["ever.ifosfamide_encephalopathy"] = stated(
                    blank, True, resources=(one.item.name,), flags=("from-text",)
                )

    def _history(self) -> None:
        malignant = {"dx.mm", *(rule.fact for rule in dictionary.DIAGNOSES if rule.malignant)}
        names: list[str] = []
        for one in self.diagnoses:
            if one.state == "refuted" or one.state == "suspected" or tumours.is_doubted(one):
                continue
            concepts = {match.concept for match in one.matches}
            spoken = any(
                (claim := says(rule, one, remission_counts=True)) is not None
                and claim.says in {"present", "historical"}
                for rule in (*dictionary.DIAGNOSES, MM)
                if rule.fact in malignant
            )
            if concepts & EVER_MALIGNANT or spoken:
                names.append(one.item.name)
                self._use(one)
        if names:
            blank = dictionary.blank_finding("ever.malignancy")
            self.changes["ever.malignancy"] = stated(blank, True, resources=tuple(names))

    def _malignancy(self) -> None:
        """Any active malignancy, a metastasis included; in situ, a history and the family are none."""
        blank = dictionary.blank_finding("dx.any_cancer")
        told = [(one, tumours.is_cancer(one, self.context)) for one in self.diagnoses]
        sure = tuple(one.item.name for one, answer in told if answer is True)
        maybe = tuple(one.item.name for one, answer in told if answer is None)
        for name in (*sure, *maybe):
            self._used.add(name)
        if sure:
            self.changes["dx.any_cancer"] = stated(blank, True, resources=sure)
        elif maybe:
            self.changes["dx.any_cancer"] = replace(blank, value=None, reason="suspected", resources=maybe)

    def _hypercalcaemia(self) -> None:
        """A hypercalcaemia is one of malignancy when an active malignancy stands beside it."""
        rule = next(one for one in dictionary.DIAGNOSES if one.fact == "dx.hypercalcaemia_malignancy")
        statements = self._statements(rule)
        settled = settle(rule, statements, self.context)
        if settled is None:
            return
        own = dictionary.blank_finding("clin.hypercalcaemia")
        self.changes["clin.hypercalcaemia"] = replace(settled, name=own.name)
        malignancy = self.is_true("dx.any_cancer")
        if malignancy or settled.value is None:
            self.changes[rule.fact] = settled
        if malignancy:
            for statement in statements:
                if statement.says in {"present", "historical"}:
                    self._event("hypercalcaemia", statement.diagnosis, active=statement.says == "present")

    def _ecog(self) -> None:
        """Some charts keep the ECOG grade as a finding on the problem list: the code itself is the grade."""
        graded: list[tuple[dt.date, str, Diagnosis]] = []
        for one in self.diagnoses:
            grades = sorted(concept[-1] for concept in one.concepts if concept.startswith("ecog_answer_"))
            if len(grades) == 1 and one.state == "current":
                self._use(one)
                stamp = one.recorded or one.onset
                graded.append((stamp.day if stamp else dt.date.min, grades[0], one))
        if graded:
            day, grade, one = max(graded, key=lambda found: (found[0], found[1]))
            self.changes["status.ecog"] = exactly(
                dictionary.blank_reading("status.ecog"),
                Decimal(grade),
                date=day if day != dt.date.min else None,
                resources=(one.item.name,),
            )

    def _name_unused(self) -> None:
        for one in self.diagnoses:
            if one.item.name in self._used:
                continue
            if one.concepts & {"limited_prognosis", "palliative_care_encounter"}:
                self.notes.add(one.item.name, "limited prognosis documented without a number: ask for it")
            elif not one.is_trap:
                self.notes.add(one.item.name, "recognised; it states no fact that a rule uses")


_SPECIAL = frozenset(
    {
        "pathological_fracture.current",
        "clin.nerve_compression",
        "spine.neuro_deficit",
        "dx.hypercalcaemia_malignancy",
        "dx.sts",
        "dx.other_solid_cancer",
    }
)
_DISTRESS_DAYS = 730
PREGNANCY_DAYS = 280
"""40 weeks."""
_FOLDED_GENERIC = re.compile(
    r"secondary malignant neoplasm of bone(?: and bone marrow)?\b|\bbone structure\b", re.IGNORECASE
)


def _without_generic(said: str) -> str:
    return _FOLDED_GENERIC.sub("", said)


def _is_sequela(one: Diagnosis) -> bool:
    """The seventh character of an ICD-10-CM fracture code is S for what is left of an old one."""
    codes = [match.code.replace(".", "") for match in one.matches if match.concept.startswith("pathological_fracture")]
    return any(len(code) == 7 and code.endswith("S") for code in codes)


def _jaw_degree(one: Diagnosis, context: ReadingContext) -> int | None:
    """Give 2 for a jaw osteonecrosis that is told as such, 1 for what may be one, None for anything else."""
    degree: int | None = None
    for match in one.matches:
        if match.concept == "osteonecrosis_jaw":
            degree = 2
        elif match.concept == "jaw_inflammatory_condition":
            degree = max(degree or 0, 1)
        elif match.concept == "avascular_necrosis_bone":
            sites = [place_of(place, context).site for place in one.resource.get("bodySite", ())]
            elsewhere = [site for site in sites if site not in {None, "skull", "bone"}]
            if not elsewhere and not re.search(r"hip|femor|股骨|knee|膝", fold(" ".join(one.words))):
                degree = max(degree or 0, 1)
    said = one.spoken.get("osteonecrosis_jaw")
    if one.concepts & _NECROSIS and _names_jaw(one, context):
        degree = 2  # a code of necrosis tells no bone, or another; its words or body site do
    elif said == "present" and not one.concepts - _NECROSIS - {"osteonecrosis_jaw"}:
        degree = 2
    elif said == "suspected":
        degree = 1
    if degree == 2 and (one.state == "suspected" or said == "suspected"):
        degree = 1
    return degree


_NECROSIS = frozenset({"avascular_necrosis_bone", "osteonecrosis_drug_induced_other"})
_JAW_SITES = frozenset({"site_mandible", "site_maxilla"})


def _names_jaw(one: Diagnosis, context: ReadingContext) -> bool:
    """Tell whether the words or the body site of a Condition name the jaw."""
    if one.spoken.get("jaw_word") == "present":
        return True
    sites = list(one.resource.get("bodySite", ()))
    return any(match.concept in _JAW_SITES for site in sites for match in context.concepts(site)) or any(
        assertions.verdict(said, "jaw_word") == "present" for said in texts_of(sites)
    )


def _at(one: Place, other: Place) -> bool:
    return one.is_bone is True and same_site(one.site, other.site) is True
