"""The rule catalogue: every rule with its condition, limits, sources, wording and vignettes, from the same data."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recommenders.assessing.topics import TOPICS
from recommenders.vocabulary.evidence import table
from recommenders.vocabulary.guidance import (
    VERSION,
    Line,
    MissingLine,
    SourceLine,
    Wording,
    override_sets,
    sources,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.vocabulary.evidence import Row
    from recommenders.vocabulary.guidance import LimitEntry, RuleInfo

_HOOKS = Path(__file__).resolve().parent.parent
FIXTURES = next(place for place in (_HOOKS / "fixtures", _HOOKS.parent / "fixtures") if place.is_dir())
"""Inside this package in an installation, beside it in a checkout."""

EXPECTATIONS = ("fires", "silent", "suppressed", "superseded", "undecided")
"""What a vignette may expect of a rule, by its keys."""


@dataclass(frozen=True, slots=True)
class Vignette:
    """One sentence that proves a rule: the case, the hook it is asked at, what is known, and what must come of it."""

    name: str
    hook: str
    given: tuple[str, ...]
    expected: str
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One rule as the catalogue shows it.

    `evidence` are the results that it quotes; `drugs` those that its own words name.
    """

    rule: str
    topic: str
    info: RuleInfo
    proofs: tuple[Vignette, ...]
    evidence: tuple[Row, ...]
    drugs: tuple[str, ...]

    @property
    def vignettes(self) -> tuple[str, ...]:
        """The sentences that prove it."""
        return tuple(dict.fromkeys(one.name for one in self.proofs))

    @property
    def cited(self) -> tuple[str, ...]:
        """The keys of the sources that it cites."""
        return tuple(dict.fromkeys(line.source for line in self.info.source_lines))

    @property
    def voices(self) -> tuple[str, ...]:
        """The voices in which it may speak: its own and those of its variants."""
        own = (self.info.voice, *(one.voice for one in self.info.variants if one.voice))
        return tuple(dict.fromkeys(own))

    @property
    def haystack(self) -> str:
        """Everything a search may hit, in lower case."""
        info = self.info
        words = [self.rule, info.title, info.condition, info.recommender, *info.circumstances.values()]
        words += [wording.en + wording.zh for wording in wordings(info)]
        return " ".join(words).lower()


@dataclass(frozen=True, slots=True)
class Section:
    """One topic: its title, its limits in force with their sources, and its rules."""

    name: str
    title: str
    titles: Wording
    limits: tuple[tuple[str, LimitEntry], ...]
    entries: tuple[Entry, ...]


def wordings(info: RuleInfo) -> Iterator[Wording]:
    """Yield all that a rule may say: headline, lines, buttons, variants, reference."""
    yield info.summary
    if info.also:
        yield info.also
    yield from (*info.do, *info.unless, *info.sources_differ, *info.buttons)
    for variant in info.variants:
        yield from (one for one in (variant.summary, variant.also, variant.unless) if one is not None)
    yield from (wording for ask in info.ask if (wording := ask.wording()) is not None)
    yield from (*info.points, *info.source_lines, *info.if_missing)


@cache
def drugs() -> Mapping[str, Mapping[str, Any]]:
    """Give the drugs by which rules can be looked up: key -> label in both languages, and words."""
    return tomllib.loads(resources.files("hooks.reference").joinpath("drugs.toml").read_text(encoding="utf-8"))


def _drugs_of(info: RuleInfo) -> tuple[str, ...]:
    text = " ".join(
        (info.title, info.condition, *(line.en for line in (info.summary, *info.do, *info.buttons)))
    ).lower()
    return tuple(key for key, row in drugs().items() if any(word in text for word in row["words"]))


# --- vignettes ----------------------------------------------------------------------------------------------


@cache
def _proofs() -> Mapping[str, tuple[Vignette, ...]]:
    found: dict[str, list[Vignette]] = {}
    for path in sorted((FIXTURES / "vignettes").glob("*.toml")):
        for case in tomllib.loads(path.read_text(encoding="utf-8")).get("case", ()):
            for key in EXPECTATIONS:
                for rule in case.get(key, ()):
                    lacks = tuple(case["undecided"][rule]) if key == "undecided" else ()
                    found.setdefault(rule, []).append(
                        Vignette(case["name"], case.get("hook", "patient-view"), tuple(_given(case)), key, lacks)
                    )
    return {rule: tuple(cases) for rule, cases in found.items()}


def _given(case: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a case tells of the patient, as `fact = value`."""
    for group, facts in case.get("facts", {}).items():
        for name, value in facts.items():
            yield f"{group}.{name} = {_told(value)}"
    for key in ("lesions", "courses", "orders", "sre", "studies"):
        for one in case.get(key, ()):
            yield f"{key}: {_told(one)}"


def _told(value: Any) -> str:  # noqa: ANN401 - TOML
    if isinstance(value, dict):
        return ", ".join(f"{key} {_told(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return " / ".join(_told(inner) for inner in value)
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


# --- the whole ----------------------------------------------------------------------------------------------


@cache
def sections() -> tuple[Section, ...]:
    """Give the whole catalogue, topic by topic."""
    rows = table().evidence
    return tuple(
        Section(
            topic.name,
            topic.guidance.title,
            topic.guidance.titles,
            tuple((name, entry) for name, entries in topic.guidance.entries.items() for entry in entries),
            tuple(
                Entry(
                    rule,
                    topic.name,
                    info,
                    _proofs().get(rule, ()),
                    tuple(rows[key] for key in info.evidence),
                    _drugs_of(info),
                )
                for rule, info in topic.guidance.rules.items()
            ),
        )
        for topic in TOPICS
    )


def entry_of(rule: str) -> tuple[Section, Entry]:
    """
    Give one rule with its topic.

    Raises KeyError when there is none of that id.
    """
    for section in sections():
        for entry in section.entries:
            if entry.rule == rule:
                return section, entry
    raise KeyError(rule)


def markdown() -> str:
    """Write the catalogue as one Markdown page."""
    return "\n".join(_lines()) + "\n"


def as_json() -> dict[str, Any]:
    """Give the catalogue as JSON: topics with their limits and rules as the guidance data have them, and sources."""
    return {
        "guidance": VERSION,
        "topics": [
            {
                "topic": section.name,
                "title": section.title,
                "limits": [
                    {"limit": name, **limit.model_dump(), "since": str(limit.since)} for name, limit in section.limits
                ],
                "rules": [
                    {"rule": entry.rule, **entry.info.model_dump(mode="json"), "vignettes": list(entry.vignettes)}
                    for entry in section.entries
                ],
            }
            for section in sections()
        ],
        "sources": {key: source.model_dump(mode="json") for key, source in sources().items()},
    }


def _lines() -> Iterator[str]:
    yield "# Rule catalogue"
    yield ""
    yield f"Guidance {VERSION}. Generated from the guidance data by `make catalogue`; a test keeps it true."
    yield "It supports clinicians and pharmacists and never replaces them."
    yield ""
    yield "Words in braces, such as `{drug}`, come from the chart. A running service shows each rule at `/rules/ID`."
    for section in sections():
        yield ""
        yield f"## {section.title}"
        if section.limits:
            yield ""
            yield "| limit | value | since | source | where | site setting |"
            yield "|---|---|---|---|---|---|"
            for name, limit in section.limits:
                yield (
                    f"| `{section.name}.{name}` | {limit.value} {limit.unit} | {limit.since} | {limit.source} |"
                    f" {_cell(limit.where)} | {'yes' if limit.site else ''} |"
                )
        for entry in section.entries:
            yield from _rule(entry)
    yield ""
    yield "## Sources"
    yield ""
    for key, source in sources().items():
        link = f" <{source.url}>" if source.url else ""
        yield f"- **{key}** {source.title}{link}"


def _rule(entry: Entry) -> Iterator[str]:
    info = entry.info
    yield ""
    yield f"### {entry.rule} {info.title}"
    yield ""
    yield (
        f"- Recommender `{info.recommender}`; hooks {', '.join(info.hooks)}; voice {', '.join(entry.voices)};"
        f" problem {info.problem}"
    )
    yield from _heading(info)
    yield f"- en: {info.summary.en}"
    yield f"- zh-CN: {info.summary.zh}"
    yield from _face(info)
    for heading, lines in (
        ("Reference", info.points),
        ("Sources", info.source_lines),
        ("If not known", info.if_missing),
    ):
        yield from _listed(heading, lines)
    if entry.vignettes:
        yield "- Proved by:"
        for name in entry.vignettes:
            yield f"  - {name}"


def _heading(info: RuleInfo) -> Iterator[str]:
    if info.orders:
        yield f"- On order hooks it looks at orders of: {', '.join(info.orders)}"
    if info.supersedes:
        yield f"- Supersedes {', '.join(info.supersedes)}"
    if override_sets().get(info.override):
        yield f"- Override reasons: {', '.join(reason.code for reason in override_sets()[info.override])}"
    yield f"- Fires when: `{info.condition}`"
    for heading, text in (("Counts as done", info.done), ("Counts as new", info.new_when)):
        if text:
            yield f"- {heading}: {text}"
    for name, words in info.circumstances.items():
        yield f"- Circumstance `{name}`: {words}"


def _face(info: RuleInfo) -> Iterator[str]:
    """What the card says: variants, acts, exceptions, where sources differ, what is asked, buttons."""
    for variant in info.variants:
        yield f"- Variant when `{variant.when}`{f': voice {variant.voice}' if variant.voice else ''}"
        for name, wording in (("headline", variant.summary), ("also", variant.also), ("unless", variant.unless)):
            if wording is not None:
                yield f"  - {name}: {wording.en} / {wording.zh}"
    also = (info.also,) if info.also else ()
    for heading, lines in (
        ("Do", info.do),
        ("Unless", info.unless),
        ("Sources differ", info.sources_differ),
        ("Under another card", also),
        ("Buttons", info.buttons),
    ):
        yield from _listed(heading, lines)
    for ask in info.ask:
        wording = ask.wording()
        yield f"- Worth asking: `{ask.fact}`" + (f": {wording.en} / {wording.zh}" if wording else "")


def _listed(heading: str, lines: tuple[Wording, ...]) -> Iterator[str]:
    if lines:
        yield f"- {heading}:"
    for line in lines:
        place = f" [{line.source}, {line.where}]" if isinstance(line, SourceLine) else ""
        before = f"`{line.fact}`: " if isinstance(line, MissingLine) else ""
        if isinstance(line, Line) and line.when:
            before = f"when `{line.when}`: "
        yield f"  - {before}{line.en} / {line.zh}{place}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
