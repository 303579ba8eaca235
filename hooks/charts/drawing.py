"""One way to draw a chart: a Vega-Lite description in, SVG in the house's colours out."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
COLOURS: Mapping[str, str] = {"critical": "#b3261e", "warning": "#b26a00", "info": "#2f6f9f"}
"""Of the indicators; told apart also without colour vision, and each is named beside its colour."""
INK, QUIET, LINES = "#1b1f24", "#5b6470", "#d9dee4"
ON_LIGHT = "#14181d"
"""Letters on a light field, which stays light where the page is dark."""
FONT = "Helvetica, Arial, 'Noto Sans CJK SC', 'PingFang SC', 'Microsoft YaHei', sans-serif"
"""Text is measured here and set in the reader's browser: fonts of one width, and room for one that is wider."""

CONFIG: Mapping[str, Any] = {
    "background": None,
    "padding": {"left": 48, "right": 24, "top": 4, "bottom": 4},
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": QUIET,
        "titleFontWeight": "normal",
        "gridColor": LINES,
        "domainColor": LINES,
        "tickColor": LINES,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "labelLimit": 300,
    },
    "legend": {
        "labelColor": INK,
        "titleColor": QUIET,
        "titleFontWeight": "normal",
        "labelFontSize": 12,
        "orient": "top",
    },
    "header": {"labelColor": INK, "titleColor": QUIET},
}


class ChartError(Exception):
    """A chart that cannot be drawn; the message says what is missing."""


NARROW: Mapping[str, Any] = {"padding": {"left": 2, "right": 8, "top": 4, "bottom": 4}}
NARROW_LABELS, NARROW_WIDTH, NARROW_STEP = 120, 210, 17
"""How a phone's width is filled: names cut earlier, bars shorter, the same letters."""


def narrowed(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the same chart for a phone's width, where its letters keep their size."""
    width = {"step": NARROW_STEP} if isinstance(spec.get("width"), Mapping) else NARROW_WIDTH
    axis = dict(CONFIG["axis"]) | {"labelLimit": NARROW_LABELS}
    legend = dict(CONFIG["legend"]) | {"columns": 3, "labelLimit": 92}
    config = {**CONFIG, **NARROW, "axis": axis, "legend": legend}
    return {**_upright(spec), "width": width, "config": config}


def _upright(part: Any) -> Any:  # noqa: ANN401 - JSON
    """Turn slanted names upright, which need less room between them."""
    if isinstance(part, Mapping):
        turned = {"labelAngle": -90, "labelLimit": NARROW_LABELS} if "labelAngle" in part else {}
        return {key: _upright(inner) for key, inner in part.items()} | turned
    return [_upright(inner) for inner in part] if isinstance(part, list) else part


def drawn(spec: Mapping[str, Any], *, label: str) -> Markup:
    """
    Draw a chart; `label` says in words what it shows, for those who do not see it.

    The same description gives the same SVG. Raises ChartError without vl-convert, and for a description that is none.
    """
    try:
        import vl_convert  # noqa: PLC0415 - an extra, and a heavy one
    except ImportError:
        raise ChartError("Charts need vl-convert: pip install 'oncobone[replay]'.") from None
    whole = {"$schema": SCHEMA, "config": CONFIG, "autosize": {"type": "pad", "contains": "padding"}} | dict(spec)
    try:
        svg: str = vl_convert.vegalite_to_svg(whole, vl_version="5.20", allowed_base_urls=[])
    except ValueError as error:
        raise ChartError(f"The chart cannot be drawn: {error}") from error
    own = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:8]
    return Markup(_labelled(_renamed(svg, own), label))  # noqa: S704 - made by the drawing library, which escapes texts


_NAMES = re.compile(r'(\bid="|url\(#|href="#)([\w-]+)')


def _renamed(svg: str, own: str) -> str:
    """Give clips and gradients names of this chart's own: several stand in one page, and the library counts on."""
    numbers: dict[str, int] = {}
    return _NAMES.sub(lambda found: f"{found[1]}{own}-{numbers.setdefault(found[2], len(numbers))}", svg)


_OPENING = re.compile(r"<svg\b[^>]*>")


def _labelled(svg: str, label: str) -> str:
    """Let it scale with the page, and say what it shows."""
    found = _OPENING.search(svg)
    if found is None:
        raise ChartError("The chart cannot be drawn: no SVG came.")
    opening = re.sub(r'\s(?:width|class)="[^"]*"', "", found[0])
    width = re.search(r'\bwidth="([\d.]+)"', found[0])
    opening = re.sub(r'\sheight="[^"]*"', "", opening)
    style = f"width:100%;max-width:{width[1]}px;height:auto" if width else "max-width:100%"
    named = f' role="img" aria-label="{Markup.escape(label)}" style="{style}">'
    return svg[: found.start()] + opening[:-1] + named + svg[found.end() :]


def indicator_colour(names: Mapping[str, str]) -> dict[str, Any]:
    """Give the colour channel for a field `indicator` that holds indicators by their name in the reader's language."""
    return {
        "field": "indicator",
        "type": "nominal",
        "title": None,
        "scale": {"domain": [names[one] for one in COLOURS], "range": list(COLOURS.values())},
    }


def interval_bars(rows: Sequence[Mapping[str, Any]], *, title: str, colour: Mapping[str, Any]) -> dict[str, Any]:
    """Describe bars with an interval each; rows have `name`, `value`, `low`, `high` and the colour's field."""
    order = [row["name"] for row in rows]
    name = {"field": "name", "type": "nominal", "sort": order, "title": None, "axis": {"ticks": False, "domain": False}}
    return {
        "width": 460,
        "height": {"step": 20},
        "data": {"values": list(rows)},
        "layer": [
            {
                "mark": {"type": "bar", "height": {"band": 0.66}, "cornerRadiusEnd": 2},
                "encoding": {
                    "y": name,
                    "x": {"field": "value", "type": "quantitative", "title": title},
                    "color": dict(colour),
                },
            },
            {
                "mark": {"type": "rule", "color": INK, "strokeWidth": 1.2},
                "encoding": {
                    "y": name,
                    "x": {"field": "low", "type": "quantitative"},
                    "x2": {"field": "high"},
                },
            },
        ],
    }


def heat_map(
    rows: Sequence[Mapping[str, Any]], *, across: Sequence[str], down: Sequence[str], title: str
) -> dict[str, Any]:
    """Describe a heat map; rows have `column`, `row`, `value` (0 to 100) and `text`."""
    place = {
        "x": {
            "field": "column",
            "type": "nominal",
            "sort": list(across),
            "title": None,
            "axis": {"orient": "top", "labelAngle": -35, "labelLimit": 180, "ticks": False, "domain": False},
        },
        "y": {
            "field": "row",
            "type": "nominal",
            "sort": list(down),
            "title": None,
            "axis": {"ticks": False, "domain": False},
        },
    }
    return {
        "width": {"step": 44},
        "height": {"step": 20},
        "data": {"values": list(rows)},
        "layer": [
            {
                "mark": {"type": "rect"},
                "encoding": place
                | {
                    "color": {
                        "field": "value",
                        "type": "quantitative",
                        "title": title,
                        "scale": {"scheme": "blues", "domain": [0, 100]},
                        "legend": {"gradientLength": 160},
                    }
                },
            },
            {
                "mark": {"type": "text", "fontSize": 10},
                "encoding": place
                | {
                    "text": {"field": "text", "type": "nominal"},
                    "color": {"condition": {"test": "datum.value > 60", "value": "#fff"}, "value": ON_LIGHT},
                },
            },
        ],
    }


def stacked_bars(
    rows: Sequence[Mapping[str, Any]], *, title: str, colour: Mapping[str, Any], order: Sequence[str] | None = None
) -> dict[str, Any]:
    """Describe stacked horizontal bars; rows have `name`, `value` and the colour's field."""
    return {
        "width": 460,
        "height": {"step": 22},
        "data": {"values": list(rows)},
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": {
                "field": "name",
                "type": "nominal",
                "title": None,
                "sort": list(order) if order is not None else None,
                "axis": {"ticks": False, "domain": False},
            },
            "x": {"field": "value", "type": "quantitative", "title": title},
            "color": dict(colour),
        },
    }


def columns_over_time(rows: Sequence[Mapping[str, Any]], *, title: str, colour: Mapping[str, Any]) -> dict[str, Any]:
    """Describe columns by day; rows have `day` (ISO), `value` and the colour's field."""
    return {
        "width": 560,
        "height": 180,
        "data": {"values": list(rows)},
        "mark": {"type": "bar"},
        "encoding": {
            "x": {"field": "day", "type": "ordinal", "title": None, "axis": {"labelAngle": -40, "labelOverlap": True}},
            "y": {"field": "value", "type": "quantitative", "title": title},
            "color": dict(colour),
        },
    }
