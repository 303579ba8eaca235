"""Guidance data: sources, dated limits, wording and override reasons, read from the TOML beside the topics."""

from __future__ import annotations

import datetime as dt
import hashlib
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recommenders.vocabulary.attributes import Attributes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

VERSION = "2026.11"
"""The edition of the guidance as a whole; cards and feedback carry it."""

ROOMS = (".", "vocabulary", "patient", "assessing")
"""Where the data files of this package stand, each beside the module that reads it."""

REMEMBERED = 64
"""So many sets of limits of one topic are kept: one for each day and each site's own choices."""

Indicator = Literal["info", "warning", "critical"]
INDICATORS: tuple[Indicator, ...] = ("info", "warning", "critical")

Voice = Literal["alert", "task", "result", "reference"]
VOICES: tuple[Voice, ...] = ("reference", "result", "task", "alert")
"""How loud a rule is, softest first: `reference` never speaks, `result` once, `task` until done, `alert` always."""

INDICATOR_OF: Mapping[Voice, Indicator] = {
    "alert": "critical",
    "task": "warning",
    "result": "info",
    "reference": "info",
}

Problem = Literal[
    "order",
    "spine",
    "calcium",
    "kidney",
    "jaw",
    "bone",
    "pain",
    "bone-agent",
    "myeloma-class",
    "myeloma-risk",
    "myeloma-treatment",
    "sarcoma",
    "workup",
    "mdt",
]
PROBLEMS: tuple[Problem, ...] = get_args(Problem)
"""Which card a rule belongs to on chart hooks; what belongs to two goes to the first of this order."""

Hook = Literal["patient-view", "encounter-start", "order-select", "order-sign"]
CHART_HOOKS: frozenset[str] = frozenset({"patient-view", "encounter-start"})
ORDER_HOOKS: frozenset[str] = frozenset({"order-select", "order-sign"})

Recommender = str
"""Who speaks on a card, by name; the topic files say which there are (`[recommenders.NAME]`)."""


class GuidanceError(ValueError):
    """A guidance file says something that cannot be; the message names file, entry and remedy."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Wording(_Data):
    """One sentence in both languages; `{name}` is filled in."""

    en: str = Field(min_length=1)
    zh: str = Field(min_length=1, alias="zh-CN")

    def text(self, language: str) -> str:
        """Give it in `en` or `zh-CN`."""
        return self.zh if language == "zh-CN" else self.en


class SourceLine(Wording):
    """What one source says, and where it says it."""

    source: str
    where: str


class MissingLine(Wording):
    """What knowing one fact would change."""

    fact: str


class Line(Wording):
    """One line of a card; with `when` it is there only under that circumstance of the rule."""

    when: str | None = None


class Ask(_Data):
    """A fact worth asking for on this card; the words say what knowing it would change."""

    fact: str
    en: str | None = None
    zh: str | None = Field(default=None, alias="zh-CN")

    def wording(self) -> Wording | None:
        """Give its words, where the rule has its own."""
        # made of what was checked when the file was read
        return Wording.model_construct(en=self.en, zh=self.zh) if self.en and self.zh else None


class Button(Wording):
    """The label of a suggestion; a rule's proposals name it by `key`."""

    key: str


class Variant(_Data):
    """One reason of a rule, gravest first: the first that holds speaks, and its keys replace the rule's."""

    when: str
    voice: Voice | None = None
    problem: Problem | None = None
    alone: bool | None = None
    why: tuple[str, ...] | None = None
    new_when: str | None = None
    summary: Wording | None = None
    also: Wording | None = None
    unless: Line | None = None


class Source(_Data):
    """A document that advice rests on; `url` is its doi link when it has one."""

    title: str
    label: Wording
    year: int | None = None
    url: str | None = None
    strength: str | None = None
    kind: Literal["seed", "outside"] = "outside"
    checked: str | None = None


class LimitEntry(_Data):
    """A number in force from a day on. `site` says that it is our choice and a hospital may set its own."""

    since: dt.date
    value: Annotated[Decimal, Field(strict=False)]
    unit: str
    source: str
    where: str = ""
    site: bool = False


class RuleInfo(_Data):
    """
    What the guidance file says of one rule: where it speaks, how loud, and in which words.

    `orders` are the kinds of draft order that it speaks of on order hooks. `condition` is the rule as it stands in the
    specification. `points` are what the catalogue and the dossier say of it beyond the card.

    The face is what a reader of the card sees. `voice` is how loud the rule is at most; `problem` is its card at the
    chart; `alone` false never leads a card; `why` names the facts that decided; `also` is its one line under another
    card; `circumstances` are the conditions, by name and in words, that `when` of a line or variant may name (the rule
    says in `Advice.holds` whether they hold); `done` and `new_when` say in words what counts as done, and as new.
    """

    title: str
    recommender: Recommender
    hooks: tuple[Hook, ...]
    override: str
    orders: tuple[str, ...] = ()
    supersedes: tuple[str, ...] = ()
    condition: str
    evidence: tuple[str, ...] = ()
    strength: str | None = None
    summary: Wording
    voice: Voice
    problem: Problem
    alone: bool = True
    why: tuple[str, ...] = ()
    done: str | None = None
    new_when: str | None = None
    also: Wording | None = None
    circumstances: dict[str, str] = {}
    variants: tuple[Variant, ...] = ()
    do: tuple[Line, ...] = ()
    unless: tuple[Line, ...] = ()
    sources_differ: tuple[Line, ...] = ()
    ask: tuple[Ask, ...] = ()
    buttons: tuple[Button, ...] = ()
    points: tuple[Wording, ...] = ()
    source_lines: tuple[SourceLine, ...] = ()
    if_missing: tuple[MissingLine, ...] = ()

    @property
    def indicator(self) -> Indicator:
        """The indicator of a card that it leads at its loudest."""
        return INDICATOR_OF[self.voice]


class RecommenderInfo(_Data):
    """One who speaks: the name on its cards, the computed values that they show, and its source attributes."""

    title: Wording
    values: tuple[str, ...] = ()
    attributes: Attributes


class TopicFile(_Data):
    """
    One topic's TOML, as a whole.

    `recommenders` are those whose home it is; a topic may have none, its rules then speak for another's.
    `fills` are the placeholders that its rules fill themselves (`Advice.fill`): name -> what it shows, with its unit.
    """

    title: Wording | str
    recommenders: dict[Recommender, RecommenderInfo] = {}
    limits: dict[str, tuple[LimitEntry, ...]] = {}
    tables: dict[str, Any] = {}
    phrases: dict[str, Wording] = {}
    fills: dict[str, str] = {}
    rules: dict[str, RuleInfo] = {}


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A number in force on the day of the call, with its unit and where it comes from."""

    name: str
    value: Decimal
    unit: str
    source: str
    where: str = ""


class Limits:
    """The limits of one topic on one day, each an attribute: `limits.hypocalcaemia`."""

    def __init__(self, topic: str, by_name: Mapping[str, Limit]) -> None:
        self._topic = topic
        self._by_name = by_name
        self.__dict__.update(by_name)

    def __getattr__(self, name: str) -> Limit:
        """Complain about a limit that is not there; those that are there are found without this."""
        raise AttributeError(
            f"{self._topic}.toml has no limit {name!r} in force; it has: {', '.join(sorted(self._by_name))}"
        )

    def __iter__(self) -> Any:  # noqa: ANN401 - an iterator over limits
        return iter(self._by_name.values())

    def __reduce__(self) -> tuple[Any, ...]:
        """Be copied and pickled by what it holds: a copy without names would look for them without end."""
        return Limits, (self._topic, dict(self._by_name))


class Guidance:
    """One topic's guidance: rules, dated limits, tables and phrases."""

    def __init__(self, topic: str, data: TopicFile) -> None:
        self.topic = topic
        one = data.title  # files that are no topic have a title for those who read the file only
        self.titles = one if isinstance(one, Wording) else Wording.model_validate({"en": one, "zh-CN": one})
        self.title = self.titles.en
        self.recommenders = data.recommenders
        self.rules = data.rules
        self.tables = data.tables
        self.phrases = data.phrases
        self.fills = data.fills
        self.entries = data.limits
        self._resolved: dict[tuple[dt.date, tuple[tuple[str, Decimal], ...]], Limits] = {}
        self.places: Mapping[str, int] = {rule: place for place, rule in enumerate(data.rules)}
        """Where each rule stands in the file."""
        self._rules_at: dict[Hook, Mapping[str, RuleInfo]] = {
            hook: {rule: info for rule, info in data.rules.items() if hook in info.hooks} for hook in get_args(Hook)
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """Be pickled by its name: every process has read the same files."""
        return guidance, (self.topic,)

    def rules_at(self, hook: Hook) -> Mapping[str, RuleInfo]:
        """Give the rules that speak on a hook, by id, in the order of the file."""
        return self._rules_at[hook]

    def limits(self, as_of: dt.date, site: Mapping[str, Decimal] | None = None) -> Limits:
        """
        Give the limits in force on a day; `site` overrides by `topic.name`, only where an entry allows it.

        Raises GuidanceError for an override of a number that is a source's own.
        """
        own = tuple(sorted(one for one in site.items() if one[0].startswith(f"{self.topic}."))) if site else ()
        found = self._resolved.get((as_of, own))
        if found is None:
            if len(self._resolved) > REMEMBERED:
                self._resolved.clear()
            found = self._resolved[as_of, own] = Limits(self.topic, dict(self._in_force(as_of, dict(own))))
        return found

    def not_yet_in_force(self, as_of: dt.date) -> tuple[str, ...]:
        """Name the limits whose first entry is later than a day: on that day the first entry stands in."""
        return tuple(name for name, entries in self.entries.items() if min(e.since for e in entries) > as_of)

    def _in_force(self, as_of: dt.date, site: Mapping[str, Decimal]) -> Any:  # noqa: ANN401 - pairs
        for name, entries in self.entries.items():
            past = [entry for entry in entries if entry.since <= as_of] or [min(entries, key=lambda e: e.since)]
            entry = max(past, key=lambda entry: entry.since)
            value = entry.value
            if (own := site.get(f"{self.topic}.{name}")) is not None:
                if not entry.site:
                    raise GuidanceError(
                        f"limit {self.topic}.{name} comes from {entry.source} and is not a site's to change;"
                        " remove it from the site settings"
                    )
                value = own
            yield name, Limit(name=name, value=value, unit=entry.unit, source=entry.source, where=entry.where)


def read_toml(name: str) -> dict[str, Any]:
    """Give a data file of this package (`name`.toml, in whichever room it stands), numbers as exact decimals."""
    house = resources.files("recommenders")
    places = (house.joinpath(f"{room}/{name}.toml") for room in ROOMS)
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise GuidanceError(f"there is no {name}.toml in recommenders/ or one of its rooms {', '.join(ROOMS[1:])}")
    return tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)


def _explain(name: str, error: ValidationError) -> GuidanceError:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    return GuidanceError(f"{name}.toml: {place}: {first['msg']}")


@cache
def edition() -> str:
    """Give the edition with what it is made of: `2026.11+` and a hash of all rule code and data of this package."""
    return f"{VERSION}+{content_hash('recommenders')}"


@cache
def content_hash(package: str) -> str:
    """Give 12 hexadecimal digits that change with any module or data file of an installed package."""
    digest = hashlib.sha256()
    for name, file in sorted(_files(resources.files(package), "")):
        digest.update(f"{name}\n{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            if entry.name != "__pycache__":
                yield from _files(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith((".py", ".toml", ".csv")):
            yield f"{prefix}{entry.name}", entry


@cache
def sources() -> Mapping[str, Source]:
    """Give the documents that advice may cite, by key (`S003`, `X:ZOM`, `OUR`)."""
    try:
        return {key: Source.model_validate(value) for key, value in read_toml("sources")["sources"].items()}
    except ValidationError as error:
        raise _explain("sources", error) from error


@cache
def guidance(topic: str) -> Guidance:
    """
    Read and check one topic's TOML.

    Raises GuidanceError when an entry is malformed or cites a source that is not in `sources.toml`.
    """
    try:
        data = TopicFile.model_validate(read_toml(topic))
    except ValidationError as error:
        raise _explain(topic, error) from error
    for name, who in data.recommenders.items():
        for cited in who.attributes.sources:
            _cite(topic, f"recommender {name!r}", cited)
    for name, entries in data.limits.items():
        for entry in entries:
            _cite(topic, f"limit {name!r}", entry.source)
    for rule, info in data.rules.items():
        for line in info.source_lines:
            _cite(topic, rule, line.source)
        if info.override not in override_sets():
            raise GuidanceError(f"{topic}.toml: {rule} names the override set {info.override!r}, which is not there")
    return Guidance(topic, data)


def _cite(topic: str, what: str, cited: str) -> None:
    if cited not in sources():
        raise GuidanceError(
            f"{topic}.toml: {what} cites {cited!r}, which is not among the sources: {', '.join(sources())}"
        )


class OverrideReason(Wording):
    """One reason a reader may give for not following a card."""

    code: str


@cache
def override_sets() -> Mapping[str, tuple[OverrideReason, ...]]:
    """Give the override reason sets of the specification's §0.9, by name (`OV-DOSE`)."""
    data = read_toml("overrides")["sets"]
    return {name: tuple(OverrideReason.model_validate(entry) for entry in entries) for name, entries in data.items()}
