"""The faces of the rules: nothing is promised in a guidance file that no code keeps, and the loader says so by name."""

from __future__ import annotations

from typing import ClassVar

import pytest

from recommenders.assessing.checking import check, faults
from recommenders.assessing.topics import TOPICS
from recommenders.vocabulary.guidance import GuidanceError, RuleInfo

WHOLE = {
    "title": "A rule", "recommender": "order-safety", "hooks": ("order-sign",),
    "override": "OV-DOSE", "condition": "always", "voice": "task", "problem": "order",
    "summary": {"en": "Something.", "zh-CN": "某事。"},
    "source_lines": [{"source": "OUR", "where": "", "en": "Ours.", "zh-CN": "本院。"}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source_lines": []}, "has no source line"),
        ({"why": ["lab.nothing"]}, "'lab.nothing' as a reason"),
        ({"summary": {"en": "{nobody} says so.", "zh-CN": "无"}}, "placeholder {nobody}"),
        ({"do": [{"when": "never-said", "en": "Do.", "zh-CN": "做"}]}, "names the circumstance 'never-said'"),
        ({"circumstances": {"unused": "in words"}}, "declares the circumstance 'unused'"),
        ({"buttons": [{"key": "a", "en": "A", "zh-CN": "甲"}, {"key": "a", "en": "B", "zh-CN": "乙"}]}, "key 'a'"),
    ],
)
def test_a_promise_that_nobody_keeps_is_refused_by_name(changes: dict[str, object], said: str) -> None:
    info = RuleInfo.model_validate(WHOLE | changes)
    guidance = TOPICS[0].guidance
    assert any(said in fault for fault in faults("DOSE-999", info, guidance))
    whole = RuleInfo.model_validate(WHOLE)
    assert list(faults("DOSE-999", whole, guidance)) == []


def test_the_error_names_the_file_and_the_rule() -> None:
    class One:
        topic = "order_safety"
        rules: ClassVar = {"DOSE-999": RuleInfo.model_validate(WHOLE | {"source_lines": []})}
        fills: ClassVar[dict[str, str]] = {}
        recommenders: ClassVar = TOPICS[3].guidance.recommenders

    with pytest.raises(GuidanceError, match=r"order_safety\.toml: DOSE-999: has no source line"):
        check([One()])  # type: ignore[list-item] # as much of a Guidance as is looked at
