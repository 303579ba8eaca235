"""The rule catalogue: every rule with its condition, limits, sources, wording and vignettes, from the same data."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hooks.cards.wording import frame
from recommenders.assessing.topics import TOPICS
from recommenders.vocabulary.guidance import VERSION, MissingLine, SourceLine, override_sets, sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.vocabulary.guidance import LimitEntry, RuleInfo

FIXTURES = Path(__file__).resolve().parent.parent.parent / "fixtures"
"""Beside the packages, in a checkout as in an installation."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule as the catalogue shows it; `vignettes` are the sentences that prove it."""

    rule: str
    topic: str
    info: RuleInfo
    vignettes: tuple[str, ...]

    @property
    def haystack(self) -> str:
        """Everything a search may hit, in lower case."""
        info = self.info
        texts = [self.rule, info.title, info.condition, info.summary.en, info.summary.zh, info.recommender]
        texts += [line.en + line.zh for line in (*info.points, *info.source_lines, *info.if_missing)]
        return " ".join(texts).lower()


@dataclass(frozen=True, slots=True)
class Section:
    """One topic: its title, its limits in force with their sources, and its rules."""

    name: str
    title: str
    limits: tuple[tuple[str, LimitEntry], ...]
    entries: tuple[Entry, ...]


@cache
def _vignettes() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for path in sorted((FIXTURES / "vignettes").glob("*.toml")):
        for case in tomllib.loads(path.read_text(encoding="utf-8")).get("case", ()):
            named: list[str] = []
            for key in ("fires", "silent", "suppressed", "superseded"):
                named += case.get(key, ())
            for rule in dict.fromkeys([*named, *case.get("undecided", {})]):
                found.setdefault(rule, []).append(case["name"])
    return {rule: tuple(names) for rule, names in found.items()}


@cache
def sections() -> tuple[Section, ...]:
    """Give the whole catalogue, topic by topic."""
    return tuple(
        Section(
            topic.name,
            topic.guidance.title,
            tuple((name, entry) for name, entries in topic.guidance.entries.items() for entry in entries),
            tuple(
                Entry(rule, topic.name, info, _vignettes().get(rule, ())) for rule, info in topic.guidance.rules.items()
            ),
        )
        for topic in TOPICS
    )


def markdown() -> str:
    """Write the catalogue as one Markdown page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Rule catalogue"
    yield ""
    yield f"Guidance {VERSION}. Generated from the guidance data by `make catalogue`; a test keeps it true."
    yield "It supports clinicians and pharmacists and never replaces them."
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
    kind = "informational" if info.informational else "advice"
    yield f"- Recommender `{info.recommender}`; hooks {', '.join(info.hooks)}; indicator {info.indicator}; {kind}"
    if info.orders:
        yield f"- On order hooks it looks at orders of: {', '.join(info.orders)}"
    if info.supersedes:
        yield f"- Supersedes {', '.join(info.supersedes)}"
    if override_sets().get(info.override):
        yield f"- Override reasons: {', '.join(reason.code for reason in override_sets()[info.override])}"
    yield f"- Fires when: `{info.condition}`"
    yield f"- en: {info.summary.en}"
    yield f"- zh-CN: {info.summary.zh}"
    for heading, lines in (("Says", info.points), ("Sources", info.source_lines), ("If not known", info.if_missing)):
        if lines:
            yield f"- {heading}:"
            for line in lines:
                place = f" [{line.source}, {line.where}]" if isinstance(line, SourceLine) else ""
                fact = f"`{line.fact}`: " if isinstance(line, MissingLine) else ""
                yield f"  - {fact}{line.en} / {line.zh}{place}"
    if entry.vignettes:
        yield "- Proved by:"
        for name in entry.vignettes:
            yield f"  - {name}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def recommender_title(name: str, language: str) -> str:
    """Name a recommender in `en` or `zh-CN`."""
    return frame(name, "zh-CN" if language == "zh-CN" else "en", "recommenders")
