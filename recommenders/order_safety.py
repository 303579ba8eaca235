"""Order safety: dose, route, interval, kidneys, calcium and duplicates of bone-modifying agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recommenders.advice import Advice
from recommenders.guidance import guidance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from recommenders.advice import Case, Value

GUIDANCE = guidance("order_safety")


def rules(case: Case) -> Iterator[Advice]:
    """Yield what each rule of this topic says of the case."""
    yield from ()


def values(case: Case) -> Mapping[str, Value]:
    """Give the computed values of this topic (specification §1.11)."""
    return {}
