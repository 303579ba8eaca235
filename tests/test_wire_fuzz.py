"""
Requests mutated at random, by a seed: nothing that a caller sends makes a 5xx, a stall or an echo of markup.

`FUZZ_REQUESTS` says how many each hook gets (default 150); the whole proof is 5000 for each of the four.
"""

from __future__ import annotations

import copy
import json
import os
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.wire import OUTCOME, SERVICE_OF, bundle, call_body, condition, observation, patient, zoledronic_order

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "150"))
SLOWEST_S = 5.0
MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>[x](javascript:alert(1))"
TEXTS = (
    "",
    " ",
    MARKUP,
    "\x00",
    "\u202eabc",
    "\ud800",
    "1e999999",
    "9" * 5000,
    "../../etc/passwd",
    "Patient/..",
    "http://169.254.169.254/",
    "a" * 100_000,
    "((((" * 2000 + "?" * 2000,
    "骨转移" * 500,
    "疑似?" * 3000,
    "2026-02-30",
    "0000-00-00",
    "9999-12-31T23:59:59Z",
    "-1",
    "NaN",
)
NUMBERS: tuple[Any, ...] = (0, -1, 1e308, -1e308, 1e-308, 10**30, 2**63, 0.1 + 0.2, True, False)
SHAPES: tuple[Any, ...] = (None, [], {}, [[]], [None], {"": None}, [{}], {"resourceType": "Patient"}, OUTCOME)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a body."""
    found = [path] if path else []
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def replaced(body: Any, path: tuple[Any, ...], dice: random.Random) -> None:
    kind = dice.choice((TEXTS, NUMBERS, SHAPES))
    at(body, path[:-1])[path[-1]] = copy.deepcopy(dice.choice(kind))


def removed(body: Any, path: tuple[Any, ...], _: random.Random) -> None:
    del at(body, path[:-1])[path[-1]]


def nested(body: Any, path: tuple[Any, ...], dice: random.Random) -> None:
    inner = at(body, path)
    for _ in range(dice.choice((1, 3, 40, 80))):
        inner = [inner] if dice.random() < 0.5 else {"extension": inner}
    at(body, path[:-1])[path[-1]] = inner


def renamed(body: Any, path: tuple[Any, ...], dice: random.Random) -> None:
    parent = at(body, path[:-1])
    if isinstance(parent, dict):
        parent[dice.choice((MARKUP, "id", "resourceType", "contained", "_value", "extension"))] = parent.pop(path[-1])


def repeated(body: Any, path: tuple[Any, ...], dice: random.Random) -> None:
    inner = at(body, path)
    if isinstance(inner, list) and inner:
        inner.extend(copy.deepcopy(inner) * dice.choice((1, 20)))
    elif isinstance(inner, str):
        at(body, path[:-1])[path[-1]] = inner * 3


def stranger(body: Any, path: tuple[Any, ...], dice: random.Random) -> None:
    bad = dice.choice((patient("other"), condition("C79.51", "x", of="other"), zoledronic_order(of="other"), OUTCOME))
    at(body, path[:-1])[path[-1]] = copy.deepcopy(bad)


MUTATIONS: tuple[Callable[[Any, tuple[Any, ...], random.Random], None], ...] = (
    replaced,
    replaced,
    replaced,
    removed,
    nested,
    renamed,
    repeated,
    stranger,
)


def mutated(hook: str, dice: random.Random) -> bytes:
    """A call of a hook with one to four things wrong in it."""
    body = call_body(hook)
    body["prefetch"]["medications"] = bundle(zoledronic_order() | {"status": "active", "id": "m-1"})
    body["prefetch"]["observations"]["entry"] += bundle(observation("33358-3", 30, "g/L", "o-m"))["entry"]
    for _ in range(dice.choice((1, 1, 2, 4))):
        path = dice.choice(places(body) or [("hook",)])
        dice.choice(MUTATIONS)(body, path, dice)
    raw = json.dumps(body, ensure_ascii=dice.random() < 0.9).encode("utf-8", "surrogatepass")
    if dice.random() < 0.1:
        where = dice.randrange(len(raw))
        raw = raw[:where] + bytes([dice.randrange(256)]) + raw[where + dice.choice((0, 1)) :]
    return raw


@pytest.mark.timeout(60 + REQUESTS)
@pytest.mark.parametrize("hook", list(SERVICE_OF))
def test_no_mutated_request_makes_a_5xx_a_stall_or_an_echo(server: Server, hook: str) -> None:
    before = server.call(call_body(hook)).content
    statuses: dict[int, int] = {}
    for seed in range(REQUESTS):
        body = mutated(hook, random.Random(f"{hook}-{seed}"))  # noqa: S311 - a test's dice
        started = time.monotonic()
        answered = server.send(body, SERVICE_OF[hook])  # each answer is checked as all are: no 5xx, strict JSON
        took = time.monotonic() - started
        assert answered.status_code in {200, 400, 412, 413}, (seed, answered.status_code)
        assert took < SLOWEST_S, seed
        lowered = answered.text.lower()
        assert "<script" not in lowered, seed
        assert "<img" not in lowered, seed
        assert "traceback" not in lowered, seed
        statuses[answered.status_code] = statuses.get(answered.status_code, 0) + 1
    assert statuses.get(200, 0) > REQUESTS / 5, "the mutations reach past the envelope"
    assert statuses.get(400, 0) > 0
    assert server.call(call_body(hook)).content == before
