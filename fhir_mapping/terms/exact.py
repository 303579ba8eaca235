"""A whole resource out of its bytes: exact numbers, no element twice, not too deep, not too long."""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DEPTH = 64
MAX_DIGITS = 40
MAX_MAGNITUDE = Decimal(1_000_000_000)
MAX_WORK = 10_000
"""Of one resource, as `work` counts it; an imaging study of thousands of images is below it."""
MAX_WORK_OF_A_CALL = 50_000
"""Of all resources of a call that are read whole: less than a second. A result is 10 to 30."""
NEW_WORDS = 40
"""The work of words that this call has not said before: what they assert is judged once."""
_DOSED = 2.5
"""How much more an element of a medication costs than others: doses, times and rates are computed from it."""
SURELY_LITTLE = 2 * MAX_WORK
MOST_OBJECTS = 1_000_000
"""Objects and lists of all that is looked at closely: more are in 16 MB only when they hold nothing."""

BROKEN = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding may raise on bytes that are not what they should be (ValidationError is a DecodeError)."""


class ResourceFaultError(ValueError):
    """A resource that would be used and cannot be; the message names the fault, never a value."""


def plainly(raw: msgspec.Raw | None) -> Any:  # noqa: ANN401 - any JSON
    """Decode any element as it stands; None for what is nested too deep or no JSON."""
    if raw is None or too_deep(bytes(raw)):
        return None
    try:
        return msgspec.json.decode(raw)
    except BROKEN:
        return None


def listed(value: object) -> list[dict[str, Any]]:
    """Give the objects of a list; one object instead of a list is read as a list of one, junk is left out."""
    found = value if isinstance(value, list) else [value]
    return [item for item in found if isinstance(item, dict)]


def work(raw: msgspec.Raw | bytes) -> int:
    """Tell what a resource costs to read: its objects, each of which is checked, and a little for each element."""
    body = bytes(raw)
    return body.count(b"{") + body.count(b",") // 25


def work_of_a_call(kind: str, raw: msgspec.Raw | bytes) -> int:
    """Tell what reading a resource whole takes of a call's share: its work, and a little for text and for lists."""
    beside = memoryview(raw).nbytes // 250 + bytes(raw).count(b"[") // 25
    return beside + int(work(raw) * (_DOSED if kind.startswith("Medication") else 1))


def most_work_of_a_call(kind: str, raw: msgspec.Raw | bytes) -> int:
    """Tell what `work_of_a_call` will not be more than, for a third of the time."""
    objects_and_rest = bytes(raw).count(b"{") + memoryview(raw).nbytes // 10
    return int(objects_and_rest * (_DOSED if kind.startswith("Medication") else 1)) + 1


def refuse_too_long(raw: msgspec.Raw | bytes) -> None:
    """Raise `ResourceFaultError` for a resource of more work than one may cost."""
    if memoryview(raw).nbytes > SURELY_LITTLE and work(raw) > MAX_WORK:
        raise ResourceFaultError("too-long: more elements than a resource may hold")


def are_too_many(raws: Sequence[msgspec.Raw | bytes | memoryview]) -> bool:
    """Tell whether pieces of JSON hold more than `MOST_OBJECTS` objects and lists."""
    # each has two brackets: fewer bytes need not be counted
    if sum(map(len, raws)) <= 2 * MOST_OBJECTS:
        return False
    return sum(len(bytes(raw).translate(None, _NOT_OPENING)) for raw in raws) > MOST_OBJECTS


_NOT_OPENING = bytes(byte for byte in range(256) if byte not in b"{[")


# --- depth --------------------------------------------------------------------------------------------------

_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"{}[]")
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def too_deep(body: bytes, limit: int = MAX_DEPTH, *, exact: bool = True) -> bool:
    """
    Tell whether JSON nests deeper than `limit`, without walking it.

    Only brackets are kept, and innermost pairs are peeled off layer by layer. Strings are taken out first; with
    `exact=False` (for a whole body of megabytes) only if a rest stays: brackets hidden in strings can then make
    deep nesting look shallow, which the decoders' own recursion guard catches at a thousand levels.
    """
    if body.count(b"{") + body.count(b"[") <= limit:
        return False
    if not exact and not _peel(body.translate(None, _NOT_BRACKETS), limit):
        return False
    return _peel(_STRINGS.sub(b"", body).translate(None, _NOT_BRACKETS), limit)


def _peel(brackets: bytes, limit: int) -> bool:
    """Tell whether something is left after peeling `limit` layers."""
    for _ in range(limit):
        if not brackets:
            return False
        brackets = brackets.replace(b"{}", b"\0").replace(b"[]", b"\0").replace(b"\0", b"")
    return bool(brackets)


# --- whole resources ----------------------------------------------------------------------------------------


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ResourceFaultError("duplicate-member: an element is written twice")
    return found


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ResourceFaultError("a number of more than 40 digits")
    number = int(text)
    if abs(number) > MAX_MAGNITUDE:
        raise ResourceFaultError("a number larger than 1e9")
    return number


def _decimal(text: str) -> Decimal:
    if len(text) > MAX_DIGITS:
        raise ResourceFaultError("a number of more than 40 digits")
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent of more digits than any number has
        raise ResourceFaultError("a number larger than 1e9") from None
    if number and (number.adjusted() > 9 or number.adjusted() < -MAX_DIGITS or abs(number) > MAX_MAGNITUDE):
        raise ResourceFaultError("a number larger than 1e9")
    return number


def _constant(_: str) -> NoReturn:
    raise ResourceFaultError("not a number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique,
    parse_int=_integer,
    parse_float=_decimal,
    parse_constant=_constant,
)


_decode_plainly = msgspec.json.Decoder(float_hook=_decimal).decode
_encode_plainly = msgspec.json.Encoder(decimal_format="number").encode
_PLAINLY_MARKED = bytes(48 if 48 <= byte <= 57 else 34 if byte == 32 else byte for byte in range(256))
"""Every digit as the same digit, and every blank as a quotation mark: two of those side by side are an odd text."""
_LONG_NUMBER = b"0" * len(str(int(MAX_MAGNITUDE)))
_OUT_OF_BOUNDS = re.compile(rb"[:,\[]-?\d{%d}" % len(_LONG_NUMBER))
_ODD_BLANK = re.compile(r"[^\S ]")


def _at_once(body: bytes) -> tuple[dict[str, Any], bool] | None:
    """
    Decode a resource in which nothing is odd, many times faster than with a look at each object; None for any other.

    Nothing is odd where no digits are so many that they could be a number out of bounds, and the text that was decoded
    has as many quotation marks as the text that came: an element that is written twice would be missing in it.
    """
    if b"\\" in body:
        return None
    try:
        found = _decode_plainly(body)
    except (*BROKEN, ValueError):
        return None  # what is wrong with it is told by the other decoder
    if not isinstance(found, dict):
        return None
    rewritten = _encode_plainly(found)
    if rewritten.count(b'"') != body.count(b'"'):
        return None
    marked = rewritten.translate(_PLAINLY_MARKED)
    if _LONG_NUMBER in marked and _OUT_OF_BOUNDS.search(rewritten):
        return None
    is_neat = b'""' not in marked and (rewritten.isascii() or not _ODD_BLANK.search(rewritten.decode()))
    return found, is_neat


def whole(raw: msgspec.Raw | bytes) -> dict[str, Any]:
    """
    Decode a resource that is to be used: decimals exact, lone surrogates replaced.

    Raises `ResourceFaultError` for nesting deeper than 64, an element written twice, or a number out of all bounds.
    """
    return neatly(raw)[0]


def neatly(raw: msgspec.Raw | bytes) -> tuple[dict[str, Any], bool]:
    """
    Decode a resource as `whole` does, and tell whether its texts are surely neat.

    So they are when none is empty, or has blanks around it, or two of them side by side.
    """
    refuse_too_long(raw)
    body = bytes(raw)
    if too_deep(body):
        raise ResourceFaultError(f"nested deeper than {MAX_DEPTH}")
    return _at_once(body) or (_with_a_look_at_each(body), False)


def _with_a_look_at_each(body: bytes) -> dict[str, Any]:
    try:
        found = _DECODER.decode(body.decode("utf-8"))
    except ResourceFaultError:
        raise
    except (ValueError, RecursionError, OverflowError) as error:
        raise ResourceFaultError("not JSON") from error
    if not isinstance(found, dict):
        raise ResourceFaultError("not a resource")
    if b"\\u" in body and _has_surrogates(body):
        cleaned = _without_surrogates(found)
        return cleaned if isinstance(cleaned, dict) else found
    return found


_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE = re.compile("[\ud800-\udfff]")


def _has_surrogates(body: bytes) -> bool:
    return _SURROGATE.search(body) is not None


def _without_surrogates(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, str):
        return _LONE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_LONE.sub("\ufffd", name): _without_surrogates(item) for name, item in value.items()}
    return value


def is_number(value: object) -> bool:
    """Tell whether a decoded JSON value is a finite number (a boolean is none)."""
    return value.__class__ in _NUMBERS or (isinstance(value, float) and math.isfinite(value))


_NUMBERS = (Decimal, int)


def number(value: Decimal | float) -> Decimal:
    """Give a decoded JSON number exactly."""
    return value if isinstance(value, Decimal) else Decimal(str(value))
