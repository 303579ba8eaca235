"""Which facts an Observation's codes and names stand for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from fhir_mapping.delivery.items import Slot
from fhir_mapping.terms import codes, dictionary, glances, heads, names, units
from fhir_mapping.terms.exact import ResourceFaultError
from fhir_mapping.words import assertions, cytogenetics, targets
from fhir_mapping.words.fold import compiled, fold
from recommenders.vocabulary.dictionary import DICTIONARY

if TYPE_CHECKING:
    from fhir_mapping.terms.codes import CodeTable
    from fhir_mapping.terms.site import SiteMapping


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
        self._written: dict[bytes, tuple[Slot, ...]] = {}

    def forget_if_large(self, most: int = 50_000) -> None:
        """Forget the remembered answers when a hostile feed has filled them with codes of its own."""
        if len(self._coded) > most:
            self._coded.clear()
        if len(self._worded) > most:
            self._worded.clear()
        if len(self._written) > most // 10:
            self._written.clear()

    def slots_as_written(self, written: bytes) -> tuple[Slot, ...] | None:
        """Give the slots of a code in the bytes it was sent in; None where those must be looked at more closely."""
        known = self._written.get(written)
        if known is None and len(written) <= _LONGEST_CODE:
            try:
                known = self._written[written] = self.slots(glances.code_of(written))
            except ResourceFaultError:
                return None
        return known

    def slots(self, code: heads.Codeable | list[heads.Codeable] | None) -> tuple[Slot, ...]:
        """Give the slots of a code: any coding that matches counts; words only where no standard code is."""
        if code.__class__ is heads.Codeable and code.coding.__class__ is list:
            listed: Iterable[heads.Coding] = code.coding
        else:
            listed = heads.codings(code)
        found: list[Slot] = []
        standard = False
        for coding in listed:
            key = (coding.system, coding.code)
            known = self._coded.get(key)
            if known is None:
                known = self._coded[key] = self._of_coding(coding.system, coding.code)
            if known[0]:
                found += known[0]  # a list: thousands of codings cost so many steps, and not their square
            elif known[1]:
                standard = True
        if found:
            return tuple(found) if len(found) == 1 else _best_coded(tuple(dict.fromkeys(found)))
        return () if standard else self._by_words(code)

    def _by_words(self, code: heads.Codeable | list[heads.Codeable] | None) -> tuple[Slot, ...]:
        for codeable in heads.codeables(code):
            words = [codeable.text]
            words += [coding.display for coding in heads.codings(codeable)]
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
        forms = names.forms(said)
        return next((found for form in forms if (found := self._of_form(form) or self._of_both(form))), None)

    def _of_form(self, form: str) -> str | None:
        """Give what one form of a name stands for; of several the fact, then the trap, then the concept of a code."""
        if fact := self._forms.get(form):
            return fact
        concepts = names.concepts_of(form, "Observation")
        return next((concept for concept in concepts if concept.endswith("_TRAP")), next(iter(concepts), None))

    def _of_both(self, form: str) -> str | None:
        """Give what an abbreviation and a Chinese name side by side stand for, both meaning the same ("PLT血小板")."""
        latin, _, rest = form.partition("|")
        if not (latin and rest):
            return None
        found = self._of_form(f"{latin}|"), self._of_form(f"|{rest}")
        facts = {self._by_concept.get(one, ("", one))[1] for one in found if one is not None}
        return found[1] if None not in found and len(facts) == 1 else None

    def _titled(self, said: str) -> tuple[Slot, ...]:
        """Give the slots of a name that is the official title of a code."""
        matches = names.titled(said, "Observation", "DiagnosticReport")
        slots = (slot for match in matches for slot in self._slots_of(match.system, match.code))
        return tuple(dict.fromkeys(Slot(one.topic, one.target, 4, one.concept, one.system, one.code) for one in slots))


_LONGEST_NAME = 200
_LONGEST_CODE = 2000
"""Bytes of a code that is remembered as it was written."""


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
    "metastasis_location": ("spread", "dx.metastatic"),
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
