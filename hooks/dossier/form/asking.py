"""One look at a chart for the form: what to ask, and what the answers change; nothing of it is kept."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from fhir_mapping.chart import Unavailable, read_chart
from fhir_mapping.delivery.context import WrongPatientError
from fhir_mapping.terms.decode import NOT_FOLLOWED, WHOLE_FROM, TooManyEntriesError
from fhir_mapping.terms.queries import templates
from hooks.cards.undecided import missing_lines
from hooks.cards.wording import Speaker, fixed, frame, label, number, unit, word
from hooks.dossier.form.answers import read_answers
from hooks.dossier.form.questions import (
    ASKABLE,
    QUESTIONS,
    is_new,
    item_label,
    item_of,
    known_names,
    link_id,
    option_label,
)
from hooks.dossier.form.texts import texts
from hooks.dossier.form.writing import observations
from hooks.errors import Refused
from hooks.fhir_server.gather import delivered
from hooks.reference.safe import plain
from recommenders.assessing.assessment import assess
from recommenders.assessing.decisive import LESION, NEW_LESION, SIDE, Decisive, Item, decisive, fact_at
from recommenders.assessing.speaking import utterance
from recommenders.vocabulary.facts import Fact, Finding, Moment, Reading
from recommenders.vocabulary.guidance import INDICATORS

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping, Sequence

    from fhir_mapping.chart import Mapped
    from hooks.cards.wording import Language
    from hooks.dossier.form.answers import Answer
    from hooks.dossier.form.writing import Occasion
    from hooks.views import Desk
    from recommenders.assessing.assessment import Assessment, Verdict
    from recommenders.patient.advice import Value
    from recommenders.vocabulary.dictionary import Facts
    from recommenders.vocabulary.guidance import Hook

HOOK: Hook = "patient-view"
FIRST = 6
"""Questions that are shown at once: half a minute."""
MOST_POINTS = 2
SHOWN_VALUES = (
    "escc_grade",
    "rt_row",
    "mm_class",
    "iss_stage",
    "riss_stage",
    "r2iss_group",
    "mayo2018_risk",
    "imwg2020_factors",
    "imwg_score_risk",
    "bone_risk_tier",
    "melphalan_tier",
)
"""Computed values whose movement is shown; the Mirels score is one of its own, and its
fracture risk is a lower bound that only the rule's sentence says rightly."""


class Sent(msgspec.Struct, forbid_unknown_fields=True):
    """What the page posts: the patient's data as the EHR gave them, and the answers so far."""

    patient: str
    prefetch: dict[str, msgspec.Raw]
    answers: list[Any] = []
    missing: list[Any] = []
    keep: list[Any] = []
    performer: str | None = None
    encounter: str | None = None


_SENT = msgspec.json.Decoder(Sent)


@dataclass(frozen=True, slots=True)
class Sitting:
    """A chart as read, its assessment, and the answers given so far."""

    desk: Desk
    sent: Sent
    mapped: Mapped
    assessment: Assessment
    answers: tuple[Answer, ...]
    language: Language

    @property
    def facts(self) -> Facts:
        """The facts as recorded, whatever their age."""
        return self.mapped.facts


def sit(desk: Desk, body: bytes, language: Language) -> Sitting:
    """Read what the page posted. Raises Refused (400, 413)."""
    try:
        sent = _SENT.decode(body)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        where = str(error).partition("`$")[2].rstrip("`") or "body"
        raise Refused(400, f"The body is not what the form sends ({where}).", field="body") from None
    mapped = _read(desk, sent, {key: bytes(value) for key, value in sent.prefetch.items()})
    answers = read_answers(sent.answers, mapped.facts.as_of)
    return Sitting(desk, sent, mapped, _assess(desk, mapped.facts), answers, language)


def _read(desk: Desk, sent: Sent, prefetch: Mapping[str, bytes]) -> Mapped:
    try:
        return read_chart(
            {key: delivered(prefetch.get(key)) for key in templates(HOOK)},
            patient_id=sent.patient,
            now=desk.settings.moment(),
            timezone=desk.settings.zone,
            site=desk.mapping,
        )
    except WrongPatientError as error:
        raise Refused(400, str(error), code="conflict", field="patient") from None
    except TooManyEntriesError as error:
        raise Refused(413, str(error), code="too-costly") from None


def _assess(desk: Desk, facts: Facts) -> Assessment:
    return assess(facts, HOOK, site=desk.settings.site or None)


def answered(sitting: Sitting, occasion: Occasion) -> Assessment:
    """Assess the chart with the answers as the Observations that would be saved, read as any others."""
    entries = observations(sitting.answers, sitting.facts, occasion)
    resources = [entry.resource | {"id": f"answer-{place}"} for place, entry in enumerate(entries, 1)]
    prefetch = {key: bytes(value) for key, value in sitting.sent.prefetch.items()}
    prefetch["observations"] = _with(prefetch.get("observations"), resources, sitting.facts.as_of)
    return _assess(sitting.desk, _read(sitting.desk, sitting.sent, prefetch).facts)


def _with(raw: bytes | None, resources: Sequence[dict[str, Any]], today: dt.date) -> bytes:
    """Add today's answers to a bundle of Observations; of one that did not come, or not whole, nothing is newer."""
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset"}
    found = delivered(raw)
    if isinstance(found, Unavailable):
        bundle["link"] = [{"relation": "next", "url": NOT_FOLLOWED}]
    elif bytes(found).strip() != b"null":
        bundle = msgspec.json.decode(bytes(found), type=dict[str, Any])
    if isinstance(bundle.get("link"), list):
        bundle["link"] = [*bundle["link"], {"relation": "whole-from", "url": f"{WHOLE_FROM}{today.isoformat()}"}]
    entries = bundle.get("entry") or []
    added = [{"resource": json.loads(msgspec.json.encode(resource))} for resource in resources]
    return msgspec.json.encode({**bundle, "entry": [*(entries if isinstance(entries, list) else [entries]), *added]})


# --- the questions ------------------------------------------------------------------------------------------


def ask(sitting: Sitting) -> tuple[list[Item], dict[str, Any]]:
    """Give the items that are asked, and the form for the page: blocks of questions, the most decisive first."""
    ranked = decisive(
        sitting.assessment,
        sitting.facts,
        HOOK,
        ASKABLE,
        site=sitting.desk.settings.site or None,
    )
    wanted = known_names(sitting.sent.missing)
    ranked += _asked_by_card(wanted, {one.item for one in ranked}, sitting)
    # A form that is drawn again after an answer keeps its order.
    place = {link: number for number, link in enumerate(sitting.sent.keep) if isinstance(link, str)}
    last = len(place)
    ranked.sort(key=lambda one: (place.get(link_id(one.item), last), not _is_wanted(one.item, wanted), -one.score))
    ordered = list(_with_company(ranked, sitting))
    blocks = _blocks(ordered, {one.item: one for one in ranked}, sitting)
    page = {
        "in_scope": sitting.assessment.in_scope,
        "day": sitting.facts.as_of.isoformat(),
        "blocks": blocks,
        "new_lesion": _block(NEW_LESION, _lesion_items(NEW_LESION), {}, sitting),
        "known": list(_known(sitting)),
    }
    return ordered, page


def _asked_by_card(wanted: frozenset[str], ranked: set[Item], sitting: Sitting) -> list[Decisive]:
    """What the card asked for and is not known, though no rule of this hook hangs on it."""
    facts = sitting.assessment.facts
    items = [
        Item(path, lesion)
        for path, question in QUESTIONS.items()
        if question.spec.name in wanted
        for lesion in ([one.id for one in facts.lesions] if path.startswith(LESION) else [""])
    ]
    unknown = [item for item in items if item not in ranked and not fact_at(facts, item).is_known]
    return [Decisive(item, Decimal(0), tried=False) for item in unknown]


def _is_wanted(item: Item, wanted: frozenset[str]) -> bool:
    return item.name in wanted or (item.lesion == NEW_LESION and LESION in wanted)


def _with_company(ranked: Sequence[Decisive], sitting: Sitting) -> Iterator[Item]:
    """Each item once, followed by what is asked in the same breath and not known; then what is to be kept."""
    seen: set[Item] = set()
    kept = [item_of(link) for link in sitting.sent.keep if isinstance(link, str)]
    for item in (*(one.item for one in ranked), *kept):
        if item is None:
            continue
        company = [Item(path, item.lesion) for path in QUESTIONS[item.path].companions]
        for one in (item, *company):
            fact = fact_at(sitting.assessment.facts, one)
            if one not in seen and (one is item or not fact.is_known or not fact.resources):
                seen.add(one)
                yield one


def _lesion_items(name: str) -> list[Item]:
    site = f"{LESION}.site"
    return [Item(path, name) for path in (site, *QUESTIONS[site].companions)]


def _blocks(ordered: Sequence[Item], ranks: Mapping[Item, Decisive], sitting: Sitting) -> list[dict[str, Any]]:
    """Plain questions one by one, those of one lesion together, at the place of the first."""
    groups: dict[str, list[Item]] = {}
    for item in ordered:
        groups.setdefault(item.lesion or link_id(_leader(item, ordered)), []).append(item)
    found: list[dict[str, Any]] = []
    shown = 0
    for name, items in groups.items():
        block = _block(items[0].lesion or name, items, ranks, sitting)
        block["more"] = shown >= FIRST
        shown += sum(item in ranks for item in items)  # company is not counted: it comes with the question
        found.append(block)
    return found


def _leader(item: Item, ordered: Sequence[Item]) -> Item:
    """The question that brought this one along, when it stands for itself no more."""
    for other in ordered:
        if not other.lesion and item.path in QUESTIONS[other.path].companions:
            return other
    return item


def _block(name: str, items: Sequence[Item], ranks: Mapping[Item, Decisive], sitting: Sitting) -> dict[str, Any]:
    language = sitting.language
    lesion = items[0].lesion
    block: dict[str, Any] = {"id": name, "lesion": lesion, "items": [_question(one, ranks, sitting) for one in items]}
    if lesion:
        charted = next((one for one in sitting.assessment.facts.lesions if one.id == lesion), None)
        if charted is None:
            block["title"] = texts(language)["lesion_new"]
        else:
            known = charted.site.is_known
            place = option_label(f"{LESION}.site", str(charted.site.value), language) if known else ""
            if place and charted.side is not None:
                side = option_label(f"{LESION}.{SIDE.path}", charted.side, language)
                place = texts(language)["sided"].format(side=side, site=place)
            block["title"] = texts(language)["lesion"].format(site=place or texts(language)["site_unknown"])
            if charted.date:
                block["seen"] = texts(language)["lesion_seen"].format(day=charted.date.isoformat())
            block["known"] = [
                frame("label_separator", language).join(
                    (item_label(Item(path, lesion), language), _value(fact, path, language))
                )
                for path in QUESTIONS
                if path.startswith(LESION)
                and path not in {f"{LESION}.site", f"{LESION}.{SIDE.path}"}
                and (fact := fact_at(sitting.assessment.facts, Item(path, lesion))).is_known
            ]
    return block


def _question(item: Item, ranks: Mapping[Item, Decisive], sitting: Sitting) -> dict[str, Any]:
    question, language = QUESTIONS[item.path], sitting.language
    found: dict[str, Any] = {
        "item": link_id(item),
        "kind": question.kind,
        "text": question.wording.text(language),
        "label": item_label(item, language),
    }
    if question.options:
        found["options"] = [
            {"code": option, "label": option_label(item.path, option, language)} for option in question.options
        ]
    if question.kind in {"count", "number", "score", "span"}:
        found |= {"low": question.low, "high": question.high, "unit": unit(question.spec.unit, language)}
    if item.component == "site":
        found["places"] = True
    if (rank := ranks.get(item)) is not None:
        found |= _why(item, rank, sitting)
    return found | _before(item, sitting)


def _why(item: Item, rank: Decisive, sitting: Sitting) -> dict[str, Any]:
    """What knowing it would change: in a rule's words for just that, else the weightiest rule's conclusion."""
    rules = [*rank.rules, *rank.helps]
    speaker = Speaker(sitting.assessment, sitting.language)
    open_ones = [v for rule in rules if (v := sitting.assessment.verdicts.get(rule)) and v.state == "undecided"]
    worded = next((v for v in open_ones if any(line.fact == item.name for line in v.info.if_missing)), None)
    fired = [v for rule in rank.rules if (v := sitting.assessment.verdicts.get(rule)) and v.state == "fired"]
    said = ""
    if item.lesion == NEW_LESION:
        said = texts(sitting.language)["why_lesion"]
    elif worded is not None:
        said = next((text for name, text in missing_lines(worded, speaker) if name == item.name), "")
    elif open_ones or fired:
        first = (open_ones or fired)[0]
        said = speaker.summary(first.advices[0], first.topic.guidance)
    return {"why": plain(said), "rules": rules[:8], "decides": bool(rank.rules)}


def _before(item: Item, sitting: Sitting) -> dict[str, Any]:
    """What is on record already, and why it does not count."""
    language = sitting.language
    seen, recorded = fact_at(sitting.assessment.facts, item), fact_at(sitting.facts, item)
    if is_new(item):
        return {}
    if isinstance(seen, Reading) and seen.reason == "contradictory" and seen.rivals:
        values = frame("list_separator", language).join(number(rival) for rival in seen.rivals)
        return {"note": texts(language)["contradictory"].format(values=values)}
    if seen.reason == "suspected":
        return {"note": texts(language)["suspected"]}
    if not recorded.is_known or not recorded.resources:
        return {}
    told, day = _value(recorded, item.path, language), recorded.date.isoformat() if recorded.date else "?"
    if isinstance(recorded, Moment):
        return {"note": texts(language)["known_since"].format(value=told, day=day)}
    key = "known_since" if seen.is_known else "stale_since"
    found: dict[str, Any] = {"note": texts(language)[key].format(value=told, day=day)}
    again = _as_answer(recorded, item)
    if again is not None:
        found["again"] = {"value": again, "label": texts(language)["still_so"].format(value=told)}
    return found


def _as_answer(fact: Fact, item: Item) -> object:
    """The recorded value as an answer of the form; None where it cannot be one."""
    question = QUESTIONS[item.path]
    if isinstance(fact, Finding):
        return fact.value if question.kind == "yes-no" or fact.value in question.options else None
    if isinstance(fact, Reading) and fact.value is not None and question.kind != "span":
        return fact.value
    if isinstance(fact, Reading) and question.kind == "span" and not (fact.low_open or fact.high_open):
        return {"low": fact.low, "high": fact.high}
    return None


def _value(fact: Fact, path: str, language: Language) -> str:
    if isinstance(fact, Moment):
        return fact.date.isoformat() if fact.date else "?"
    if isinstance(fact, Finding):
        if isinstance(fact.value, bool):
            return texts(language)["yes" if fact.value else "no"]
        own = path in QUESTIONS and fact.value in QUESTIONS[path].options
        return option_label(path, str(fact.value), language) if own else plain(word(str(fact.value), language))
    if isinstance(fact, Reading):
        shown = unit(fact.unit, language)
        return f"{fixed(fact)}{'' if shown in {'', '%'} else ' '}{shown}"
    return ""


def _known(sitting: Sitting) -> Iterator[dict[str, str]]:
    """What is known inside its window, so that nobody wonders why it is not asked."""
    for path in QUESTIONS:
        if path.startswith(LESION):
            continue
        fact = sitting.assessment.facts.fact(path)
        if fact.is_known and fact.resources:
            text = texts(sitting.language)["known_since"].format(
                value=_value(fact, path, sitting.language), day=fact.date.isoformat() if fact.date else "?"
            )
            yield {"label": label(fact.name, sitting.language), "text": text}


# --- what answers change --------------------------------------------------------------------------------------


def preview(sitting: Sitting, occasion: Occasion) -> dict[str, Any]:
    """Give what the answers move: computed values before and after, and rules that came to a decision."""
    before, after = sitting.assessment, answered(sitting, occasion)
    speaker = Speaker(after, sitting.language)
    fired: list[dict[str, Any]] = []
    for verdict in after.verdicts.values():
        earlier = before.verdicts.get(verdict.rule)
        if verdict.state == "fired" and _said(verdict, speaker) != _said(earlier, Speaker(before, sitting.language)):
            fired.append(_told(verdict, speaker))
    fired.sort(key=lambda one: -INDICATORS.index(one["indicator"]))
    return {
        "values": list(_moved(before, after, sitting.language)),
        "fired": fired,
        "gone": [rule for rule in before.of("undecided") if _state(after, rule) not in {"undecided", "fired"}],
        "dropped": [
            _told(before.verdicts[rule], Speaker(before, sitting.language))
            for rule in before.of("fired")
            if _state(after, rule) != "fired"
        ],
        "open": len(after.of("undecided")),
    }


def _state(assessment: Assessment, rule: str) -> str:
    verdict = assessment.verdicts.get(rule)
    return verdict.state if verdict is not None else "not met"


def _said(verdict: Verdict | None, speaker: Speaker) -> object:
    if verdict is None or verdict.state != "fired":
        return None
    guidance = verdict.topic.guidance
    return verdict.indicator, tuple(speaker.summary(advice, guidance) for advice in verdict.advices)


def _told(verdict: Verdict, speaker: Speaker) -> dict[str, Any]:
    guidance, advice = verdict.topic.guidance, verdict.advices[0]
    said = utterance(verdict, advice)
    lines = [line for line in said.do if speaker.can_say(line, guidance, advice)]
    return {
        "rule": verdict.rule,
        "indicator": verdict.indicator,
        "summary": plain(speaker.summary(advice, guidance)),
        "points": [plain(speaker.say(line, guidance, advice)) for line in lines[:MOST_POINTS]],
    }


def _moved(before: Assessment, after: Assessment, language: Language) -> Iterator[dict[str, str]]:
    words = texts(language)
    one, other = _mirels(before.values), _mirels(after.values)
    if one != other:
        yield {"label": words["value_mirels"], "before": one or words["not_open"], "after": other or words["not_open"]}
    for key in SHOWN_VALUES:
        if before.values.get(key) != after.values.get(key):
            yield {
                "label": words[f"value_{key}"],
                "before": _shown(before.values.get(key), language),
                "after": _shown(after.values.get(key), language),
            }


def _mirels(values: Mapping[str, Value]) -> str:
    if "mirels_total" in values:
        return str(values["mirels_total"])
    if "mirels_min" in values:
        return f"{values['mirels_min']}–{values['mirels_max']}"
    return ""


def _shown(value: Value | None, language: Language) -> str:
    if value is None:
        return texts(language)["not_open"]
    return plain(word(value, language)) if isinstance(value, str) else number(value)
