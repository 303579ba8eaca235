"""The envelope of a CDS Hooks call: checked field by field, while the prefetch stays raw JSON."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeVar

import msgspec

from fhir_mapping.terms.exact import MOST_OBJECTS, are_too_many
from hooks.cards.wishes import NONE as NO_WISHES
from hooks.cards.wishes import Wishes, wishes_in
from hooks.errors import Refused
from hooks.opening import taken_apart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fhir_mapping.terms.decode import Brought, Json
    from hooks.opening import Apart
    from recommenders.vocabulary.guidance import Hook

DEEPEST = 64
LONGEST_NUMBER = 40
LONGEST_TEXT = 2048
"""Of an id, an address or a token in the envelope; ours are far shorter, and they go into hashes and headers."""

LONGEST_TOKEN = 16 * 1024
MOST_MEMBERS = 1000
"""Of one object of the envelope; CDS Hooks knows a handful."""
MOST_PARTS = 200_000
"""Elements of context, extension or authorization, counted by the commas between them."""
PEELED = 12
"""Levels that are taken off one after the other before the depth of the rest is counted: charts have fewer."""

T = TypeVar("T")
FieldKind = Literal["id", "text", "references", "bundle"]
CONTEXT_FIELDS: Mapping[Hook, Mapping[str, tuple[FieldKind, bool]]] = {
    "patient-view": {"userId": ("text", True), "patientId": ("id", True), "encounterId": ("id", False)},
    "encounter-start": {"userId": ("text", True), "patientId": ("id", True), "encounterId": ("id", True)},
    "order-select": {
        "userId": ("text", True),
        "patientId": ("id", True),
        "encounterId": ("id", False),
        "selections": ("references", True),
        "draftOrders": ("bundle", True),
    },
    "order-sign": {
        "userId": ("text", True),
        "patientId": ("id", True),
        "encounterId": ("id", False),
        "draftOrders": ("bundle", True),
    },
}
"""The context of each hook as published: field -> (kind, required)."""

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_STRUCTURE = bytes(set(range(256)) - set(b'"{}[]'))
_STEP = tuple(1 if chr(byte) in "{[" else -1 if chr(byte) in "}]" else 0 for byte in range(256))


@dataclass(frozen=True, slots=True)
class Authorization:
    """
    What the EHR gives us to read its FHIR server with; the token is never kept, logged or shown.

    `scope`: the SMART scopes it says the token has, empty when it says nothing.
    """

    token: str
    patient: str | None = None
    scope: str = ""

    def __repr__(self) -> str:
        """Hide the token, wherever this may be printed."""
        return "Authorization(…)"


@dataclass(frozen=True, slots=True)
class Call:
    """
    One call, its envelope checked.

    `prefetch` holds the raw JSON of each delivered key (`null` included), where it stands in the body, and lists of a
    long body as they were opened; `draft_orders` the JSON of the Bundle, on order hooks. `encounter_id` is None when
    the hook has none.
    """

    hook: Hook
    hook_instance: str
    user_id: str
    patient_id: str
    encounter_id: str | None
    prefetch: Mapping[str, Brought]
    draft_orders: bytes | None = None
    selections: tuple[str, ...] | None = None
    fhir_server: str | None = None
    authorization: Authorization | None = None
    wishes: Wishes = NO_WISHES


def read_call(body: bytes, hook: Hook) -> Call:
    """
    Read the body of a call for a service of this hook.

    Raises Refused (400) that names the field, and never a value, for anything that is not as published.
    """
    members, prefetch, apart = _envelope(body)
    sent_hook = _text(members, "hook")
    if sent_hook != hook:
        raise Refused(
            400,
            f"hook: this service answers {hook} only, and the call is for another hook. Discovery lists them.",
            field="hook",
        )
    hook_instance = _text(members, "hookInstance")
    raw_context = _required(members, "context")
    context = _strict(raw_context, "context")
    if not isinstance(context, dict):
        _wrong("context", "must be an object")
    fields = CONTEXT_FIELDS[hook]
    for name, (kind, required) in fields.items():
        _check_context(context, name, kind, required=required)
    extension = _strict(members["extension"], "extension") if "extension" in members else None
    if not isinstance(extension, dict | None):
        _wrong("extension", "must be an object")
    authorization = _authorization(members)
    if authorization is not None and authorization.patient not in (None, context["patientId"]):
        raise Refused(
            400,
            "fhirAuthorization.patient is not the patient of context.patientId.",
            code="conflict",
            field="fhirAuthorization.patient",
        )
    server = members.get("fhirServer")
    selections = context.get("selections") if "selections" in fields else None
    return Call(
        hook=hook,
        hook_instance=hook_instance,
        user_id=context["userId"],
        patient_id=context["patientId"],
        encounter_id=context.get("encounterId"),
        prefetch=_prefetch(prefetch) if apart is None else apart.put_back(_prefetch(prefetch)),
        draft_orders=_inside(raw_context, "draftOrders") if "draftOrders" in fields else None,
        selections=tuple(selections) if selections is not None else None,
        fhir_server=_text(members, "fhirServer") if server not in (None, b"null") else None,
        authorization=authorization,
        wishes=wishes_in(extension),
    )


# --- the body as a whole ------------------------------------------------------------------------------------


def _envelope(body: bytes) -> tuple[dict[str, bytes], Any, Apart | None]:
    """Give the members of a body as raw JSON, and its prefetch, which is most of it, as it was opened."""
    if not body.strip():
        raise Refused(400, "The body is empty; it must be a CDS Hooks request in JSON.", code="structure")
    if not body.isascii():
        try:
            body.decode("utf-8")
        except UnicodeDecodeError:
            raise Refused(400, "The body is not valid UTF-8.", code="structure") from None
    named, apart = _opened_apart(mended(body))
    # The resources of the prefetch are bounded by who reads them, and all others by the decoder.
    prefetch = named.pop("prefetch", None)
    members = {name: _written(value) for name, value in named.items()}
    if are_too_many([*members.values()]):
        raise Refused(413, f"The body holds more than {MOST_OBJECTS} objects and lists.", code="too-costly")
    if any(is_deeper(raw, DEEPEST - 1) for raw in members.values()):
        raise _too_deep("The body")
    return members, prefetch, apart


def _opened_apart(body: bytes) -> tuple[dict[str, Any], Apart | None]:
    """Give the members of a body, without its longest list where that could be opened at once."""
    apart = taken_apart(body)
    if apart is not None:
        with suppress(Refused):  # it is refused as it came
            return _opened(apart.rest), apart
    return _opened(body), None


def _opened(body: bytes) -> dict[str, Any]:
    """Give the members of a body, of those that are objects their members, in one pass over megabytes."""
    try:
        named = _once_each(_BODY.decode(body), "The body")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _named(body, "The body")  # a list among the members, or no JSON at all: it is said what is wrong
    for name, value in named.items():
        if isinstance(value, dict) and len(value) > MOST_MEMBERS and name != "prefetch":
            return _named(body, "The body")
    return named


def _written(value: Any) -> bytes:  # noqa: ANN401 - what `_opened` gives
    """Give the JSON of a member."""
    if isinstance(value, msgspec.Raw):
        return bytes(value)
    if not isinstance(value, dict):
        return msgspec.json.encode(value)
    return (
        b"{" + b",".join(msgspec.json.encode(str(name)) + b":" + bytes(inner) for name, inner in value.items()) + b"}"
    )


def _too_deep(what: str) -> Refused:
    return Refused(400, f"{what} is nested more than {DEEPEST} levels deep.", code="structure")


def _members(raw: bytes | msgspec.Raw, what: str) -> dict[str, bytes]:
    """Give an object's members as raw JSON; refuse a member that stands there twice."""
    return {name: bytes(value) for name, value in _named(raw, what).items()}


def _named(raw: bytes | msgspec.Raw, what: str) -> dict[str, msgspec.Raw]:
    """Give an object's members where they stand; refuse one that stands there twice."""
    try:
        decoded = _OBJECT.decode(raw)
    except msgspec.ValidationError:
        raise Refused(400, f"{what} must be a JSON object.", code="structure") from None
    except RecursionError:
        raise _too_deep(what) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        place = re.search(r"\(byte \d+\)", str(error))
        where = f" {place[0]}" if place else ""
        raise Refused(400, f"{what} is not valid JSON{where}.", code="structure") from None
    return _once_each(decoded, what)


def _once_each(decoded: Mapping[_Name, T], what: str) -> dict[str, T]:
    """Give members by their names; refuse one that stands there twice."""
    if len(decoded) > MOST_MEMBERS:
        raise Refused(400, f"{what} holds more than {MOST_MEMBERS} members.", code="too-long")
    members = {str(name): value for name, value in decoded.items()}
    if len(members) < len(decoded):
        raise Refused(400, f"{what} holds a member twice; each may stand there once.", code="structure")
    return members


class _Name(str):
    """A member's name that is equal to no other, so that a member that stands there twice is decoded twice."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


_OBJECT = msgspec.json.Decoder(dict[_Name, msgspec.Raw], dec_hook=lambda _, name: _Name(name))
_BODY = msgspec.json.Decoder(
    dict[_Name, dict[_Name, msgspec.Raw] | str | int | float | bool | None], dec_hook=lambda _, name: _Name(name)
)


def mended(body: bytes) -> bytes:
    r"""Replace lone surrogates (`\ud800`), which no text can hold, by the replacement character."""
    # a single byte is found many times faster, and most bodies have no escape at all
    if b"\\" not in body or (b"\\ud" not in body and b"\\uD" not in body):
        return body
    return _ESCAPE.sub(lambda match: b"\\ufffd" if match[1] else match[0], body)


def is_deeper(body: bytes, levels: int) -> bool:
    """
    Tell whether JSON is nested more than `levels` deep, without building anything.

    Text is dropped until only brackets are left; then each pass takes away one level.
    """
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    brackets = body.translate(None, _STRUCTURE).replace(b'""', b"")
    if b'"' in brackets:  # strings that hold brackets: "[lb_av]"
        brackets = b"".join(brackets.split(b'"')[::2])
    for _ in range(min(levels, PEELED)):
        inner = brackets.replace(b"{}", b"").replace(b"[]", b"")
        if not inner or len(inner) == len(brackets):
            # Nothing goes away when brackets do not match; then it is no JSON, and the decoder says so.
            return False
        brackets = inner
    # What is deeper than any chart costs one walk over its brackets, however deep it is.
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > levels - min(levels, PEELED)


# --- small parts, decoded strictly --------------------------------------------------------------------------


class _TwiceError(ValueError):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError
    return found


def _short(text: str) -> str:
    if len(text) > LONGEST_NUMBER:
        raise ValueError("a number of more than 40 digits")
    return text


_STRICT = json.JSONDecoder(
    object_pairs_hook=_once,
    parse_int=lambda text: int(_short(text)),
    parse_float=lambda text: float(_short(text)),
)


def _strict(raw: bytes, field: str) -> Any:  # noqa: ANN401 - JSON
    """Decode a small part: no member twice, no number over 40 digits."""
    if raw.count(b",") > MOST_PARTS:
        _wrong(field, f"holds more than {MOST_PARTS} elements", "too-long")
    try:
        return _STRICT.decode(raw.decode())
    except _TwiceError:
        _wrong(field, "holds a member twice; each may stand there once")
    except (ValueError, RecursionError):
        _wrong(field, "holds a number of more than 40 digits, or is not valid JSON")


def _wrong(field: str, what: str, code: str = "value") -> NoReturn:
    raise Refused(400, f"{field} {what}.", code=code, field=field)


def _required(members: Mapping[str, bytes], name: str) -> bytes:
    raw = members.get(name)
    if raw is None or raw == b"null":
        _wrong(name, "is missing; CDS Hooks requires it", "required")
    return raw


def _text(members: Mapping[str, bytes], name: str) -> str:
    raw = _required(members, name)
    value = _strict(raw, name) if raw[:1] == b'"' else None
    return _checked_text(value, name)


def _checked_text(value: object, field: str) -> str:
    if not isinstance(value, str):
        _wrong(field, "must be a string")
    if not value.strip():
        _wrong(field, "is empty", "required")
    if len(value) > LONGEST_TEXT:
        _wrong(field, f"is longer than {LONGEST_TEXT} characters", "too-long")
    return value


def _inside(raw: bytes, name: str) -> bytes:
    return _members(raw, "context")[name]


def _check_context(context: Mapping[str, Any], name: str, kind: FieldKind, *, required: bool) -> None:
    field = f"context.{name}"
    value = context.get(name)
    if value is None:
        if required:
            _wrong(field, "is missing; this hook requires it", "required")
        return
    if kind == "bundle":
        if not isinstance(value, dict) or value.get("resourceType", "Bundle") != "Bundle":
            _wrong(field, "must be a FHIR Bundle")
    elif kind == "references":
        if not isinstance(value, list) or any(not isinstance(entry, str) or not entry for entry in value):
            _wrong(field, "must be a list of references such as MedicationRequest/123")
    elif kind == "id":
        _check_id(_checked_text(value, field), field)
    else:
        _checked_text(value, field)


def _check_id(value: str, field: str) -> None:
    kind = "Patient" if field.endswith("patientId") else "Encounter"
    if value.startswith(f"{kind}/") or "/" in value:
        _wrong(field, f"must be the bare id, without {kind}/ or address before it")
    if not _ID.fullmatch(value) or not value.strip("."):
        _wrong(field, "is no FHIR id: letters, digits, hyphens and dots, at most 64, not dots only")


def _prefetch(opened: Any) -> Mapping[str, Json]:  # noqa: ANN401 - what `_opened` gives
    if not isinstance(opened, dict):
        raw = _written(opened)
        return {} if raw == b"null" else _members(raw, "prefetch")
    return {name: memoryview(value) for name, value in _once_each(opened, "prefetch").items()}


def _authorization(members: Mapping[str, bytes]) -> Authorization | None:
    raw = members.get("fhirAuthorization")
    if raw is None or raw == b"null":
        return None
    value = _strict(raw, "fhirAuthorization")
    if not isinstance(value, dict):
        _wrong("fhirAuthorization", "must be an object")
    patient = value.get("patient")
    bound = None
    if patient is not None:
        bound = _checked_text(patient, "fhirAuthorization.patient").removeprefix("Patient/")
    token = value.get("access_token")
    # A token that is missing or cannot stand in a header is no token: we go on with what was sent.
    if not (isinstance(token, str) and len(token) <= LONGEST_TOKEN and token.isascii() and token.isprintable()):
        token = ""
    scope = value.get("scope")
    return Authorization(token, bound, scope if isinstance(scope, str) and len(scope) <= LONGEST_TOKEN else "")
