"""Charts are drawn here: the same description gives the same SVG, which needs nothing from elsewhere."""

from __future__ import annotations

import re
import sys
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from hooks.charts import drawing

NAMES = {"critical": "critical", "warning": "warning", "info": "information"}
ROWS: list[dict[str, Any]] = [
    {"name": "BP-001", "indicator": "warning", "value": 30, "low": 20, "high": 42},
    {"name": "骨转移 <b>&\"'", "indicator": "critical", "value": 10, "low": 4, "high": 20},
]


def bars() -> dict[str, Any]:
    return drawing.interval_bars(ROWS, title="of 100", colour=drawing.indicator_colour(NAMES))


SPECS = {
    "bars": bars(),
    "stacked": drawing.stacked_bars(ROWS, title="cards", colour=drawing.indicator_colour(NAMES), order=["BP-001"]),
    "time": drawing.columns_over_time(
        [{"day": f"2026-01-{day:02d}", "indicator": "critical", "value": day} for day in range(1, 9)],
        title="cards",
        colour=drawing.indicator_colour(NAMES),
    ),
    "heat": drawing.heat_map(
        [{"row": "BP-001", "column": "calcium", "value": 40, "text": "40"}],
        across=["calcium"],
        down=["BP-001"],
        title="%",
    ),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_chart_is_whole_svg_with_its_label_and_scales_with_the_page(name: str) -> None:
    svg = drawing.drawn(SPECS[name], label='What "it" shows & more')
    root = ET.fromstring(svg)  # noqa: S314 - our own
    assert root.get("role") == "img"
    assert root.get("aria-label") == 'What "it" shows & more'
    assert "max-width" in (root.get("style") or "")
    assert root.get("viewBox")
    assert not re.search(r"<script|<image|href=\"(?!#)", svg)


def test_a_chart_for_a_phone_keeps_its_letters_and_fits_its_width() -> None:
    names = [f"RULE-{number:03d} with a title that is much too long for a telephone" for number in range(30)]
    long_rows = [ROWS[0] | {"name": name} for name in names]
    many = [{"row": f"BP-{n:03d}", "column": name, "value": 40, "text": "40"} for n, name in enumerate(names[:16])]
    across, down = names[:16], [f"BP-{n:03d}" for n in range(16)]
    for spec in (
        drawing.interval_bars(long_rows, title="of 100", colour=drawing.indicator_colour(NAMES)),
        drawing.heat_map(many, across=across, down=down, title="%"),
        SPECS["time"],
    ):
        svg = drawing.drawn(drawing.narrowed(spec), label="x")
        found = re.search(r'viewBox="0 0 ([\d.]+)', svg)
        assert found is not None
        assert float(found[1]) <= 430, "on 360 px letters of 12 px stay above 10"
        shown = re.findall(r"<text[^>]*>([^<]+)<", svg)
        assert not [text for text in shown if "telephone" in text]
        assert any("…" in text for text in shown) or spec is SPECS["time"]


def test_the_same_description_gives_the_same_svg_and_two_charts_share_no_names() -> None:
    one, again, other = (drawing.drawn(SPECS[name], label="x") for name in ("heat", "heat", "bars"))
    assert one == again
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, other)]
    assert not ids[0] & ids[1]


def test_words_of_data_stay_words() -> None:
    svg = drawing.drawn(bars(), label="x")
    assert "<b>" not in svg
    assert "骨转移" in svg


def test_what_is_no_description_is_refused() -> None:
    with pytest.raises(drawing.ChartError, match="cannot be drawn"):
        drawing.drawn({"mark": 7, "encoding": "x"}, label="x")


def test_nothing_is_fetched_for_a_chart() -> None:
    with pytest.raises(drawing.ChartError):
        drawing.drawn({"data": {"url": "https://data.example/x.json"}, "mark": "bar"}, label="x")


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(drawing.ChartError, match="pip install"):
        drawing.drawn(bars(), label="x")
