"""The questions as a FHIR R4 Questionnaire, in one language with the other as translation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir.resources.R4B.questionnaire import Questionnaire

from fhir_mapping.terms.codes import LOCAL
from hooks.cards.wording import LANGUAGES
from hooks.dossier.form.questions import QUESTIONS, Question, link_id, option_label
from hooks.dossier.form.texts import texts
from hooks.dossier.form.writing import ABSENT, LOCAL_FORM, YES_NO
from recommenders.assessing.decisive import LESION, NEW_LESION, Item
from recommenders.vocabulary.guidance import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hooks.cards.wording import Language

TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
UNKNOWN = {"valueCoding": {"system": ABSENT, "code": "asked-unknown", "display": "Asked But Unknown"}}
_TYPES = {"count": "integer", "number": "decimal", "date": "date"}


def questionnaire(items: Iterable[Item], language: Language, *, url: str | None = None) -> dict[str, Any]:
    """Give the Questionnaire of these items, validated; a lesion's items are one group."""
    resource: dict[str, Any] = {
        "resourceType": "Questionnaire",
        "url": url or LOCAL_FORM,
        "version": VERSION,
        "name": "OncoBoneAsk",
        **_both("title", language, lambda one: texts(one)["questionnaire"]),
        "status": "active",
        "subjectType": ["Patient"],
        "language": language,
        "item": list(_items(tuple(items), language)),
    }
    Questionnaire.model_validate(resource)
    return resource


def _items(items: tuple[Item, ...], language: Language) -> Iterator[dict[str, Any]]:
    for item in items:
        if not item.lesion:
            yield _item(link_id(item), QUESTIONS[item.path], language)
    for name in dict.fromkeys(item.lesion for item in items if item.lesion):
        parts = [_item(link_id(item), QUESTIONS[item.path], language) for item in items if item.lesion == name]
        yield {
            "linkId": f"lesions[{name}]",
            **_both("text", language, lambda one: texts(one)["lesion_new"]),
            "type": "group",
            "item": parts,
        }


def _item(link: str, question: Question, language: Language) -> dict[str, Any]:
    options = list(_options(question, language))
    found: dict[str, Any] = {
        "linkId": link,
        "code": [{"system": LOCAL, "code": question.spec.name.removeprefix(f"{LESION}.")}],
        **_both("text", language, question.wording.text),
        "type": ("open-choice" if question.kind == "span" else "choice") if options else _TYPES[question.kind],
    }
    if options:
        found["answerOption"] = [*options, UNKNOWN]
    return found


def _options(question: Question, language: Language) -> Iterator[dict[str, Any]]:
    if question.kind == "yes-no":
        for code, key in (("Y", "yes"), ("N", "no")):
            shown = _both("display", language, lambda one, key=key: texts(one)[key])  # type: ignore[misc] # a default binds the loop's value
            yield {"valueCoding": {"system": YES_NO, "code": code, **shown}}
        return
    for option in question.options:
        shown = _both("display", language, lambda one, option=option: option_label(question.path, option, one))  # type: ignore[misc] # as above
        yield {"valueCoding": {"system": LOCAL, "code": option, **shown}}


def _both(name: str, language: Language, of: Callable[[Language], str]) -> dict[str, Any]:
    other = next(one for one in LANGUAGES if one != language)
    translated = {
        "url": TRANSLATION,
        "extension": [{"url": "lang", "valueCode": other}, {"url": "content", "valueString": of(other)}],
    }
    return {name: of(language), f"_{name}": {"extension": [translated]}}


def every_item() -> Iterator[Item]:
    """Yield all that can be asked: every plain fact, and one lesion."""
    for path in QUESTIONS:
        yield Item(path, NEW_LESION if path.startswith(LESION) else "")
