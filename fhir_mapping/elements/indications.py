"""Why something was ordered: the reasons of an order, as codes, as references to Conditions, as words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir_mapping.elements.amounts import words
from fhir_mapping.terms.codes import code_text, codings, texts_of
from fhir_mapping.terms.exact import listed
from fhir_mapping.words import assertions
from fhir_mapping.words.plain import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from fhir_mapping.delivery.context import ReadingContext

    Resolver = Callable[[str, Mapping[str, Any] | None], Mapping[str, Any] | None]

_CONCEPTS = {
    "bone_metastasis": "bone-metastasis",
    "bone_metastasis_child": "bone-metastasis",
    "multiple_myeloma": "myeloma",
    "multiple_myeloma_relapse": "myeloma",
    "multiple_myeloma_remission": "myeloma",
    "smouldering_myeloma": "myeloma",
    "myeloma_light_chain": "myeloma",
    "myeloma_non_secretory": "myeloma",
    "hypercalcaemia": "hypercalcaemia",
    "osteoporosis": "osteoporosis",
    "giant_cell_tumour": "giant-cell-tumour",
}
_TERMS = {
    "bone_metastasis": "bone-metastasis",
    "multiple_myeloma": "myeloma",
    "smouldering_myeloma": "myeloma",
    "hypercalcaemia": "hypercalcaemia",
    "osteoporosis": "osteoporosis",
    "giant_cell_tumour": "giant-cell-tumour",
}
FIRST = (
    "bone-metastasis",
    "myeloma",
    "hypercalcaemia",
    "giant-cell-tumour",
    "osteoporosis",
    "paget",
    "staging",
    "screening",
    "other",
)
"""
Which reason speaks for an order that gives several.

Hypercalcaemia and osteoporosis exempt from dose rules, so a cancer reason beside them goes first: the order is
then still checked.
"""


def indications(
    resource: Mapping[str, Any], *, context: ReadingContext, resolve: Resolver | None = None
) -> tuple[str, ...]:
    """
    Give the reasons that an order states, the decisive one first; empty when it states none.

    A reason that is doubted, denied or a history, or a Condition that is refuted, provisional or over, is not
    stated: rules exempt an order on a stated reason only.
    """
    found: set[str] = set()
    stated = False
    for codeable in _reasons(resource, context, resolve):
        stated = True
        found |= _of(codeable, context)
    if stated and not found:
        found.add("other")
    return tuple(reason for reason in FIRST if reason in found)


def _reasons(resource: Mapping[str, Any], context: ReadingContext, resolve: Resolver | None) -> Iterable[object]:
    later = listed(resource.get("reason"))  # FHIR R5
    coded = [*listed(resource.get("reasonCode")), *(item["concept"] for item in later if "concept" in item)]
    yield from (codeable for codeable in coded if codeable)
    references = [
        *listed(resource.get("reasonReference")),
        *(item["reference"] for item in later if isinstance(item.get("reference"), dict)),
    ]
    for reference in references:
        name = words(reference.get("reference"))
        found = (resolve(name, resource) if resolve is not None and name else None) or (
            context.resolve(name, resource) if name else None
        )
        if found is None:
            if words(reference.get("display")):
                yield {"text": words(reference.get("display"))}
        elif found.get("resourceType") == "Condition" and stands(found):
            yield found.get("code")


def stands(condition: Mapping[str, Any]) -> bool:
    """Tell whether a Condition is confirmed and not over."""
    verified = {code_text(coding.get("code")).lower() for coding in codings(condition.get("verificationStatus"))}
    clinical = {code_text(coding.get("code")).lower() for coding in codings(condition.get("clinicalStatus"))}
    doubted = {"refuted", "entered-in-error", "unconfirmed", "provisional", "differential"}
    return not verified & doubted and not clinical & {"inactive", "resolved"}


def _of(codeable: object, context: ReadingContext) -> set[str]:
    matches = context.concepts(codeable, "Condition")
    coded = {_CONCEPTS[match.concept] for match in matches if match.concept in _CONCEPTS}
    spoken: set[str] = set()
    for text in texts_of(codeable):
        verdicts = assertions.verdicts(text)
        for term, reason in _TERMS.items():
            verdict = verdicts.get(term)
            if verdict == "present":
                spoken.add(reason)
            elif verdict is not None:
                coded.discard(reason)  # "?hypercalcaemia" under its code is not a stated reason
        if "paget" in plain(text) or "变形性骨炎" in text:
            spoken.add("paget")
    return coded or spoken
