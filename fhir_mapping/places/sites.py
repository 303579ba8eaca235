"""
Which bone: one reader of body sites for whatever names one, by code or in words, with its side and level.

`sites.csv` holds how a place is named. kind `concept`: a body-site concept of codes.csv and its lesion site; `snomed`:
the code of one vertebra; `bone`: words of a site, the more telling first; `soft`: names that hold a place word and are
no bone (lymph node, artery, cavity); `other`: what reads like a level and is none (T2-weighted, PD-L1, cT2N1).
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fhir_mapping.places.laterality import one_side, sides_beside, sides_of_extensions, sides_of_site
from fhir_mapping.places.levels import LEVELS, canonical, level_of
from fhir_mapping.terms.codes import SNOMED, code_text, codings, normal_system, texts_of
from fhir_mapping.words.fold import compiled
from fhir_mapping.words.plain import plain
from recommenders.vocabulary.bones import SITES, Bone, bone_of, parts_of, site_of_level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fhir_mapping.delivery.context import ReadingContext
    from recommenders.vocabulary.bones import Side


@dataclass(frozen=True, slots=True)
class Place:
    """Where something lies: lesion site, whether that is bone (None: cannot be told), side and level if told."""

    site: str | None = None
    is_bone: bool | None = None
    side: Side | None = None
    level: str | None = None

    @property
    def bone(self) -> Bone:
        """The bone, as far as it is told."""
        return Bone(self.site, self.side, self.level)

    @property
    def parts(self) -> dict[str, Any]:
        """Site, side and level, as a record of a chart has them."""
        return {"site": self.site, "side": self.side, "level": self.level}


NOWHERE = Place()


def _rows() -> list[tuple[str, str, str]]:
    table = files("fhir_mapping").joinpath("places/sites.csv").read_text(encoding="utf-8")
    return [(row["kind"], row["place"], row["how"]) for row in csv.DictReader(table.splitlines())]


_ROWS = _rows()
BONE_SITES: Mapping[str, str] = {how: place for kind, place, how in _ROWS if kind == "concept"}
"""Body-site concept -> lesion site; a site that is not here is no bone (lung, brain, lymph node)."""
_VERTEBRAE: Mapping[str, str] = {how: place for kind, place, how in _ROWS if kind == "snomed"}
_BONES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (place, compiled(how)) for kind, place, how in _ROWS if kind == "bone"
)
_SOFT = compiled("|".join(f"(?:{how})" for kind, _, how in _ROWS if kind == "soft"))
_OTHER = compiled("|".join(f"(?:{how})" for kind, _, how in _ROWS if kind == "other"))
_RIB_BEFORE = compiled(
    r"(\d{1,2})(?:st|nd|rd|th)?\s*(?:left |right |左侧?|右侧?)?(?:anterior |posterior |lateral |[前后侧腋]){0,2}$"
)
_RIB_AFTER = compiled(r"^\s*(?:no\.? ?|#|第)?\s*(\d{1,2})\b")


# --- in words -----------------------------------------------------------------------------------------------


def places_in(said: str) -> tuple[Place, ...]:
    """
    Give every bone that free text names, the more telling first, each with the side that stands beside it.

    Where it names none but something soft there is one place that is no bone; nothing where it names no place.
    """
    return _places_in(plain(said))


def place_in(said: str) -> Place:
    """Give the bone that free text names: the most telling of several; else that it is none, or cannot be told."""
    return next(iter(places_in(said)), NOWHERE)


@lru_cache(maxsize=4096)
def _places_in(folded: str) -> tuple[Place, ...]:
    said = canonical(folded)
    hidden = _OTHER.sub(_blank, said)
    bare = _SOFT.sub(_blank, hidden)
    found: list[Place] = []
    taken: list[tuple[int, int]] = []
    for vertebra, start, end in _levels(bare):
        found.append(Place(site_of_level(vertebra), True, None, vertebra))
        taken.append((start, end))
    for site, pattern in _BONES:
        for hit in pattern.finditer(bare):
            if any(start < hit.end() and hit.start() < end for start, end in taken):
                continue
            taken.append(hit.span())
            side = one_side(site, sides_beside(said, *hit.span()))
            number = _rib(bare, *hit.span()) if site == "rib" else None
            found.append(Place(site, True, side, number))
    if not found:
        return (Place(None, False),) if bare != hidden else ()
    return _most_telling(found)


def _blank(hit: re.Match[str]) -> str:
    return " " * (hit.end() - hit.start())


def _levels(said: str) -> Iterable[tuple[str, int, int]]:
    for run in LEVELS.finditer(said):
        level = level_of(run.group())
        if level is not None:
            yield level, run.start(), run.end()


def _rib(said: str, start: int, end: int) -> str | None:
    if said[start:end] == "ribs":
        return None  # "3 ribs" is a count
    before, after = _RIB_BEFORE.search(said[max(0, start - 20) : start]), _RIB_AFTER.match(said[end : end + 12])
    numbers = [hit[1] for hit in (before, after) if hit is not None and 1 <= int(hit[1]) <= 12]
    return str(int(numbers[0])) if numbers else None


def _most_telling(found: Iterable[Place]) -> tuple[Place, ...]:
    """Leave out a general name beside a more telling one (a femur beside its trochanter), but keep its side."""
    kept = list(dict.fromkeys(found))
    for whole in list(kept):
        part = next((one for one in kept if one is not whole and _names_part(whole, one)), None)
        if part is None or (whole.side is not None and part.side not in {None, whole.side}):
            continue
        kept.remove(whole)
        if part.side is None and whole.side is not None:
            kept[kept.index(part)] = replace(part, side=one_side(part.site, {whole.side}))
    return tuple(kept)


def _names_part(whole: Place, part: Place) -> bool:
    if whole.site is None or part.site is None:
        return False
    if whole.site == part.site:
        return part.level is not None or (part.side is not None and whole.side is None)
    return _covers(whole.site, part.site) or (whole.site == "spine" and part.level is not None)


# --- by code and in words -----------------------------------------------------------------------------------


def places_of(codeable: Any, context: ReadingContext) -> tuple[Place, ...]:  # noqa: ANN401 - any JSON
    """
    Give every bone of one body site.

    A code decides, and words or another coding beside it make it more exact (the femur's shaft, T10, left). A side
    anywhere in a body site is that of its only bone.
    """
    told = sides_of_site(codeable, context)
    said = [place for text in texts_of(codeable) for place in places_in(text)]
    displays = [place for match in context.concepts(codeable) for place in places_in(match.display)]
    coded = _coded(codeable, context)
    if coded is None:
        found = [place for place in said if place.is_bone] or said[:1]
    elif not coded.is_bone:
        return (Place(None, False),)
    else:
        found = [_refined(coded, [*said, *displays])]
    bones = tuple(dict.fromkeys(place for place in found if place.is_bone))
    if len({(place.site, place.level) for place in bones}) == 1:
        return (Place(bones[0].site, True, one_side(bones[0].site, told), bones[0].level),)
    return bones or tuple(found)


def place_of(codeable: Any, context: ReadingContext) -> Place:  # noqa: ANN401 - any JSON
    """Give the place that a body site means: the most telling of several."""
    return next(iter(places_of(codeable, context)), NOWHERE)


def place_of_structure(structure: Mapping[str, Any], context: ReadingContext) -> Place:
    """Give the place of a BodyStructure: its location, with the side of the location or of its qualifiers."""
    location = structure.get("location")
    place = place_of(location, context)
    sides = sides_of_site(location, context) | sides_of_site(structure.get("locationQualifier", []), context)
    return Place(place.site, place.is_bone, one_side(place.site, sides), place.level)


def body_sites(resource: Mapping[str, Any], context: ReadingContext) -> list[Place]:
    """
    Give the places that a resource names as its body sites, or as the BodyStructure it is about.

    A laterality on the resource itself is that of its only site.
    """
    listed = resource.get("bodySite")
    found = [
        place
        for one in (listed if isinstance(listed, list) else [listed])
        if one is not None
        for place in places_of(one, context)
    ]
    found += [place_of_structure(one, context) for one in _structures(resource, context)]
    own = sides_of_extensions(resource, context)
    if len(found) == 1 and found[0].side is None and own:
        return [Place(found[0].site, found[0].is_bone, one_side(found[0].site, own), found[0].level)]
    return found


_ABOUT_STRUCTURE = ("/bodySite", "procedure-targetBodyStructure", "targetBodyStructure")


def _structures(resource: Mapping[str, Any], context: ReadingContext) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for extension in resource.get("extension", ()):
        if not isinstance(extension, dict) or not str(extension.get("url", "")).endswith(_ABOUT_STRUCTURE):
            continue
        reference = extension.get("valueReference")
        told = reference.get("reference") if isinstance(reference, dict) else None
        structure = context.resolve(told, resource) if isinstance(told, str) else None
        if structure is not None:
            found.append(structure)
    return found


def _coded(codeable: Any, context: ReadingContext) -> Place | None:  # noqa: ANN401 - any JSON
    """Give the place of the codes: the most telling bone; not bone where they name something else; None without."""
    levels = [
        place
        for coding in codings(codeable)
        if normal_system(str(coding.get("system") or "")) == SNOMED
        and (place := _VERTEBRAE.get(code_text(coding.get("code")))) is not None
    ]
    if levels:
        return (
            Place("sacrum", True) if levels[0] == "sacrum" else Place(site_of_level(levels[0]), True, None, levels[0])
        )
    own = [_own(said) for said in (*texts_of(codeable), *(code_text(one.get("code")) for one in codings(codeable)))]
    if words := [place for place in own if place is not None]:
        return words[0]
    found = [match.concept for match in context.concepts(codeable) if match.concept.startswith("site_")]
    sites = [BONE_SITES[concept] for concept in found if concept in BONE_SITES]
    if sites:
        return Place(max(sites, key=lambda site: -len(parts_of(site))), True)
    return Place(None, False) if found else None


def _own(said: str) -> Place | None:
    """Give the place of one of our own words: a lesion site, or a bone's key ("femur/left")."""
    word, _, _ = (key := said.strip()).partition("/")
    if word.lower() not in SITES:
        return None
    bone = bone_of(key)
    return Place(word.lower(), True, bone.side, bone.level)


def _refined(coded: Place, said: Iterable[Place]) -> Place:
    """Give the place of a code as exact as the words beside it make it."""
    for place in said:
        if (
            coded.level is None
            and place.level is not None
            and (place.site == coded.site or _covers(coded.site, place.site))
        ):
            return Place(place.site, True, None, place.level)
    exact = next((place for place in said if place.site != coded.site and _covers(coded.site, place.site)), None)
    return Place(exact.site, True, None, exact.level) if exact is not None else coded


def _covers(whole: str | None, part: str | None) -> bool:
    if whole is None or part is None or part == whole:
        return False
    return whole == "bone" or set(parts_of(part)) < set(parts_of(whole)) or (whole == "spine" and part == "spine")
