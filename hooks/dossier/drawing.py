"""
The dossier's pictures as SVG, drawn here: the time axis, the skeleton, the bars of a score.

Drawn by ourselves and not by Vega-Lite (vl-convert), which draws the charts of a replay report: seven panels on one
axis took it 0.8 s and 155 kB for one page, 2.9 s for the first of a process and 130 MB of memory, against some 5 ms
and 25 kB here; and its colours are fixed, while these follow the page into the dark and onto paper. Every picture is
drawn for a wide and for a narrow page, so that its letters have the same size on a phone; the style sheet shows one.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from hooks.dossier.texts import texts
from recommenders.vocabulary.bones import SPINE_REGIONS, levels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from hooks.cards.wording import Speaker
    from hooks.dossier.bones import Bone, Scale, Score, Skeleton
    from hooks.dossier.timeline import Lane, Line, Mark, Panel, Point, Timeline

MONTH_STEPS = (1, 2, 3, 6, 12, 24, 60, 120)
LETTER = 5.6
"""The usual width of a small letter, px; only to keep labels apart."""
BELOW = frozenset(("<", "≤"))
"""Signs of limits that ask about what lies below them."""
ASIDE = 140
"""Where a limit's source begins, px right of the plot."""
WIDE_LETTERS = 0x2E80
"""From here on letters are as wide as high (Chinese)."""
ROOMY = 1.12
"""For the widest of the fonts that may show it."""
BOLD = 1.3
"""How much wider a bold one is."""


def tag(name: str, *inside: str, **attributes: object) -> Markup:
    """Write one element; attribute names with `_` become those with `-`, `class_` is `class`; texts are escaped."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"' for key, value in attributes.items()
    )
    content = Markup("").join(part if isinstance(part, Markup) else escape(part) for part in inside)
    if not inside:
        return Markup(f"<{name}{written}/>")  # noqa: S704 - attributes are escaped above
    return Markup(f"<{name}{written}>{content}</{name}>")  # noqa: S704 - as above, and content is escaped


def _short(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def picture(width: float, height: float, name: str, shapes: Iterable[Markup], kind: str = "") -> Markup:
    """Put shapes into one picture that scales with its place; `name` says in words what it shows."""
    return tag(
        "svg",
        *shapes,
        class_=f"drawn {kind}".strip(),
        viewBox=f"0 0 {_short(width)} {_short(height)}",
        role="img",
        aria_label=name,
    )


# --- the time axis ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Frame:
    """The measures of an axis, px: a wide one has its titles at the left, a narrow one above each strip."""

    width: float
    left: float
    right: float
    first: dt.date
    last: dt.date
    is_wide: bool
    ticks: int

    def across(self, day: dt.date) -> float:
        """Where a day stands."""
        share = (day - self.first).days / max((self.last - self.first).days, 1)
        return self.left + (self.width - self.left - self.right) * share

    @property
    def end(self) -> float:
        """Where the axis ends."""
        return self.width - self.right


TITLE, LANE, PANEL, GAP, AXIS = 15, 22, 78, 10, 22


def time_axis(timeline: Timeline, speaker: Speaker, *, wide: bool) -> Markup:
    """Draw the axis with its lanes and panels."""
    margin = dt.timedelta(max((timeline.last - timeline.first).days // 50, 2))
    frame = Frame(
        *((960, 146, 326) if wide else (360, 8, 8)),
        timeline.first - margin,
        timeline.last + margin,
        wide,
        9 if wide else 4,
    )
    plots: list[Markup] = []
    shapes: list[Markup] = []
    top: float = AXIS
    for lane in timeline.lanes:
        shapes += _lane(lane, frame, top)
        top += LANE + (0 if wide else TITLE)
    top += GAP
    for panel in timeline.panels:
        shapes += _panel_title(panel, frame, top)
        top += 0 if wide else TITLE + 2
        plots.append(tag("rect", class_="plot", x=frame.left, y=top, width=frame.end - frame.left, height=PANEL))
        shapes += _panel(panel, frame, top)
        top += PANEL + GAP + (0 if wide else 2)
    grid = [*_ticks(frame, top, speaker), *_today(timeline, frame, top, speaker)]
    name = texts(speaker.language)["timeline_label"]
    return picture(frame.width, top + 4, name, [*plots, *grid, *shapes], "wide" if wide else "narrow")


def _ticks(frame: Frame, bottom: float, speaker: Speaker) -> Iterator[Markup]:
    first, last = (day.year * 12 + day.month - 1 for day in (frame.first, frame.last))
    step = next((one for one in MONTH_STEPS if (last - first) / one <= frame.ticks), MONTH_STEPS[-1])
    for month in range(first - first % step, last + 1, step):
        day = dt.date(month // 12, month % 12 + 1, 1)
        if not frame.first <= day <= frame.last:
            continue
        x = frame.across(day)
        yield tag("line", class_="grid", x1=x, x2=x, y1=AXIS - 4, y2=bottom)
        if 14 < x < frame.end - 24:
            yield tag("text", _tick_text(day, step, speaker), class_="tick", x=x, y=AXIS - 8, text_anchor="middle")


def _tick_text(day: dt.date, step: int, speaker: Speaker) -> str:
    if step >= 12:
        return str(day.year) if speaker.language == "en" else f"{day.year}年"
    if speaker.language == "zh-CN":
        return f"{day.year}年{day.month}月" if day.month <= step else f"{day.month}月"
    name = f"{day:%b}"
    return f"{name} {day.year}" if day.month <= step else name


def _today(timeline: Timeline, frame: Frame, bottom: float, speaker: Speaker) -> Iterator[Markup]:
    x = frame.across(speaker.assessment.as_of)
    yield tag("line", class_="today", x1=x, x2=x, y1=AXIS - 4, y2=bottom)
    if frame.is_wide:
        yield tag("text", speaker.day(timeline.last), class_="tick strong", x=x + 4, y=AXIS - 8)


def _lane(lane: Lane, frame: Frame, top: float) -> Iterator[Markup]:
    if frame.is_wide:
        yield tag("text", lane.title, class_="title", x=0, y=top + 14)
        if lane.last:
            yield tag("text", lane.last, class_="note", x=frame.end + 8, y=top + 14)
        y = top + LANE / 2
    else:
        yield tag("text", f"{lane.title} · {lane.last}" if lane.last else lane.title, class_="title", x=0, y=top + 11)
        y = top + TITLE + LANE / 2 - 2
    yield tag("line", class_="rail", x1=frame.left, x2=frame.end, y1=y, y2=y)
    for mark in lane.marks:
        yield _mark(mark, lane.kind, frame, y)


def _mark(mark: Mark, kind: str, frame: Frame, y: float) -> Markup:
    x = frame.across(mark.day)
    shown = f"mark {kind}{' planned' if mark.planned else ''}"
    named = tag("title", f"{mark.day.isoformat()}: {mark.text}")
    if kind == "radiotherapy":
        end = frame.across(mark.until) if mark.until else x
        return tag("rect", named, class_=shown, x=x - 2.5, y=y - 6, width=max(end - x, 0) + 5, height=12, rx=1.5)
    if kind == "operation":
        return tag("path", named, class_=shown, d=f"M{_short(x)} {_short(y - 6)}l6 6l-6 6l-6-6z")
    if kind == "event":
        return tag("path", named, class_=shown, d=f"M{_short(x)} {_short(y - 6)}l6.5 11h-13z")
    if kind == "imaging":
        return tag("rect", named, class_=shown, x=x - 4, y=y - 4, width=8, height=8)
    return tag("circle", named, class_=shown, cx=x, cy=y, r=4.5)


def _panel_title(panel: Panel, frame: Frame, top: float) -> Iterator[Markup]:
    if not frame.is_wide:
        title = f"{panel.title}, {panel.unit}" if panel.unit else panel.title
        yield tag("text", title, class_="title", x=0, y=top + 11)
        return
    rows = _rows(panel.title, frame.left)
    for place, row in enumerate(rows):
        yield tag("text", row, class_="title", x=0, y=top + 14 + 14 * place)
    yield tag("text", panel.unit, class_="note", x=0, y=top + 14 + 14 * len(rows))


def _panel(panel: Panel, frame: Frame, top: float) -> Iterator[Markup]:
    values = [point.height for point in panel.points] + [line.height for line in panel.lines]
    low, high = min(values), max(values)
    margin = ((high - low) or max(abs(high), 1.0) * 0.2) * 0.14
    low, high = low - margin, high + margin

    def up(value: float) -> float:
        return top + PANEL - PANEL * (value - low) / (high - low)

    yield from _limit_lines(panel.lines, frame, top, up)
    drawn = [(frame.across(point.day), up(point.height), point) for point in panel.points]
    route = " ".join(f"{'L' if place else 'M'}{_short(x)} {_short(y)}" for place, (x, y, _) in enumerate(drawn))
    yield tag("path", class_="course", d=route)
    for x, y, point in drawn:
        yield _point(point, x, y, panel)
    x, y, newest = drawn[-1]
    below = y - top < 16
    yield tag("text", newest.text, class_="value", x=x - 7, y=y + (14 if below else -7), text_anchor="end")


def _rows(title: str, room: float) -> list[str]:
    """Break a title between its words, so that it stays left of the plot."""
    rows = [""]
    for word in title.split():
        if rows[-1] and (len(rows[-1]) + len(word) + 1) * LETTER * BOLD > room:
            rows.append("")
        rows[-1] = f"{rows[-1]} {word}".strip()
    return rows


def _limit_lines(lines: Sequence[Line], frame: Frame, top: float, up: Callable[[float], float]) -> Iterator[Markup]:
    """Draw limits as lines with an arrow to the side that they ask about, and say beside them who says so."""
    places = apart([up(line.height) for line in lines], 13, top + 8, top + PANEL)
    for line, place in zip(lines, places, strict=True):
        y = up(line.height)
        kind = "limit spoken" if line.crossed else "limit"
        yield tag("line", class_=kind, x1=frame.left, x2=frame.end, y1=y, y2=y)
        turn = 1 if line.sign in BELOW else -1
        yield tag(
            "path",
            class_="arrow spoken" if line.crossed else "arrow",
            d=f"M{_short(frame.end - 9)} {_short(y)}h8l-4 {5 * turn}z",
        )
        named = tag("title", f"{line.sign} {line.text} · {line.source} · {', '.join(line.rules)}")
        number = f"{line.sign} {line.text}"
        if not frame.is_wide:
            yield tag("text", number, named, class_="limit-text", x=frame.left + 3, y=place)
            continue
        more = f" +{len(line.rules) - 1}" if len(line.rules) > 1 else ""
        yield tag("text", number, named, class_="limit-text strong", x=frame.end + 8, y=place + 3)
        yield tag("text", f"{line.rules[0]}{more}", class_="limit-text", x=frame.end + 60, y=place + 3)
        room = frame.right - ASIDE
        yield tag(
            "text", _short_enough(line.source, room), named, class_="limit-text", x=frame.end + ASIDE, y=place + 3
        )


def apart(places: Sequence[float], gap: float, first: float, last: float) -> list[float]:
    """Move places (ascending or descending) apart by a gap, staying between the first and the last where it can be."""
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    nearest = first - gap
    for at in order:
        nearest = moved[at] = max(places[at], nearest + gap)
    nearest = max(last, first + gap * (len(places) - 1)) + gap
    for at in reversed(order):
        nearest = moved[at] = min(moved[at], nearest - gap)
    return moved


def _short_enough(text: str, room: float) -> str:
    """Cut a text to its room; the whole of it stands in the table below."""
    width = 0.0
    for place, letter in enumerate(text):
        width += LETTER * (2 if ord(letter) > WIDE_LETTERS else ROOMY)
        if width > room:
            return f"{text[: place - 1].rstrip()}…"
    return text


def _point(point: Point, x: float, y: float, panel: Panel) -> Markup:
    speaking = any(look.state == "fired" and look.holds == "yes" for look in point.looks)
    looked = "; ".join(f"{look.rule} {look.asked}" for look in point.looks)
    name = f"{point.day.isoformat()}: {point.text} {panel.unit}{f' · {looked}' if looked else ''}"
    kind = "point spoken" if speaking else "point looked" if point.looks else "point"
    return tag("circle", tag("title", name), class_=kind, cx=x, cy=y, r=4.0 if point.looks else 3.0)


# --- the skeleton -------------------------------------------------------------------------------------------

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
        tag("circle", cx=x, cy=y, r=8.5),
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
        for one, y in zip(mine, apart([one.y for one in mine], 13, 26, 494), strict=True):
            end = edge + (1 if at_left else -1) * (len(one.text) * LETTER + 2)
            kind = "told grave" if one.is_grave else "told"
            yield tag("line", class_=kind, x1=one.x, x2=end, y1=one.y, y2=y)
            yield tag("text", one.text, class_=kind, x=edge, y=y + 4, text_anchor=anchor)


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
        return _short(MIDDLE + turn * off)

    yield tag("path", d=f"M{at(4)} 90Q{at(20)} 76 {at(43)} 84", class_="long thin")
    yield tag("path", d=f"M{at(26)} 92L{at(46)} 90L{at(36)} 126Z")
    for rib in range(8):
        y, reach = 94 + rib * 9, 27 + min(rib, 5) * 2.6 - max(rib - 5, 0) * 3
        end = MIDDLE + turn * (4 if rib < 6 else 16)
        yield tag(
            "path",
            d=f"M{at(6)} {y - 4}C{at(reach)} {y - 10} {at(reach + 5)} {y + 12} {_short(end)} {y + 12}",
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


# --- scores -------------------------------------------------------------------------------------------------

BAR, BAR_HEIGHT = 288.0, 16.0


def score_bar(score: Score, speaker: Speaker) -> Markup:
    """Draw a score as one bar of its parts: certain points full, possible ones dashed, its limits as lines."""
    t = texts(speaker.language)
    unit, top = BAR / score.most, 4
    shapes = [tag("rect", class_="plot", x=0, y=top, width=BAR, height=BAR_HEIGHT)]
    x = 0.0
    for part in score.parts:
        named = tag("title", f"{part.name}: {part.points}{f' ({part.found})' if part.found else ''}")
        for kind, points in (("sure", part.low), ("may", part.high - part.low)):
            if points:
                place = {"x": x + 0.5, "y": top, "width": points * unit - 1, "height": BAR_HEIGHT}
                shapes.append(tag("rect", named, class_=kind, **place))
                x += points * unit
    for limit in score.marks:
        place_of = limit * unit
        shapes.append(tag("line", class_="edge", x1=place_of, x2=place_of, y1=0, y2=top + BAR_HEIGHT + 3))
        shapes.append(tag("text", str(limit), class_="tick", x=place_of, y=top + BAR_HEIGHT + 13, text_anchor="middle"))
    parts = t["semicolon"].join(f"{part.name} {part.points}" for part in score.parts)
    name = t["score_label"].format(name=score.name, total=score.total, most=score.most, parts=parts)
    return picture(BAR, 36, name, shapes, "bar")


def scale(found: Scale) -> Markup:
    """Draw a graded finding: a box for each step, that on record full, those still possible dashed."""
    wide = 340 / len(found.steps)
    shapes: list[Markup] = []
    for place, (step, text) in enumerate(found.steps):
        kind = (
            "step sure"
            if found.is_known and step in found.possible
            else "step may"
            if step in found.possible
            else "step"
        )
        shapes.append(tag("rect", class_=kind, x=place * wide + 1, y=1, width=wide - 2, height=22, rx=2))
        chosen = "steptext chosen" if kind == "step sure" else "steptext"
        shapes.append(tag("text", text, class_=chosen, x=(place + 0.5) * wide, y=16, text_anchor="middle"))
    return picture(340, 24, f"{found.title}: {found.found}", shapes, "bar")
