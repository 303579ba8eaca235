"""
Hostile requests, made from real ones by a seed: the same seed makes the same request.

Each family of mutations is a function from a request and a die to bytes (and headers). Real requests are those of
the sample patients, so that mutations reach the reading of resources and not the envelope alone.
"""

from __future__ import annotations

import copy
import gzip
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from hooks.reference.samples import moved, request_for, samples
from tests.wire import OUTCOME, call_body, condition, patient, zoledronic_order

Dice = random.Random
MARKUP: Final = "<script>alert(1)</script><img src=x onerror=alert(1)>[x](javascript:alert(1))"
ECHOES: Final = ("<script", "<img", "](javascript:", "traceback (most", 'file "/', "x-evil")
"""What must not stand in any answer, in lower case: markup that is not escaped, and what our inside looks like."""

TEXTS: Final = (
    "",
    " ",
    MARKUP,
    "\x00",
    "\x1b[31m\x07\x08",
    "\u202eabc\u2066",
    "\ud800",
    "\udc00\ud800",
    "\ufeff\ufffe\uffff",
    "1e999999",
    "9" * 5000,
    "-0",
    "../../etc/passwd",
    "Patient/..",
    "Patient/" + "a" * 300,
    "http://169.254.169.254/latest/meta-data",
    "urn:uuid:" + "0" * 5000,
    "%00%0d%0aX-Evil: 1",
    "{{context.patientId}}",
    "${jndi:ldap://x}",
    "' OR 1=1 --",
    "a" * 100_000,
    "骨转移" * 500,
    "疑似?" * 3000,
    "2026-02-30",
    "0000-00-00",
    "9999-12-31T23:59:59Z",
    "2026-11-22T25:61:61+99:99",
    "-1",
    "NaN",
    "Infinity",
    "\u0661\u0662",  # digits of another script
)
BAIT: Final = (
    "((((" * 2000 + "?" * 2000,
    "a" * 30_000 + "!",
    " " * 50_000 + "x",
    "1" * 20_000 + " mg",
    "mg/" * 10_000,
    "4 mg q " * 5000,
    "Dr. " * 10_000,
    "疑似" * 20_000,
    "not no without " * 4000,
    "-" * 30_000 + "2026",
    "1.5-1.5-" * 6000,
    "，。；" * 10_000,
)
"""Texts at which a careless regular expression stands still."""

NUMBERS: Final[tuple[Any, ...]] = (0, -1, 1e308, -1e308, 1e-308, 10**30, 2**63, 0.1 + 0.2, True, False, -0.0, 1e6)
SHAPES: Final[tuple[Any, ...]] = (
    None, [], {}, [[]], [None], {"": None}, [{}], {"resourceType": "Patient"}, OUTCOME, "x", 7, True,
)  # fmt: skip


@dataclass(frozen=True)
class Hostile:
    """One hostile request: what kind it is of, its body, and headers beside the usual ones."""

    family: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def echoed(answer: Any) -> list[str]:
    """
    What of it stands in an answer (its JSON).

    The resource of a suggestion is left out: a corrected order is the caller's own order, with all it held, and is
    data for the EHR, not words for a reader.
    """

    def without_orders(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without_orders(inner) for key, inner in value.items() if key != "resource"}
        return [without_orders(inner) for inner in value] if isinstance(value, list) else value

    said = json.dumps(without_orders(answer), ensure_ascii=False).lower()
    return [echo for echo in ECHOES if echo in said]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a body."""
    found = [path] if path else []
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


def _set(body: Any, path: tuple[Any, ...], value: Any) -> None:
    _at(body, path[:-1])[path[-1]] = value


def _some(body: Any, dice: Dice, wanted: Callable[[Any], bool] = lambda _: True) -> list[tuple[Any, ...]]:
    found = [path for path in places(body) if wanted(_at(body, path))]
    return dice.sample(found, min(len(found), dice.choice((1, 1, 2, 4)))) if found else []


def as_bytes(body: Any, dice: Dice) -> bytes:
    """JSON of anything, lone surrogates included."""
    return json.dumps(body, ensure_ascii=dice.random() < 0.5).encode("utf-8", "surrogatepass")


# The families. Each changes a copy of a real request, and gives bytes or the changed request.


def wrong_types(body: Any, dice: Dice) -> Any:
    """Another kind of value in a few places."""
    for path in _some(body, dice):
        try:
            _set(body, path, copy.deepcopy(dice.choice(dice.choice((TEXTS, NUMBERS, SHAPES)))))
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    return body


def removed(body: Any, dice: Dice) -> Any:
    """Members and entries that are not there."""
    for path in _some(body, dice):
        try:
            del _at(body, path[:-1])[path[-1]]
        except (KeyError, IndexError, TypeError):
            continue
    return body


def renamed(body: Any, dice: Dice) -> Any:
    """Members under the name of another."""
    for path in _some(body, dice)[:1]:
        parent = _at(body, path[:-1])
        if isinstance(parent, dict):
            name = dice.choice((MARKUP, "id", "resourceType", "contained", "_value", "extension", "__proto__", "\x00"))
            parent[name] = parent.pop(path[-1])
    return body


def repeated(body: Any, dice: Dice) -> Any:
    """Lists that are much longer."""
    for path in _some(body, dice, lambda value: isinstance(value, list) and bool(value)):
        inner = _at(body, path)
        inner.extend(copy.deepcopy(inner) * dice.choice((1, 20)))
        break
    return body


def markup_everywhere(body: Any, dice: Dice) -> Any:
    """Markup in every text that a person may write."""
    for path in places(body):
        if path[-1] in {"text", "display", "family", "div", "note", "description", "comment", "unit", "title", "value"}:
            value = _at(body, path)
            if isinstance(value, str):
                _set(body, path, f"{value} {MARKUP}" if dice.random() < 0.5 else MARKUP)
    return body


def markup_as_key(body: Any, dice: Dice) -> Any:
    """Markup as the name of members, of prefetch keys too."""
    body["prefetch"][MARKUP] = patient()
    body[MARKUP] = {MARKUP: MARKUP}
    return renamed(body, dice)


def regex_bait(body: Any, dice: Dice) -> Any:
    """Texts at which a regular expression may stand still, where texts are read."""
    names = {"text", "display", "valueString", "patientInstruction", "unit", "code", "reference", "birthDate"}
    found = [path for path in places(body) if path[-1] in names and isinstance(_at(body, path), str)]
    for path in dice.sample(found, min(len(found), 5)):
        _set(body, path, dice.choice(BAIT))
    return body


def deep(body: Any, dice: Dice) -> bytes:
    """Nesting far beyond what is read, at some place or instead of everything."""
    levels = dice.choice((70, 1000, 100_000))
    opened, closed = dice.choice(((b"[", b"]"), (b'{"extension":', b"}"), (b'{"a":[', b"]}")))
    bomb = opened * levels + b"1" + closed * levels
    if dice.random() < 0.3:
        return bomb
    path = dice.choice(places(body))
    _set(body, path, "@bomb@")
    return as_bytes(body, dice).replace(b'"@bomb@"', bomb)


def nested_within_limits(body: Any, dice: Dice) -> Any:
    """Nesting of a few levels where none belongs."""
    for path in _some(body, dice)[:1]:
        inner = _at(body, path)
        for _ in range(dice.choice((1, 3, 40))):
            inner = [inner] if dice.random() < 0.5 else {"extension": inner}
        _set(body, path, inner)
    return body


def duplicate_keys(body: Any, dice: Dice) -> bytes:
    """A member that stands twice in the same object, in the envelope or in a resource."""
    path = dice.choice([path for path in places(body) if isinstance(path[-1], str)])
    parent = _at(body, path[:-1])
    parent["@twice@"] = copy.deepcopy(dice.choice((parent[path[-1]], None, "x", {})))
    return as_bytes(body, dice).replace(b'"@twice@"', json.dumps(path[-1]).encode("utf-8", "surrogatepass"))


def odd_numbers(body: Any, dice: Dice) -> bytes:
    """Numbers that are none, or of a size at which arithmetic stands still."""
    found = [path for path in places(body) if isinstance(_at(body, path), int | float)] or places(body)
    _set(body, dice.choice(found), "@number@")
    written = b"NaN Infinity -Infinity 1e999999 -1e999999 1e-999999 01 +1 .5 5. 0x10 1_000 --1 1e 1e400 1E+05".split()
    number = dice.choice((*written, b"9" * 41, b"9" * 10_000, b"0." + b"1" * 10_000))
    return as_bytes(body, dice).replace(b'"@number@"', number)


def bad_utf8(body: Any, dice: Dice) -> bytes:
    """Bytes that are no UTF-8, or another encoding altogether."""
    raw = as_bytes(body, dice)
    if dice.random() < 0.3:
        text = raw.decode("utf-8", "replace")
        return text.encode(dice.choice(("utf-16", "utf-32", "utf-8-sig", "utf-16-be")), "replace")
    where = dice.randrange(len(raw))
    bad = dice.choice((b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xe2\x82"))
    return raw[:where] + bad + raw[where:]


def flipped_bytes(body: Any, dice: Dice) -> bytes:
    """A byte changed, put in or taken out; or the end cut off."""
    raw = as_bytes(body, dice)
    where = dice.randrange(len(raw))
    if dice.random() < 0.2:
        return raw[:where]
    return raw[:where] + bytes([dice.randrange(256)]) + raw[where + dice.choice((0, 1)) :]


def many_keys(body: Any, dice: Dice) -> Any:
    """Objects with very many members."""
    flood = {f"k{n}": n for n in range(dice.choice((1500, 50_000)))}
    _set(body, dice.choice((("extension",), ("context", "x"), ("prefetch", "x"), ("prefetch", "patient", "x"))), flood)
    return body


def hash_flood(body: Any, dice: Dice) -> Any:
    """Keys and numbers that fall onto each other in a hash table of small integers and of texts."""
    step = 2**61 - 1
    body["prefetch"]["x"] = {str(n * step): n for n in range(20_000)}
    body["prefetch"]["patient"]["identifier"] = [{"value": n * step} for n in range(5000)]
    return removed(body, dice) if dice.random() < 0.3 else body


def heavy(body: Any, dice: Dice) -> Any:
    """Thousands of resources, as real as the others."""
    bundles = [key for key, value in body["prefetch"].items() if isinstance(value, dict) and value.get("entry")]
    if bundles:
        entries = body["prefetch"][dice.choice(bundles)]["entry"]
        amount = dice.choice((500, 3000))
        entries.extend(copy.deepcopy(entries[0]) | {"fullUrl": f"urn:x:{n}"} for n in range(amount))
    return body


def big_text(body: Any, dice: Dice) -> Any:
    """Megabytes in one text."""
    found = [path for path in places(body) if isinstance(_at(body, path), str)]
    _set(body, dice.choice(found), dice.choice(("a", "<", "\\", "\x00", "漢")) * 1_500_000)
    return body


def compressed(body: Any, dice: Dice) -> Hostile:
    """Bodies that are compressed, truly or only by their header, and one that is a bomb."""
    raw = as_bytes(body, dice)
    kind = dice.choice(("gzip", "deflate", "br", "zstd", "identity, gzip", "GZIP", "x-gzip"))
    content = dice.choice((raw, gzip.compress(raw), gzip.compress(b" " * 20_000_000, 1), gzip.compress(raw)[:50]))
    return Hostile("compressed", content, {"Content-Encoding": kind})


def odd_headers(body: Any, dice: Dice) -> Hostile:
    """Headers that lie, are very long or hold what does not belong there."""
    headers = dice.choice((
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/json; charset=utf-7"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "application/json\x0b"},
        {"Accept-Language": "zh" * 3000},
        {"Accept-Language": ",".join(f"x{n};q=0.{n}" for n in range(800))},
        {"Accept-Language": "en;q=NaN, zh;q=1e999"},
        {"X-Request-Id": MARKUP},
        {"X-Request-Id": "a" * 5000},
        {"Authorization": "Bearer " + "a" * 8000},
        {"Cookie": "session=" + MARKUP},
        {"Origin": MARKUP},
        {"X-HTTP-Method-Override": "DELETE"},
        {"X-Forwarded-For": "127.0.0.1, " * 300},
        {"Expect": "x"},
        {"Range": "bytes=0-0,-1"},
        {"If-None-Match": "*"},
        {"traceparent": "00-" + "f" * 5000},
        {"Transfer-Encoding": "gzip"},
    ))  # fmt: skip
    return Hostile("odd_headers", as_bytes(body, dice), headers)


def another_patient(body: Any, dice: Dice) -> Any:
    """The data of one patient under the name of another."""
    target = dice.choice(("patient", "context", "authorization", "both"))
    if target in {"patient", "both"}:
        body["prefetch"]["patient"] = patient("other")
    if target in {"context", "both"}:
        body["context"]["patientId"] = dice.choice(("other", "..", ".", "Patient/x", "x" * 65, "x y", "%2e%2e"))
    if target == "authorization":
        body["fhirAuthorization"] = {"access_token": "t", "token_type": "Bearer", "scope": "x", "subject": "s"}
        body["fhirAuthorization"]["patient"] = "other"
    return body


def foreign_entries(body: Any, dice: Dice) -> Any:
    """Resources and drafts of another patient among the patient's own."""
    foreign = [condition("C79.51", "x", of="other"), zoledronic_order("y", of="other"), patient("other"), OUTCOME]
    targets = [value for value in body["prefetch"].values() if isinstance(value, dict) and "entry" in value]
    if "draftOrders" in body["context"] and dice.random() < 0.5:
        targets = [body["context"]["draftOrders"]]
    for target in targets:
        target.setdefault("entry", []).append({"resource": copy.deepcopy(dice.choice(foreign))})
    return body


def urls(body: Any, dice: Dice) -> Any:
    """Addresses that somebody may want us to open."""
    url = dice.choice((
        "http://169.254.169.254/", "http://127.0.0.1:1\\@allowed.example/", "file:///etc/passwd", "http://[::1]:22/",
        "gopher://x/", "//x", "http://user:pw@x/", "http://x/%2e%2e/", "http://ｘ/", "http://x/\r\nX: y",
    ))  # fmt: skip
    body["fhirServer"] = url
    body["fhirAuthorization"] = {"access_token": "t", "token_type": "Bearer", "scope": "x", "subject": "s"}
    body["prefetch"].pop(dice.choice(list(body["prefetch"])), None)
    for bundle in body["prefetch"].values():
        if isinstance(bundle, dict):
            bundle["link"] = [{"relation": "next", "url": url}]
    return body


def odd_dates(body: Any, dice: Dice) -> Any:
    """Dates of another century, and everything moved by decades."""
    if dice.random() < 0.5:
        moved_body: Any = moved(body, dice.choice((-40_000, -20_000, 20_000, 40_000)))
        return moved_body
    found = [path for path in places(body) if str(_at(body, path))[:2] in {"19", "20"}]
    odd = ("0001-01-01", "9999-12-31", "2026-13-45", "2026-11-22T24:00:00Z", "20261122", "now")
    for path in dice.sample(found, min(len(found), 6)):
        _set(body, path, dice.choice(odd))
    return body


FAMILIES: Final[tuple[Callable[[Any, Dice], Any], ...]] = (
    wrong_types, wrong_types, wrong_types, wrong_types, removed, removed, renamed, repeated, markup_everywhere,
    markup_as_key, regex_bait, deep, nested_within_limits, duplicate_keys, odd_numbers, bad_utf8, flipped_bytes,
    many_keys, hash_flood, heavy, big_text, compressed, odd_headers, another_patient, foreign_entries, urls, odd_dates,
)  # fmt: skip


@cache
def _sources(hook: str) -> tuple[str, ...]:
    """The real requests of a hook, as JSON: every sample patient whose story fits, and a plain one."""
    fitting = [each.name for each in samples() if not hook.startswith("order") or each.draft_orders["entry"]]
    return (json.dumps(call_body(hook)), *(json.dumps(request_for(name, hook)) for name in fitting))


def hostile(hook: str, seed: int) -> Hostile:
    """The hostile request of a hook and a seed."""
    dice = Dice(f"{hook}-{seed}")
    family = FAMILIES[seed % len(FAMILIES)] if seed < len(FAMILIES) else dice.choice(FAMILIES)
    body = json.loads(dice.choice(_sources(hook)))
    made = family(body, dice)
    if isinstance(made, Hostile):
        return made
    return Hostile(family.__name__, made if isinstance(made, bytes) else as_bytes(made, dice))


def hostile_feedback(card: str, seed: int) -> Hostile:
    """A hostile batch of feedback on a card."""
    dice = Dice(f"feedback-{seed}")
    entry: dict[str, Any] = {"card": card, "outcome": "overridden", "outcomeTimestamp": "2026-11-22T12:00:00Z"}
    entry |= {"overrideReason": {"reason": {"code": "x", "system": "y", "display": "z"}, "userComment": "c"}}
    accepted = {"card": card, "outcome": "accepted", "outcomeTimestamp": "2026-11-22T12:00:00Z"}
    body = {"feedback": [entry, accepted | {"acceptedSuggestions": [{"id": card}]}]}
    families = (wrong_types, wrong_types, removed, repeated, deep, duplicate_keys, odd_numbers, bad_utf8, flipped_bytes)
    family = dice.choice(families)
    made = family(body, dice)
    return Hostile(f"feedback {family.__name__}", made if isinstance(made, bytes) else as_bytes(made, dice))
