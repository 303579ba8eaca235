"""
The dossier's pictures as SVG: what all of them are made of, and the bars of scores and grades.

Drawn by ourselves and not by Vega-Lite (vl-convert), which draws the charts of a replay report: seven panels on one
axis took it 0.8 s and 155 kB for one page, 2.9 s for the first of a process and 130 MB of memory, against some 5 ms
and 25 kB here; and its colours are fixed, while these follow the page into the dark and onto paper. Every picture is
drawn for a wide and for a narrow page, so that its letters have the same size on a phone; the style sheet shows one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from hooks.dossier.texts import texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hooks.cards.wording import Speaker
    from hooks.dossier.bones import Scale, Score

LETTER = 5.6
"""The usual width of a small letter, px; only to keep labels apart."""
BOLD = 1.3
"""How much wider a bold one is."""


def tag(name: str, *inside: str, **attributes: object) -> Markup:
    """Write one element; attribute names with `_` become those with `-`, `class_` is `class`; texts are escaped."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(short(value))}"' for key, value in attributes.items()
    )
    content = Markup("").join(part if isinstance(part, Markup) else escape(part) for part in inside)
    if not inside:
        return Markup(f"<{name}{written}/>")  # noqa: S704 - attributes are escaped above
    return Markup(f"<{name}{written}>{content}</{name}>")  # noqa: S704 - as above, and content is escaped


def short(value: object) -> str:
    """Write a number of px with one decimal at most."""
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def picture(width: float, height: float, name: str, shapes: Iterable[Markup], kind: str = "") -> Markup:
    """Put shapes into one picture that scales with its place; `name` says in words what it shows."""
    return tag(
        "svg",
        *shapes,
        class_=f"drawn {kind}".strip(),
        viewBox=f"0 0 {short(width)} {short(height)}",
        role="img",
        aria_label=name,
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
