"""What a ServiceRequest asks for, as far as rules care: radiotherapy of bone, imaging, dental work, laboratory."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping.elements.amounts import number, words
from fhir_mapping.elements.indications import indications
from fhir_mapping.places.sites import NOWHERE, Place, body_sites, place_in
from fhir_mapping.terms.codes import LOINC, code_text, codings, normal_system, texts_of
from fhir_mapping.terms.drug_names import mentions
from fhir_mapping.terms.exact import listed
from fhir_mapping.terms.units import spelled
from fhir_mapping.words.fold import compiled
from fhir_mapping.words.plain import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.elements.indications import Resolver
    from fhir_mapping.terms.codes import Match
    from recommenders.vocabulary.records import OrderKind

_RADIOTHERAPY = frozenset(
    {
        "radiation_therapy",
        "ebrt",
        "ebrt_photon",
        "ebrt_proton",
        "ebrt_electron",
        "ebrt_carbon_ion",
        "rt_technique_imrt",
        "rt_technique_vmat",
        "rt_technique_3d",
        "rt_technique_2d",
        "radiotherapy_course",
        "rt_stereotactic",
        "brachytherapy_hdr",
    }
)
_BY_CONCEPT: dict[str, tuple[OrderKind, ...]] = {
    "tooth_extraction": ("invasive-dental", "dental"),
    "oral_surgery": ("invasive-dental", "dental"),
    "dental_consultation": ("dental",),
    "radiopharmaceutical_therapy": ("radionuclide",),
    "brachytherapy_ra223": ("radionuclide",),
    "vertebroplasty": ("osteoplasty",),
    "kyphoplasty": ("osteoplasty",),
    "pet_ct": ("pet-ct", "imaging"),
    "pet_ct_fdg": ("pet-ct", "imaging"),
    "pet_ct_naf_bone": ("pet-ct", "imaging"),
    "pet_whole_body": ("imaging",),
    "mri_whole_body": ("imaging",),
    "mri_spine": ("imaging",),
    "ct_spine": ("imaging",),
    "bone_scan": ("imaging",),
    "skeletal_survey": ("imaging",),
}
_BY_WORDS: tuple[tuple[re.Pattern[str], tuple[OrderKind, ...]], ...] = (
    (
        compiled(
            r"tooth extraction|extraction of (?:a )?(?:tooth|teeth)|dental (?:extraction|implant)"
            r"|oral surgery(?! consult)|拔牙|种植牙|牙种植|牙种植体|拔除.{0,4}牙"
        ),
        ("invasive-dental", "dental"),
    ),
    (compiled(r"\bdental\b|\bdentist|口腔(?:检查|评估|科|会诊)|洁牙"), ("dental",)),
    (
        compiled(
            r"strontium-?\s?89|\bsr-?89\b|radium-?\s?223|samarium-?\s?153|radionuclide (?:therapy|treatment)"
            r"|锶-?89|镭-?223|钐-?153|核素治疗"
        ),
        ("radionuclide",),
    ),
    (compiled(r"vertebroplasty|kyphoplasty|osteoplasty|cementoplasty|椎体成形|骨成形|骨水泥"), ("osteoplasty",)),
    (compiled(r"\bpet[ /-]?ct\b|\bfdg[ -]pet\b|pet-?ct"), ("pet-ct", "imaging")),
    (
        compiled(
            r"(?<!marrow )bone biopsy|biopsy of (?:the )?(?:bone|vertebra)(?! marrow)"
            r"|骨(?:组织|病灶|穿刺)?活检|骨肿瘤活检"
        ),
        ("bone-biopsy",),
    ),
    (compiled(r"\bhydration\b|水化|补液"), ("hydration",)),
    (
        compiled(r"\bmri?\b|\bct\b|x-?ray|radiograph|bone scan|scintigraphy|ultrasound|磁共振|骨扫描|骨显像|超声|平片"),
        ("imaging",),
    ),
    (compiled(r"\bconsult|\breferral\b|会诊|转诊"), ("consultation",)),
    (
        compiled(
            r"\bserum\b|\bblood count\b|\bcbc\b|creatinine|calcium level|electrolytes|urinalysis"
            r"|血常规|肌酐|血钙|电解质|尿常规|生化"
        ),
        ("laboratory",),
    ),
)
_RADIOTHERAPY_WORDS = compiled(
    r"radiotherapy|radiation (?:therapy|treatment)|irradiation|\bsb?rt\b|\bsabr\b|\bebrt\b|放疗|放射治疗|照射"
)
_STEREOTACTIC = compiled(r"\bsbrt\b|\bsabr\b|\bsrs\b|stereotactic|立体定向|射波刀|伽玛刀")
_N = r"(\d+(?:\.\d+)?)"
_GRAY = rf"{_N}\s*(c?gy|戈瑞)"
_IN_FRACTIONS = (
    compiled(rf"{_GRAY}\s*(?:/|in|over|分)\s*(\d+)\s*(?:fractions?|fx|fr|f|次|#|分次)(?![a-z])"),
    compiled(rf"{_GRAY}[^\d]{{0,12}}?(\d+)\s*(?:fractions?|fx|次|分次)(?![a-z])"),
)
_TIMES_EACH = (
    compiled(rf"(\d+)\s*(?:fractions?|fx|次)?\s*[x×*]\s*{_GRAY}"),
    compiled(rf"{_GRAY}\s*(?:/\s*(?:fx|fraction|次|f))?\s*[x×*]\s*(\d+)\s*(?:fractions?|fx|f|次)?(?![a-z])"),
)
_SINGLE = compiled(rf"(?:single[- ](?:fraction|dose)[^\d]{{0,12}}{_GRAY}|{_GRAY}[^\d]{{0,12}}(?:single|单次))")
_SCREENING = compiled(r"\bscreen(?:ing)?\b|rule out bone|\bbone (?:metasta\w+ )?(?:check|survey)\b|筛查|排查")
_STAGING = compiled(r"\b(?:re)?staging\b|\bstage\b|分期|\bresponse\b|疗效|\btreatment planning\b")


@dataclass(frozen=True, slots=True)
class ServiceOrder:
    """What one ServiceRequest asks for; radiotherapy with total dose in Gy and number of fractions if told."""

    kinds: tuple[OrderKind, ...] = ("other",)
    label: str = ""
    place: Place = NOWHERE
    stereotactic: bool = False
    dose_gy: Decimal | None = None
    fractions: int | None = None
    reasons: tuple[str, ...] = ()
    text: str = ""


def read_service(
    resource: Mapping[str, Any], *, context: ReadingContext, resolve: Resolver | None = None
) -> ServiceOrder:
    """
    Tell what a ServiceRequest asks for: by code, else by its words.

    `resolve` looks a reference up before the context does (the other entries of `draftOrders`).
    """
    code = resource.get("code")
    matches = context.concepts(code, "ServiceRequest", "Procedure", "ImagingStudy", "DiagnosticReport")
    text = _text(resource)
    label = (texts_of(code) or ("",))[0]
    place = _place(resource, context, " ".join(texts_of(code)))
    kinds = _kinds(resource, matches, text, context)
    reasons: list[str] = []
    stereotactic = any(match.concept == "rt_stereotactic" for match in matches) or bool(_STEREOTACTIC.search(text))
    dose, fractions = fractionation(text)
    if any(match.concept in _RADIOTHERAPY for match in matches) or (
        kinds == ("other",) and _RADIOTHERAPY_WORDS.search(text)
    ):
        target = place.is_bone or (place.is_bone is None and _treats_bone_metastasis(resource, context, resolve))
        if target:
            kinds = ("bone-radiotherapy",)
        else:
            kinds = ("other",)
            reasons.append("radiotherapy-site-not-told" if place.is_bone is None else "radiotherapy-not-of-bone")
    reasons += ["look-alike" for match in matches if match.is_trap]
    return ServiceOrder(
        kinds=kinds,
        label=label,
        place=place,
        stereotactic=stereotactic,
        dose_gy=dose,
        fractions=fractions,
        reasons=tuple(dict.fromkeys(reasons)),
        text=text,
    )


def _text(resource: Mapping[str, Any]) -> str:
    parts = [
        *texts_of(resource.get("code")),
        *(text for detail in listed(resource.get("orderDetail")) for text in texts_of(detail)),
        *(words(note.get("text")) for note in listed(resource.get("note"))),
        words(resource.get("patientInstruction")),
        *_details(resource),
    ]
    return plain("; ".join(part for part in parts if part))


def _details(resource: Mapping[str, Any]) -> list[str]:
    """Dose and fractions as structure (a quantity in an extension) become words like the others."""
    found: list[str] = []
    for extension in listed(resource.get("extension")):
        quantity = extension.get("valueQuantity")
        if isinstance(quantity, dict):
            value = number(quantity.get("value"))
            unit = spelled(code_text(quantity.get("code"))) or spelled(words(quantity.get("unit")))
            if value is not None and unit in {"Gy", "cGy"}:
                found.append(f"{value} {unit}")
        found.append(words(extension.get("valueString")))
    return found


def _kinds(
    resource: Mapping[str, Any], matches: tuple[Match, ...], text: str, context: ReadingContext
) -> tuple[OrderKind, ...]:
    for match in matches:
        if match.concept in _BY_CONCEPT:
            return _BY_CONCEPT[match.concept]
    if any(match.is_trap for match in matches):
        return ("other",)
    if _is_laboratory(resource, context):
        return ("laboratory",)
    named = plain(" ".join(texts_of(resource.get("code")))) or text
    if any(m.key == "radionuclide" for m in mentions(named)) and not _RADIOTHERAPY_WORDS.search(named):
        return ("radionuclide",)
    for pattern, kinds in _BY_WORDS:
        if pattern.search(named):
            return kinds
    return ("other",)


def _is_laboratory(resource: Mapping[str, Any], context: ReadingContext) -> bool:
    if any(
        code_text(coding.get("code")) in {"108252007", "laboratory"} for coding in codings(resource.get("category"))
    ):
        return True
    loinc = [c for c in codings(resource.get("code")) if normal_system(words(c.get("system"))) == LOINC]
    return bool(loinc) and bool(context.concepts({"coding": loinc}, "Observation"))


def _place(resource: Mapping[str, Any], context: ReadingContext, text: str) -> Place:
    """Give the bone that an order is for: of its body sites, else of its name; that it is none; or not told."""
    told = body_sites(resource, context)
    bones = [place for place in told if place.is_bone]
    if len({place.bone for place in bones}) > 1 and (whole := _common_site(bones)) is not None:
        return Place(whole, True)
    if bones:
        return bones[0]
    return told[0] if any(place.is_bone is False for place in told) else place_in(text)


def _common_site(bones: Sequence[Place]) -> str | None:
    """Give the one site of several places of an order (both femora, two levels); None where they differ."""
    sites = {place.site for place in bones}
    return sites.pop() if len(sites) == 1 else None


def _treats_bone_metastasis(resource: Mapping[str, Any], context: ReadingContext, resolve: Resolver | None) -> bool:
    return "bone-metastasis" in indications(resource, context=context, resolve=resolve)


def fractionation(text: str) -> tuple[Decimal | None, int | None]:
    """
    Read total dose in Gy and number of fractions ("8 Gy/1 f", "30 Gy in 10 fractions", "30Gy/10次", "10 x 3 Gy").

    Both or neither: two schemes in one text, or a dose without fractions, tell nothing that can be compared.
    """
    folded = plain(text)
    found: set[tuple[Decimal, int]] = set()
    for pattern in _IN_FRACTIONS:
        for hit in pattern.finditer(folded):
            found.add((_gray(hit[1], hit[2]), int(hit[3])))
    if not found:
        for hit in _TIMES_EACH[0].finditer(folded):
            found.add((_gray(hit[2], hit[3]) * int(hit[1]), int(hit[1])))
        for hit in _TIMES_EACH[1].finditer(folded):
            found.add((_gray(hit[1], hit[2]) * int(hit[3]), int(hit[3])))
    if not found and (single := _SINGLE.search(folded)):
        dose = _gray(single[1], single[2]) if single[1] else _gray(single[3], single[4])
        found.add((dose, 1))
    if len(found) != 1:
        return None, None
    dose, fractions = found.pop()
    return (dose, fractions) if fractions > 0 else (None, None)


def _gray(value: str, unit: str) -> Decimal:
    return Decimal(value) / 100 if unit == "cgy" else Decimal(value)


def purpose(text: str) -> str | None:
    """Tell whether an imaging order's reason is bone screening or staging; staging wins, None when neither is said."""
    folded = plain(text)
    if _STAGING.search(folded):
        return "staging"
    return "screening" if _SCREENING.search(folded) else None
