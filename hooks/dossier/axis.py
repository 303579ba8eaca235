"""The time axis as SVG: marks of what was done and what happened, and under them the results with their limits."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hooks.dossier.drawing import BOLD, LETTER, apart, picture, short, tag
from hooks.dossier.texts import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from markupsafe import Markup

    from hooks.cards.wording import Speaker
    from hooks.dossier.timeline import Lane, Line, Mark, Panel, Point, Timeline

MONTH_STEPS = (1, 2, 3, 6, 12, 24, 60, 120)
BELOW = frozenset(("<", "≤"))
"""Signs of limits that ask about what lies below them."""
ASIDE = 140
"""Where a limit's source begins, px right of the plot."""
WIDE_LETTERS = 0x2E80
"""From here on letters are as wide as high (Chinese)."""
ROOMY = 1.12
"""For the widest of the fonts that may show it."""


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
        return tag("path", named, class_=shown, d=f"M{short(x)} {short(y - 6)}l6 6l-6 6l-6-6z")
    if kind == "event":
        return tag("path", named, class_=shown, d=f"M{short(x)} {short(y - 6)}l6.5 11h-13z")
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
    route = " ".join(f"{'L' if place else 'M'}{short(x)} {short(y)}" for place, (x, y, _) in enumerate(drawn))
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
            d=f"M{short(frame.end - 9)} {short(y)}h8l-4 {5 * turn}z",
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
