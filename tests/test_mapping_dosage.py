"""How doses, intervals, infusion times and drug names are read, however people write them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fhir_mapping.elements import infusions, intervals, routes
from fhir_mapping.terms import bma_classes, drug_names, drugs

# --- the ways people write it -------------------------------------------------------------------------------

INTERVALS = {
    "q4w": 28, "每4周": 28, "28天一次": 28, "四周一次": 28, "1次/4周": 28, "q4周": 28, "4 weekly": 28, "每28天1次": 28,
    "3-4周一次": (21, 28), "twice weekly": Decimal("3.5"), "每周2次": Decimal("3.5"), "2次/周": Decimal("3.5"),
    "twice yearly": Decimal("182.5"), "每年2次": Decimal("182.5"), "半年1次": 168, "every 6 months": 168,
    "每兩週一次": 14, "每28天一次（靜脈滴注）": 28,
    "1x/month": 28, "q month": 28, "月1次": 28, "1次/28d": 28, "间隔4周": 28, "at 4-week intervals": 28, "1次/日": 1,
    "quarterly": 84, "每季度一次": 84,
    "fortnightly": 14, "隔周": 14, "every other day": 2, "1次/月": 28, "weekly": 7, "once daily": 1,
}  # fmt: skip


@pytest.mark.parametrize(("text", "days"), INTERVALS.items(), ids=list(INTERVALS))
def test_an_interval_is_read_however_it_is_written(text: str, days: object) -> None:
    low, high = days if isinstance(days, tuple) else (days, days)
    assert intervals.text_interval(text) == (low, high)


@pytest.mark.parametrize("text", ["biweekly", "bi-weekly", "bimonthly"])
def test_what_reads_two_ways_is_no_interval_and_is_said(text: str) -> None:
    assert intervals.text_interval(text) is None
    assert intervals.is_ambiguous_interval(text)


INFUSIONS = {
    "over 15 min": 15, "over 1 h 30 min": 90, "静滴1小时30分钟": 90, "over 30 seconds": Decimal("0.5"),
    "静推30秒": Decimal("0.5"), "推注5分钟": 5, "静滴2-4小时": (120, 240), "30分钟内滴完": 30,
    "over 15 minutes; push fluids": 15,
}  # fmt: skip


@pytest.mark.parametrize(("text", "minutes"), INFUSIONS.items(), ids=list(INFUSIONS))
def test_an_infusion_time_is_read_in_seconds_minutes_and_hours(text: str, minutes: object) -> None:
    low, high = minutes if isinstance(minutes, tuple) else (minutes, minutes)
    assert infusions.text_infusion(text) == (low, high)


NAMES = {
    "zolendronic acid": ("zoledronic", None), "acide zolédronique 4 mg": ("zoledronic", None),
    "Zoledronsäure": ("zoledronic", None), "ゾレドロン酸点滴静注": ("zoledronic", None), "Enoby": ("denosumab", "60"),
    "AUKELSO": ("denosumab", "120"), "プラリア皮下注": ("denosumab", "60"), "ifosfomide": ("ifosfamide", None),
    "Bonviva": ("ibandronate", "3"), "Bondronat": ("ibandronate", "6"), "唑來膦酸": ("zoledronic", None),
    "地舒單抗": ("denosumab", None), "癌骨瓦": ("denosumab", "120"), "保骼麗": ("denosumab", "60"),
    "異環磷醯胺": ("ifosfamide", None), "美司鈉": ("mesna", None),
}  # fmt: skip


@pytest.mark.parametrize(("text", "told"), NAMES.items(), ids=list(NAMES))
def test_a_drug_is_read_in_other_tongues_brands_and_with_one_letter_wrong(
    text: str, told: tuple[str, str | None]
) -> None:
    found = drugs.identify([], [text])
    assert (found.drugs, found.product) == ((told[0],), told[1])


@pytest.mark.parametrize(
    "text", ["idarubicin", "trofosfamide", "ondansetron", "cyclophosphamide", "risperidone", "alendrin"]
)
def test_another_drug_is_not_read_as_one_of_ours_for_a_letter(text: str) -> None:
    assert not set(drugs.identify([], [text]).drugs) & {
        "zoledronic",
        "denosumab",
        "ifosfamide",
        "ibandronate",
        "pamidronate",
    }


def test_a_misspelt_name_is_flagged() -> None:
    assert "name-misspelt" in drugs.identify([], ["zolendronic acid"]).reasons


@pytest.mark.parametrize(
    ("text", "dose", "interval", "told"),
    [
        ("ibandronate injection", 6, 28, "ibandronate"),
        ("ibandronate injection", 3, 90, "ibandronate-3"),
        ("Bonviva injection", 3, None, "ibandronate-3"),
        ("ibandronate tablet", 150, 28, "ibandronate-oral"),
        ("denosumab", 120, 28, "denosumab-120"),
        ("denosumab", None, 182, "denosumab-60"),
        ("denosumab", None, 28, "denosumab-unspecified"),
        ("zoledronic acid", None, 365, "zoledronic-5"),
        ("Reclast", None, None, "zoledronic-5"),
    ],
)
def test_strength_is_told_by_product_else_by_dose_and_interval(
    text: str, dose: int | None, interval: int | None, told: str
) -> None:
    verdict = bma_classes.bma_class(
        drugs.identify([], [text]),
        None if dose is None else Decimal(dose),
        interval_days=None if interval is None else Decimal(interval),
    )
    assert verdict is not None
    assert verdict.drug == told


def test_every_brand_of_the_table_reads_as_its_drug_and_says_where_it_was_seen() -> None:
    for row in drug_names.brands():
        found = drugs.identify([], [row["name"]])
        assert found.drugs == (row["drug"],), row["name"]
        assert (found.product or "") == row["product"], row["name"]
        assert row["seen"]
        assert row["region"]


# --- parts of a dosage in words, each by its own reader -------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "days"),
    [
        ("q4 weekly", 28),
        ("every 4th week", 28),
        ("28天/次", 28),
        ("28天为1周期", 28),
        ("day 1 of each 28-day cycle", 28),
        ("days 1 and 8 of a 21-day cycle", None),
        ("第1、8天，21天为一周期", None),
        ("4 mg weekly x1 then monthly", None),
        ("weekly for 4 weeks followed by every 3 months", None),
        ("120 mg on days 1, 8 and 15, then every 4 weeks", 28),
        ("每周1次，连用3次，之后每4周1次", None),
        ("第1、8、15天，此后每28天一次", 28),
    ],
)
def test_an_interval_in_words(said: str, days: int | None) -> None:
    assert intervals.text_interval(said) == (None if days is None else (Decimal(days), Decimal(days)))


@pytest.mark.parametrize(
    ("said", "low", "high"),
    [
        ("over half an hour", 30, 30),
        ("over two hours", 120, 120),
        ("over a minimum of 15 minutes", 15, 1440),
        ("2h滴完", 120, 120),
        ("靜脈滴注15分鐘", 15, 15),
        ("静脉滴注（15分钟）", 15, 15),
        ("as a 15-minute IV infusion", 15, 15),
        ("24h continuous infusion", 1440, 1440),
        ("over 1 1/2 hours", 90, 90),
        ("静脉滴注1个半小时", 90, 90),
        ("滴注一个小时", 60, 60),
        ("5分钟内静脉推注", 5, 5),
        ("in 60 seconds", 1, 1),
        ("半小时滴完", 30, 30),
        ("静脉滴注，时间不少于15分钟", 15, 1440),
        ("24小时持续静滴", 1440, 1440),
        ("不少于2小时静脉滴注", 120, 1440),
        ("45min静滴", 45, 45),
        ("in 100 mL NS, 15 min", 15, 15),
        ("4mg 静脉滴注 每28天一次 不少于15分钟", 15, 1440),
        ("静滴，每4周1次，15分钟", 15, 15),
    ],
)
def test_an_infusion_time_in_words(said: str, low: int, high: int) -> None:
    assert infusions.text_infusion(said) == (Decimal(low), Decimal(high))


@pytest.mark.parametrize("said", ["30 min before ifosfamide", "IV 30 minutes before chemotherapy", "化疗前30分钟"])
def test_minutes_before_something_are_no_infusion_time(said: str) -> None:
    assert infusions.text_infusion(said) is None


@pytest.mark.parametrize(
    ("said", "route"),
    [("4 mg i.v.", "IV"), ("120 mg s.c.", "SC"), ("4 mg i.m.", "IM"), ("per os", "PO"), ("into a vein", "IV"),
     ("under the skin", "SC"), ("靜脈滴注", "IV"), ("每28天点滴一次", "IV"), ("120mg ih", "SC"), ("IV or SC", None)],
)  # fmt: skip
def test_a_route_in_words(said: str, route: str | None) -> None:
    assert routes.text_route(said) == route


def test_a_push_in_letters_and_signs_is_a_push() -> None:
    assert infusions.says_push("4mg IV推")
    assert infusions.says_push("4mg 靜脈推注")
    assert not infusions.says_push("4mg ivgtt，不可静推")


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("4毫克 靜脈滴注5分鐘", "4毫克 over 15 min"),
        ("4毫克 静脉滴注5分钟", "4毫克 over 15 min"),
        ("4 mg over 5 min", "4 mg over 15 min"),
    ],
)
def test_a_corrected_time_replaces_the_written_one_in_either_script(said: str, written: str) -> None:
    assert infusions.replace_infusion(said, "over 15 min") == written


@pytest.mark.parametrize(
    ("said", "days"),
    [("x 2 days", 2), ("第1-2天", 2), ("d1、2", 2), ("D1, D2", 2), ("days -3 to -2", 2), ("第1～5天", 5),
     ("day -3 and day -2", 2), ("days 1, 8 and 15", None), ("第1、8天", None), ("days 1 and 8 of a 21-day cycle", None),
     ("d1 q21d", None), ("每日1-2次", None)],
)  # fmt: skip
def test_days_that_follow_each_other_are_counted(said: str, days: int | None) -> None:
    assert intervals.text_days(said) == (None if days is None else Decimal(days))
