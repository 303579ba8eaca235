"""The evidence table: quantitative results that cards may quote, and how contradictions in the sources are treated."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recommenders.vocabulary.guidance import GuidanceError, Wording, read_toml

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from recommenders.vocabulary.guidance import RuleInfo


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Row(_Data):
    """
    One result as a source gives it: who was studied, what was compared, what came out.

    `type` is the kind of study, `check` what a public look-up showed. `line` says it in one sentence, kind of
    study first; rows that every quoting rule's own wording carries already have none.
    """

    source: str
    population: str
    arms: str
    outcome: str
    value: str
    uncertainty: str
    type: str
    check: str
    line: Wording | None = None


class Fragments(_Data):
    """Pieces of wording in both languages, not necessarily one for one."""

    en: tuple[str, ...]
    zh: tuple[str, ...] = Field(alias="zh-CN")


class Conflict(_Data):
    """
    A contradiction, slip or wrong citation in the sources, and how it is treated.

    `rules` are those on whose cards the treatment stands: either their wording carries it already (`carried`
    holds the pieces to look for, `cites` the sources that must be named) or `note` is added. `editorial` says
    why nothing of it reaches a card.
    """

    where: str
    problem: str
    treatment: str
    rules: tuple[str, ...] = ()
    cites: tuple[str, ...] = ()
    carried: Fragments | None = None
    note: Wording | None = None
    editorial: str | None = None


class Industry(_Data):
    """The sources with a commercial background, and what is said under a card that quotes one."""

    sources: tuple[str, ...]
    note: Wording


class Table(_Data):
    """The evidence file as a whole; `unused` gives a reason for each row that no rule quotes."""

    title: str
    evidence: dict[str, Row]
    conflicts: dict[str, Conflict]
    unused: dict[str, str]
    words_of_type: dict[str, Fragments]
    industry: Industry


@cache
def table() -> Table:
    """
    Read and check the evidence table.

    Raises GuidanceError when an entry is malformed, or a row called unused is not there.
    """
    try:
        found = Table.model_validate(read_toml("evidence"))
    except ValidationError as error:
        first = error.errors()[0]
        raise GuidanceError(f"evidence.toml: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    if strangers := set(found.unused) - set(found.evidence):
        raise GuidanceError(f"evidence.toml: [unused] names rows that are not there: {', '.join(sorted(strangers))}")
    return found


def wording_of(info: RuleInfo, language: str) -> str:
    """Give all that a rule can say in a language, in one text."""
    parts = [info.summary, *info.points, *info.source_lines, *info.if_missing, *info.buttons]
    return "\n".join((*(part.text(language) for part in parts), *(line.where for line in info.source_lines)))


def evidence_lines(info: RuleInfo) -> tuple[Wording, ...]:
    """
    Give the lines for the results that a rule quotes and that its own wording does not carry already.

    A result is carried when each of its numbers stands in the rule's wording.
    """
    rows = table().evidence
    text = wording_of(info, "en")
    return tuple(
        line for key in info.evidence if (line := rows[key].line) is not None and not is_carried(rows[key], text)
    )


def is_carried(row: Row, text: str) -> bool:
    """Tell whether each number of a result's value stands in a text."""
    numbers = re.findall(r"\d+(?:\.\d+)?", row.value)
    there = set(re.findall(r"\d+(?:\.\d+)?", text))
    return all(number in there for number in numbers)


def citation_notes(rule: str) -> tuple[Wording, ...]:
    """Give the notes on contradictions and wrong citations that belong on this rule's card."""
    return tuple(
        conflict.note for conflict in table().conflicts.values() if rule in conflict.rules and conflict.note is not None
    )


def industry_note(cited: Iterable[str]) -> Wording | None:
    """Give the footer on industry support, when one of the cited sources calls for it; None otherwise."""
    industry = table().industry
    return industry.note if any(source in industry.sources for source in cited) else None


def required_words(row: Row) -> Mapping[str, Fragments]:
    """Give the words that must stand beside this result (exploratory, subgroup, retrospective, preclinical)."""
    return {key: words for key, words in table().words_of_type.items() if key in row.type}
