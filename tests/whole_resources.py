"""Resources with any of the elements that FHIR R4 gives their type, made from the models of fhir.resources."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from fhir_mapping.delivery.checking import fields_of, needed_of, there
from fhir_mapping.delivery.shapes import MODELS

if TYPE_CHECKING:
    import random

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

DEPTH = 7
"""So deep are objects in objects."""
_NEVER = frozenset({"fhir_comments", "contained", "extension", "modifierExtension", "resourceType", "id"})
_OURS = {"reference": "Patient/p-1"}
_TEXTS = {
    "Base64Binary": "aGk=",
    "Canonical": "https://ehr.example/a",
    "Code": "a-code",
    "Id": "a-1",
    "Instant": "2026-10-01T08:00:00+00:00",
    "Oid": "urn:oid:1.2.3",
    "String": "some words",
    "Uri": "urn:example:a",
    "Uuid": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520",
}
_PLAIN: dict[Any, tuple[Any, ...]] = {
    bool: (True, False),
    int: (1, 3, 28),
    Decimal: (1, 2.5, 30),
    dt.datetime: ("2026-10-01T08:00:00+00:00", "2026-10-01", "2026-10"),
    dt.date: ("2026-10-01",),
    dt.time: ("08:00:00",),
    bytes: ("aGk=",),
}


def elements(kind: str) -> list[str]:
    """Give the elements of a resource type, in their order."""
    return list(_told(MODELS[kind]))


def resource(kind: str, dice: random.Random, names: frozenset[str] | None = None, **members: Any) -> dict[str, Any]:
    """
    Make a resource with these elements (None: by chance) beside those that it must have.

    `members` are set as they are, each in the place of all elements that tell the same in another type.
    """
    chosen = (frozenset(elements(kind)) if names is None else names) - _rivals(MODELS[kind], members)
    maker = _Maker(dice, dice.choice((0.1, 0.5, 1.0)))
    made = maker.object(MODELS[kind], chosen, DEPTH, all_there=names is not None)
    kept = {name: value for name, value in made.items() if name not in _rivals(MODELS[kind], members)}
    return {"resourceType": kind, "id": f"{kind.lower()}-1"} | kept | members


def _rivals(model: type[BaseModel], members: dict[str, Any]) -> frozenset[str]:
    fields = _told(model)
    groups = {_noted(fields[name]).get("one_of_many") for name in members} - {None}
    return frozenset(name for name, info in fields.items() if _noted(info).get("one_of_many") in groups)


def _told(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {name: one for name, one in fields_of(model).items() if name not in _NEVER and not name.startswith("_")}


def _noted(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def _is_plain(info: FieldInfo) -> bool:
    kind = there(info.annotation)
    return get_origin(kind) is not list and not hasattr(kind, "get_model_klass")


@dataclass(frozen=True)
class _Maker:
    """`share` is how many of the elements that may be there are."""

    dice: random.Random
    share: float

    def object(
        self, model: type[BaseModel], chosen: frozenset[str], depth: int, *, all_there: bool = False
    ) -> dict[str, Any]:
        """Make an object of a model: of each element of several types one type at most."""
        fields, needed = _told(model), needed_of(model)
        groups: dict[str, list[str]] = {}
        for name, info in fields.items():
            groups.setdefault(_noted(info).get("one_of_many") or name, []).append(name)
        found: dict[str, Any] = {}
        for names in groups.values():
            must = names[0] in needed or _noted(fields[names[0]]).get("one_of_many_required") is True
            may = [name for name in names if name in chosen]
            if must or (may and (all_there or self.dice.random() < self.share)):
                name = self.dice.choice(may or names)
                found[name] = self._value(name, fields[name], depth)
        found = {name: value for name, value in found.items() if value not in (None, {}, [])}
        if not found:  # FHIR has no empty objects
            name = next((name for name, info in fields.items() if _is_plain(info)), next(iter(fields)))
            found[name] = self._value(name, fields[name], depth)
        return found

    def _value(self, name: str, info: FieldInfo, depth: int) -> Any:
        kind = there(info.annotation)
        if get_origin(kind) is not list:
            return self._single(name, kind, info, depth)
        inner = there(get_args(kind)[0])
        listed = [self._single(name, inner, info, depth) for _ in range(self.dice.choice((1, 1, 2)))]
        return [one for one in listed if one not in (None, {})]

    def _single(self, name: str, kind: Any, info: FieldInfo, depth: int) -> Any:
        if hasattr(kind, "get_model_klass"):
            return self._part(name, kind.get_model_klass(), info, depth)
        base, *marks = get_args(kind) if get_origin(kind) is Annotated else (kind,)
        named = next((_TEXTS[mark] for mark in (type(one).__name__ for one in marks) if mark in _TEXTS), None)
        if words := _noted(info).get("enum_values"):
            return self.dice.choice(words)
        return named or self.dice.choice(_PLAIN.get(base, ("https://ehr.example/a",)))

    def _part(self, name: str, model: type[BaseModel], info: FieldInfo, depth: int) -> Any:
        if model.__name__ == "Reference":
            targets = _noted(info).get("enum_reference_types") or ["Basic"]
            return _OURS if name in {"subject", "patient"} else {"reference": f"{self.dice.choice(targets)}/other-1"}
        return self.object(model, frozenset(_told(model)), depth - 1) if depth > 0 else None
