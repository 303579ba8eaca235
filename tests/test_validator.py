"""HAPI's FHIR validator finds nothing wrong with what we send: forms, answers, orders, refusals, rules, samples."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hooks.dossier.form.questionnaire import every_item, questionnaire
from hooks.dossier.form.questions import QUESTIONS, link_id
from hooks.dossier.form.writing import observations, questionnaire_response
from hooks.errors import outcome
from hooks.guideline.package import definitions
from hooks.reference.samples import samples
from recommenders.assessing.decisive import LESION
from recommenders.assessing.decisive import Item as Asked
from tests.engines import Remark, validated
from tests.fhir import chart, patient
from tests.test_ask_writing import LANGUAGES, SPAN_VALUES, answers, occasion, plain_json
from tests.test_proposals import MEDICATIONS, SERVICES, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hooks.cards.wording import Language
    from recommenders.patient.advice import Item

pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("validator")]

PATIENTS = Path(__file__).parent.parent / "fixtures" / "patients"
REQUESTS = Path(__file__).parent.parent / "fixtures" / "requests"
NOT_CHECKED = (
    # terminologies that no test can ship
    "CodeSystem is unknown and can't be validated",
    "Unknown code system",
    # profiles that are not shipped; the samples are held to what US Core asks by tests/us_core.py
    "Profile reference 'http://hl7.org/fhir/us/core/",
    "Invalid profile. Failed to retrieve profile with url=http://hl7.org/fhir/us/core/",
)


def every_answer(path: str) -> list[Any]:
    """All that one question can be answered with, "unknown" included; of numbers the ends and one between."""
    question = QUESTIONS[path]
    low, high = question.low or 0, question.high or 0
    offered: dict[str, list[Any]] = {
        "yes-no": [True, False],
        "word": list(question.options),
        "date": ["2026-11-01"],
        "span": list(SPAN_VALUES),
        "number": [float(low), 12.5, float(high)],
        "count": [int(low), int(high)],
        "score": [int(low), int(high)],
    }
    return [*offered[question.kind], None]


def completed_forms(language: Language) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Completed forms, with the entries saved beside them, in which each question has had each of its answers."""
    for turn in count():
        given = [
            (link_id(Asked(path, name)), every_answer(path)[turn])
            for path in QUESTIONS
            for name in (("new-1", "Observation/l1") if path.startswith(LESION) else ("",))
            if turn < len(every_answer(path))
        ]
        if not given:
            return
        made = answers(*given)
        entries = observations(made, chart(patient()).facts, occasion(language))
        yield questionnaire_response(made, occasion(language)), [entry.resource for entry in entries]


def sent() -> Iterator[tuple[str, Any]]:
    """All that we send, each with a word of what it is."""
    for language in LANGUAGES:
        yield f"questionnaire {language}", questionnaire(every_item(), language)
        for form, entries in completed_forms(language):
            yield f"form {language}", form
            yield from ((f"entry {language}", entry) for entry in entries)
        proposed: tuple[Item, ...] = (*MEDICATIONS, *SERVICES)
        yield from ((f"proposed {language}", write(item, language)) for item in proposed)
    for path in sorted(REQUESTS.glob("*.expected.json")):
        for card in json.loads(path.read_text(encoding="utf-8")).get("cards", ()):
            for suggestion in card.get("suggestions", ()):
                for action in suggestion["actions"]:
                    if "resource" in action:
                        yield f"suggested by {path.stem}", action["resource"]
    for sample in samples():
        bundle = json.loads((PATIENTS / f"{sample.name}.json").read_text(encoding="utf-8"))
        yield from ((f"sample {sample.name}", entry["resource"]) for entry in bundle["entry"])
    yield from ((f"package {one['id']}", one) for one in definitions())
    for status in (400, 401, 403, 404, 405, 413, 415, 422, 429, 500, 502, 503, 504):
        yield f"refusal {status}", outcome(status, "What was wrong.", field="context.patientId")


def wrong_on_purpose() -> Iterator[Any]:
    """What the validator must not let pass, to know that it looks."""
    (form, _), *_ = completed_forms("en")
    yield plain_json(form) | {"status": "over"}
    first, *rest = plain_json(form)["item"]
    yield plain_json(form) | {"item": [first | {"answer": [{"valueInteger": 77}]}, *rest]}
    yield plain_json(form) | {"item": [first | {"text": "Something else?"}, *rest]}
    yield {key: value for key, value in write(MEDICATIONS[0]).items() if key != "subject"}


@pytest.fixture(scope="module")
def remarks() -> dict[str, list[tuple[str, Remark]]]:
    """What the validator remarked, in one run of it: on what we send, and on what is wrong on purpose."""
    named, wrong = list(sent()), list(wrong_on_purpose())
    found = validated([resource for _, resource in named] + wrong)
    told: dict[str, list[tuple[str, Remark]]] = {"sent": [], "wrong": []}
    for remark in found:
        if remark.place < len(named):
            told["sent"].append((named[remark.place][0], remark))
        else:
            told["wrong"].append((str(remark.place - len(named)), remark))
    return told


def test_the_validator_looks(remarks: dict[str, list[tuple[str, Remark]]]) -> None:
    errors = {name for name, remark in remarks["wrong"] if remark.severity in {"ERROR", "FATAL"}}
    assert errors == {"0", "1", "2", "3"}


def test_nothing_that_we_send_is_remarked_on(remarks: dict[str, list[tuple[str, Remark]]]) -> None:
    left = [
        f"{name}: {remark.severity} {remark.path}: {remark.words}"
        for name, remark in remarks["sent"]
        if remark.severity != "INFORMATION" and not remark.words.startswith(NOT_CHECKED)
    ]
    assert not left, "\n".join(sorted(set(left))[:40])
