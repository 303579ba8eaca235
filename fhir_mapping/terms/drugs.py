"""Which drug a medication is: by code, else by name, with look-alikes kept apart."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from fhir_mapping.terms.codes import ATC, RXNORM, SNOMED, STANDARD, codings, normal_system, texts_of
from fhir_mapping.terms.drug_names import BY_CONCEPT, DRUGS, is_local, mentions, misspelt
from fhir_mapping.terms.strengths import Strength, strength_in
from fhir_mapping.words.fold import compiled
from fhir_mapping.words.plain import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhir_mapping.terms.codes import CodeTable, Match

KINDS = ("MedicationRequest", "MedicationAdministration", "MedicationStatement", "Procedure", "Claim")
"""The resource kinds of the code table's drug rows."""

TOGETHER = (
    frozenset({"calcium", "calcium-gluconate", "calcium-vitamin-d", "vitamin-d"}),
    frozenset({"opioid", "acetaminophen", "nsaid", "aspirin"}),
    frozenset({"ifosfamide", "mesna", "ifosfamide-mesna"}),
    frozenset({"other-bisphosphonate", "alendronate-vitamin-d", "vitamin-d"}),
)
"""Substances that come in one product; any other two names in one text leave the drug open."""


@dataclass(frozen=True, slots=True)
class Identified:
    """
    What a medication turned out to be.

    `drugs` are keys of `drugs.toml` (several for a combination, none when it could not be told); `words` all
    texts that came with it, `displays` those of the code table; `reasons` what a reader should know
    (`display-mismatch`, `drug-from-text`, `unmapped-code`, `look-alike`, `ambiguous-name`); `local` that it goes
    to eye, ear, skin or airways.
    """

    drugs: tuple[str, ...] = ()
    product: str | None = None
    label: str = ""
    by: Literal["code", "text", "none"] = "none"
    strength: Strength = field(default_factory=Strength)
    oral: bool = False
    injected: bool = False
    local: bool = False
    words: tuple[str, ...] = ()
    displays: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    codes: tuple[tuple[str, str], ...] = ()

    @property
    def classes(self) -> frozenset[str]:
        """The classes of all its drugs."""
        return frozenset(name for key in self.drugs for name in DRUGS[key].classes)


_ORAL = compiled(r"(?<![a-z])(oral|tablets?|caps?(?:ules?)?|pills?|chewable|by mouth)(?![a-z])|片|胶囊|口服")
_INJECTED = compiled(r"(?<![a-z])(injec\w*|infusion|vials?|syringe|intravenous|ampoules?)(?![a-z])|注射|静脉|针剂|冻干")


def identify(
    codeables: Sequence[object], texts: Sequence[str] = (), *, table: CodeTable = STANDARD, at_hand: bool = False
) -> Identified:
    """
    Tell which drug a medication is.

    `codeables` are CodeableConcepts of one product (its code, or each ingredient), `texts` further words
    (a reference's display, the dose form). A code decides before any word. `at_hand` is for draft orders:
    there a display that names another drug than its code leaves the drug untold.
    """
    words = tuple(dict.fromkeys(word for word in (*(t for c in codeables for t in texts_of(c)), *texts) if word))
    matches = [match for codeable in codeables for match in table.concepts(codeable, *KINDS)]
    sent = ((str(coding.get("system") or ""), str(coding.get("code") or "")) for coding in codings(list(codeables)))
    coded = tuple(dict.fromkeys(sent))
    base = Identified(
        label=words[0] if words else "",
        words=words,
        codes=coded,
        local=any(is_local(word) for word in words),
        oral=any(_ORAL.search(plain(word)) for word in words),
        injected=any(_INJECTED.search(plain(word)) for word in words),
    )
    own = [match for match in matches if match.concept in BY_CONCEPT and not _is_superfluous(match, matches)]
    if own:
        return _by_code(base, own, matches, at_hand=at_hand)
    if matches:
        reason = "look-alike" if any(match.is_trap for match in matches) else ""
        return replace(base, by="code", reasons=(reason,) if reason else ())
    return _by_text(base, coded, at_hand=at_hand)


def _is_superfluous(match: Match, matches: Sequence[Match]) -> bool:
    """A class row says nothing beside the drug itself (M05BA beside M05BA08)."""
    return match.concept.startswith("class_") and any(
        not other.concept.startswith("class_") and other.code == match.code for other in matches
    )


def _by_code(base: Identified, own: Sequence[Match], matches: Sequence[Match], *, at_hand: bool) -> Identified:
    keys = tuple(dict.fromkeys(BY_CONCEPT[match.concept][0] for match in own))
    product = _sole(_products(own) or _named_products(base.words, keys))
    partners = [
        mention.key
        for match in own
        if match.concept.endswith(("_combination", "_combinations"))
        for mention in mentions(match.display) + mentions(match.sent_display)
        if mention.kind == "drug"
    ]
    reasons: list[str] = [match.note for match in own if match.note]
    if _contradicted(keys, base.words):
        reasons.append("display-mismatch")
        if at_hand:
            return replace(base, by="code", reasons=tuple(dict.fromkeys(reasons)))
    displays = [plain(match.display) for match in matches]
    shown = tuple(dict.fromkeys(match.display for match in own if match.display))
    return replace(
        base,
        drugs=tuple(dict.fromkeys((*_ranked(keys, own), *partners))),
        product=product,
        by="code",
        label=base.label or own[0].display or DRUGS[keys[0]].en,
        strength=_strength(keys, product, shown, base.words),
        displays=shown,
        oral=base.oral or any(_ORAL.search(display) for display in displays),
        injected=base.injected or any(_INJECTED.search(display) for display in displays),
        reasons=tuple(dict.fromkeys(reasons)),
    )


def _ranked(keys: tuple[str, ...], own: Sequence[Match]) -> tuple[str, ...]:
    # the cough syrup's and the maintenance programme's ATC codes say that the opioid is not given for pain
    if keys == ("opioid",) and all(match.system == ATC and match.code.startswith("N07BC") for match in own):
        return ("opioid-not-analgesic",)
    return keys


def _products(own: Sequence[Match]) -> set[str]:
    return {product for match in own if (product := BY_CONCEPT[match.concept][1])}


def _named_products(words: Sequence[str], keys: Sequence[str]) -> set[str]:
    return {m.product for word in words for m in mentions(word) if m.product and m.key in keys}


def _sole(found: set[str]) -> str | None:
    return next(iter(found)) if len(found) == 1 else None


def _contradicted(keys: Sequence[str], words: Sequence[str]) -> bool:
    """Tell whether the words name drugs, and none of them is one of those that the codes mean."""
    named = [mention for word in words for mention in mentions(word)]
    if not named:
        return False
    family = {key for group in TOGETHER if group & set(keys) for key in group} | set(keys)
    return not any(mention.key in family for mention in named)


def _strength(keys: Sequence[str], product: str | None, displays: Sequence[str], words: Sequence[str]) -> Strength:
    if len(keys) != 1:
        return Strength()
    told = DRUGS[keys[0]].products.get(product or "")
    read = next((s for text in (*displays, *words) if (s := strength_in(text)) != Strength()), Strength())
    if told is None:
        return read
    return Strength(told.mg_per_ml or read.mg_per_ml, told.mg or read.mg_per_piece)


def _by_text(base: Identified, coded: Sequence[tuple[str, str]], *, at_hand: bool) -> Identified:
    named = [mention for word in base.words for mention in mentions(word)]
    keys = tuple(dict.fromkeys(mention.key for mention in named if mention.kind == "drug"))
    reasons: list[str] = []
    if any(is_drug_code(system) for system, code in coded if code):
        reasons.append("unmapped-code")
    if any(mention.kind == "look-alike" for mention in named):
        return replace(base, reasons=(*reasons, "look-alike"))
    if not keys and not named:
        return _by_near_name(base, reasons)
    if not keys:
        return replace(base, reasons=tuple(reasons))
    alone = len(keys) == 1 or any(set(keys) <= group for group in TOGETHER)
    if not alone or (at_hand and any(mention.kind == "other" for mention in named)):
        return replace(base, reasons=(*reasons, "ambiguous-name"))
    product = _sole(_named_products(base.words, keys))
    return replace(
        base,
        drugs=keys,
        product=product,
        by="text",
        strength=_strength(keys, product, (), base.words),
        reasons=(*reasons, "drug-from-text"),
    )


def _by_near_name(base: Identified, reasons: Sequence[str]) -> Identified:
    near = [mention for word in base.words if (mention := misspelt(word))]
    if len({mention.key for mention in near}) != 1:
        return replace(base, reasons=tuple(reasons))
    keys, product = (near[0].key,), near[0].product
    strength = _strength(keys, product, (), base.words)
    told = (*reasons, "drug-from-text", "name-misspelt")
    return replace(base, drugs=keys, product=product, by="text", strength=strength, reasons=told)


def is_drug_code(system: str) -> bool:
    """Tell whether a code system is one of those the drug table knows."""
    return normal_system(system) in {RXNORM, ATC, SNOMED}
