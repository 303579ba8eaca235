"""What kind of tumour a Condition means: organ of a metastasis, stage, histology of the lung, subtype of a sarcoma."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from fhir_mapping.diagnoses.plasma_cells import MM
from fhir_mapping.diagnoses.statements import MALIGNANT
from fhir_mapping.terms import dictionary
from fhir_mapping.terms.codes import ICD10, ICD10_CM, code_text, codings, texts_of
from fhir_mapping.terms.dictionary import MYELOMA
from fhir_mapping.words import assertions
from fhir_mapping.words.fold import fold

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.diagnoses.diagnosis import Diagnosis

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
ORGAN_TERMS = {
    "brain_metastasis": "brain",
    "liver_metastasis": "liver",
    "lung_metastasis": "lung",
    "pleural_metastasis": "pleura",
    "adrenal_metastasis": "adrenal",
}
METASTATIC = frozenset(
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
        "metastasis_elsewhere",
        *_ORGANS,
    }
)
EVER_MALIGNANT = frozenset(
    {"history_lung_cancer", "metastatic_malignancy_nos", "carcinomatosis", "malignancy_unspecified", "sarcoma_nos"}
    | {"bone_sarcoma_nos", "ewing_sarcoma", "chondrosarcoma", "waldenstrom", "lymph_node_metastasis", "skin_metastasis"}
    | {"bone_marrow_metastasis", "visceral_metastasis_other", "gist_TRAP", *_ORGANS, *MYELOMA, *METASTATIC}
    | {"haematological_malignancy", "haematological_malignancy_remission", "lung_other_tumour_TRAP", "kaposi_TRAP"}
)


DOUBTS = frozenset({"suspected", "absent", "hypothetical", "other", "contradictory"})
"""Verdicts on a tumour's words that are no tumour."""


def is_doubted(one: Diagnosis) -> bool:
    """Tell whether a Condition's own words doubt or deny every malignancy that they name."""
    told = [verdict for term, verdict in one.spoken.items() if term in _CANCER_TERMS]
    return bool(told) and all(verdict in DOUBTS for verdict in told)


def organs(one: Diagnosis) -> set[str]:
    """Give the organs of the metastases that a Condition names."""
    found = {_ORGANS[concept] for concept in one.concepts if concept in _ORGANS}
    for match in one.matches:
        if match.concept == "visceral_metastasis_other":
            found.add(match.code.replace(".", "")[:4] if match.system in {ICD10, ICD10_CM} else match.code)
        elif match.code == "188462001" or _names_brain_and_cord(match.display):
            found.discard("nervous-system")
            found.add("brain")
    if not one.concepts and not one.is_trap:
        found |= {organ for term, organ in ORGAN_TERMS.items() if one.spoken.get(term) in {"present", "suspected"}}
    return found


@lru_cache(maxsize=1024)
def _names_brain_and_cord(title: str) -> bool:
    """Tell whether the title of a code names the brain beside the cord; titles come again."""
    return "brain and spinal cord" in fold(title)


_STAGE_IV = re.compile(r"\b(?:stage|期)?\s*(?:iv[abc]?|4[abc]?)\b|ⅳ|四期|iv期", re.IGNORECASE | re.ASCII)
_STAGE_CODES = frozenset({"258228008", "261642001", "261643006", "4", "IV", "IVA", "IVB", "IVC"})


def is_stage_iv(codeable: object) -> bool:
    """Tell whether a stage is IV, by code or in words."""
    if any(code_text(coding.get("code")).upper() in _STAGE_CODES for coding in codings(codeable)):
        return True
    return any(_STAGE_IV.search(fold(said)) for said in texts_of(codeable))


def at_stage_iv(one: Diagnosis) -> bool:
    """Tell whether a Condition is staged IV."""
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


def lung_histology(one: Diagnosis) -> str | None:
    """The mCODE extension first, then the code, then the Condition's words."""
    for prefix in ("morph_", "lung_cancer_"):
        for match in one.matches:
            if match.concept.startswith(prefix):
                if match.concept == "lung_cancer_stage_iv":
                    return _spoken_histology(assertions.verdicts(match.display))
                if match.concept in _LUNG_BY_CONCEPT:
                    return _LUNG_BY_CONCEPT[match.concept]
    return _spoken_histology(one.spoken)


def more_telling(found: dict[str, list[str]]) -> dict[str, list[str]]:
    """ "Non-small-cell" beside adenocarcinoma is no contradiction; beside small cell it is one."""
    if "sclc" in found:
        return found
    return {word: names for word, names in found.items() if word != "nsclc-other"}


def _spoken_histology(spoken: Mapping[str, assertions.Verdict]) -> str | None:
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
    "morph_rhabdomyosarcoma": "other",
    "angiosarcoma": "other",
    "morph_angiosarcoma": "other",
    "morph_clear_cell_sarcoma": "other",
    "morph_rhabdoid": "other",
    "morph_soft_tissue_sarcoma": "other",
}


def subtype(one: Diagnosis) -> str | None:
    """Give the subtype of a soft-tissue sarcoma, by code or in words."""
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


def names_sarcoma(one: Diagnosis) -> bool:
    """Tell whether histology or words say that a place's tumour is a sarcoma."""
    terms = (
        "soft_tissue_sarcoma",
        "ups",
        "synovial_sarcoma",
        "liposarcoma",
        "other_soft_tissue_sarcoma",
        "sarcoma_word",
    )
    return any(one.spoken.get(term) == "present" for term in terms) or any(
        concept.startswith("morph_") for concept in one.concepts
    )


# --- a cancer -----------------------------------------------------------------------------------------------

_SKIN = ("C44", "173")
"""Other than melanoma, by ICD-10 and ICD-9-CM."""


def is_cancer(one: Diagnosis, context: ReadingContext) -> bool | None:
    """
    Tell whether a Condition is a malignancy of any kind, a metastasis included; None where it may be one.

    A code in the chapter of malignancies without those of the skin other than melanoma, a concept of the table, or
    words. In situ, a history, the family and a risk are none.
    """
    gist = any(match.concept == "gist_TRAP" for match in one.matches)
    if one.state in {"history", "refuted"} or (one.is_trap and not gist):
        return False
    if any(one.spoken.get(word) == "present" for word in ("in_situ", "skin_cancer")) and not one.concepts & MALIGNANT:
        return False
    if is_doubted(one):
        return None if "suspected" in one.spoken.values() else False
    if _IN_REMISSION & one.concepts and not one.concepts & MALIGNANT:
        return False  # its words name the cancer that is gone
    told = bool(one.concepts & (MALIGNANT | METASTATIC | _OTHER_CANCERS)) or gist or is_of_cancer_chapter(one, context)
    spoken = {verdict for word, verdict in one.spoken.items() if word == "cancer_word" or word in _CANCER_TERMS}
    if told or "present" in spoken:
        return None if one.state == "suspected" or one.reported else True
    return None if "suspected" in spoken else False


def is_of_cancer_chapter(one: Diagnosis, context: ReadingContext) -> bool:
    """Tell whether its code, or its title, is one of malignancies, those of the skin other than melanoma left out."""
    listed = [(coding.get("system"), code_text(coding.get("code"))) for coding in codings(one.resource.get("code"))]
    listed += [(match.system, match.code) for match in one.matches if one.titled]
    return any(
        context.codes.is_malignancy(system, code) and not code.upper().startswith(_SKIN) for system, code in listed
    )


_IN_REMISSION = frozenset({"haematological_malignancy_remission"})
_OTHER_CANCERS = frozenset(
    {"malignancy_unspecified", "sarcoma_nos", "bone_sarcoma_nos", "ewing_sarcoma", "chondrosarcoma", "waldenstrom"}
    | {"lymph_node_metastasis", "skin_metastasis"}
)
_CANCER_TERMS = frozenset(term for rule in (*dictionary.DIAGNOSES, MM) if rule.malignant for term in rule.terms)
