"""By which route: coded, or in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from fhir_mapping.terms.codes import code_text, codings, texts_of
from fhir_mapping.words.fold import compiled
from fhir_mapping.words.plain import plain, rewritten

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_mapping.delivery.context import ReadingContext

_ROUTE_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "SC",
        compiled(r"\b(?:sc|s\.c\.?|s\.q\.?|sq|subq|sub-q|subcut|subcutaneous(?:ly)?|under the skin|ih)(?![a-z])|皮下"),
    ),
    ("IM", compiled(r"\b(?:im|i\.m\.?|intramuscular(?:ly)?|into (?:a|the) muscle)(?![a-z])|肌注|肌内|肌肉注射")),
    ("ID", compiled(r"\bintradermal(?:ly)?\b|皮内注射|皮内")),
    (
        "IV",
        compiled(
            r"\b(?:iv|i\.v\.?|ivgtt|iv drip|ivd|ivpb|civi?|intravenous(?:ly)?|into (?:a|the) vein)(?![a-z])"
            r"|静滴|静脉|静推|静注|静点|点滴(?![眼鼻耳])|输注|滴注|ivgtt"
        ),
    ),
    ("PO", compiled(r"\b(?:po|p\.o\.?|per os|oral(?:ly)?|by mouth)(?![a-z])|口服|嚼服")),
)


def text_route(text: str) -> str | None:
    """Read a route ("IV", "静滴", "皮下"); None when none or more than one is named."""
    folded = plain(text)
    found = [route for route, pattern in _ROUTE_WORDS if pattern.search(folded)]
    return found[0] if len(found) == 1 else None


def replace_route(text: str, words_: str) -> str:
    """Give a text with its route written anew."""
    any_route = "|".join(pattern.pattern for _, pattern in _ROUTE_WORDS)
    return rewritten(text, f"(?:{any_route})+", words_)


_ROUTES = {
    "route_subcutaneous": "SC",
    "route_intravenous": "IV",
    "route_oral": "PO",
    "route_intramuscular": "IM",
}


def route_of(instruction: Mapping[str, Any], context: ReadingContext) -> str | None:
    node = instruction.get("route")
    found = {_ROUTES[match.concept] for match in context.concepts(node) if match.concept in _ROUTES}
    if len(found) == 1:
        return found.pop()
    if found:
        return None
    said = {route for text in texts_of(node) if (route := text_route(text))}
    if len(said) == 1:
        return said.pop()
    method = {route for text in texts_of(instruction.get("method")) if (route := text_route(text))}
    if len(method) == 1 and not texts_of(node):
        return method.pop()
    return "other" if texts_of(node) or any(code_text(c.get("code")) for c in codings(node)) else None
