"""Conditions into diagnoses: confirmed, refuted, suspected or history, from code, extension and words."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from fhir_mapping.places.laterality import Place, one_side, place_of, sides_beside, sides_in, sides_of_extensions
from fhir_mapping.service_orders import bone_site
from fhir_mapping.terms import dates, dictionary
from fhir_mapping.terms.codes import ICD10, ICD10_CM, code_text, codings, texts_of
from fhir_mapping.words import text
from recommenders.patient.lesions import same_bone
from recommenders.vocabulary.facts import Fact, Finding, Reading, exactly, replace, stated
from recommenders.vocabulary.records import Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.delivery.items import Item
    from fhir_mapping.delivery.notes import Notes
    from fhir_mapping.terms.codes import Match
    from fhir_mapping.terms.dates import Stamp
    from fhir_mapping.terms.dictionary import DiagnosisRule

State = Literal["current", "history", "refuted", "suspected"]
Says = Literal["present", "absent", "suspected", "history", "unclear", "contradictory"]

MYELOMA = frozenset(
    {
        "multiple_myeloma",
        "multiple_myeloma_remission",
        "multiple_myeloma_relapse",
        "myeloma_light_chain",
        "myeloma_non_secretory",
        "myeloma_kidney",
        "morph_myeloma",
    }
)
_CURRENT = frozenset({"active", "recurrence", "relapse", "unknown"})
_OVER = frozenset({"inactive", "remission", "resolved"})
_DOUBTED = frozenset({"unconfirmed", "provisional", "differential"})
_HISTOLOGY = "mcode-histology-morphology-behavior"
_OWN_KINDS = ("Condition", "Observation")

_ORGANS = {
    "brain_metastasis": "brain",
    "liver_metastasis": "liver",
    "lung_metastasis": "lung",
    "pleural_metastasis": "pleura",
    "adrenal_metastasis": "adrenal",
    "kidney_metastasis": "kidney",
    "peritoneal_metastasis": "peritoneum",
    "cns_meningeal_metastasis": "nervous-system",
}
_ORGAN_TERMS = {
    "brain_metastasis": "brain",
    "liver_metastasis": "liver",
    "lung_metastasis": "lung",
    "pleural_metastasis": "pleura",
    "adrenal_metastasis": "adrenal",
}
_METASTATIC = frozenset(
    {
        "bone_metastasis",
        "bone_metastasis_child",
        "metastatic_malignancy_nos",
        "carcinomatosis",
        "metastatic_sarcoma",
        "lung_cancer_nsclc_metastatic",
        "lung_cancer_stage_iv",
        "visceral_metastasis_other",
        "bone_marrow_metastasis",
        *_ORGANS,
    }
)
_MALIGNANT_CONCEPTS = frozenset(
    {"history_lung_cancer", "metastatic_malignancy_nos", "carcinomatosis", "malignancy_unspecified", "sarcoma_nos"}
    | {"bone_sarcoma_nos", "ewing_sarcoma", "chondrosarcoma", "waldenstrom", "lymph_node_metastasis", "skin_metastasis"}
    | {"bone_marrow_metastasis", "visceral_metastasis_other", "gist_TRAP", *_ORGANS, *MYELOMA, *_METASTATIC}
)


@dataclass(slots=True, eq=False)
class Diagnosis:
    """One Condition as far as it matters: its codes, what its words say, whether it stands, and since when."""

    item: Item
    resource: Mapping[str, Any]
    state: State
    status: str
    matches: tuple[Match, ...]
    concepts: frozenset[str]
    words: tuple[str, ...]
    spoken: Mapping[str, text.Verdict]
    onset: Stamp | None
    recorded: Stamp | None
    reported: bool

    @property
    def is_trap(self) -> bool:
        """Whether a code is known for what it is easily mistaken for."""
        return any(match.is_trap for match in self.matches)

    @property
    def since(self) -> Stamp | None:
        """
        Onset or, failing that, when it was recorded.

        An onset told as a month or a year reaches to the day of recording, if that lies within it: a fracture of
        "2026" that was recorded last week may be of last week.
        """
        if (
            self.onset is not None
            and self.recorded is not None
            and self.onset.day < self.recorded.day <= self.onset.last
        ):
            return self.recorded
        return self.onset or self.recorded


@dataclass(frozen=True, slots=True)
class Statement:
    """What one Condition says of one fact."""

    says: Says
    diagnosis: Diagnosis
    from_text: bool = False


def read_diagnosis(item: Item, context: ReadingContext, notes: Notes, *, born: Stamp | None = None) -> Diagnosis | None:
    """Read one Condition; None, noted, when it does not count at all. `born` makes a year of an age at onset."""
    resource = item.copy(context.timezone, notes)
    if resource is None:
        return None
    verification = _status(resource.get("verificationStatus"))
    if verification == "entered-in-error":
        notes.add(item.name, "status: entered-in-error")
        return None
    words = _words(resource)
    if any(text.is_about_others(said) for said in words):
        notes.add(item.name, "about the family, a screening or a fear: no fact of this patient")
        return None
    if resource.get("subject") is None:
        notes.add(item.name, "no-subject: used, since it came with this patient's data")
    clinical = _status(resource.get("clinicalStatus"))
    state: State = "current"
    if verification == "refuted":
        state = "refuted"
    elif verification in _DOUBTED:
        state = "suspected"
    elif clinical in _OVER or _has_ended(resource, context):
        state = "history"
    matches = context.concepts(resource.get("code"), "Condition") + _histology_matches(resource, context)
    for match in matches:
        if match.is_trap:
            notes.add(item.name, _TRAPS.get(match.concept, "trap: recognised and rejected"))
        if match.note:
            notes.add(item.name, match.note)
        if match.system == ICD10_CM and match.code.replace(".", "") == "C795":
            notes.add(item.name, "C79.5 without its fifth character: read as bone (C79.51)")
        if _says_something_else(match):
            notes.add(item.name, "display-mismatch: the display names something else than the code, which is kept")
    spoken: dict[str, text.Verdict] = {}
    for said in words:
        for term, verdict in text.verdicts(said).items():
            spoken.setdefault(term, verdict)
    return Diagnosis(
        item=item,
        resource=resource,
        state=state,
        status=clinical,
        matches=matches,
        concepts=frozenset(match.concept for match in matches if not match.is_trap),
        words=words,
        spoken=spoken,
        onset=_onset(resource, context, born),
        recorded=dates.parse(resource.get("recordedDate"), context.timezone),
        reported=_is_person(resource.get("asserter")),
    )


_SIGNIFICANT = text.compiled(r"[a-z]{4,}")


def _says_something_else(match: Match) -> bool:
    """Tell whether a coding's own display shares no word with that of the table (English displays only)."""
    if not match.sent_display.isascii():
        return False
    sent, listed = (set(_SIGNIFICANT.findall(text.fold(said))) for said in (match.sent_display, match.display))
    return bool(sent and listed) and not sent & listed


_TRAPS = {
    "metastasis_from_bone_tumour_TRAP": "trap: metastasis from bone, not to bone",
    "bone_malignancy_unspecified_TRAP": "trap: malignancy of bone, primary or secondary not told",
    "gist_TRAP": "trap: gastrointestinal stromal tumour, not an ifosfamide sarcoma",
}


def _status(codeable: object) -> str:
    for coding in codings(codeable):
        if code := code_text(coding.get("code")):
            return code.lower()
    found = texts_of(codeable)
    return found[0].strip().lower() if found else ""


def _words(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the Condition's own words: its text, or the displays of codings that no table knows."""
    code = resource.get("code")
    if isinstance(code, dict) and isinstance(code.get("text"), str):
        return (code["text"],)
    return texts_of(code)


def _has_ended(resource: Mapping[str, Any], context: ReadingContext) -> bool:
    """An abatement ends a Condition even when its status still says active."""
    if resource.get("abatementString") or resource.get("abatementAge"):
        return True
    period = resource.get("abatementPeriod")
    told = [resource.get("abatementDateTime")]
    if isinstance(period, dict):
        told += [period.get("end"), period.get("start")]
    stamps = [stamp for one in told if (stamp := dates.parse(one, context.timezone)) is not None]
    return bool(stamps) and not stamps[0].is_future(context.now)


def _onset(resource: Mapping[str, Any], context: ReadingContext, born: Stamp | None) -> Stamp | None:
    period = resource.get("onsetPeriod")
    for told in (resource.get("onsetDateTime"), period.get("start") if isinstance(period, dict) else None):
        if (stamp := dates.parse(told, context.timezone)) is not None:
            return stamp
    age, said = resource.get("onsetAge"), resource.get("onsetString")
    if isinstance(age, dict) and born is not None:
        return dates.at_age(born, age)
    return dates.written(said, context.timezone) if isinstance(said, str) else None


def _histology_matches(resource: Mapping[str, Any], context: ReadingContext) -> tuple[Match, ...]:
    """Give the histology of the mCODE extension: primary behaviour (/3), or the tumour type of a metastasis (/6)."""
    found: list[Match] = []
    for extension in resource.get("extension", ()):
        if not str(extension.get("url", "")).endswith(_HISTOLOGY):
            continue
        value = extension.get("valueCodeableConcept")
        if isinstance(value, dict):
            value = {
                **value,
                "coding": [
                    {**coding, "code": re.sub(r"^(\d{4})/6$", r"\1/3", code_text(coding.get("code")))}
                    for coding in codings(value)
                ],
            }
        found += context.concepts(value)
    return tuple(found)


def _is_person(reference: object) -> bool:
    told = reference.get("reference") if isinstance(reference, dict) else None
    return isinstance(told, str) and re.search(r"(?:^|/)(?:Patient|RelatedPerson)/", told) is not None


# --- what one Condition says of one fact --------------------------------------------------------------------


def says(rule: DiagnosisRule, diagnosis: Diagnosis, *, remission_counts: bool = False) -> Statement | None:
    """Give what a Condition says of a fact; None when it does not speak of it."""
    coded = bool(diagnosis.concepts & rule.concepts) or any(match.code in rule.codes for match in diagnosis.matches)
    verdicts = [diagnosis.spoken[term] for term in rule.terms if term in diagnosis.spoken]
    maybe = bool(diagnosis.concepts & rule.suspect_concepts) or any(
        diagnosis.spoken.get(term) in {"present", "suspected"} for term in rule.suspect_terms
    )
    claim: Says | None = None
    from_text = False
    if coded:
        claim = "present"
        if "suspected" in verdicts:
            claim = "suspected"
        elif {"absent", "nothing"} & set(verdicts) and "present" not in verdicts:
            claim = "contradictory"  # its own words deny it, or speak of a mere risk
    elif verdicts and not diagnosis.is_trap:
        claim, from_text = _strongest(verdicts), True
        if diagnosis.concepts and claim is not None:
            # its code says something else; words beside it raise a question and settle nothing
            claim = "suspected" if claim in {"present", "suspected"} else None
    if claim is None and maybe:
        claim = "suspected"
    if claim is None:
        return None
    return _in_state(claim, diagnosis, from_text=from_text, rule=rule, remission_counts=remission_counts)


def _strongest(verdicts: Sequence[text.Verdict]) -> Says | None:
    order: tuple[Says, ...] = ("present", "suspected", "absent", "history", "unclear")
    return next((one for one in order if one in verdicts), None)


def _in_state(
    claim: Says, diagnosis: Diagnosis, *, from_text: bool, rule: DiagnosisRule, remission_counts: bool
) -> Statement | None:
    if diagnosis.state == "refuted":
        return Statement("absent", diagnosis, from_text) if claim in {"present", "suspected", "contradictory"} else None
    if diagnosis.state == "history" and not (remission_counts and diagnosis.status == "remission"):
        return Statement("history", diagnosis, from_text) if claim in {"present", "history"} else None
    if diagnosis.state == "suspected" and claim == "present":
        claim = "suspected"
    if rule.metastasis and diagnosis.reported and claim == "present":
        claim = "suspected"
    return Statement(claim, diagnosis, from_text)


def settle(rule: DiagnosisRule, statements: Sequence[Statement], context: ReadingContext) -> Finding | None:
    """
    Give one finding from what several Conditions say; None when none of them speaks of it.

    Confirmed wins unless it was refuted later; refuted and confirmed of equal or unknown date contradict.
    """
    blank = dictionary.blank_finding(rule.fact)
    by: dict[Says, list[Statement]] = {}
    for one in statements:
        by.setdefault(one.says, []).append(one)
    if "contradictory" in by and "present" not in by:
        return _found(blank, by["contradictory"], rule, None, "contradictory")
    for claim in ("present", "suspected"):
        if claim not in by:
            continue
        if "absent" in by:
            later = _later(by["absent"], by[claim])
            if later is None:
                return _found(blank, [*by[claim], *by["absent"]], rule, None, "contradictory")
            if later:
                return _found(blank, by["absent"], rule, False, None)
        if claim == "suspected":
            return _found(blank, by[claim], rule, None, "suspected")
        return _aged(_found(blank, by[claim], rule, True, None), by[claim], rule, context)
    if "absent" in by and not rule.yes_only:
        return _found(blank, by["absent"], rule, False, None)
    if "unclear" in by and blank.is_known:
        return _found(blank, by["unclear"], rule, None, "no-value")
    return None


def _later(refuted: Sequence[Statement], claimed: Sequence[Statement]) -> bool | None:
    """Tell whether the refutation was recorded later; None when that cannot be told."""
    one = [statement.diagnosis.recorded for statement in refuted]
    other = [statement.diagnosis.recorded for statement in claimed]
    if None in one or None in other:
        return None
    newest_no = max((stamp for stamp in one if stamp), key=dates.order)
    newest_yes = max((stamp for stamp in other if stamp), key=dates.order)
    if dates.same_time(newest_no, newest_yes):
        return None
    return dates.order(newest_no) > dates.order(newest_yes)


def _found(
    blank: Finding,
    statements: Sequence[Statement],
    rule: DiagnosisRule,
    value: bool | None,
    reason: Any,  # noqa: ANN401 - a Reason or None
) -> Finding:
    ordered = sorted(statements, key=lambda one: one.diagnosis.item.name)
    flags: list[str] = []
    if all(one.from_text for one in ordered):
        flags.append("from-text")
    if all(one.diagnosis.reported for one in ordered):
        flags.append("reported")
    stamps = [
        one.diagnosis.since if rule.dated_by_onset else one.diagnosis.recorded or one.diagnosis.onset for one in ordered
    ]
    known = [stamp.day for stamp in stamps if stamp is not None]
    day = max(known, default=None)
    if rule.dated_by_onset and value is True and None in stamps:
        day = None  # one that tells no date counts as now
    return replace(
        blank,
        value=value,
        reason=reason,
        date=day,
        resources=tuple(dict.fromkeys(one.diagnosis.item.name for one in ordered)),
        flags=tuple(flags),
    )


def _aged(found: Finding, statements: Sequence[Statement], rule: DiagnosisRule, context: ReadingContext) -> Finding:
    """Old entries left active on a problem list are unknown, not true (`stale_after`)."""
    if rule.stale_after is None:
        return found
    days = [one.diagnosis.recorded or one.diagnosis.onset for one in statements]
    fresh = [stamp is None or (context.today - stamp.day).days <= rule.stale_after for stamp in days]
    return found if any(fresh) else replace(found, value=None, reason="stale")


# --- all of them --------------------------------------------------------------------------------------------


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
        self._myeloma(marrow, m_protein)
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

    # --- myeloma family ---

    def _myeloma(self, marrow: Reading, m_protein: Reading) -> None:
        mm_rule, smm_rule, mgus_rule = _MM, _SMM, _MGUS
        statements: dict[str, list[Statement]] = {rule.fact: [] for rule in (mm_rule, smm_rule, mgus_rule)}
        flags: list[str] = []
        gammopathy: list[Diagnosis] = []
        for one in self.diagnoses:
            smouldering = "smouldering_myeloma" in one.concepts or one.spoken.get("smouldering_myeloma") == "present"
            myeloma = bool(one.concepts & MYELOMA)
            if smouldering and (myeloma or one.spoken.get("multiple_myeloma") == "present"):
                if myeloma or "smouldering_myeloma" in one.concepts:
                    self.notes.add(
                        one.item.name, "coding-conflict: coded or worded as smouldering and as active myeloma"
                    )
                statements[smm_rule.fact].append(self._as(smm_rule, one))
                self._use(one)
                continue
            if "mgus" in one.concepts and _is_cm_d472(one):
                gammopathy.append(one)
                if smouldering:
                    statements[smm_rule.fact].append(Statement("suspected", one))
                    statements[mgus_rule.fact].append(Statement("suspected", one))
                    self._use(one)
                    continue
            if "monoclonal_gammopathy_nos" in one.concepts:
                statements[mgus_rule.fact].append(Statement("suspected", one))
                self._use(one)
            for rule in (mm_rule, smm_rule, mgus_rule):
                found = says(rule, one, remission_counts=rule is mm_rule)
                if rule is mm_rule and found is None and not one.concepts and one.spoken.get("myeloma") == "suspected":
                    found = Statement("suspected", one, from_text=True)
                if found is not None:
                    statements[rule.fact].append(found)
                    self._use(one)
            if myeloma and (one.status == "remission" or "multiple_myeloma_remission" in one.concepts):
                flags.append("in-remission")
            if myeloma and (one.status in {"relapse", "recurrence"} or "multiple_myeloma_relapse" in one.concepts):
                flags.append("relapse")
        for rule in (mm_rule, smm_rule, mgus_rule):
            settled = settle(rule, statements[rule.fact], self.context)
            if settled is not None:
                self.changes[rule.fact] = settled
        mm = self.changes.get("dx.mm")
        if isinstance(mm, Finding) and mm.value is True:
            self.changes["dx.mm"] = replace(mm, flags=tuple(dict.fromkeys((*mm.flags, *flags))))
            self._onset_of_myeloma(statements["dx.mm"])
        self._gammopathy(gammopathy, marrow, m_protein)
        self._both_classes(statements)

    def _as(self, rule: DiagnosisRule, one: Diagnosis) -> Statement:
        found = _in_state("present", one, from_text=False, rule=rule, remission_counts=False)
        return found if found is not None else Statement("history", one)

    def _onset_of_myeloma(self, statements: Sequence[Statement]) -> None:
        blank = dictionary.blank_moment("mm.onset_date")
        present = [one.diagnosis for one in statements if one.says == "present"]
        onsets = sorted(
            ((one.onset, one.item.name) for one in present if one.onset is not None),
            key=lambda told: (told[0].day, told[0].last, told[1]),
        )
        if onsets and onsets[0][0].precision == "year" and (self.context.today - onsets[0][0].last).days <= _NEW_DAYS:
            # "2026" alone tells neither a new disease nor one of long ago
            self.changes["mm.onset_date"] = replace(blank, resources=(onsets[0][1],), flags=("onset-only-a-year",))
        elif onsets:
            stamp, name = onsets[0]
            flags = ("onset-only-a-year",) if stamp.precision == "year" else ()
            self.changes["mm.onset_date"] = replace(blank, date=stamp.day, reason=None, resources=(name,), flags=flags)
        else:
            self.changes["mm.onset_date"] = replace(
                blank, resources=tuple(one.item.name for one in present), flags=("recorded-onset-not-told",)
            )

    def _gammopathy(self, coded: Sequence[Diagnosis], marrow: Reading, m_protein: Reading) -> None:
        """ICD-10-CM has no code for smouldering myeloma: its D47.2 may hide one."""
        standing = [one for one in coded if one.state == "current"]
        if not standing:
            return
        names = tuple(one.item.name for one in standing)
        if "dx.smm" not in self.changes:
            blank = dictionary.blank_finding("dx.smm")
            self.changes["dx.smm"] = replace(blank, value=None, reason="suspected", resources=names)
        mgus = self.changes.get("dx.mgus")
        too_much = (marrow >= Decimal(10)).yes or (m_protein >= Decimal(30)).yes
        if too_much and isinstance(mgus, Finding) and mgus.value is True:
            self.changes["dx.mgus"] = replace(mgus, value=None, reason="contradictory")
            for name in names:
                self.notes.add(
                    name, "coded as monoclonal gammopathy, but marrow or M-protein say more: ask which it is"
                )

    def _both_classes(self, statements: Mapping[str, Sequence[Statement]]) -> None:
        mm = [one.diagnosis for one in statements["dx.mm"] if one.says == "present"]
        smm = [one.diagnosis for one in statements["dx.smm"] if one.says == "present"]
        if not mm or not smm:
            return
        first_mm = min((one.since for one in mm if one.since), key=dates.order, default=None)
        for one in smm:
            progressed = first_mm is not None and one.since is not None and one.since.day < first_mm.day
            if not progressed:
                self.notes.add(
                    one.item.name, "coding-conflict: smouldering beside active myeloma, not earlier: ask which applies"
                )

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
                found = Statement("history", one, found.from_text)
            statements.append(found)
            if found.says in {"present", "history"}:
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
        for path, word in (("pathological_fracture.bone", place.site), ("pathological_fracture.side", place.side)):
            if word is not None:
                self.changes[path] = stated(dictionary.blank_finding(path), word, **common)
        for one in self._fractured:
            other = self.place_of(one)
            if one is not newest and (other.site, other.side) != (place.site, place.side):
                self.notes.add(one.item.name, "another current fracture: only one is judged, see the other one")

    def _was_operated(self, one: Diagnosis, procedures: Sequence[Event]) -> bool:
        place, since = self.place_of(one), one.since
        return any(
            event.type == "bone-surgery"
            and event.date is not None
            and (since is None or event.date >= since.day)
            and same_bone(event.site, place.site) is True
            and (event.side is None or place.side is None or event.side == place.side)
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
            if statement is not None and statement.says in {"present", "history"}:
                self._event("spinal-cord-compression", one, active=statement.says == "present")

    def _event(self, kind: Any, one: Diagnosis, *, active: bool) -> None:  # noqa: ANN401 - one of Event's types
        since, place = one.since, self.place_of(one)
        self.events.append(
            Event(
                type=kind,
                date=since.day if since else None,
                site=place.site,
                side=place.side,
                active=active,
                resources=(one.item.name,),
            )
        )

    def site_of(self, one: Diagnosis) -> str | None:
        """Give the lesion site of a Condition: its body site, else what its code or words name."""
        return self.place_of(one).site

    def place_of(self, one: Diagnosis) -> Place:
        """Give site and side of a Condition: of its body site, of its code, of its words; no side when two are told."""
        site = self._site_of(one)
        if site is None:
            return Place()
        places = [place_of(place, self.context) for place in one.resource.get("bodySite", ())]
        told = {place.side for place in places if place.side is not None and same_bone(place.site, site)}
        told |= sides_of_extensions(one.resource, self.context)
        told |= {side for name in self._names_of(one) for side in sides_in(name)}
        told |= {side for said in one.words for side in sides_beside(said, site)}
        return Place(site, True, one_side(site, told))

    def _site_of(self, one: Diagnosis) -> str | None:
        for place in one.resource.get("bodySite", ()):
            site, is_bone = bone_site(place, self.context)
            if is_bone:
                return site
        for name in (*self._names_of(one), *one.words):
            site, is_bone = bone_site({"text": _without_generic(name)}, self.context)
            if is_bone and site != "bone":
                return site
        return None

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

    def _metastases(self) -> None:
        sure: dict[str, list[str]] = {}
        maybe: set[str] = set()
        metastatic: list[Diagnosis] = []
        for one in self.diagnoses:
            if one.state == "history" or one.state == "refuted":
                continue
            organs = _organs(one)
            if organs:
                self._use(one)
            doubtful = (
                one.state == "suspected"
                or one.reported
                or any(one.spoken.get(term) in _DOUBTS for term in ("bone_metastasis", *_ORGAN_TERMS))
            )
            for organ in organs:
                if doubtful:
                    maybe.add(organ)
                else:
                    sure.setdefault(organ, []).append(one.item.name)
            if not doubtful and (one.concepts & _METASTATIC or organs or _stage_iv(one)):
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
            rest = re.sub(r"multiple myeloma|多发性骨髓瘤", "", text.fold(said))
            for term, path in (("multiple", "dx.multiple_stated"), ("diffuse", "dx.diffuse_metastases")):
                if text.verdict(rest, term) == "present":
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
            word = _lung_histology(one)
            if word is not None:
                found.setdefault(word, []).append(one.item.name)
        if len(found) > 1:
            found = _more_telling(found)
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
            if codes and all(code.startswith("C48") for code in codes) and not _sarcoma_words(one):
                one.concepts = (one.concepts - {"soft_tissue_sarcoma"}) | {"other_solid_cancer"}
        self._settle(rule)
        self._settle(next(one for one in dictionary.DIAGNOSES if one.fact == "dx.other_solid_cancer"))
        found: dict[str, list[str]] = {}
        for one in self.diagnoses:
            statement = says(rule, one)
            if statement is not None and statement.says == "present" and (word := _subtype(one)) is not None:
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
        return any(_PATHOLOGY.search(text.fold(name)) and not _NO_PATHOLOGY.search(text.fold(name)) for name in said)

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
            elif said in {"present", "history"}:
                self.changes["ever.ifosfamide_encephalopathy"] = stated(
                    blank, True, resources=(one.item.name,), flags=("from-text",)
                )

    def _history(self) -> None:
        malignant = {"dx.mm", *(rule.fact for rule in dictionary.DIAGNOSES if rule.malignant)}
        names: list[str] = []
        for one in self.diagnoses:
            if one.state == "refuted" or one.state == "suspected" or _is_doubted(one):
                continue
            concepts = {match.concept for match in one.matches}
            spoken = any(
                (claim := says(rule, one, remission_counts=True)) is not None and claim.says in {"present", "history"}
                for rule in (*dictionary.DIAGNOSES, _MM)
                if rule.fact in malignant
            )
            if concepts & _MALIGNANT_CONCEPTS or spoken:
                names.append(one.item.name)
                self._use(one)
        if names:
            blank = dictionary.blank_finding("ever.malignancy")
            self.changes["ever.malignancy"] = stated(blank, True, resources=tuple(names))

    def _hypercalcaemia(self) -> None:
        """A hypercalcaemia is one of malignancy when an active malignancy stands beside it."""
        rule = next(one for one in dictionary.DIAGNOSES if one.fact == "dx.hypercalcaemia_malignancy")
        for one in self.diagnoses:
            if "calcium_metabolism_disorder" in one.concepts and one.spoken.get("hypercalcaemia") == "present":
                one.concepts = one.concepts | {"hypercalcaemia"}
        statements = self._statements(rule)
        settled = settle(rule, statements, self.context)
        if settled is None:
            return
        own = dictionary.blank_finding("clin.hypercalcaemia")
        self.changes["clin.hypercalcaemia"] = replace(settled, name=own.name)
        malignancy = any(self.is_true(path) for path in _ACTIVE_MALIGNANCY)
        if malignancy or settled.value is None:
            self.changes[rule.fact] = settled
        if malignancy:
            for statement in statements:
                if statement.says in {"present", "history"}:
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
_MM = dictionary.DiagnosisRule(fact="dx.mm", concepts=MYELOMA, terms=("multiple_myeloma",))
_SMM = dictionary.DiagnosisRule(
    fact="dx.smm", concepts=frozenset({"smouldering_myeloma"}), terms=("smouldering_myeloma",)
)
_MGUS = dictionary.DiagnosisRule(fact="dx.mgus", concepts=frozenset({"mgus"}), terms=("mgus",))
_ACTIVE_MALIGNANCY = (
    "dx.lung_cancer",
    "dx.other_solid_cancer",
    "dx.mm",
    "dx.osteosarcoma",
    "dx.sts",
    "dx.bone_met",
    "dx.plasmacytoma",
    "dx.pcl",
)
_PATHOLOGY = text.compiled(r"\b(?:histo)?patholog(?:y|ic|ical)\b|\bhistolog\w+|\bbiops\w+|病理|活检")
_NO_PATHOLOGY = text.compiled(r"\bno\b|\bnot\b|\bpending\b|\bwithout\b|\bpatholog\w+ fracture|未|无|待|病理性骨折")
_DISTRESS_DAYS = 730
_NEW_DAYS = 180
"""So long a myeloma counts as newly diagnosed (specification §1.2)."""
PREGNANCY_DAYS = 280
"""40 weeks."""
_FOLDED_GENERIC = re.compile(
    r"secondary malignant neoplasm of bone(?: and bone marrow)?\b|\bbone structure\b", re.IGNORECASE
)


def _without_generic(said: str) -> str:
    return _FOLDED_GENERIC.sub("", said)


_DOUBTS = frozenset({"suspected", "absent", "nothing"})


def _is_doubted(one: Diagnosis) -> bool:
    """Tell whether a Condition's own words doubt or deny every malignancy that they name."""
    terms = {term for rule in (*dictionary.DIAGNOSES, _MM) if rule.malignant or rule is _MM for term in rule.terms}
    told = [verdict for term, verdict in one.spoken.items() if term in terms]
    return bool(told) and all(verdict in _DOUBTS for verdict in told)


def _is_cm_d472(one: Diagnosis) -> bool:
    return any(match.system == ICD10_CM and match.concept == "mgus" for match in one.matches) and not any(
        match.concept == "mgus" and match.system != ICD10_CM for match in one.matches
    )


def _is_sequela(one: Diagnosis) -> bool:
    """The seventh character of an ICD-10-CM fracture code is S for what is left of an old one."""
    codes = [match.code.replace(".", "") for match in one.matches if match.concept.startswith("pathological_fracture")]
    return any(len(code) == 7 and code.endswith("S") for code in codes)


def _organs(one: Diagnosis) -> set[str]:
    found = {_ORGANS[concept] for concept in one.concepts if concept in _ORGANS}
    for match in one.matches:
        if match.concept == "visceral_metastasis_other":
            found.add(match.code.replace(".", "")[:4] if match.system in {ICD10, ICD10_CM} else match.code)
        elif match.code == "188462001":
            found.discard("nervous-system")
            found.add("brain")
    if not one.concepts and not one.is_trap:
        found |= {organ for term, organ in _ORGAN_TERMS.items() if one.spoken.get(term) in {"present", "suspected"}}
    return found


_STAGE_IV = re.compile(r"\b(?:stage|期)?\s*(?:iv[abc]?|4[abc]?)\b|ⅳ|四期|iv期", re.IGNORECASE | re.ASCII)
_STAGE_CODES = frozenset({"258228008", "261642001", "261643006", "4", "IV", "IVA", "IVB", "IVC"})


def is_stage_iv(codeable: object) -> bool:
    """Tell whether a stage is IV, by code or in words."""
    if any(code_text(coding.get("code")).upper() in _STAGE_CODES for coding in codings(codeable)):
        return True
    return any(_STAGE_IV.search(text.fold(said)) for said in texts_of(codeable))


def _stage_iv(one: Diagnosis) -> bool:
    return any(is_stage_iv(stage.get("summary")) for stage in one.resource.get("stage", ()) if isinstance(stage, dict))


_LUNG_BY_CONCEPT = {
    "morph_adenocarcinoma": "nsclc-adeno",
    "morph_squamous": "nsclc-squamous",
    "morph_small_cell": "sclc",
    "morph_nsclc": "nsclc-other",
    "morph_large_cell": "nsclc-other",
    "lung_cancer_adenocarcinoma": "nsclc-adeno",
    "lung_cancer_squamous": "nsclc-squamous",
    "lung_cancer_sclc": "sclc",
    "lung_cancer_large_cell": "nsclc-other",
    "lung_cancer_nsclc": "nsclc-other",
    "lung_cancer_nsclc_metastatic": "nsclc-other",
}


def _lung_histology(one: Diagnosis) -> str | None:
    """The mCODE extension first, then the code, then the Condition's words."""
    for prefix in ("morph_", "lung_cancer_"):
        for match in one.matches:
            if match.concept.startswith(prefix):
                if match.concept == "lung_cancer_stage_iv":
                    return _spoken_histology(text.verdicts(match.display))
                if match.concept in _LUNG_BY_CONCEPT:
                    return _LUNG_BY_CONCEPT[match.concept]
    return _spoken_histology(one.spoken)


def _more_telling(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """ "Non-small-cell" beside adenocarcinoma is no contradiction; beside small cell it is one."""
    if "sclc" in found:
        return found
    return {word: names for word, names in found.items() if word != "nsclc-other"}


def _spoken_histology(spoken: Mapping[str, text.Verdict]) -> str | None:
    for term, word in (
        ("adenocarcinoma", "nsclc-adeno"),
        ("squamous", "nsclc-squamous"),
        ("small_cell", "sclc"),
        ("non_small_cell", "nsclc-other"),
    ):
        if spoken.get(term) == "present":
            return word
    return None


_SUBTYPES = {
    "morph_mfh_ups": "ups",
    "morph_undifferentiated_sarcoma": "ups",
    "malignant_fibrous_histiocytoma": "ups",
    "synovial_sarcoma": "synovial",
    "morph_synovial_sarcoma": "synovial",
    "leiomyosarcoma": "other",
    "morph_leiomyosarcoma": "other",
    "rhabdomyosarcoma": "other",
    "angiosarcoma": "other",
}


def _subtype(one: Diagnosis) -> str | None:
    for concept, word in _SUBTYPES.items():
        if concept in one.concepts:
            return word
    for term, word in (
        ("ups", "ups"),
        ("synovial_sarcoma", "synovial"),
        ("myxoid_liposarcoma", "myxoid-lps"),
        ("dedifferentiated_liposarcoma", "dediff-lps"),
    ):
        if one.spoken.get(term) == "present":
            return word
    return None


def _sarcoma_words(one: Diagnosis) -> bool:
    terms = ("soft_tissue_sarcoma", "ups", "synovial_sarcoma", "liposarcoma")
    return any(one.spoken.get(term) == "present" for term in terms) or any(
        concept.startswith("morph_") for concept in one.concepts
    )


def _jaw_degree(one: Diagnosis, context: ReadingContext) -> int | None:
    """Give 2 for a jaw osteonecrosis that is told as such, 1 for what may be one, None for anything else."""
    degree: int | None = None
    for match in one.matches:
        if match.concept == "osteonecrosis_jaw":
            degree = max(degree or 0, 2 if match.system == ICD10_CM else 1)
        elif match.concept == "jaw_inflammatory_condition":
            degree = max(degree or 0, 1)
        elif match.concept == "avascular_necrosis_bone":
            places = [bone_site(place, context)[0] for place in one.resource.get("bodySite", ())]
            elsewhere = [place for place in places if place not in {None, "skull", "bone"}]
            if not elsewhere and not re.search(r"hip|femor|股骨|knee|膝", text.fold(" ".join(one.words))):
                degree = max(degree or 0, 1)
    said = one.spoken.get("osteonecrosis_jaw")
    if said == "present" and not one.concepts - {"avascular_necrosis_bone", "osteonecrosis_jaw"}:
        degree = 2
    elif said == "suspected":
        degree = 1
    if degree == 2 and (one.state == "suspected" or said == "suspected"):
        degree = 1
    return degree
