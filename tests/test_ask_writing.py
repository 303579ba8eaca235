"""Every fact that the form can write is read back as the same fact; and each resource is valid R4."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from fhir.resources.R4B.observation import Observation
from fhir.resources.R4B.questionnaireresponse import QuestionnaireResponse
from hypothesis import given, settings
from hypothesis import strategies as st

from hooks.dossier.form.answers import Answer, read_answers
from hooks.dossier.form.questionnaire import every_item, questionnaire
from hooks.dossier.form.questions import QUESTIONS, SPANS, item_of, link_id
from hooks.dossier.form.writing import ANSWERS, Occasion, as_text, observations, questionnaire_response
from hooks.errors import Refused
from recommenders.assessing.decisive import LESION, Item, fact_at
from recommenders.vocabulary.dictionary import Facts
from recommenders.vocabulary.facts import Finding, Moment, Reading
from recommenders.vocabulary.records import Lesion, Lesions
from tests.fhir import NOW, PATIENT_ID, TODAY, chart, coded, condition, days_ago, observation, patient

if TYPE_CHECKING:
    from fhir_mapping.chart import Mapped
    from hooks.cards.wording import Language
    from hooks.dossier.form.questions import Question

LANGUAGES: tuple[Language, ...] = ("en", "zh-CN")
PLAIN = [path for path in QUESTIONS if not path.startswith(LESION)]
COMPONENTS = [path for path in QUESTIONS if path.startswith(LESION) and path != f"{LESION}.side"]
SPAN_VALUES = [*SPANS, {"low": 2, "high": 5}, {"low": 4, "high": None}, {"low": None, "high": 3}, {"low": 7, "high": 7}]


def occasion(language: Language = "en", **more: Any) -> Occasion:
    """The doctor's visit of the tests."""
    told = {"performer": "Practitioner/d1", "encounter": "Encounter/e1", "form": "QuestionnaireResponse/q1"}
    return Occasion(patient_id=PATIENT_ID, moment=NOW, language=language, **(told | more))


def answers(*given: tuple[str, Any]) -> tuple[Answer, ...]:
    """What the page would send."""
    return read_answers([{"item": link, "value": value} for link, value in given], TODAY)


def plain_json(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource as it goes over the wire."""
    found: dict[str, Any] = json.loads(msgspec.json.Encoder(decimal_format="number").encode(resource))
    return found


def saved(given: tuple[Answer, ...], *chart_of: dict[str, Any], language: Language = "en") -> Mapped:
    """The chart after saving, the resources as a server would give them back."""
    before = chart(patient(), *chart_of).facts
    entries = observations(given, before, occasion(language))
    stored = [plain_json(entry.resource) | {"id": f"new{place}"} for place, entry in enumerate(entries)]
    return chart(patient(), *chart_of, *stored)


def values(question: Question) -> st.SearchStrategy[Any]:
    """Any answer that the form lets through."""
    low, high = int(question.low or 0), int(question.high or 0)
    if question.kind == "yes-no":
        return st.booleans()
    if question.kind == "word":
        return st.sampled_from(question.options)
    if question.kind == "date":
        return st.dates(TODAY - dt.timedelta(900), TODAY).map(str)
    if question.kind == "span":
        return st.sampled_from(SPAN_VALUES)
    if question.kind == "number":
        return st.decimals(low, high, places=1, allow_nan=False).map(float)
    return st.integers(low, high)


def same(written: object, read: object) -> None:
    """Two facts say the same: value, ends, unit, day."""
    if isinstance(written, Reading) and isinstance(read, Reading):
        for name in ("low", "high", "low_open", "high_open", "unit"):
            assert getattr(written, name) == getattr(read, name), name
    elif isinstance(written, Finding) and isinstance(read, Finding):
        assert written.value == read.value
    elif isinstance(written, Moment) and isinstance(read, Moment):
        assert written.date == read.date
    else:
        pytest.fail(f"{written} became {read}")
    assert read.reason is None
    assert read.date == (written.date if isinstance(written, Moment) else TODAY)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", PLAIN)
@given(data=st.data())
def test_every_fact_the_form_can_write_is_read_back_equal(path: str, language: Language, data: st.DataObject) -> None:
    given_answers = answers((path, data.draw(values(QUESTIONS[path]))))
    read = saved(given_answers, language=language).facts.fact(path)
    same(given_answers[0].fact, read)


@given(data=st.data(), language=st.sampled_from(LANGUAGES))
def test_every_component_of_a_new_lesion_is_read_back_equal(data: st.DataObject, language: Language) -> None:
    chosen = data.draw(st.lists(st.sampled_from(COMPONENTS), min_size=1, unique=True))
    given_answers = answers(*((link_id(Item(path, "new-1")), data.draw(values(QUESTIONS[path]))) for path in chosen))
    facts = saved(given_answers, language=language).facts
    (lesion,) = facts.lesions
    for answer in given_answers:
        same(answer.fact, getattr(lesion, answer.item.component))


# --- the completed form against its Questionnaire ---

TYPE_OF = {
    "integer": "valueInteger",
    "decimal": "valueDecimal",
    "date": "valueDate",
    "string": "valueString",
    "choice": "valueCoding",
}


def check_against(questions: list[dict[str, Any]], given_items: list[dict[str, Any]]) -> None:
    """What FHIR asks of a response: known items in their order, the right type, one of the options."""
    order = [item["linkId"] for item in questions]
    places = [order.index(item["linkId"]) for item in given_items]
    assert places == sorted(places), "items stand in the order of the form"
    for given_item in given_items:
        asked = questions[order.index(given_item["linkId"])]
        assert given_item["text"] == asked["text"]
        if asked["type"] == "group":
            assert asked.get("repeats") or places.count(order.index(asked["linkId"])) == 1
            assert "answer" not in given_item
            check_against(asked["item"], given_item["item"])
            continue
        for answer in given_item.get("answer", ()):
            (kind,) = answer
            if asked["type"] == "open-choice" and kind == "valueString":
                continue
            assert kind == ("valueCoding" if asked["type"] == "open-choice" else TYPE_OF[asked["type"]])
            options = [
                {key: one[key] for key in one if not key.startswith("_")} for one in asked.get("answerOption", ())
            ]
            plain_options = [_without_translation(one) for one in options]
            assert not options or answer in plain_options, (given_item["linkId"], answer)
        assert "answer" in given_item or given_item["extension"][0]["valueCode"] == "asked-unknown"


def _without_translation(option: dict[str, Any]) -> dict[str, Any]:
    return {
        key: {name: inner for name, inner in value.items() if not name.startswith("_")}
        if isinstance(value, dict)
        else value
        for key, value in option.items()
    }


@given(data=st.data(), language=st.sampled_from(LANGUAGES))
@settings(deadline=None)  # the whole Questionnaire is made and validated each time
def test_every_completed_form_is_valid_against_the_questionnaire_it_names(
    data: st.DataObject, language: Language
) -> None:
    chosen = data.draw(st.lists(st.sampled_from(PLAIN), unique=True, max_size=8))
    parts = data.draw(st.lists(st.sampled_from(COMPONENTS), unique=True, max_size=5))
    links = [(path, path) for path in chosen]
    links += [(link_id(Item(path, name)), path) for path in parts for name in ("Observation/l1", "new-1")]
    links = data.draw(st.permutations(links))
    unknown_or = [(link, data.draw(st.one_of(st.none(), values(QUESTIONS[path])))) for link, path in links]
    made = plain_json(questionnaire_response(answers(*unknown_or), occasion(language)))
    form = plain_json(questionnaire(every_item(), language))
    assert made["questionnaire"] == f"{form['url']}|{form['version']}"
    assert made["language"] == form["language"]
    assert form["url"].endswith(f":{language}"), "each language has a form of its own"
    check_against(form["item"], made.get("item", []))


CHARTED = observation(
    "l1",
    coded("urn:oncobone:facts", "bone-lesion"),
    when=20,
    component=[
        {"code": coded("urn:oncobone:facts", "lesion-site"), "valueString": "femur-pertrochanteric"},
        {"code": coded("urn:oncobone:facts", "lesion-type"), "valueString": "mixed"},
        {"code": coded("urn:oncobone:facts", "lesion-pain"), "valueString": "mild"},
    ],
)


@given(data=st.data(), language=st.sampled_from(LANGUAGES))
def test_answers_about_a_charted_lesion_stay_with_that_lesion(data: st.DataObject, language: Language) -> None:
    chosen = data.draw(st.lists(st.sampled_from(COMPONENTS), min_size=1, unique=True))
    given_answers = answers(
        *((link_id(Item(path, "Observation/l1")), data.draw(values(QUESTIONS[path]))) for path in chosen)
    )
    facts = saved(given_answers, CHARTED, language=language).facts
    (lesion,) = facts.lesions
    assert lesion.id == "Observation/l1"
    for answer in given_answers:
        same(answer.fact, fact_at(facts, answer.item))
    if f"{LESION}.type" not in chosen:
        assert lesion.type.value == "mixed"
        assert lesion.type.date == TODAY - dt.timedelta(20)
    if f"{LESION}.site" not in chosen:
        assert lesion.site.value == "femur-pertrochanteric"


def test_a_lesion_known_from_a_diagnosis_is_not_counted_twice_when_its_profile_is_entered() -> None:
    metastasis = condition(
        "c1",
        coded("http://snomed.info/sct", "94222008"),
        bodySite=[coded("http://snomed.info/sct", "71341001")],
    )
    (before,) = chart(patient(), metastasis).facts.lesions
    facts = saved(answers((f"lesions[{before.id}].pain", "severe")), metastasis).facts
    (lesion,) = facts.lesions
    assert (lesion.pain.value, lesion.nature.value) == ("severe", "metastasis")
    assert lesion.site.value == before.site.value


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_left_and_right_are_read_back(side: str, language: Language) -> None:
    given_answers = answers(("lesions[new-1].site", "humerus"), ("lesions[new-1].side", side))
    (lesion,) = saved(given_answers, language=language).facts.lesions
    assert (lesion.site.value, lesion.side) == ("humerus", side)
    other = "right" if side == "left" else "left"
    second = answers(("lesions[new-1].site", "humerus"), ("lesions[new-1].side", other))
    stored = [
        plain_json(observations(one, Facts(as_of=TODAY), occasion(language))[0].resource) | {"id": f"n{place}"}
        for place, one in enumerate((given_answers, second))
    ]
    assert {lesion.side for lesion in chart(patient(), *stored).facts.lesions} == {"left", "right"}


def test_the_level_of_a_vertebra_in_the_chart_is_not_lost_by_a_new_answer() -> None:
    vertebra = CHARTED | {
        "bodySite": {"text": "T5"},
        "component": [{"code": coded("urn:oncobone:facts", "lesion-type"), "valueString": "mixed"}],
    }
    (lesion,) = saved(answers(("lesions[Observation/l1].pain", "severe")), vertebra).facts.lesions
    assert (lesion.site.value, lesion.site.sent, lesion.pain.value) == ("spine-thoracic", "T5", "severe")


def test_a_second_answer_about_a_lesion_follows_the_first() -> None:
    first = saved(answers(("lesions[Observation/l1].pain", "severe")), CHARTED)
    (lesion,) = first.facts.lesions
    later = observations(answers((f"lesions[{lesion.id}].type", "osteolytic")), first.facts, occasion())
    again = chart(
        patient(),
        CHARTED,
        observation(
            "new0",
            coded("urn:oncobone:facts", "bone-lesion"),
            when=5,
            focus=[{"reference": "Observation/l1"}],
            component=[{"code": coded("urn:oncobone:facts", "lesion-pain"), "valueString": "severe"}],
        ),
        plain_json(later[0].resource) | {"id": "new1"},
    ).facts
    (lesion,) = again.lesions
    assert (lesion.id, lesion.pain.value, lesion.type.value) == ("Observation/l1", "severe", "osteolytic")
    assert lesion.resources == ("Observation/new1", "Observation/new0", "Observation/l1")


def test_a_lesion_that_names_itself_or_goes_round_in_circles_is_still_one_lesion() -> None:
    ring = [
        CHARTED | {"id": name, "focus": [{"reference": f"Observation/{other}"}]}
        for name, other in (("a", "b"), ("b", "a"))
    ]
    assert len(chart(patient(), *ring).facts.lesions) == 2
    own = CHARTED | {"focus": [{"reference": "Observation/l1"}]}
    assert len(chart(patient(), own).facts.lesions) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_observation_says_whose_who_when_where_and_from_which_form(language: Language) -> None:
    given_answers = answers(("status.ecog", 1), ("spine.escc", "1b"), ("lesions[new-1].site", "rib"))
    for entry in observations(given_answers, Facts(as_of=TODAY), occasion(language)):
        resource = plain_json(entry.resource)
        Observation.model_validate(resource)
        assert resource["status"] == "final"
        assert resource["subject"] == {"reference": f"Patient/{PATIENT_ID}"}
        assert resource["encounter"] == {"reference": "Encounter/e1"}
        assert resource["performer"] == [{"reference": "Practitioner/d1"}]
        assert resource["effectiveDateTime"] == "2026-11-22T12:00:00+00:00"
        assert resource["derivedFrom"] == [{"reference": "QuestionnaireResponse/q1"}]
        assert resource["identifier"][0]["system"] == ANSWERS


@pytest.mark.parametrize(
    ("path", "code"),
    [("status.ecog", "89247-1"), ("pain.nrs", "72514-3"), ("mm.bmpc", "11118-7"), ("cyto.del17p", "81746-0")],
)
def test_a_standard_code_goes_before_our_own(path: str, code: str) -> None:
    value = False if path.startswith("cyto") else 1
    (entry,) = observations(answers((path, value)), Facts(as_of=TODAY), occasion())
    assert entry.resource["code"]["coding"][0]["system"] == "http://loinc.org"
    assert entry.resource["code"]["coding"][0]["code"] == code
    assert entry.resource["code"]["coding"][0]["display"]


def test_unknown_is_an_answer_of_the_form_and_no_observation() -> None:
    given_answers = answers(("status.ecog", None), ("pain.nrs", 4))
    assert len(observations(given_answers, Facts(as_of=TODAY), occasion())) == 1
    response = questionnaire_response(given_answers, occasion())
    QuestionnaireResponse.model_validate(plain_json(response))
    assert [item["linkId"] for item in response["item"]] == ["status.ecog", "pain.nrs"]
    assert "answer" not in response["item"][0]
    assert response["item"][0]["extension"][0]["valueCode"] == "asked-unknown"
    (fit,) = questionnaire_response(answers(("status.fit_for_surgery", None)), occasion())["item"]
    assert fit["answer"][0]["valueCoding"]["code"] == "asked-unknown"


def test_the_text_to_copy_holds_every_answer() -> None:
    lesions = Lesions((Lesion(id="Observation/l1"),))
    facts = Facts(as_of=TODAY, lesions=lesions)
    given_answers = answers(
        ("status.life_expectancy", "under-3"),
        ("dental.last_exam", days_ago(4)),
        ("lesions[Observation/l1].pain", "mild"),
    )
    text = as_text(given_answers, facts, occasion())
    assert "< 3 months" in text
    assert days_ago(4) in text
    assert "mild" in text
    chinese = as_text(given_answers, facts, occasion("zh-CN"))
    assert "轻度" in chinese
    assert "预计生存期：< 3 个月" in chinese
    added = answers(("lesions[new-1].site", "rib"), ("lesions[new-1].pain", None))
    assert "Lesion: rib" in as_text(added, facts, occasion())
    assert "lesion pain: unknown" in as_text(added, facts, occasion())


@pytest.mark.parametrize(
    "given_answer",
    [
        {"item": "status.ecog", "value": 7},
        {"item": "status.ecog", "value": 1.5},
        {"item": "status.ecog", "value": True},
        {"item": "status.ecog", "value": "NaN"},
        {"item": "status.ecog", "value": "1e5000000"},
        {"item": "status.ecog"},
        {"item": "lab.creatinine", "value": 90},
        {"item": "lesions[].pain", "value": "mild"},
        {"item": "lesions[Observation/../x y].pain", "value": "mild"},
        {"item": "spine.escc", "value": "4"},
        {"item": "spine.neuro_deficit", "value": "yes"},
        {"item": "mm.bmpc", "value": 101},
        {"item": "dental.last_exam", "value": "2026-11-23"},
        {"item": "dental.last_exam", "value": "soon"},
        {"item": "status.life_expectancy", "value": {"low": 6, "high": 3}},
        {"item": "status.life_expectancy", "value": {}},
        {"item": "status.life_expectancy", "value": []},
        "status.ecog",
        7,
    ],
)
def test_an_answer_that_cannot_be_is_refused_without_repeating_it(given_answer: Any) -> None:
    with pytest.raises(Refused) as refused:
        read_answers([given_answer], TODAY)
    assert refused.value.status == 400
    assert "5000000" not in refused.value.diagnostics


@pytest.mark.parametrize("path", [*PLAIN, *COMPONENTS])
def test_a_link_id_names_its_item_and_back(path: str) -> None:
    item = Item(path, "Observation/l-1.2" if path.startswith(LESION) else "")
    assert item_of(link_id(item)) == item
