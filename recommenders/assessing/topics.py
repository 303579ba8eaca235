"""What runs: the rule topics, as a plain list in the order in which they may refer to each other."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module, resources
from typing import TYPE_CHECKING

from recommenders.assessing.checking import check
from recommenders.vocabulary.guidance import GuidanceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from recommenders.patient.advice import Advice, Case, Value
    from recommenders.vocabulary.guidance import Guidance, Recommender, RecommenderInfo

NAMES = (
    "myeloma_staging",
    "bone_protection",
    "monitoring",
    "order_safety",
    "surgical_timing",
    "radiotherapy",
    "workup",
    "myeloma_treatment",
    "sarcoma",
)
"""Later topics may ask what earlier ones said (`case.fired`); never the other way round."""


def no_values(case: Case) -> Mapping[str, Value]:  # noqa: ARG001 - the shape that topics with values have
    """Give nothing: a topic that computes no value of its own."""
    return {}


def everybody(case: Case) -> bool:  # noqa: ARG001 - the shape that topics with a narrower concern have
    """Leave nobody out."""
    return True


@dataclass(frozen=True, slots=True)
class Topic:
    """
    One module of rules with its guidance.

    `values` gives what it computes whether or not a rule fires. `concerns` may say that a patient whose chart
    is opened is certainly none of its business: no rule of it could then be anything but "not met".
    """

    name: str
    rules: Callable[[Case], Iterable[Advice]]
    guidance: Guidance
    values: Callable[[Case], Mapping[str, Value]] = no_values
    concerns: Callable[[Case], bool] = everybody


def topic(name: str) -> Topic:
    """
    Give the topic that a module of this package is: its `rules` and `GUIDANCE`, and `values` and `concerns` if any.

    Raises GuidanceError, saying what to write, for one that has no module, or whose module lacks one of the two.
    """
    try:
        module = import_module(f"recommenders.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"recommenders.{name}":
            raise
        raise GuidanceError(f"topics.py names {name!r}, and there is no recommenders/{name}.py; write it") from None
    for needed, line in (("GUIDANCE", f'GUIDANCE = guidance("{name}")'), ("rules", "def rules(case): yield Advice(…)")):
        if not hasattr(module, needed):
            raise GuidanceError(f"recommenders/{name}.py has no {needed}; write {line}")
    if module.GUIDANCE.titles.en == module.GUIDANCE.titles.zh:
        raise GuidanceError(f'{name}.toml has no title in both languages; write title = {{ en = "…", zh-CN = "…" }}')
    own = {part: getattr(module, part) for part in ("values", "concerns") if hasattr(module, part)}
    return Topic(name, module.rules, module.GUIDANCE, **own)


def refuse_unlisted() -> None:
    """Raise GuidanceError for a guidance file beside the topics that is not in the list: its rules would be silent."""
    for file in sorted(entry.name for entry in resources.files("recommenders").iterdir()):
        name = file.removesuffix(".toml")
        if name != file and name not in NAMES:
            raise GuidanceError(f'recommenders/{file} is in no list; write "{name}" into NAMES in assessing/topics.py')


refuse_unlisted()
TOPICS: tuple[Topic, ...] = tuple(topic(name) for name in NAMES)
"""The topics, each with its guidance read and checked."""
check(each.guidance for each in TOPICS)

RECOMMENDERS: Mapping[Recommender, RecommenderInfo] = {
    name: info for each in TOPICS for name, info in each.guidance.recommenders.items()
}
"""Who speaks: the recommenders, each declared in the guidance file of its topic."""
