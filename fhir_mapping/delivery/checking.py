"""
Whether what is read of a resource is what FHIR R4B says it is: one check for each resource type.

The checks are made once, of the types that fhir.resources gives its elements. Its models say the same, and go over
every element that a resource could have, in Python; of a result they took ten times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, NotRequired, Required, Union, get_args, get_origin

from pydantic import AfterValidator, TypeAdapter
from typing_extensions import TypedDict

from fhir_mapping.delivery.shapes import ELEMENTS, MODELS
from fhir_mapping.delivery.tidying import CODEABLE, REFERENCE, AList, AnObject, Tidy, a_reference, codeable, people

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

Check = Callable[[Mapping[str, Any]], object]
"""Raises pydantic's ValidationError for what is not as FHIR has it."""


@cache
def check_of(kind: str) -> Check:
    """Give the check of a resource type, made when the first of its kind is read."""
    return TypeAdapter(_read_part_of(MODELS[kind], ELEMENTS[kind])).validator.validate_python


def _read_part_of(model: type[BaseModel], members: Mapping[str, Tidy]) -> Any:  # noqa: ANN401 - a type made at run time
    """Give the type of those members of a model that are read: a dict of what fhir.resources says they are."""
    fields, needed = fields_of(model), needed_of(model)
    shape = {
        name: Required[there(kind)] if name in needed else NotRequired[kind]
        for name, tidy in members.items()
        for kind in (_type_of(fields[name].annotation, tidy),)
    }
    read = TypedDict(model.__name__, shape)  # type: ignore[misc] # made at run time
    choices = choices_of(fields, members)
    return Annotated[read, AfterValidator(_one_of_each(choices))] if choices else read


def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Give the elements of a model by the names they have in JSON."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def needed_of(model: type[BaseModel]) -> set[str]:
    """Give the elements that an object of a model must have."""
    return {name for name, one in fields_of(model).items() if one.is_required() or _said_of(one, "element_required")}


def _type_of(annotation: Any, tidy: Tidy) -> Any:  # noqa: ANN401 - types made at run time
    """Give the type of an element; where only parts of it are read, the type of those."""
    tidy = PARTS.get(tidy, tidy)
    kind = there(annotation)
    if isinstance(tidy, AList):
        return list[_type_of(get_args(kind)[0], tidy.item)]  # type: ignore[misc] # made at run time
    if isinstance(tidy, AnObject) and hasattr(kind, "get_model_klass"):
        return _read_part_of(kind.get_model_klass(), tidy.members)
    return annotation


PARTS: Mapping[Any, Tidy] = {codeable: CODEABLE, a_reference: REFERENCE, people: AList(REFERENCE)}
"""How the parts are made tidy of what a function makes tidy as a whole."""


def there(annotation: Any) -> Any:  # noqa: ANN401 - a type
    """Give the type that an element has when it is there."""
    if get_origin(annotation) not in {Union, UnionType}:
        return annotation
    return next(one for one in get_args(annotation) if one is not NoneType)


def _said_of(info: FieldInfo, word: str) -> Any:  # noqa: ANN401 - what fhir.resources notes beside a field
    return info.json_schema_extra.get(word) if isinstance(info.json_schema_extra, dict) else None


def choices_of(fields: Mapping[str, FieldInfo], members: Mapping[str, Tidy]) -> Sequence[tuple[frozenset[str], bool]]:
    """Give the elements of which one type may be told (`value[x]`), and whether one must be."""
    found: dict[str, tuple[set[str], bool]] = {}
    for name, info in fields.items():
        if prefix := _said_of(info, "one_of_many"):
            names, needed = found.get(prefix, (set(), False))
            found[prefix] = (names | {name}, needed or _said_of(info, "one_of_many_required") is True)
    read = ((frozenset(names & members.keys()), needed) for names, needed in found.values())
    return [(names, needed) for names, needed in read if needed or len(names) > 1]


def is_one_of_each(choices: Sequence[tuple[frozenset[str], bool]], value: Mapping[str, Any]) -> bool:
    """Tell whether of each element only one type is told, and of those that must be there one."""
    for names, needed in choices:  # noqa: SIM110 - a generator takes twice as long
        if not needed <= len(names.intersection(value)) <= 1:
            return False
    return True


def _one_of_each(choices: Sequence[tuple[frozenset[str], bool]]) -> Callable[[Any], Any]:
    def check(value: dict[str, Any]) -> dict[str, Any]:
        if not is_one_of_each(choices, value):
            raise ValueError("an element of no type, or of two")
        return value

    return check
