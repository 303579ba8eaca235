"""Makes the answer of one call: which rules share a card, what each card says, and the proof behind it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from hooks.ask.questions import askable_lack
from hooks.cards.repeat import NAMESPACE, content, repeat_key
from hooks.cards.suggestions import Suggestions, suggestions_for
from hooks.cards.wording import LANGUAGES, OPPOSITE, Language, Speaker, frame, label, shortened, unit
from recommenders.assessing.plan import GUIDANCE as PLAN
from recommenders.assessing.plan import order_of_steps
from recommenders.patient.series import columns_of, series_table
from recommenders.vocabulary.dictionary import DICTIONARY
from recommenders.vocabulary.evidence import citation_notes, evidence_lines, industry_note
from recommenders.vocabulary.facts import Fact, Finding, Moment, Reading
from recommenders.vocabulary.guidance import INDICATORS, RECOMMENDERS, Limit, override_sets, sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fhir_mapping.delivery.context import Note
    from hooks.cards.identity import CallIdentity
    from recommenders.assessing.assessment import Assessment, Verdict
    from recommenders.patient.advice import Advice, Value
    from recommenders.vocabulary.guidance import Indicator, MissingLine, Recommender, Source
    from recommenders.vocabulary.logic import Condition

TRACE = "org.oncobone.trace"
EVALUATION = "org.oncobone.evaluation"
RECOMMENDER_SYSTEM = "urn:oncobone:recommenders"
OVERRIDE_SYSTEM = "urn:oncobone:override-reasons"
MOST_CARDS = 8
MOST_CRITICAL = 3
MOST_MISSING_LINES = 12
MOST_IN_LABEL = 3

VALUES_OF: Mapping[Recommender, tuple[str, ...]] = {
    "bone-protection": (
        "ca_corrected_mmol_l",
        "crcl_ml_min",
        "bma_months",
        "days_since_last_bma",
        "zoledronic_recommended_dose_mg",
        "bone_risk_tier",
        "mm_class",
    ),
    "order-safety": (
        "age_years",
        "ca_corrected_mmol_l",
        "crcl_ml_min",
        "creatinine_rise_umol_l",
        "zoledronic_recommended_dose_mg",
        "ibandronate_recommended_dose_mg",
        "incadronate_max_dose_mg",
        "days_since_last_bma",
        "melphalan_tier",
        "melphalan_ordered_mg_m2",
        "rt_row",
        "ifo_albumin_g_l",
        "mesna_required_mg_per_day",
    ),
    "radiotherapy": ("rt_row", "escc_grade", "mirels_min", "mirels_max", "mirels_total"),
    "surgical-timing": (
        "mirels_total",
        "mirels_min",
        "mirels_max",
        "mirels_fracture_risk_pct",
        "escc_grade",
        "bone_risk_tier",
    ),
    "mm-staging": (
        "mm_class",
        "ca_corrected_mmol_l",
        "crcl_ml_min",
        "flc_ratio_involved",
        "iss_stage",
        "riss_stage",
        "r2iss_points",
        "r2iss_group",
        "mayo2008_factors",
        "mayo2018_factors",
        "mayo2018_risk",
        "imwg2020_factors",
        "imwg2020_2y_risk_pct",
        "imwg_score",
        "imwg_score_risk",
    ),
    "mm-treatment": ("melphalan_tier", "melphalan_ordered_mg_m2", "mm_class", "crcl_ml_min"),
    "sarcoma-systemic": ("age_years", "ifo_albumin_g_l", "mesna_required_mg_per_day", "crcl_ml_min"),
    "workup-support": ("ca_corrected_mmol_l", "mirels_total", "escc_grade"),
}
"""The computed values that belong to each recommender's cards."""


@dataclass(slots=True)
class Draft:
    """One card before it has words: whose it is, the rules on it, and the undecided rules it speaks of."""

    recommender: Recommender
    fired: list[Verdict] = field(default_factory=list)
    undecided: list[Verdict] = field(default_factory=list)
    others_undecided: list[Verdict] = field(default_factory=list)

    @property
    def indicator(self) -> Indicator:
        """The highest among its rules."""
        return INDICATORS[max((INDICATORS.index(verdict.indicator) for verdict in self.fired), default=0)]

    @property
    def lead(self) -> Verdict:
        """The rule that gives the summary: the loudest, and of these the first."""
        shown = self.fired or self.undecided
        return max(
            shown,
            key=lambda verdict: (
                INDICATORS.index(verdict.indicator),
                verdict.info.recommender == self.recommender,  # at an order the dose before the dentist
                not verdict.info.never_alone,
                not verdict.info.informational,
                -shown.index(verdict),
            ),
        )

    def key(self) -> tuple[int, int, str]:
        """The order of cards: indicator, recommender, rule id."""
        return (
            -INDICATORS.index(self.indicator),
            RECOMMENDERS.index(self.recommender),
            min((verdict.rule for verdict in self.fired or self.undecided), default=""),
        )


# --- which rules share a card -------------------------------------------------------------------------------


def arrange(assessment: Assessment) -> list[Draft]:
    """
    Decide which cards there are (specification §0.7 and the design's section on cards).

    A critical rule has its own card, except one that only sums up others; a recommender's main card follows
    only where more than information remains; undecided rules are told on a card that is there anyway.
    """
    fired = [verdict for verdict in assessment.verdicts.values() if verdict.state == "fired"]
    heads = _heads(fired)
    drafts = [draft for name in RECOMMENDERS for draft in _cards_of(name, fired, heads)]
    drafts.sort(key=Draft.key)
    _fold_leftovers(fired, drafts)
    undecided = [verdict for verdict in assessment.verdicts.values() if verdict.state == "undecided"]
    if not fired:
        serious = [verdict for verdict in undecided if verdict.indicator != "info"]
        if serious:
            weightiest = max(serious, key=lambda v: (INDICATORS.index(v.indicator), -serious.index(v)))
            alone = Draft(weightiest.recommender, undecided=[weightiest])
            alone.undecided += [v for v in undecided if v.recommender == alone.recommender and v is not weightiest]
            alone.others_undecided = [v for v in serious if v.recommender != alone.recommender]
            return [alone]
        return []
    _tell_undecided(undecided, drafts)
    return drafts


def _heads(fired: Sequence[Verdict]) -> dict[str, Verdict]:
    """The critical rules that have a card of their own, by rule id."""
    critical = {verdict.rule: verdict for verdict in fired if verdict.indicator == "critical"}
    return {
        rule: verdict
        for rule, verdict in critical.items()
        if not any(other in critical and not _sums_up(critical[other], critical) for other in verdict.info.joins)
    }


def _sums_up(verdict: Verdict, critical: Mapping[str, Verdict]) -> bool:
    return any(other in critical for other in verdict.info.joins)


def _joined(verdict: Verdict, heads: Mapping[str, Verdict], by_rule: Mapping[str, Verdict]) -> Verdict | None:
    """The head whose card this rule joins, directly or through the rule that sums it up."""
    for other in verdict.info.joins:
        if other in heads:
            return heads[other]
    for other in verdict.info.joins:
        if other in by_rule and (found := _joined(by_rule[other], heads, {})):
            return found
    return None


def _cards_of(name: Recommender, fired: Sequence[Verdict], heads: Mapping[str, Verdict]) -> Iterator[Draft]:
    by_rule = {verdict.rule: verdict for verdict in fired}
    mine = [verdict for verdict in fired if verdict.recommender == name]
    own_heads = [verdict for verdict in mine if verdict.rule in heads]
    cards = [Draft(name, [head]) for head in own_heads[:MOST_CRITICAL]]
    for extra in own_heads[MOST_CRITICAL:]:
        cards[0].fired.append(extra)
    place = {head.rule: card for card in cards for head in card.fired}
    remaining: list[Verdict] = []
    for verdict in fired:
        if verdict.rule in heads:
            continue
        target = _joined(verdict, heads, by_rule)
        if target is not None and target.rule in place:
            place[target.rule].fired.append(verdict)
        elif target is None and verdict.recommender == name:
            remaining.append(verdict)
    if any(verdict.indicator != "info" for verdict in remaining):
        cards.append(Draft(name, remaining))
    elif cards:
        cards[0].fired += remaining
    elif any(not verdict.info.never_alone for verdict in remaining):
        cards.append(Draft(name, remaining))
    yield from cards


def _fold_leftovers(fired: Sequence[Verdict], drafts: Sequence[Draft]) -> None:
    """Rules that never stand alone and found no card of their recommender join the first card there is."""
    placed = {verdict.rule for draft in drafts for verdict in draft.fired}
    if drafts:
        drafts[0].fired += [verdict for verdict in fired if verdict.rule not in placed]


def _tell_undecided(undecided: Sequence[Verdict], drafts: Sequence[Draft]) -> None:
    told: set[str] = set()
    for draft in drafts:
        if draft.recommender not in told:
            told.add(draft.recommender)
            draft.undecided = [verdict for verdict in undecided if verdict.recommender == draft.recommender]
    if drafts:
        drafts[0].others_undecided = [
            verdict for verdict in undecided if verdict.recommender not in told and verdict.indicator != "info"
        ]


def values_of(draft: Draft, assessment: Assessment) -> dict[str, Value]:
    """Give the computed values that belong to a card."""
    found = {key: assessment.values[key] for key in VALUES_OF[draft.recommender] if key in assessment.values}
    for verdict in draft.fired:
        for advice in verdict.advices:
            found.update(advice.values)
    return found


# --- the answer ---------------------------------------------------------------------------------------------


def answer(
    assessment: Assessment,
    notes: Sequence[Note],
    *,
    language: Language,
    call: CallIdentity,
    drafts: Mapping[str, Mapping[str, Any]] | None = None,
    public_url: str | None = None,
    audience: Literal["prescriber", "pharmacist"] = "prescriber",
    ask_url: str | None = None,
) -> dict[str, Any]:
    """
    Give the body of the response: cards in their order, and the evaluation extension.

    `drafts` are the draft orders as sent, by reference: a corrected order keeps what the prescriber wrote.
    `public_url` is where our own pages can be reached; without it cards carry no links. `ask_url` is where an EHR
    launches the form that asks for missing facts; without it no card offers that.
    """
    arranged = arrange(assessment) if assessment.in_scope else []
    if not arranged and assessment.failed:
        arranged = [Draft("order-safety" if call.hook.startswith("order") else "bone-protection")]
    kept, dropped = arranged[:MOST_CARDS], arranged[MOST_CARDS:]
    writer = Writer(assessment, language, call, drafts or {}, public_url, audience, ask_url)
    cards = [writer.card(draft, first=number == 0) for number, draft in enumerate(kept)]
    return {"cards": cards, "extension": {EVALUATION: _evaluation(assessment, notes, len(dropped), writer)}}


def _evaluation(assessment: Assessment, notes: Sequence[Note], dropped: int, writer: Writer) -> dict[str, Any]:
    undecided = [v for v in assessment.verdicts.values() if v.state == "undecided"]
    listed = [{"resource": note.resource, "reason": note.reason} for note in notes]
    listed += [
        {"resource": topic, "reason": "assessment-failed: this topic could not be assessed"}
        for topic in assessment.failed
    ]
    return _without_empty(
        {
            "as_of": assessment.as_of.isoformat(),
            "guidance": assessment.guidance,
            "in_scope": assessment.in_scope,
            "fired": list(assessment.of("fired")),
            "suppressed": list(assessment.of("suppressed")),
            "superseded": list(assessment.of("superseded")),
            "indeterminate": [writer.undecided(verdict).as_json() for verdict in undecided],
            "values": {key: plain(value) for key, value in assessment.values.items()},
            "notes": listed,
            "dropped_cards": dropped,
        }
    )


def _without_empty(members: Mapping[str, Any]) -> dict[str, Any]:
    """CDS Hooks allows no empty attribute: a member without content is left out."""
    return {key: value for key, value in members.items() if value is not None and value not in ("", [], {}, ())}


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Write a computed value as JSON: whole numbers whole, others as numbers, words as they are."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and value.as_tuple().exponent >= 0 else float(value)  # type: ignore[operator] # finite: the exponent is a number
    return value


@dataclass(frozen=True, slots=True)
class Undecided:
    """An undecided rule in words: the facts it lacks, and what knowing them would change."""

    rule: str
    missing: tuple[str, ...]
    would_change: str

    def as_json(self) -> dict[str, Any]:
        """Give it as the proof has it."""
        return _without_empty({"rule": self.rule, "missing": list(self.missing), "would_change": self.would_change})


def _missing_facts(verdict: Verdict) -> Iterator[tuple[str, list[MissingLine]]]:
    """Yield each fact that keeps a rule undecided, with the sentences that the rule has for its absence."""
    told: set[str] = set()
    for condition in verdict.criterion.undecided():
        names = {condition.fact, *condition.evidence.lacks}
        for name in condition.evidence.lacks or (condition.fact,):
            if name not in told:
                told.add(name)
                own = [line for line in verdict.info.if_missing if line.fact == name]
                yield name, own or [line for line in verdict.info.if_missing if line.fact in names]


def missing_lines(verdict: Verdict, speaker: Speaker) -> Iterator[tuple[str, str]]:
    """Yield, for each fact that keeps a rule undecided, its name and what knowing it would change."""
    guidance, advice = verdict.topic.guidance, verdict.advices[0]
    for name, lines in _missing_facts(verdict):
        for line in lines:
            yield name, speaker.say(line, guidance, advice)
        if not lines:
            yield name, _would_decide((name,), verdict, speaker)
    for note in advice.notes:  # what is possible meanwhile: a range, or what each answer would give
        yield "", speaker.phrase(note, guidance, advice)


def would_change(verdict: Verdict, speaker: Speaker) -> str:
    """Say what knowing the missing facts would change; facts of which nothing special is said share a sentence."""
    guidance, advice = verdict.topic.guidance, verdict.advices[0]
    missing = list(_missing_facts(verdict))
    said = [speaker.say(line, guidance, advice) for _, lines in missing for line in lines]
    if others := [name for name, lines in missing if not lines]:
        said.append(_would_decide(others, verdict, speaker))
    said += [speaker.phrase(note, guidance, advice) for note in advice.notes]
    return " ".join(dict.fromkeys(said))


def _would_decide(names: Sequence[str], verdict: Verdict, speaker: Speaker) -> str:
    labels = speaker.listed([label(name, speaker.language) for name in names])
    advice = verdict.advices[0]
    if any(value in ((), "") for value in advice.fill.values()):  # nothing is listed yet: that is what is missing
        advice = replace(
            advice, fill={name: "…" if value in ((), "") else value for name, value in advice.fill.items()}
        )
    title = speaker.summary(advice, verdict.topic.guidance)
    return speaker.frame("would_decide", facts=labels, title=title)


class Writer:
    """Writes the cards of one call in one language."""

    def __init__(
        self,
        assessment: Assessment,
        language: Language,
        call: CallIdentity,
        drafts: Mapping[str, Mapping[str, Any]],
        public_url: str | None,
        audience: Literal["prescriber", "pharmacist"],
        ask_url: str | None = None,
    ) -> None:
        self.assessment = assessment
        self.language = language
        self.call = call
        self.drafts = drafts
        self.public_url = public_url
        self.audience = audience
        self.ask_url = ask_url
        self.speaker = Speaker(assessment, language)
        self.steps = order_of_steps(assessment)
        other = next(name for name in LANGUAGES if name != language)
        self.other = Speaker(assessment, other)
        self._undecided: dict[str, Undecided] = {}

    def undecided(self, verdict: Verdict) -> Undecided:
        """Put an undecided rule into words, once for the card and both proofs."""
        found = self._undecided.get(verdict.rule)
        if found is None:
            words = would_change(verdict, self.speaker)
            found = self._undecided[verdict.rule] = Undecided(verdict.rule, verdict.missing, words)
        return found

    def card(self, draft: Draft, *, first: bool) -> dict[str, Any]:
        """Write one card."""
        if not draft.fired and not draft.undecided:
            return self._failed_card(draft)
        values = values_of(draft, self.assessment)
        call = self.call
        said = content(draft, values)
        card_id = uuid.uuid5(NAMESPACE, f"{call.service_id}|{call.hook_instance}|{call.patient_id}|{said}")
        suggested = suggestions_for(
            draft.fired,
            assessment=self.assessment,
            speaker=self.speaker,
            card_id=card_id,
            call=call,
            drafts=self.drafts,
        )
        return _without_empty(
            {
                "uuid": str(card_id),
                "summary": self._summary(draft, self.speaker),
                "detail": self._detail(draft, suggested, first=first),
                "indicator": draft.indicator,
                "source": self._source(draft),
                "suggestions": suggested.as_json(),
                "selectionBehavior": suggested.selection_behavior,
                "overrideReasons": self._override_reasons(draft),
                "links": self._links(draft),
                "extension": {TRACE: self._trace(draft, values, repeat_key(draft, values))},
            }
        )

    def _failed_card(self, draft: Draft) -> dict[str, Any]:
        """Nothing could be said because a part failed: that is said, never hidden behind an empty answer."""
        text = self.speaker.frame("failed_summary")
        topics = ", ".join(self.assessment.failed)
        key = f"{self.call.service_id}|{self.call.hook_instance}|{self.call.patient_id}|failed|{topics}"
        return {
            "uuid": str(uuid.uuid5(NAMESPACE, key)),
            "summary": shortened(text),
            "detail": "\n\n".join(
                [self.other.frame("failed_summary"), self.speaker.frame("part_failed", topics=topics)]
            ),
            "indicator": "warning",
            "source": {"label": sources()["OUR"].label.text(self.language), "topic": self._topic(draft.recommender)},
            "extension": {
                TRACE: {
                    "recommender": draft.recommender,
                    "guidance": self.assessment.guidance,
                    "as_of": self.assessment.as_of.isoformat(),
                    "repeat_key": str(uuid.uuid5(NAMESPACE, f"failed|{topics}")),
                }
            },
        }

    # --- parts of a card -------------------------------------------------------------------------------

    def _summary(self, draft: Draft, speaker: Speaker) -> str:
        lead = draft.lead
        if draft.fired:
            return speaker.summary(lead.advices[0], lead.topic.guidance)
        return shortened(speaker.frame("missing_summary", facts=speaker.labels(lead.missing)))

    def _detail(self, draft: Draft, suggested: Suggestions, *, first: bool) -> str:
        conclusion = [self._summary(draft, self.other), *self._rule_texts(draft)]
        facts = self._section(
            "verification_heading" if self.audience == "pharmacist" else "facts_heading", self._fact_lines(draft)
        )
        parts = [*conclusion[:1], *facts, *conclusion[1:]] if self.audience == "pharmacist" else [*conclusion, *facts]
        parts += self._section("steps_heading", self._steps(draft), numbered=True)
        parts += self._series(draft)
        parts += self._section("sources_heading", self._source_lines(draft))
        parts += self._section("evidence_heading", self._evidence(draft))
        parts += self._section("missing_heading", self._missing(draft))
        parts += self._section("data_heading", self._data_lines(draft, first=first))
        parts += self._section("left_out_heading", suggested.left_out)
        if (industry := industry_note(self._cited(draft))) is not None:
            parts.append(industry.text(self.language))
        rules = ", ".join(dict.fromkeys(verdict.rule for verdict in draft.fired or draft.undecided))
        closing = self.speaker.frame(
            "rules_line", rules=rules, guidance=self.assessment.guidance, day=self.assessment.as_of.isoformat()
        )
        parts.append(f"{closing} {self.speaker.frame('support_line')}")
        return "\n\n".join(part for part in parts if part)

    def _section(self, heading: str, lines: Iterable[str], *, numbered: bool = False) -> list[str]:
        listed = list(dict.fromkeys(line for line in lines if line))
        if not listed:
            return []
        marked = [f"{place}. {line}" if numbered else f"- {line}" for place, line in enumerate(listed, 1)]
        return [f"**{self.speaker.frame(heading)}**", "\n".join(marked)]

    def _rule_texts(self, draft: Draft) -> list[str]:
        """Say what each rule says, the lead first; beside a danger lesser rules are a line each."""
        lead = draft.lead
        texts: list[str] = []
        also: list[str] = []
        for verdict in sorted(draft.fired, key=lambda v: (v is not lead, -INDICATORS.index(v.indicator))):
            guidance = verdict.topic.guidance
            if self._is_guest(verdict, draft):
                continue
            brief = self._is_brief(verdict, draft)
            for number, advice in enumerate(verdict.advices):
                lines = [] if brief else list(self._points(verdict, advice))
                lines += [self.speaker.phrase(note, guidance, advice) for note in advice.notes]
                head = self.speaker.summary(advice, guidance)
                listed = "\n".join(f"- {line}" for line in dict.fromkeys(lines))
                if verdict is lead and number == 0:
                    texts.append(listed)
                elif listed:
                    texts.append(f"**{head}**\n\n{listed}")
                else:
                    also.append(head)
        return [*texts, *self._section("also_heading", also)]

    def _is_brief(self, verdict: Verdict, draft: Draft) -> bool:
        """Tell whether a rule gets one line only: a critical card must be read at a glance."""
        return draft.indicator == "critical" and verdict.indicator != "critical" and verdict is not draft.lead

    def _is_guest(self, verdict: Verdict, draft: Draft) -> bool:
        """Tell whether a rule only found shelter here: it stands in the proof, but its line belongs elsewhere."""
        return verdict.info.never_alone and verdict.recommender != draft.recommender

    def _points(self, verdict: Verdict, advice: Advice) -> Iterator[str]:
        points = verdict.info.points
        for place in range(len(points)) if advice.points is None else advice.points:
            yield self.speaker.say(points[place], verdict.topic.guidance, advice)

    def _conditions(self, draft: Draft) -> Iterator[Condition]:
        seen: set[tuple[str, str, str]] = set()
        for verdict in draft.fired:
            for advice in verdict.advices:
                for condition in advice.because.support():
                    fact = condition.evidence
                    key = (condition.fact, condition.relation, str(condition.limit))
                    if key in seen or not isinstance(fact, Fact) or not fact.is_known or not fact.resources:
                        continue
                    seen.add(key)
                    yield condition

    def _fact_lines(self, draft: Draft) -> Iterator[str]:
        told: set[tuple[str, str]] = set()
        for condition in self._conditions(draft):
            text = self.speaker.condition(condition)
            bare = (condition.fact, text.split(", ", maxsplit=1)[0])
            if bare not in told:
                told.add(bare)
                yield text

    def _source_lines(self, draft: Draft) -> Iterator[str]:
        colon = self.speaker.frame("label_separator")
        for verdict in draft.fired:
            if self._is_guest(verdict, draft) or self._is_brief(verdict, draft):
                continue
            judged = {v.line: v for advice in verdict.advices for v in advice.verdicts}
            chosen = {place for advice in verdict.advices for place in advice.lines or ()}
            every = any(advice.lines is None for advice in verdict.advices)
            for place, line in enumerate(verdict.info.source_lines):
                if not every and place not in chosen:
                    continue
                text = self.speaker.say(line, verdict.topic.guidance, verdict.advices[0])
                if place in judged:
                    found = judged[place]
                    key = {True: "verdict_yes", False: "verdict_no", None: "verdict_unknown"}[found.holds]
                    state = self.speaker.frame(key, facts=self.speaker.labels(found.criterion.missing()))
                    text = f"{state}{colon}{text}"
                yield f"{text} [{line.where}]" if line.where else text

    def _steps(self, draft: Draft) -> Iterator[str]:
        """The order of steps, the same on each card that has a part in it: one plan, not five cards."""
        mine = {verdict.rule for verdict in draft.fired}
        if any(mine & set(step.rules) for step in self.steps):
            for step in self.steps:
                cited = ", ".join(step.sources)
                yield f"{self.speaker.phrase(step.phrase, PLAN)} [{', '.join(step.rules)}; {cited}]"

    def _series(self, draft: Draft) -> list[str]:
        """The results over time that carry a verdict, as a small table; none where there is no course to see."""
        paths = tuple(dict.fromkeys(path for verdict in draft.fired for path in columns_of(verdict.rule)))
        table = series_table(self.assessment.case, paths) if paths else None
        if table is None or len(table.rows) < 2:
            return []
        kept = [place for place in range(len(paths)) if any(row.readings[place] is not None for row in table.rows)]
        head = [self.speaker.frame("date")]
        for place in kept:
            spec = DICTIONARY[paths[place]]
            shown = unit(spec.unit, self.language)
            head.append(f"{label(spec.name, self.language)} {shown}".strip())
        lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for row in table.rows:
            cells = [row.date.isoformat()]
            for place in kept:
                reading = row.readings[place]
                cells.append(self.speaker.value(reading, with_unit=False) if reading is not None else "")
            lines.append("| " + " | ".join(cells) + " |")
        return [f"**{self.speaker.frame('series_heading')}**", "\n".join(lines)]

    def _evidence(self, draft: Draft) -> Iterator[str]:
        for verdict in draft.fired:
            if self._is_guest(verdict, draft) or self._is_brief(verdict, draft):
                continue
            for line in (*evidence_lines(verdict.info), *citation_notes(verdict.rule)):
                yield line.text(self.language)

    def _missing(self, draft: Draft) -> Iterator[str]:
        colon = self.speaker.frame("label_separator")
        lines: dict[str, str] = {}
        ordered = sorted(draft.undecided, key=lambda v: -INDICATORS.index(v.indicator))
        for verdict in ordered:
            for name, text in missing_lines(verdict, self.speaker):
                lines.setdefault(f"{label(name, self.language)}{colon}{text}" if name else text, name)
        yield from list(lines)[:MOST_MISSING_LINES]
        for name in RECOMMENDERS:
            others = [v for v in draft.others_undecided if v.recommender == name]
            if others:
                facts = tuple(dict.fromkeys(fact for verdict in others for fact in self.undecided(verdict).missing))
                yield self.speaker.frame(
                    "other_missing",
                    recommender=self.speaker_recommender(name),
                    facts=self.speaker.labels(facts[:MOST_MISSING_LINES]),
                )

    def speaker_recommender(self, name: Recommender) -> str:
        """Name a recommender in the reader's language."""
        return frame(name, self.language, "recommenders")

    def _data_lines(self, draft: Draft, *, first: bool) -> Iterator[str]:
        """Facts that were sent and could not be used, lists that did not come, parts that failed."""
        for verdict in [*draft.fired, *draft.undecided]:
            for advice in verdict.advices:
                for condition in (*advice.whole.support(), *advice.whole.undecided()):
                    if isinstance(condition.evidence, Fact) and (why := self.speaker.why_unknown(condition.evidence)):
                        yield why
                    for name in condition.evidence.lacks:
                        found = self.speaker.named(name)
                        if found is not None and (why := self.speaker.why_unknown(found)):
                            yield why
        if first and self.assessment.facts.unavailable:
            keys = [frame(key, self.language, "keys") for key in sorted(self.assessment.facts.unavailable)]
            yield self.speaker.frame("not_delivered", keys=self.speaker.listed(keys))
        if first and self.assessment.failed:
            yield self.speaker.frame("part_failed", topics=", ".join(self.assessment.failed))

    def _cited(self, draft: Draft) -> Iterator[str]:
        for verdict in draft.fired or draft.undecided:
            for line in verdict.info.source_lines:
                yield line.source

    def _main_source(self, draft: Draft) -> Source:
        lead = draft.lead
        cited = [line.source for line in lead.info.source_lines] or list(self._cited(draft)) or ["OUR"]
        return sources()[cited[0]]

    def _source(self, draft: Draft) -> dict[str, Any]:
        source = self._main_source(draft)
        return _without_empty(
            {
                "label": source.label.text(self.language),
                "url": source.url,
                "topic": self._topic(draft.recommender),
            }
        )

    def _topic(self, recommender: Recommender) -> dict[str, str]:
        return {"system": RECOMMENDER_SYSTEM, "code": recommender, "display": self.speaker_recommender(recommender)}

    def _override_reasons(self, draft: Draft) -> list[dict[str, str]]:
        names = [verdict.info.override for verdict in draft.fired] or ["OV-DATA"]
        found: dict[str, dict[str, str]] = {}
        for name in names:
            for reason in override_sets().get(name, ()):
                found.setdefault(
                    reason.code,
                    {"code": reason.code, "system": OVERRIDE_SYSTEM, "display": reason.text(self.language)},
                )
        return list(found.values())

    def _links(self, draft: Draft) -> list[dict[str, str]]:
        if not self.public_url or not self.public_url.startswith("https://"):
            return []
        rule, base = draft.lead.rule, self.public_url.rstrip("/")
        pages = (
            (self.speaker.frame("learn_more", rule=rule), f"{base}/rules#{rule}"),
            (self.speaker.frame("attributes_link"), f"{base}/attributes/{draft.recommender}"),
        )
        return [*self._ask_link(draft), *({"label": text, "url": url, "type": "absolute"} for text, url in pages)]

    def _ask_link(self, draft: Draft) -> list[dict[str, str]]:
        """The form that asks for what keeps this card's rules open; `appContext` says nothing about the patient."""
        missing = askable_lack([*draft.undecided, *draft.others_undecided, *draft.fired]) if self.ask_url else ()
        if self.ask_url is None or not missing:
            return []
        context = {"recommender": draft.recommender, "missing": list(missing)}
        named = self.speaker.labels(missing[:MOST_IN_LABEL])
        text = self.speaker.frame("ask_link", facts=named if len(missing) <= MOST_IN_LABEL else f"{named} …")
        return [
            {
                "label": text,
                "url": self.ask_url,
                "type": "smart",
                "appContext": json.dumps(context, separators=(",", ":")),
            }
        ]

    # --- the proof -------------------------------------------------------------------------------------

    def _trace(self, draft: Draft, values: Mapping[str, Value], repeat_key: str) -> dict[str, Any]:
        assessment = self.assessment
        shown = [*draft.undecided, *draft.others_undecided]
        mine = {draft.recommender} | {verdict.recommender for verdict in draft.fired}

        def of(state: str) -> list[str]:
            return [r for r, v in assessment.verdicts.items() if v.state == state and v.recommender in mine]

        return _without_empty(
            {
                "recommender": draft.recommender,
                "guidance": assessment.guidance,
                "as_of": assessment.as_of.isoformat(),
                "repeat_key": repeat_key,
                "fired": list(dict.fromkeys(verdict.rule for verdict in draft.fired)),
                "suppressed": of("suppressed"),
                "superseded": of("superseded"),
                "indeterminate": [self.undecided(verdict).as_json() for verdict in shown],
                "values": {key: plain(value) for key, value in values.items()},
                "because": [because(condition) for condition in self._conditions(draft)],
            }
        )


def because(condition: Condition) -> dict[str, Any]:
    """Write one condition as the trace has it: fact, value, unit, date, resources, relation, limit, source."""
    fact = condition.evidence
    limit: object = condition.limit
    source: str | None = None
    of_unit: str | None = None
    value: Any = None
    if isinstance(limit, Limit):
        source = limit.source
        limit = limit.value
    if isinstance(fact, Reading):
        of_unit = fact.unit
        if fact.rounded is not None:
            value = plain(fact.rounded)
        elif fact.low is not None and fact.high is not None:
            value = [plain(fact.low), plain(fact.high)]
    elif isinstance(fact, Moment):
        value = fact.date.isoformat() if fact.date else None
    elif isinstance(fact, Finding):
        value = fact.value
    day = fact.date.isoformat() if isinstance(fact, Fact) and fact.date else None
    return _without_empty(
        {
            "fact": condition.fact,
            "value": value,
            "unit": unit(of_unit, "en") if of_unit else None,
            "date": day,
            "resources": list(fact.resources) if isinstance(fact, Fact) else None,
            "relation": OPPOSITE.get(condition.relation, condition.relation)
            if condition.holds is False
            else condition.relation,
            "limit": _plain_limit(limit),
            "source": source,
        }
    )


def _plain_limit(limit: object) -> Any:  # noqa: ANN401 - JSON
    if isinstance(limit, tuple):
        return [_plain_limit(part) for part in limit]
    return plain(limit)
