"""The first calls of a process may come all at once: what is made at its first use is then made by several threads."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import environment
from tests.wire import DAY

ROOT = Path(__file__).parent.parent
ROUNDS = 3
"""With forms that msgspec reads at their first use, each of eight rounds ended in a crash."""


@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")
def test_the_first_calls_of_a_process_may_come_at_once() -> None:
    done = subprocess.run(  # noqa: S603 - a program of our own
        [sys.executable, "-m", "tests.first_calls", str(ROUNDS)],
        env=environment(ONCOBONE_NOW=DAY),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "{200}"


OF_THE_LANGUAGE = {"dict", "list", "str", "Any", "msgspec"}


def names(type_: ast.expr) -> set[str]:
    return {node.id for node in ast.walk(type_) if isinstance(node, ast.Name)}


def types_read_in_a_call(tree: ast.Module) -> list[int]:
    """
    Give the lines on which msgspec is told a type when a call is under way.

    It reads a type at its first use. A type of the language's own it reads anew each time; on a class it keeps what it
    has read, unfinished at first, and a second thread that finds it so ends the process.
    """
    lines = []
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        for node in ast.walk(function):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            told = [each.value for each in node.keywords if each.arg == "type"]
            if node.func.attr == "Decoder":
                told += node.args[:1]
            elif ast.unparse(node.func) == "msgspec.convert":
                told += node.args[1:2]
            elif node.func.attr != "decode":
                continue
            lines += [node.lineno for each in told if not names(each) <= OF_THE_LANGUAGE]
    return lines


def test_a_type_is_made_known_to_the_decoder_where_it_is_made() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{line}"
        for package in ("hooks", "fhir_mapping", "recommenders")
        for path in sorted((ROOT / package).rglob("*.py"))
        for line in types_read_in_a_call(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert {where.partition(":")[0] for where in found} <= {"fhir_mapping/delivery/usual.py"}, found
    assert found, "the one place that makes its forms known by itself"
