"""The figures of the operations page are those of the code, and each proof that it names is one."""

from __future__ import annotations

import re
import shlex

import pytest

from hooks.running.front import BODY_S, CONNECTIONS, HEADER_S, IDLE_S, STUCK_S
from hooks.running.processes import HEARTBEAT_S
from hooks.settings import Settings
from hooks.store.backlog import LARGEST_BATCH, SPOOL
from hooks.store.feedback import RETRY_SECONDS
from hooks.store.used import TOKEN_GRACE
from hooks.trust.clients import KEYS_AGAIN, KEYS_AT_ONCE, KEYS_FRESH, KEYS_STALE
from tests import test_heavy_request, test_hostile_requests, test_soak_load
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
USUAL = Settings()
MINUTE_S, HOUR_S = 60, 3600

SENTENCES = (
    f"A connection has {HEADER_S:g} s for its headers, {BODY_S:g} s for its body and {IDLE_S:g} s of silence",
    f"{CONNECTIONS} connections are held per process",
    f"`ONCOBONE_QUEUE_SECONDS` ({USUAL.queue_seconds:g})",
    f"for `ONCOBONE_LAST_WORDS_SECONDS` ({USUAL.last_words_seconds:g})",
    f"feedback is answered with 503 and `Retry-After: {RETRY_SECONDS}`",
    f"{SPOOL:,} for each process",
    f"{LARGEST_BATCH} in one statement",
    f"known keys stay good for {KEYS_STALE // HOUR_S} hours",
    f"look again at once: {KEYS_AT_ONCE} times, then once in {KEYS_AGAIN} s at most",
    "read again within ten minutes" if KEYS_FRESH == 10 * MINUTE_S else "?",
    "until the token expires, and two minutes more" if TOKEN_GRACE == 2 * MINUTE_S else "?",
    "does not end, within 30 s" if max(HEARTBEAT_S, STUCK_S) < 30 else "?",
    f"an answer within the fetch budget ({USUAL.fetch_seconds:g} s)",
    f"1 s of CPU, {test_heavy_request.MEMORY // 1_000_000} MB" if test_heavy_request.CPU_S == 1 else "?",
    f"p50 < {test_soak_load.P50_MS} ms, p99 < {test_soak_load.P99_MS} ms",
    f"none over {test_hostile_requests.MOST_CPU_S:g} s of CPU",
)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_page_says_what_the_code_does(sentence: str) -> None:
    assert sentence in PAGE


def test_each_promise_with_a_figure_prints_what_it_measured() -> None:
    """A file mode and the name of a status are no figures."""
    rows = re.findall(r"^\| (.+) \| `pytest (.+)` \|$", PAGE.partition("## Figures")[2], re.MULTILINE)
    figures = [
        (what, files) for what, files in rows if re.search(r"(?<!0)\b\d", re.sub(r"\b(5xx|0600|503)\b", "", what))
    ]
    assert len(figures) > 10
    for what, files in figures:
        sources = [(ROOT / name).read_text(encoding="utf-8") for name in shlex.split(files) if name.endswith(".py")]
        assert any("measured(" in source for source in sources), what


def test_each_promise_has_a_command_that_is_there() -> None:
    rows = re.findall(r"^\| .+ \| `(.+)` \|$", PAGE.partition("## Figures")[2], re.MULTILINE)
    assert len(rows) > 20
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for command in rows:
        program, *words = shlex.split(command)
        if program == "make":
            assert set(words) <= targets, command
        else:
            assert program == "pytest", command
            assert all((ROOT / word).exists() for word in words if not word.startswith("-")), command
    for script in re.findall(r"`python (bench/\w+\.py)`", PAGE):
        assert (ROOT / script).exists(), script
