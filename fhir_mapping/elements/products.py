"""From `medication[x]` to a drug: coded, contained, delivered beside, or only named."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fhir_mapping.delivery.context import Note
from fhir_mapping.elements.amounts import amount, words
from fhir_mapping.elements.infusions import text_diluent
from fhir_mapping.terms import drugs, strengths
from fhir_mapping.terms.codes import ATC, code_text, codings, normal_system, texts_of
from fhir_mapping.terms.exact import listed
from fhir_mapping.words import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fhir_mapping.delivery.context import ReadingContext
    from fhir_mapping.terms.drugs import Identified

    Resolver = Callable[[str, Mapping[str, Any] | None], Mapping[str, Any] | None]

SAID: dict[str, str] = {
    "display-mismatch": "the display names another drug than the code",
    "drug-from-text": "the drug was recognised by its name, not by a code",
    "name-misspelt": "its name was read although one letter differs; check that this drug is meant",
    "unmapped-code": "its drug code is not in the code table",
    "unmapped": "no drug that a rule uses",
    "no-drug": "no medication is given",
    "look-alike": "another drug with a similar name",
    "ambiguous-name": "its text names more than one drug",
    "unresolved-medication": "the Medication it refers to was not delivered; drug not told",
    "unidentified": "which drug it is cannot be told, so it may be any",
    "dose-not-told": "how much it is cannot be told: no strength, or no amount",
    "product-dose-mismatch": "product and dose belong to different strengths; the dose decides",
    "text-differs-from-dose": "the dose in the text differs from the structured one, which is used",
    "ambiguous-interval": "its interval reads two ways (biweekly), so it is unknown",
    "several-doses": "more than one dose is given, so the dose is unknown",
    "from-text": "dose, route, interval or infusion time was read from text",
    "prohibited": "doNotPerform, an order not to give",
    "not-an-order": "a proposal, option or plan is no order",
    "draft-outside-the-call": "a draft that is not among the draft orders of the call",
    "also-drafted": "stands among the draft orders too, so it is a draft here",
    "not-taken": "the patient does not take it",
    "reported-not-taken": "a newer statement says that it is not taken",
    "status-unknown": "its status is unknown, so whether it is current is too",
    "no-date": "no date, so no dose",
    "future-dated": "dated after today",
    "dose-from-billing": "a dose known from a billing code",
    "supply-is-not-a-dose": "a dispensed injection is no dose given",
    "type-not-read": "this type of order is not read",
    "entry-without-resource": "an entry without a resource",
    "selection-not-among-drafts": "a selection that no draft order answers to",
    "same-id-twice": "two draft orders have the same id",
    "order-sent-twice": "the same draft order came twice and counts once",
    "radiotherapy-site-not-told": "radiotherapy, but not of which site",
    "radiotherapy-not-of-bone": "radiotherapy of another site than bone",
    "no-subject": "used, since it came with this patient's data",
}
"""Why something was read in a certain way or not at all: the word to look for, and what it means."""


def note(resource: str, reason: str) -> Note:
    """Give the note that says so: the reason's word, then what it means."""
    return Note(resource, f"{reason}: {SAID[reason]}" if reason in SAID else reason)


_SALINE = ("sodium chloride", "nacl", "saline", "氯化钠", "生理盐水", "盐水")


@dataclass(frozen=True, slots=True)
class Delivered:
    """A drug with what its Medication resource added: its reference and the saline in it, in mL."""

    product: Identified
    medication: str | None = None
    diluent_ml: Decimal | None = None
    is_unresolved: bool = False

    @property
    def is_anything(self) -> bool:
        """Whether nobody can tell which drug it is: not even that it is none of ours."""
        product = self.product
        if product.drugs:
            return False
        if self.is_unresolved:
            return True
        others = {normal_system(system) for system, _ in product.codes} == {
            ATC
        }  # lists each drug under a code of its own
        return not product.words and not others


def product_of(
    resource: Mapping[str, Any],
    *,
    context: ReadingContext,
    resolve: Resolver | None = None,
    at_hand: bool = False,
) -> Delivered:
    """
    Tell which drug an order, administration, statement or dispense is about.

    In this order: `medicationCodeableConcept`, `medicationReference` (contained, then delivered), the shapes
    of FHIR R5 that some senders use already, and a reference's display as a last resort. `resolve` looks a
    reference up before the context does (the other entries of `draftOrders`).
    """
    leftover = resource.get("medication")
    later = leftover if isinstance(leftover, dict) else {}
    for codeable in (resource.get("medicationCodeableConcept"), later.get("concept")):
        if _says_something(codeable):
            return Delivered(drugs.identify([codeable], table=context.codes, at_hand=at_hand))
    for reference in (resource.get("medicationReference"), later.get("reference")):
        if isinstance(reference, dict):
            return _referred(reference, resource, context, resolve, at_hand=at_hand)
    return Delivered(drugs.identify([], table=context.codes))


def _says_something(codeable: object) -> bool:
    coded = any(code_text(coding.get("code")) for coding in codings(codeable))
    return isinstance(codeable, dict) and (coded or bool(texts_of(codeable)))


def _referred(
    reference: Mapping[str, Any],
    resource: Mapping[str, Any],
    context: ReadingContext,
    resolve: Resolver | None,
    *,
    at_hand: bool,
) -> Delivered:
    target, display = words(reference.get("reference")), words(reference.get("display"))

    def find(name: str) -> Mapping[str, Any] | None:
        found = resolve(name, resource) if resolve is not None and name else None
        return found or (context.resolve(name, resource) if name else None)

    medication = find(target)
    if medication is not None and medication.get("resourceType") == "Medication":
        return _from_medication(medication, target, display, context, find, at_hand=at_hand)
    named = drugs.identify([], [display] if display else [], table=context.codes, at_hand=at_hand)
    if named.drugs:
        return Delivered(named)
    return Delivered(named, is_unresolved=bool(target))


def _from_medication(
    medication: Mapping[str, Any],
    target: str,
    display: str,
    context: ReadingContext,
    find: Callable[[str], Mapping[str, Any] | None],
    *,
    at_hand: bool,
) -> Delivered:
    ingredients = listed(medication.get("ingredient"))
    parts = [_ingredient_code(ingredient, find) for ingredient in ingredients]
    active = [part for part in parts if _says_something(part) and not _is_saline(part)]
    own = medication.get("code")
    codeables = [own] if _says_something(own) else active
    more = [*texts_of(medication.get("form")), display]
    product = drugs.identify(codeables, [text for text in more if text], table=context.codes, at_hand=at_hand)
    if not product.drugs and active and codeables != active and "display-mismatch" not in product.reasons:
        product = drugs.identify(active, [text for text in more if text], table=context.codes, at_hand=at_hand)
    if len(product.drugs) == 1 and product.strength == strengths.Strength():
        told = [_strength(ingredient) for ingredient, part in zip(ingredients, parts, strict=True) if part in active]
        if len(told) == 1:
            product = replace(product, strength=told[0])
    diluent = next(
        (
            ml
            for ingredient, part in zip(ingredients, parts, strict=True)
            if _is_saline(part) and (ml := _ml(ingredient))
        ),
        None,
    )
    identity = words(medication.get("id"))
    name = f"Medication/{identity}" if identity and not target.startswith("#") else None
    return Delivered(product, name, diluent)


def _ingredient_code(ingredient: Mapping[str, Any], find: Callable[[str], Mapping[str, Any] | None]) -> object:
    item = ingredient.get("item")
    later = item if isinstance(item, dict) else {}
    for codeable in (ingredient.get("itemCodeableConcept"), later.get("concept")):
        if _says_something(codeable):
            return codeable
    for reference in (ingredient.get("itemReference"), later.get("reference")):
        if isinstance(reference, dict):
            found = find(words(reference.get("reference")))
            if found is not None and _says_something(found.get("code")):
                return found["code"]
            if words(reference.get("display")):
                return {"text": words(reference.get("display"))}
    return None


def _is_saline(codeable: object) -> bool:
    return any(name in plain.plain(text) for text in texts_of(codeable) for name in _SALINE)


def _strength(ingredient: Mapping[str, Any]) -> strengths.Strength:
    ratio = ingredient.get("strength")
    if not isinstance(ratio, dict):
        return strengths.Strength()
    above, below = amount(ratio.get("numerator")), ratio.get("denominator")
    if above is None or above.kind != "mg":
        return strengths.Strength()
    under = amount(below)
    if under is not None and under.kind == "mL" and under.low > 0:
        return strengths.Strength(above.low / under.low, None)
    if under is not None and under.kind == "piece" and under.low > 0:
        return strengths.Strength(None, above.low / under.low)
    return (
        strengths.Strength(None, above.low)
        if not isinstance(below, dict) or below.get("value") in (1, None)  # not a set: an object cannot be looked up
        else strengths.Strength()
    )


def _ml(ingredient: Mapping[str, Any]) -> Decimal | None:
    ratio = ingredient.get("strength")
    if isinstance(ratio, dict):
        above = amount(ratio.get("numerator"))
        if above is not None and above.kind == "mL":
            return above.low
    told = [found for text in texts_of(ingredient.get("itemCodeableConcept")) if (found := text_diluent(text))]
    return told[0][0] if told and told[0][0] == told[0][1] else None
