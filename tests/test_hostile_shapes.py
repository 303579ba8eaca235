"""
Every element of every example request, one at a time, replaced by something else: answered or refused, never a crash.

In the usual tests one in two hundred of these requests is tried; with ONCOBONE_SOAK=1 all of them (some 220,000).
"""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from hooks.errors import Refused
from hooks.services import find_services
from hooks.settings import load
from hooks.views import Desk
from tests.conftest import ROOT
from tests.wire import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

SOAK = os.environ.get("ONCOBONE_SOAK") == "1"
EVERY = 1 if SOAK else 199  # a prime: no value and no depth is left out by the step
REQUESTS = sorted(
    path for path in (ROOT / "fixtures" / "requests").glob("*.json") if not path.stem.endswith("expected")
)
DESK = Desk.of(load({}, {"ONCOBONE_NOW": DAY}))
OTHERS: tuple[Any, ...] = (
    *(None, True, 1, -1, 1.5, 10**12, "", "x", "9" * 30, "#x", "2026-02-30"),
    *({}, [], [[]], [{}], [1], ["x"], [None]),
    *({"value": {}}, {"coding": {}}, {"coding": [{"code": []}]}, {"a": {"b": []}}, {"reference": {}}),
    [{"reference": []}],
)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a request, from the outside in."""
    if place:
        yield place
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*place, key))


def changed(request: dict[str, Any], place: tuple[Any, ...], other: Any) -> bytes:
    """A request with something else in one place."""
    body = copy.deepcopy(request)
    holder: Any = body
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = other
    return msgspec.json.encode(body)


@pytest.mark.parametrize("path", REQUESTS, ids=lambda path: path.stem)
def test_whatever_stands_in_one_place_the_call_is_answered_or_refused(path: Path) -> None:
    request = msgspec.json.decode(path.read_bytes())
    service = find_services(DESK.services, f"oncobone-{request['hook']}")
    tried = [(place, other) for place in places(request) for other in OTHERS]
    answered = 0
    statuses: set[int] = set()
    for place, other in tried[::EVERY]:
        try:
            chosen, judged = DESK.judge(changed(request, place, other), service)
        except Refused as refused:
            statuses.add(refused.status)
            continue
        assert not judged.assessment.failed, (place, other)
        assert isinstance(DESK.words(chosen, judged, "en")["cards"], list)
        answered += 1
    assert statuses <= {400, 412}
    assert answered > len(tried[::EVERY]) / 2, "most of what can be wrong in a chart keeps nobody from an answer"
