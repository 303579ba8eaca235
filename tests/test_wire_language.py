"""The reader's language: which one a header asks for, and what follows it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from hooks.application import create_app
from hooks.cards.language import language_of, reader_language
from hooks.configuration import load
from hooks.settings import Settings, SettingsError
from tests.wire import call_body

if TYPE_CHECKING:
    from hooks.cards.wording import Language
    from tests.conftest import Server


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("en", "en"),
        ("EN-us", "en"),
        ("zh", "zh-CN"),
        ("zh-CN", "zh-CN"),
        ("zh-Hant-TW", "zh-CN"),
        ("ZH-hk;q=0.1", "zh-CN"),
        ("fr, de", "en"),
        ("fr, zh;q=0.2", "zh-CN"),
        ("en;q=0.4, zh;q=0.5", "zh-CN"),
        ("zh;q=0.5, en;q=0.9", "en"),
        ("zh, en", "zh-CN"),
        ("en, zh", "en"),
        ("zh;q=0", "en"),
        ("en;q=0, *", "zh-CN"),
        ("en;q=0, zh;q=0", "en"),
        ("*", "en"),
        ("*;q=0.5, zh;q=0.4", "en"),
        ("en-GB;q=0.3, zh;q=0.35, en;q=0.4", "en"),
        ("zh ; q = 0.8 , en ; q=0.7", "zh-CN"),
        ("zh;q=5, en;q=0.1", "en"),
        ("zh;q=x, en;q=0.1", "en"),
        ("zhx", "en"),
        ("zh_CN", "en"),
        ("<b>, zh", "zh-CN"),
        ("," * 5000 + "zh", "zh-CN"),
    ],
)
def test_the_best_match_of_english_and_chinese_is_chosen(header: str | None, language: Language) -> None:
    assert reader_language(header, "en") == language


@pytest.mark.parametrize("header", [None, "fr", "*", "en;q=0, zh;q=0"])
def test_without_a_match_the_sites_language_is_taken(header: str | None) -> None:
    assert reader_language(header, "zh-CN") == "zh-CN"


def in_language(server: Server, language: str, hook: str = "patient-view") -> Any:
    answered = server.call(call_body(hook), headers={"Accept-Language": language})
    assert answered.headers["Content-Language"] == language
    assert "Accept-Language" in answered.headers["Vary"]
    return answered.json()


def is_chinese(text: str) -> bool:
    return re.search(r"[\u4e00-\u9fff]", text) is not None


@pytest.mark.parametrize("hook", ["patient-view", "encounter-start", "order-select", "order-sign"])
def test_words_follow_the_language_and_codes_and_ids_do_not(server: Server, hook: str) -> None:
    english, chinese = in_language(server, "en", hook), in_language(server, "zh-CN", hook)
    assert english["cards"]
    for one, other in zip(english["cards"], chinese["cards"], strict=True):
        assert one["uuid"] == other["uuid"]
        assert not is_chinese(one["summary"])
        assert is_chinese(other["summary"])
        for name in ("fired", "values", "repeat_key"):
            traces = [card["extension"]["org.oncobone.trace"].get(name) for card in (one, other)]
            assert traces[0] == traces[1]
        codes = [[reason["code"] for reason in card.get("overrideReasons", ())] for card in (one, other)]
        assert codes[0] == codes[1]
        assert all(is_chinese(reason["display"]) for reason in other.get("overrideReasons", ()))


def test_the_site_chooses_when_the_caller_does_not() -> None:
    client = create_app(Settings(language="zh-CN")).test_client()
    answered = client.post("/cds-services/oncobone-patient-view", json=call_body())
    assert answered.headers["Content-Language"] == "zh-CN"
    assert is_chinese(answered.get_json()["cards"][0]["summary"])


@pytest.mark.parametrize(
    ("name", "language"),
    [("zh", "zh-CN"), ("zh-CN", "zh-CN"), ("zh_CN", "zh-CN"), ("ZH-hant-tw", "zh-CN"), ("en", "en"), ("en_GB", "en")],
)
def test_a_language_is_named_alike_in_settings_addresses_and_headers(name: str, language: Language) -> None:
    assert language_of(name) == language
    assert load(environ={"ONCOBONE_LANGUAGE": name}).language == language
    client = create_app(
        Settings(console=True, smart_client_id="c", fhir_servers=("https://ehr.example/fhir",))
    ).test_client()
    for page in ("/rules", "/rules/DOSE-003", "/", "/ask"):
        for asked in ({"query_string": {"lang": name}}, {"headers": {"Accept-Language": name.replace("_", "-")}}):
            shown = client.get(page, **asked)
            assert shown.status_code == 200, page
            assert f'<html lang="{language}"' in shown.text, (page, asked)


@pytest.mark.parametrize("name", ["fr", "", "zhx", "z" * 5000, "zh;q=1", "中文"])
def test_a_name_of_no_language_of_ours_is_none(name: str) -> None:
    assert language_of(name) is None
    site = create_app(Settings(language="zh-CN")).test_client()
    assert '<html lang="zh-CN"' in site.get("/rules", query_string={"lang": name}).text


def test_a_setting_of_another_language_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match="ONCOBONE_LANGUAGE"):
        load(environ={"ONCOBONE_LANGUAGE": "fr"})
