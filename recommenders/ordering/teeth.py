"""A tooth extraction or implant ordered while an antiresorptive agent works."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from recommenders.ordering.parts import GUIDANCE, drug_name, shown_day
from recommenders.patient.advice import Advice, Phrase
from recommenders.patient.courses import Bma, bma
from recommenders.patient.services import ask_together
from recommenders.vocabulary.logic import given

if TYPE_CHECKING:
    from collections.abc import Iterator

    from recommenders.patient.advice import Case
    from recommenders.vocabulary.records import Course, Order


def dental_surgery(case: Case, order: Order) -> Iterator[Advice]:
    """Yield that an invasive dental procedure at hand meets an antiresorptive agent, drafted ones too."""
    agents = case.once(bma)
    newest = max(agents.any.courses, key=_newest_day, default=None)
    last = newest.last_dose if newest is not None else None
    yield Advice(
        rule="DOSE-031",
        because=agents.any.any(),
        holds={"next-dose-near": given(_next_dose_near(case, agents, newest))},
        fill={
            "procedure": order.label or Phrase("dental-surgery"),
            "agent": Phrase("an-agent") if newest is None else drug_name(newest.drug),
            "agent_last": shown_day(last.date if last is not None and last.kind != "order-date" else None),
        },
        proposals=(ask_together("oral-surgery", "oral-surgery-consultation"),),
        order=order.reference,
    )


def _newest_day(course: Course) -> dt.date:
    last = course.last_dose
    return (last.date if last is not None else course.started) or dt.date.min


def _next_dose_near(case: Case, agents: Bma, newest: Course | None) -> bool:
    """Tell whether another dose is drafted, or due within the next four weeks."""
    if any(order.is_bma for order in case.facts.orders):
        return True
    interval = agents.interval_days.value
    if newest is None or newest.last_dose is None or interval is None:
        return False
    due = newest.last_dose.date + dt.timedelta(int(interval))
    return due <= case.facts.as_of + dt.timedelta(int(case.limits(GUIDANCE).next_dose_within.value))
