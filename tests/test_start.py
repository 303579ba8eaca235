"""The command says its version without reading rules and tables."""

from __future__ import annotations

import subprocess
import sys


def test_the_version_is_told_before_the_rules_are_read() -> None:
    script = "import sys; sys.argv=['oncobone', '--version']; from hooks.tools.start import main; main();"
    script += " print([name for name in sys.modules if name.startswith(('recommenders', 'fhir_mapping', 'flask'))])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603 - our own Python
    version, modules = done.stdout.splitlines()
    assert version.startswith("oncobone, version ")
    assert modules == "[]"
