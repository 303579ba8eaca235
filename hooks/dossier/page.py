"""The dossier as a page: HTML and SVG made here, read without a script, printed on two sheets, sent as a file."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from hooks.dossier import axis, body, drawing, verdicts
from hooks.dossier.texts import texts
from hooks.reference.safe import markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hooks.dossier.whole import Dossier

IN_PRINT = 6
"""Rows of a list that are printed; all of them stand on the screen."""


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("hooks.dossier"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def style() -> Markup:
    """Give the style sheet of the pages: ours, without anything from a chart."""
    text = resources.files("hooks.dossier").joinpath("static/page.css").read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - our own file


def fragment(dossier: Dossier, *, links: str | None = "") -> str:
    """
    Write the dossier's own part of a page.

    `links` is the path before `/rules/…`; None leaves links out, for a file that is read elsewhere.
    """
    return _environment().get_template("_dossier.html").render(_context(dossier, links))


def whole_page(dossier: Dossier) -> str:
    """Write the dossier as one self-contained file: style and pictures inside, no script, nothing loaded."""
    context = _context(dossier, None) | {"style": style()}
    return _environment().get_template("file.html").render(context)


def _context(dossier: Dossier, links: str | None) -> dict[str, object]:
    speaker, skeleton = dossier.speaker, dossier.skeleton
    axes = (
        []
        if dossier.timeline.is_empty
        else [axis.time_axis(dossier.timeline, speaker, wide=wide) for wide in (True, False)]
    )
    return {
        "d": dossier,
        "t": texts(dossier.language),
        "language": dossier.language,
        "links": links,
        "axes": axes,
        "body": body.skeleton(skeleton, speaker),
        "bar": lambda score: drawing.score_bar(score, speaker),
        "scale": drawing.scale,
        "doubtful": any(len(body.spots(bone.site, bone.side)) > 1 for bone in skeleton.bones),
        "counts": verdicts.counts(dossier.rules, dossier.language),
        "markdown": markdown,
        "together": lambda lines: _together(lines, texts(dossier.language)["semicolon"]),
        "in_print": IN_PRINT,
    }


def _together(lines: Sequence[str], between: str) -> str:
    """Write several sentences as one: only the last one ends."""
    *others, last = lines
    return between.join((*(line.rstrip(".。") for line in others), last))
