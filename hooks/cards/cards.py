"""Makes the answer of one call: the cards a clinician reads in ten seconds, and the evaluation behind them."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hooks.cards import budgets
from hooks.cards.arranging import Draft, arrange
from hooks.cards.delivery import delivery_card, hanging, unread, unread_card, untold, untold_card
from hooks.cards.details import Details
from hooks.cards.repeat import NAMESPACE, content, repeat_key
from hooks.cards.suggestions import SuggestionBuilder
from hooks.cards.trace import because, plain, without_empty
from hooks.cards.undecided import missing_names, would_change
from hooks.cards.wishes import NONE as NO_WISHES
from hooks.cards.wording import Speaker, recommender_title, shortened
from recommenders.assessing.decisive import lacking
from recommenders.assessing.topics import RECOMMENDERS
from recommenders.vocabulary.facts import Fact
from recommenders.vocabulary.guidance import Limit, override_sets, sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fhir_mapping.delivery.context import Note
    from hooks.cards.arranging import Arrangement
    from hooks.cards.identity import CallIdentity
    from hooks.cards.suggestions import Suggestions
    from hooks.cards.wishes import Wishes
    from hooks.cards.wording import Language
    from recommenders.assessing.assessment import Assessment, Verdict
    from recommenders.patient.advice import Value
    from recommenders.vocabulary.guidance import Recommender, Source, Voice
    from recommenders.vocabulary.logic import Condition

TRACE = "org.oncobone.trace"
EVALUATION = "org.oncobone.evaluation"
RECOMMENDER_SYSTEM = "urn:oncobone:recommenders"
OVERRIDE_SYSTEM = "urn:oncobone:override-reasons"
MOST_IN_LABEL = 3
MOST_MISSING = 20


@dataclass(frozen=True, slots=True)
class Manner:
    """
    How a site wants to be answered.

    `public_url` is where our own pages can be reached; without it cards carry no links. `dossier_url` is where an
    EHR launches the dossier. `voices` are the site's own, by rule id. `most_cards` is how many
    cards a chart may open with (alerts are never dropped); `full` writes what knowing each missing fact would change
    into the evaluation; `both_languages` repeats the headline in the other language.
    """

    public_url: str | None = None
    dossier_url: str | None = None
    voices: Mapping[str, Voice] | None = None
    most_cards: int = budgets.MOST_CARDS
    full: bool = False
    both_languages: bool = False


PLAIN = Manner()


def answer(
    assessment: Assessment,
    notes: Sequence[Note],
    *,
    language: Language,
    call: CallIdentity,
    drafts: Mapping[str, Mapping[str, Any]] | None = None,
    manner: Manner = PLAIN,
    wishes: Wishes = NO_WISHES,
) -> dict[str, Any]:
    """
    Give the body of the response: cards in their order, and the evaluation extension.

    `drafts` are the draft orders as sent, by reference: a corrected order keeps what the prescriber wrote. `wishes` are
    the client's own, of this call.
    """
    arranged = arrange(assessment, manner.voices, manner.most_cards, wishes) if assessment.in_scope else None
    writer = Writer(assessment, language, call, drafts or {}, manner)
    cards = writer.cards(arranged) if arranged is not None else []
    if assessment.failed and not cards:
        cards = [writer.failed_card()]
    return {"cards": cards, "extension": {EVALUATION: _evaluation(assessment, notes, arranged, writer)}}


def _evaluation(
    assessment: Assessment, notes: Sequence[Note], arranged: Arrangement | None, writer: Writer
) -> dict[str, Any]:
    undecided = [v for v in assessment.verdicts.values() if v.state == "undecided"]
    listed = [{"resource": note.resource, "reason": note.reason} for note in notes]
    listed += [
        {"resource": topic, "reason": "assessment-failed: this topic could not be assessed"}
        for topic in assessment.failed
    ]
    unsaid = arranged.unsaid if arranged is not None else ()
    return without_empty(
        {
            "as_of": assessment.as_of.isoformat(),
            "guidance": assessment.guidance,
            "in_scope": assessment.in_scope,
            "fired": list(assessment.of("fired")),
            "suppressed": list(assessment.of("suppressed")),
            "superseded": list(assessment.of("superseded")),
            "unsaid": list(dict.fromkeys(said.rule for said in unsaid)),
            "indeterminate": [writer.undecided(verdict) for verdict in undecided],
            "values": {key: plain(value) for key, value in assessment.values.items()},
            "notes": listed,
        }
    )


def values_of(draft: Draft, assessment: Assessment) -> dict[str, Value]:
    """Give the computed values that belong to a card."""
    found = {key: assessment.values[key] for key in RECOMMENDERS[draft.recommender].values if key in assessment.values}
    for said in draft.utterances:
        found.update(said.advice.values)
    return found


class Writer:
    """Writes the cards of one call in one language."""

    def __init__(
        self,
        assessment: Assessment,
        language: Language,
        call: CallIdentity,
        drafts: Mapping[str, Mapping[str, Any]],
        manner: Manner = PLAIN,
    ) -> None:
        self.assessment = assessment
        self.language = language
        self.call = call
        self.manner = manner
        self.speaker = Speaker(assessment, language)
        self.builder = SuggestionBuilder(assessment, self.speaker, call, drafts)
        self._said: Counter[str] = Counter()
        self.details = Details(assessment, self.speaker, self.builder, both_languages=manner.both_languages)

    def cards(self, arranged: Arrangement) -> list[dict[str, Any]]:
        """Write all cards; what found no card is counted on the first one."""
        drafts = arranged.cards
        left = len({(said.rule, said.advice.about, said.advice.order) for said in arranged.unsaid})
        written = [self.card(draft, left=left if place == 0 else 0) for place, draft in enumerate(drafts)]
        undelivered = hanging(self.assessment)
        if undelivered:
            written.append(self._whole(delivery_card(undelivered, self.assessment, self.speaker), "order-safety"))
        not_read = unread(self.assessment)
        if not_read:
            written.append(self._whole(unread_card(not_read, self.assessment, self.speaker), "workup-support"))
        if self.call.hook == "order-sign":  # while it is still being written, an order may lack anything
            cards = [untold_card(one, self.assessment, self.speaker) for one in untold(self.assessment)]
            written += [self._whole(card, "order-safety") for card in cards]
        return written

    def undecided(self, verdict: Verdict) -> dict[str, Any]:
        """Name an undecided rule and what it lacks; in words only where the whole is asked for."""
        named: dict[str, Any] = {"rule": verdict.rule}
        if names := missing_names(verdict):
            named["missing"] = names
        if self.manner.full and (words := would_change(verdict, self.speaker)):
            named["would_change"] = words
        return named

    def card(self, draft: Draft, *, left: int = 0) -> dict[str, Any]:
        """Write one card; `left` findings stand in the dossier only."""
        values = values_of(draft, self.assessment)
        said = content(draft, values, self.assessment.facts.orders)
        call = self.call
        alike = self._said[said]  # two orders of the same drug and dose have a card each, and say the same
        self._said[said] += 1
        named = f"{said}|{alike}" if alike else said
        card_id = uuid.uuid5(NAMESPACE, f"{call.service_id}|{call.hook_instance}|{call.patient_id}|{named}")
        suggested = self.builder.suggestions(draft.utterances, card_id)
        return without_empty(
            {
                "uuid": str(card_id),
                "summary": self.details.summary(draft.lead),
                "detail": self.details.detail(draft, left),
                "indicator": draft.indicator,
                "source": self._source(draft),
                "suggestions": suggested.as_json(),
                "selectionBehavior": suggested.selection_behavior,
                "overrideReasons": self._override_reasons(draft),
                "links": self._links(draft),
                "extension": {TRACE: self._trace(draft, values, repeat_key(said), suggested)},
            }
        )

    def failed_card(self) -> dict[str, Any]:
        """Nothing could be said because a part failed: that is said, never hidden behind an empty answer."""
        topics = ", ".join(self.assessment.failed)
        written = {
            "summary": shortened(self.speaker.frame("failed_summary")),
            "detail": self.speaker.frame("part_failed", topics=topics),
            "indicator": "warning",
            "key": f"failed|{topics}",
        }
        return self._whole(written, "order-safety" if self.call.hook.startswith("order") else "bone-protection")

    def _whole(self, written: dict[str, Any], recommender: Recommender) -> dict[str, Any]:
        """Complete a card that no rule leads."""
        key = written.pop("key")
        call = self.call
        trace = {
            "recommender": recommender,
            "guidance": self.assessment.guidance,
            "as_of": self.assessment.as_of.isoformat(),
            "repeat_key": str(uuid.uuid5(NAMESPACE, key)),
        }
        return {
            "uuid": str(uuid.uuid5(NAMESPACE, f"{call.service_id}|{call.hook_instance}|{call.patient_id}|{key}")),
            **written,
            "source": {"label": sources()["OUR"].label.text(self.language), "topic": self._topic(recommender)},
            "extension": {TRACE: trace},
        }

    # --- parts of a card -------------------------------------------------------------------------------

    def _source(self, draft: Draft) -> dict[str, Any]:
        """The source of the statement that leads the card."""
        lines = draft.lead.info.source_lines
        source: Source = sources()[lines[0].source if lines else "OUR"]
        return without_empty(
            {"label": source.label.text(self.language), "url": source.url, "topic": self._topic(draft.recommender)}
        )

    def _topic(self, recommender: Recommender) -> dict[str, str]:
        display = recommender_title(recommender, self.language)
        return {"system": RECOMMENDER_SYSTEM, "code": recommender, "display": display}

    def _override_reasons(self, draft: Draft) -> list[dict[str, str]]:
        """The reasons that the leading rule offers for not following it."""
        reasons = override_sets().get(draft.lead.info.override, ())[: budgets.MOST_OVERRIDES]
        return [
            {"code": reason.code, "system": OVERRIDE_SYSTEM, "display": reason.text(self.language)}
            for reason in reasons
        ]

    def _links(self, draft: Draft) -> list[dict[str, str]]:
        if not self.manner.public_url:
            return []
        rule, base = draft.lead.rule, self.manner.public_url.rstrip("/")
        page = {"label": self.speaker.frame("learn_more", rule=rule), "url": f"{base}/rules/{rule}", "type": "absolute"}
        return [*self._dossier_link(draft), page]

    def _dossier_link(self, draft: Draft) -> list[dict[str, str]]:
        """Everything behind the card, and the questions that are open; `appContext` says nothing of the patient."""
        if self.manner.dossier_url is None:
            return []
        verdicts = self.assessment.verdicts.values()
        open_ones = [v for v in verdicts if v.state == "undecided" and v.voice in {"alert", "task"}]
        missing = list(dict.fromkeys(name for verdict in (*draft.fired, *open_ones) for name in lacking(verdict)))
        context = {"recommender": draft.recommender, "missing": missing[:MOST_MISSING]}
        named = self.speaker.labels(tuple(missing[:MOST_IN_LABEL]))
        more = named if len(missing) <= MOST_IN_LABEL else f"{named} …"
        text = self.speaker.frame("dossier_asks", facts=more) if missing else self.speaker.frame("dossier_link")
        return [
            {
                "label": text,
                "url": self.manner.dossier_url,
                "type": "smart",
                "appContext": json.dumps(context, separators=(",", ":")),
            }
        ]

    # --- the proof -------------------------------------------------------------------------------------

    def _trace(
        self, draft: Draft, values: Mapping[str, Value], repeat_key: str, suggested: Suggestions
    ) -> dict[str, Any]:
        assessment = self.assessment
        return without_empty(
            {
                "recommender": draft.recommender,
                "guidance": assessment.guidance,
                "as_of": assessment.as_of.isoformat(),
                "repeat_key": repeat_key,
                "voice": draft.lead.voice,
                # a range is shown although its rule is not decided: it did not fire
                "fired": [rule for rule in draft.rules if assessment.verdicts[rule].state == "fired"],
                "values": {key: plain(value) for key, value in values.items()},
                "because": [because(condition) for condition in self._conditions(draft)],
                "not_offered": list(suggested.left_out),
            }
        )

    def _conditions(self, draft: Draft) -> Iterator[Condition]:
        seen: set[tuple[str, str, object]] = set()
        for said in draft.utterances:
            for condition in said.advice.because.support():
                fact = condition.evidence
                key = (condition.fact, condition.relation, _mark(condition.limit))
                if key not in seen and isinstance(fact, Fact) and fact.is_known and fact.resources:
                    seen.add(key)
                    yield condition


def _mark(limit: object) -> object:
    """Tell one limit from another: in words a number of the guidance is long."""
    return (limit.value, limit.unit, limit.source, limit.name, limit.where) if isinstance(limit, Limit) else str(limit)
