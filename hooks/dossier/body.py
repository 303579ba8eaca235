"""The skeleton as SVG: where each lesion lies, with its score, and the grade of the cord beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hooks.dossier.drawing import BOLD, LETTER, apart, picture, short, tag
from hooks.dossier.texts import texts
from recommenders.vocabulary.bones import SPINE_REGIONS, levels_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from markupsafe import Markup

    from hooks.cards.wording import Speaker
    from hooks.dossier.bones import Bone, Skeleton

MIDDLE = 110.0
OFF = {
    "clavicle": (26, 80), "scapula": (42, 96), "rib": (27, 136), "humerus": (52, 128), "upper-limb": (57, 158),
    "radius": (77, 204), "ulna": (58, 196), "hand": (78, 264), "pelvis": (32, 206), "acetabulum": (20, 228),
    "femur-proximal": (27, 246), "femur-pertrochanteric": (44, 250), "femur": (34, 280), "femur-other": (30, 312),
    "lower-limb": (30, 350), "tibia": (20, 408), "fibula": (40, 420), "foot": (30, 480),
}  # fmt: skip
"""Bones of which there are two: how far from the middle and how far down, in the picture's own 220 × 500 box."""
CENTRAL = {
    "skull": (110, 28), "spine-cervical": (110, 68), "sternum": (110, 96), "spine-thoracic": (110, 122),
    "spine": (110, 148), "spine-lumbar": (110, 174), "sacrum": (110, 204),
}  # fmt: skip
VERTEBRAL = SPINE_REGIONS | {"sacrum"}
MARK = 8.5
"""The radius of the mark at a lesion."""
NEAREST = 16.0
"""How near two sites lie to each other at least, so that each can be pointed at where a site is entered."""


def _vertebrae() -> dict[str, tuple[float, float, float]]:
    """Top, height and width of each vertebra, from above downward."""
    found, top = {}, 60.0
    for letter, count, step, wide in (("C", 7, 3.6, 9.0), ("T", 12, 5.5, 12.0), ("L", 5, 8.4, 17.0)):
        for number in range(1, count + 1):
            found[f"{letter}{number}"] = (top, step, wide + (number - 1) * 0.3)
            top += step
    return found


VERTEBRAE = _vertebrae()


def at_level(level: str) -> tuple[tuple[float, float], ...]:
    """Where a vertebral level lies ("T8", "T8-T10"): the middle of it; none where it is no level of the spine."""
    places = [VERTEBRAE[one] for one in levels_of(level) if one in VERTEBRAE] if level else []
    if not places:
        return ()
    return ((MIDDLE, sum(top + step / 2 for top, step, _ in places) / len(places)),)


def spots(site: str, side: str) -> tuple[tuple[float, float], ...]:
    """Where a site lies: one spot, or both where there are two bones and the side is not told."""
    if site in CENTRAL:
        return (CENTRAL[site],)
    if site not in OFF:
        return ()
    off, down = OFF[site]
    right, left = (MIDDLE - off, down), (MIDDLE + off, down)
    return {"right": (right,), "left": (left,)}.get(side, (right, left))


def skeleton(found: Skeleton, speaker: Speaker) -> Markup:
    """
    Draw the skeleton with a numbered mark at each lesion, dashed on both sides where none is told.

    Beside it stands the score of each lesion, and the grade of the cord at its vertebra where only one has a lesion.
    """
    shapes: list[Markup] = []
    labels: list[Label] = []
    taken: dict[tuple[float, float], int] = {}
    for bone in found.bones:
        places = _places(bone)
        for spot in places:
            shift = 17 * taken.get(spot, 0)
            taken[spot] = taken.get(spot, 0) + 1
            x = spot[0] + (shift if spot[0] >= MIDDLE else -shift)
            if bone.score is not None and spot == places[0]:
                text = f"{bone.score.name} {bone.score.total}"
                labels.append(Label(x, spot[1], text, at_left=x <= MIDDLE, is_grave=bone.is_grave))
            shapes.append(_lesion(bone, x, spot[1], doubtful=len(places) > 1))
    labels += _cord(found)
    return outline(speaker.language, [*_labels(labels), *shapes])


def _lesion(bone: Bone, x: float, y: float, *, doubtful: bool) -> Markup:
    kind = f"lesion{' doubtful' if doubtful else ''}{' grave' if bone.is_grave else ''}"
    score = f", {bone.score.name} {bone.score.total}" if bone.score is not None else ""
    return tag(
        "g",
        tag("title", f"{bone.number}: {bone.place}{score}"),
        tag("circle", cx=x, cy=y, r=MARK),
        tag("text", str(bone.number), x=x, y=y + 3.8, text_anchor="middle"),
        class_=kind,
    )


@dataclass(frozen=True, slots=True)
class Label:
    """Words beside the skeleton, with a line to the place (`x`, `y`) that they are about."""

    x: float
    y: float
    text: str
    at_left: bool
    is_grave: bool


def _cord(found: Skeleton) -> Iterator[Label]:
    """The grade of the cord; without its level it stands at the only vertebra with a lesion, else at the spine."""
    cord = found.cord
    if not cord.is_known and len(cord.possible) == len(cord.steps):
        return
    heights = {y for bone in found.bones if bone.site in VERTEBRAL for _, y in _places(bone)}
    grade = "/".join(text for step, text in cord.steps if step in cord.possible)
    y = heights.pop() if len(heights) == 1 else CENTRAL["spine"][1]
    yield Label(MIDDLE, y, f"ESCC {grade}", at_left=False, is_grave=found.is_cord_compressed)


def _places(bone: Bone) -> tuple[tuple[float, float], ...]:
    """Where a lesion is drawn: at its vertebra, else where its bone lies, on both sides where none is told."""
    return (at_level(bone.level) if bone.site in VERTEBRAL else ()) or spots(bone.site, bone.side)


def _labels(labels: Sequence[Label]) -> Iterator[Markup]:
    """Draw words at the edges of the picture, moved apart where their places are near to each other."""
    for at_left, edge, anchor in ((True, 2, "start"), (False, 218, "end")):
        mine = [one for one in labels if one.at_left is at_left]
        for one, y in zip(mine, apart([_beside(one, edge) for one in mine], 13, 26, 494), strict=True):
            end = edge + (1 if at_left else -1) * (len(one.text) * LETTER + 2)
            kind = "told grave" if one.is_grave else "told"
            yield tag("line", class_=kind, x1=one.x, x2=end, y1=one.y, y2=y)
            yield tag("text", one.text, class_=kind, x=edge, y=y + 4, text_anchor=anchor)


def _beside(one: Label, edge: float) -> float:
    """How far down words stand: beside their place where there is room for them, else under it."""
    has_room = len(one.text) * LETTER * BOLD < abs(one.x - edge) - MARK
    return one.y if has_room else one.y + 2 * MARK


def outline(language: str, shapes: Iterable[Markup] = ()) -> Markup:
    """Draw the bare skeleton, the patient's right at the reader's left, with shapes upon it."""
    t = texts(language)
    sides = (
        tag("text", t["side_right"].format(bone="").strip(), class_="tick", x=4, y=12),
        tag("text", t["side_left"].format(bone="").strip(), class_="tick", x=216, y=12, text_anchor="end"),
    )
    return picture(220, 500, t["body"], [tag("g", *_bones(), class_="bones"), *sides, *shapes], "body")


def _bones() -> Iterator[Markup]:
    yield tag("path", d="M110 6c-17 0-24 12-24 25 0 10 4 15 8 18l3 9h26l3-9c4-3 8-8 8-18 0-13-7-25-24-25z")
    yield tag("path", d="M101 33a4 4 0 1 0 .1 0M119 33a4 4 0 1 0 .1 0M104 50h12", class_="fine")
    for top, step, wide in VERTEBRAE.values():
        yield tag("rect", x=MIDDLE - wide / 2, y=top, width=wide, height=step - 1.1, rx=1.2)
    yield tag("path", d="M103 203h14l-3 22-4 4-4-4z")
    for turn in (-1, 1):
        yield from _half(turn)
    yield tag("path", d="M107 88h6l1 14-1 34h-6l-1-34z")


def _half(turn: int) -> Iterator[Markup]:
    """One side of the body, drawn from the middle outwards."""

    def at(off: float) -> str:
        return short(MIDDLE + turn * off)

    yield tag("path", d=f"M{at(4)} 90Q{at(20)} 76 {at(43)} 84", class_="long thin")
    yield tag("path", d=f"M{at(26)} 92L{at(46)} 90L{at(36)} 126Z")
    for rib in range(8):
        y, reach = 94 + rib * 9, 27 + min(rib, 5) * 2.6 - max(rib - 5, 0) * 3
        end = MIDDLE + turn * (4 if rib < 6 else 16)
        yield tag(
            "path",
            d=f"M{at(6)} {y - 4}C{at(reach)} {y - 10} {at(reach + 5)} {y + 12} {short(end)} {y + 12}",
            class_="fine",
        )
    yield tag(
        "path",
        d=f"M{at(5)} 206C{at(22)} 192 {at(44)} 200 {at(40)} 220C{at(38)} 232 {at(30)} 236 {at(24)} 246"
        f"L{at(10)} 250L{at(4)} 244L{at(12)} 236C{at(18)} 228 {at(12)} 218 {at(6)} 222Z",
    )
    yield tag("path", d=f"M{at(47)} 92L{at(58)} 180", class_="long")
    yield tag("path", d=f"M{at(57)} 188L{at(72)} 248", class_="long thin")
    yield tag("path", d=f"M{at(63)} 188L{at(78)} 246", class_="long thin")
    yield tag(
        "path",
        d=f"M{at(72)} 254l{3 * turn} 10m0 0l{-1 * turn} 22m{1 * turn}-22l{4 * turn} 22m{-4 * turn}-22l{9 * turn} 19",
        class_="fine hand",
    )
    yield tag("path", d=f"M{at(28)} 240L{at(37)} 250L{at(28)} 364", class_="long thick")
    yield tag("circle", cx=at(27), cy=239, r=6)
    yield tag("circle", cx=at(27.5), cy=371, r=4)
    yield tag("path", d=f"M{at(27)} 380L{at(25)} 466", class_="long")
    yield tag("path", d=f"M{at(35)} 384L{at(31)} 464", class_="long thin")
    yield tag("path", d=f"M{at(25)} 472L{at(23)} 482L{at(38)} 490L{at(40)} 486L{at(31)} 474Z")
