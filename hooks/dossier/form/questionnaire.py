"""The questions as a FHIR R4 Questionnaire, in one language with the other as translation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir.resources.R4B.questionnaire import Questionnaire

from fhir_mapping.terms.codes import LOCAL
from hooks.cards.wording import LANGUAGES
from hooks.dossier.form.questions import QUESTIONS, Question, link_id, option_label
from hooks.dossier.form.texts import texts
from hooks.dossier.form.writing import CHARTED, LESIONS, UNKNOWN, canonical, yes_or_no
from recommenders.assessing.decisive import LESION, NEW_LESION, Item
from recommenders.vocabulary.guidance import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hooks.cards.wording import Language

TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
_TYPES = {"count": "integer", "score": "integer", "number": "decimal", "date": "date", "span": "open-choice"}
"""The item type of each way to answer that is not a choice among words."""


def questionnaire(items: Iterable[Item], language: Language, *, served: str | None = None) -> dict[str, Any]:
    """Give the Questionnaire of these items, validated; `served` as in `canonical`. A lesion's items are one group."""
    resource: dict[str, Any] = {
        "resourceType": "Questionnaire",
        "url": canonical(served, language),
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
    paths = dict.fromkeys(item.path for item in items if item.lesion)
    if paths:  # one group that repeats: a lesion of the chart is named in it, a new one is not
        yield {
            "linkId": LESIONS,
            **_both("text", language, lambda one: texts(one)["lesion_group"]),
            "type": "group",
            "repeats": True,
            "item": [
                {"linkId": CHARTED, **_both("text", language, lambda one: texts(one)["lesion_of"]), "type": "string"},
                *(_item(path, QUESTIONS[path], language) for path in QUESTIONS if path in paths),
            ],
        }


def _item(link: str, question: Question, language: Language) -> dict[str, Any]:
    options = list(_options(question, language))
    found: dict[str, Any] = {
        "linkId": link,
        "code": [{"system": LOCAL, "code": question.spec.name.removeprefix(f"{LESION}.")}],
        **_both("text", language, question.wording.text),
        "type": _TYPES.get(question.kind, "choice"),
    }
    if options:
        found["answerOption"] = options if question.kind == "score" else [*options, {"valueCoding": UNKNOWN}]
    return found


def _options(question: Question, language: Language) -> Iterator[dict[str, Any]]:
    if question.kind == "yes-no":
        # a published code system keeps its own display; the reader's word is its translation
        for value, key in ((True, "yes"), (False, "no")):
            word = _translated([(one, texts(one)[key]) for one in LANGUAGES])
            yield {"valueCoding": yes_or_no(value) | {"_display": word}}
        return
    for option in question.options:
        if question.kind == "score":
            yield {"valueInteger": int(option)}
            continue
        shown = _both("display", language, lambda one, option=option: option_label(question.path, option, one))  # type: ignore[misc] # a default binds the loop's value
        yield {"valueCoding": {"system": LOCAL, "code": option, **shown}}


def _both(name: str, language: Language, of: Callable[[Language], str]) -> dict[str, Any]:
    other = next(one for one in LANGUAGES if one != language)
    return {name: of(language), f"_{name}": _translated([(other, of(other))])}


def _translated(words: Iterable[tuple[str, str]]) -> dict[str, Any]:
    return {
        "extension": [
            {
                "url": TRANSLATION,
                "extension": [{"url": "lang", "valueCode": lang}, {"url": "content", "valueString": content}],
            }
            for lang, content in words
        ]
    }


def every_item() -> Iterator[Item]:
    """Yield all that can be asked: every plain fact, and one lesion."""
    for path in QUESTIONS:
        yield Item(path, NEW_LESION if path.startswith(LESION) else "")
